import Foundation
import LogCore
import LogFormat
import Primitives
import Testing

@testable import LogFiles

@Suite struct NodeLogTests {
    @Test func recordsSurviveACleanClose() throws {
        let directory = TemporaryDirectory()
        let (log, first, witness) = try Logs.open(directory)
        #expect(first.wasClean && first.lastLSN > .zero)
        Logs.write(log, witness, 0, 1...10)
        Logs.write(log, witness, 3, 1...5)
        log.close()
        #expect(log.submit(Logs.batch(0, from: 11, [[1]])) == .stopped)
        let (again, report, replay) = try Logs.open(directory)
        #expect(report.wasClean)
        #expect(report.recordsReplayed == 15)
        #expect(report.tornTail == nil && report.damage.isEmpty && report.quarantined.isEmpty)
        let ofShard0 = replay.replayed.filter { $0.shard == ShardID(0) }
        #expect(ofShard0.map(\.position.rawValue) == Array(1...10))
        #expect(ofShard0.map(\.payload) == (1...10).map { Logs.payload(0, $0) })
        again.close()
    }

    @Test func filesArePrivate() throws {
        let directory = TemporaryDirectory()
        let (log, _, witness) = try Logs.open(directory)
        Logs.write(log, witness, 0, 1...3)
        log.close()
        func mode(_ path: String) throws -> Int? {
            try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
        }
        #expect(try mode(directory.log) == 0o700)
        #expect(!directory.files(".wal").isEmpty)
        for file in directory.files(".wal") + directory.files(".spare") {
            #expect(try mode(directory.log + "/" + file) == 0o600)
        }
    }

    /// Through many segments: they rotate, are flushed, recycled, and a restart replays only what is needed.
    @Test func segmentsAreRecycledOnceFlushed() throws {
        let directory = TemporaryDirectory()
        let (log, _, witness) = try Logs.open(directory)
        for round in 0..<20 {
            Logs.write(log, witness, 1, (round * 50 + 1)...(round * 50 + 50))
            if let mark = witness.mark(1) { log.flushed([mark]) }
        }
        log.close()
        let statistics = log.statistics
        #expect(statistics.log.rotations >= 7)
        #expect(statistics.log.segmentsRecycled >= 1)
        #expect(statistics.log.records == 1000)
        #expect(directory.files(".wal").count < statistics.log.rotations)
        let mark = try #require(witness.mark(1))
        let applied = [AppliedMark(shard: mark.shard, epoch: mark.epoch, position: mark.position, lsn: mark.lsn)]
        let (again, report, _) = try Logs.open(directory, applied: applied)
        #expect(report.recordsReplayed == 0)
        again.close()
    }

    /// What was submitted without waking the writer is durable once it is woken, however often it slept meanwhile.
    @Test func oneWakeUpServesManyBatches() throws {
        let directory = TemporaryDirectory()
        var options = Logs.options
        // No timer of the log's own wakes the writer.
        options.configuration.hintDelayNanoseconds = 3600 * 1_000_000_000
        let (log, _, witness) = try Logs.open(directory, options: options)
        for round in 1...50 {
            for shard in 0..<4 as Range<UInt32> {
                let batch = Logs.batch(shard, from: round, [Logs.payload(shard, round)])
                #expect(log.submit(batch, wakes: false) == .accepted)
            }
            log.wake()
            for shard in 0..<4 as Range<UInt32> { #expect(witness.waitFor(shard, round)) }
        }
        log.close()
        #expect(log.statistics.log.records == 200)
        #expect(log.statistics.log.groups <= 200)
    }

    /// Many threads, many lanes: every batch is durable once, in order, and each lane is told on its own.
    @Test func manyThreadsSubmit() throws {
        let directory = TemporaryDirectory()
        let lanes = 4
        let (log, _, witness) = try Logs.open(directory, applied: Logs.marks(8), lanes: lanes)
        let perShard = 200
        DispatchQueue.concurrentPerform(iterations: 8) { shard in
            var position = 1
            while position <= perShard {
                let batch = Logs.batch(
                    UInt32(shard), from: position, (0..<2).map { Logs.payload(UInt32(shard), position + $0, 100) },
                    lane: shard % lanes)
                if log.submit(batch) == .accepted { position += 2 }
            }
        }
        for shard in 0..<8 { #expect(witness.waitFor(UInt32(shard), perShard)) }
        log.close()
        #expect(Set(witness.lanes) == Set(0..<lanes))
        #expect(log.statistics.log.groups <= 800)
        let (again, report, replay) = try Logs.open(directory, applied: Logs.marks(8))
        #expect(report.recordsReplayed == 8 * perShard)
        for shard in 0..<8 {
            let records = replay.replayed.filter { $0.shard == ShardID(UInt32(shard)) }
            #expect(records.map(\.position.rawValue) == (1...UInt64(perShard)).map { $0 })
            #expect(records.map(\.payload) == (1...perShard).map { Logs.payload(UInt32(shard), $0, 100) })
        }
        again.close()
    }

    @Test func refusalOfAStoreRefusesTheStart() throws {
        struct Refused: Error {}
        let directory = TemporaryDirectory()
        let (log, _, witness) = try Logs.open(directory)
        Logs.write(log, witness, 0, 1...3)
        log.close()
        #expect(throws: LogOpenError.self) {
            _ = try NodeLog.open(
                directory: directory.log, identity: Logs.identity, applied: Logs.marks(), lanes: 1,
                options: Logs.options, replay: { _ in throw Refused() }, onDurable: { _, _ in })
        }
        let (again, report, _) = try Logs.open(directory)
        #expect(report.recordsReplayed == 3)
        again.close()
    }

    @Test func otherNodesLogIsRefused() throws {
        let directory = TemporaryDirectory()
        try Logs.open(directory).log.close()
        let other = LogIdentity(clusterID: Logs.identity.clusterID, nodeStoreID: .init(high: 9, low: 9))
        #expect(throws: LogOpenError.self) {
            _ = try NodeLog.open(
                directory: directory.log, identity: other, applied: [], lanes: 1, options: Logs.options,
                replay: { _ in }, onDurable: { _, _ in })
        }
    }
}
