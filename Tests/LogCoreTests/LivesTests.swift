import LogCore
import LogFormat
import Primitives
import Testing

/// Many short lives of one log: random writes, flushes, idle times, failing disks and crashes that keep a random
/// subset, also in the middle of recovery. Whatever was acknowledged must be there afterwards, and nothing else.
enum Lives {
    /// What went wrong, and in which life; `nil` when nothing did.
    static func run(seed: UInt64, lives: Int = 8, mutants: Mutants = .none) -> String? {
        var generator = SplitMix64(seed: seed)
        var configuration = Rig.smallConfiguration()
        // A store flushes what it has applied: half of the seeds flush rarely.
        configuration.liveBytesMax = 1 << 20
        var rig = Rig(configuration)
        rig.mutants = mutants
        rig.saltSeed = seed << 8
        let flushOdds = generator.chance(1, in: 2) ? UInt64(20) : 3
        for life in 0..<lives {
            if generator.chance(1, in: 4) { rig.crashBefore = 1 + generator.below(12) }
            if let error = rig.open() { return "life \(life): \(error)" }
            if rig.machine != nil, let violation = rig.violation() { return "life \(life): \(violation)" }
            rig.crashBefore = .max
            rig.disk.forgetSchedule()
            if rig.machine != nil { live(&rig, &generator, flushOdds: flushOdds) }
            rig = crash(rig, &generator)
        }
        if let error = rig.open() { return "at the end: \(error)" }
        return rig.violation().map { "at the end: \($0)" }
    }

    private static func live(_ rig: inout Rig, _ generator: inout SplitMix64, flushOdds: UInt64) {
        switch generator.below(4) {
        case 0: rig.disk.failures = [1 + generator.below(30): .failed(5)]
        case 1: rig.crashBefore = 2 + generator.below(40)
        default: break
        }
        for _ in 0..<(1 + generator.below(25)) {
            for _ in 0..<(1 + generator.below(4)) {
                let count = 1 + generator.below(3)
                // Few sizes, so that records of several lives stand at the same offsets.
                let sizes = [0, 40, 200, 200, 200, 900]
                let payloads = (0..<count).map { _ in
                    MachineTests.bytes(sizes[generator.below(sizes.count)], generator.next())
                }
                rig.submit(UInt32(generator.below(3)), payloads, lane: generator.below(2))
            }
            if !rig.run() || rig.machine?.failure != nil { return }
            if generator.chance(1, in: flushOdds) { rig.flush(UInt32(generator.below(3))) }
            if generator.chance(1, in: flushOdds * 2) { rig.flushAll() }
            if generator.chance(1, in: 5), !rig.wait() { return }
        }
        if generator.chance(1, in: 6) { _ = rig.close() }
        // The last group's write may be under way.
        if generator.chance(1, in: 2) {
            rig.submit(0, [MachineTests.bytes(700, generator.next()), MachineTests.bytes(300, generator.next())])
            if let step = MachineTests.step(&rig) { _ = rig.disk.perform(step) }
        }
    }

    private static func crash(_ rig: Rig, _ generator: inout SplitMix64) -> Rig {
        switch generator.below(4) {
        case 0: return rig.killed()
        case 1: return rig.powerCut()
        default:
            let odds = 1 + generator.below(UInt64(3))
            var draws = generator.split()
            return rig.crashed(rig.disk.crashed { _ in draws.chance(odds, in: 4) })
        }
    }
}

@Suite struct LivesTests {
    @Test(arguments: 0..<150)
    func nothingAcknowledgedIsEverLost(seed: Int) {
        let violation = Lives.run(seed: UInt64(seed))
        #expect(violation == nil, "seed \(seed)")
    }

    #if KEYSTEAD_MUTANTS
        /// The tests are tested: each planted bug of the log is caught.
        @Test(arguments: [
            Mutant.acknowledgeBeforeSync, .cutBelowDurableLSN, .tornTailTakenForCorruption, .recycledSegmentReplayed,
            .recycleByAppliedNotFlushed, .syncErrorRetried, .directorySyncSkipped,
        ])
        func plantedBugsAreCaught(mutant: Mutant) {
            let caught = (0..<400).first { Lives.run(seed: UInt64($0), mutants: Mutants([mutant])) != nil }
            #expect(caught != nil, "\(mutant)")
        }

        /// Recovery that shrugs damage off loses what was acknowledged.
        @Test func corruptionTakenForATornTailIsCaught() throws {
            let rig = RecoveryTests.written(9)
            let last = try #require(RecoveryTests.segments(rig).last)
            let effects = RecoveryTests.records(rig, last).filter { $0.header.type == .effect }
            var crashed = rig.powerCut()
            crashed.disk.tamper(last) { $0[effects[1].offset] ^= 1 }
            crashed.mutants = Mutants([.corruptionTakenForTornTail])
            crashed.open()
            #expect(crashed.report.quarantined.isEmpty && crashed.violation() != nil)
        }
    #endif
}
