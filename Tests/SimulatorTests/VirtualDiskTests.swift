import Primitives
import Testing

@testable import Simulator

@Suite struct VirtualDiskTests {
    private func disk(_ faults: [Fault] = [], seed: UInt64 = 1, errorEvery: UInt64 = 1) -> (World, VirtualDisk) {
        let world = World(traceLinesMax: 0)
        var settings = DiskSettings(faults: FaultSet(faults))
        settings.errorEvery = errorEvery
        return (world, VirtualDisk(world: world, settings: settings, random: SplitMix64(seed: seed)))
    }

    private func drain(_ world: World) { while world.runNext() {} }

    private func makeFile(_ world: World, _ disk: VirtualDisk) -> Int {
        var file = 0
        disk.create("f") { if case .success(let made) = $0 { file = made } }
        disk.syncDirectory { _ in }
        drain(world)
        return file
    }

    @Test(arguments: 1...50 as ClosedRange<UInt64>)
    func aPowerCutKeepsWhatWasSyncedAndSectorsOfWhatWasNot(seed: UInt64) {
        let (world, disk) = disk([.crashLosesWrites, .crashTearsWrite], seed: seed)
        let file = makeFile(world, disk)
        let old = [UInt8](repeating: 1, count: 2048)
        disk.write(file, at: 0, old) { _ in }
        drain(world)
        disk.sync(file) { _ in }
        drain(world)
        disk.write(file, at: 0, [UInt8](repeating: 2, count: 2048)) { _ in }
        disk.powerCut()
        let kept = disk.contents("f") ?? []
        #expect(kept.count == 2048)
        for sector in stride(from: 0, to: 2048, by: 512) {
            #expect(Set(kept[sector..<(sector + 512)]).count == 1)
        }
    }

    @Test func someCutsLoseAndSomeKeepAndSomeTear() {
        var sums: Set<Int> = []
        for seed in 1...60 as ClosedRange<UInt64> {
            let (world, disk) = disk([.crashLosesWrites, .crashTearsWrite], seed: seed)
            let file = makeFile(world, disk)
            disk.write(file, at: 0, [UInt8](repeating: 1, count: 1024)) { _ in }
            disk.powerCut()
            sums.insert((disk.contents("f") ?? []).reduce(0) { $0 + Int($1) })
        }
        #expect(sums.contains(0) && sums.contains(512) && sums.contains(1024))
    }

    @Test func aKilledProcessLosesNothingButStaysUnsynced() {
        let (world, disk) = disk([.crashLosesWrites])
        let file = makeFile(world, disk)
        disk.write(file, at: 0, [1, 2, 3]) { _ in }
        drain(world)
        #expect(disk.contents("f") == [1, 2, 3])
        #expect(disk.files[file].durable.isEmpty && disk.files[file].pending.count == 1)
    }

    @Test func aNameIsDurableOnlyAfterTheDirectoryIsSynced() {
        var lost = 0
        for seed in 1...20 as ClosedRange<UInt64> {
            let (world, disk) = disk([.crashLosesNames], seed: seed)
            _ = makeFile(world, disk)
            disk.create("g") { _ in }
            drain(world)
            disk.powerCut()
            #expect(disk.contents("f") != nil)
            if disk.contents("g") == nil { lost += 1 }
        }
        #expect(lost > 0 && lost < 20)
    }

    @Test func aFailedSyncSavesNothingAndASecondOneSaysItDid() {
        let (world, disk) = disk([.syncError])
        let file = makeFile(world, disk)
        disk.write(file, at: 0, [1, 2, 3]) { _ in }
        drain(world)
        var failures = 0
        disk.sync(file) { if case .failure = $0 { failures += 1 } }
        drain(world)
        world.quiet = true
        disk.sync(file) { if case .failure = $0 { failures += 1 } }
        drain(world)
        #expect(failures == 1)
        #expect(disk.contents("f") == [1, 2, 3])
        var fresh: [UInt8]?
        disk.read("f", at: 0, 3, fresh: true) { if case .success(let bytes) = $0 { fresh = bytes } }
        drain(world)
        #expect(fresh == [])
    }

    @Test func aFullDiskTakesOverwritesAndNothingNew() {
        let (world, disk) = disk()
        let file = makeFile(world, disk)
        disk.write(file, at: 0, [1, 2, 3]) { _ in }
        drain(world)
        disk.fill(for: Span.second)
        var results: [Bool] = []
        disk.write(file, at: 0, [4, 5, 6]) {
            if case .success = $0 { results.append(true) } else { results.append(false) }
        }
        disk.write(file, at: 3, [7]) { if case .success = $0 { results.append(true) } else { results.append(false) } }
        drain(world)
        #expect(results.sorted { $0 && !$1 } == [true, false])
    }
}
