import LogCore
import LogFormat
import Primitives
import Testing

/// Every crash of a small workload: before each I/O, with every subset of what was not synced then; and of recovery the
/// same again. (Issue: for up to 12 I/Os, crash after each, with every subset of unsynced writes, recover and check.)
@Suite struct CrashEnumerationTests {
    /// A workload and what it needs.
    struct Workload: Sendable, CustomStringConvertible {
        let description: String
        let run: @Sendable (inout Rig) -> Void
    }

    static func bytes(_ count: Int, _ seed: UInt64) -> [UInt8] {
        var generator = SplitMix64(seed: seed)
        return (0..<count).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
    }

    static let workloads: [Workload] = [
        Workload(description: "three groups") { rig in
            rig.submit(0, [bytes(100, 1)])
            rig.submit(1, [bytes(700, 2)])
            guard rig.run(background: false) else { return }
            rig.submit(0, [bytes(20, 3), bytes(300, 4)])
            guard rig.run(background: false) else { return }
            rig.submit(2, [bytes(900, 5)])
            rig.run(background: false)
        },
        Workload(description: "hint, group, clean close") { rig in
            rig.submit(0, [bytes(100, 1)])
            guard rig.run(background: false) else { return }
            guard rig.wait() else { return }
            rig.submit(1, [bytes(600, 2)], lane: 1)
            guard rig.run(background: false) else { return }
            _ = rig.close()
        },
        Workload(description: "rotation into a fresh spare") { rig in
            for index in 0..<6 {
                rig.submit(UInt32(index % 3), [bytes(600, UInt64(index))])
                guard rig.run(background: false) else { return }
            }
        },
    ]

    /// A log that has run before and was flushed, so that its spare is a used file.
    static func usedLog() -> Rig {
        var rig = Rig()
        rig.open()
        rig.run()
        for round in 0..<16 {
            for shard in 0..<3 { rig.submit(UInt32(shard), [bytes(500, UInt64(round * 3 + shard) + 1000)]) }
            rig.run()
            rig.flushAll()
            rig.run()
        }
        return rig
    }

    @Test(arguments: workloads)
    func nothingAcknowledgedIsLost(workload: Workload) {
        for base in [Self.freshLog(), Self.usedLog()] {
            var crashAt = 1
            var isOver = false
            while !isOver {
                var rig = base
                rig.disk.stepCount = 0
                rig.crashBefore = crashAt
                workload.run(&rig)
                isOver = rig.disk.stepCount < crashAt - 1
                enumerateSubsets(of: rig.disk) { check(rig.crashed($0), "\(workload) before step \(crashAt)") }
                crashAt += 1
            }
            #expect(crashAt > 5, "the workload does I/O")
        }
    }

    static func freshLog() -> Rig {
        var rig = Rig()
        rig.open()
        rig.run()
        return rig
    }

    /// All subsets up to 2^6; beyond, all with at most one thing kept or lost, and 30 drawn.
    private func enumerateSubsets(of disk: DiskModel, _ body: (DiskModel) -> Void) {
        let count = disk.unsyncedCount
        if count <= 6 {
            for mask in 0..<(1 << count) { body(disk.crashed { mask & (1 << $0) != 0 }) }
            return
        }
        for index in 0..<count {
            body(disk.crashed { $0 == index })
            body(disk.crashed { $0 != index })
        }
        var generator = SplitMix64(seed: UInt64(count))
        for _ in 0..<30 {
            let draws = (0..<count).map { _ in generator.chance(1, in: 2) }
            body(disk.crashed { draws[$0] })
        }
    }

    private func check(_ crashed: Rig, _ context: String) {
        var first = crashed
        if let error = first.open() {
            Issue.record("\(context): not opened: \(error)")
            return
        }
        if let violation = first.violation() {
            Issue.record("\(context): \(violation)")
            return
        }
        // What was served after the first recovery must be there after the next one, whatever the crash between takes.
        var second = first.crashed(first.disk.crashed { _ in false })
        let error = second.open()
        #expect(error == nil, "\(context)")
        #expect(
            second.stores.mapValues(\.payloads) == first.stores.mapValues(\.payloads), "\(context): second recovery")
        #expect(second.report.quarantined.isEmpty, "\(context): second recovery")
    }

    /// Recovery of a torn log is itself crashed before each of its steps, with every subset, and begun anew.
    @Test func recoveryCanBeCrashedAnywhere() {
        var rig = Self.usedLog()
        rig.submit(0, [Self.bytes(100, 1)])
        rig.run(background: false)
        rig.submit(1, [Self.bytes(900, 2)])
        rig.submit(2, [Self.bytes(90, 3)])
        rig.disk.stepCount = 0
        rig.crashBefore = 2
        rig.run(background: false)
        let count = rig.disk.unsyncedCount
        #expect(count >= 2, "the crash tears a group")
        for mask in 0..<(1 << count) {
            let torn = rig.crashed(rig.disk.crashed { mask & (1 << $0) != 0 })
            var crashAt = 1
            var isOver = false
            while !isOver {
                var again = torn
                again.disk.stepCount = 0
                again.crashBefore = crashAt
                let error = again.open()
                #expect(error == nil)
                isOver = again.machine != nil
                enumerateSubsets(of: again.disk) { check(again.crashed($0), "recovery before step \(crashAt)") }
                crashAt += 1
            }
            #expect(crashAt > 3)
        }
    }
}
