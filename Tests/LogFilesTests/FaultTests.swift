import Foundation
import LogCore
import LogFormat
import Primitives
import Testing

@testable import LogFiles

/// Answers chosen steps with an error instead of doing them.
private final class FaultyExecutor: StepExecutor, @unchecked Sendable {
    // SAFETY: `isFull` is behind `lock`; the rest is used by the one thread that has the executor.
    private let inner: any StepExecutor
    private let faults: Faults

    final class Faults: @unchecked Sendable {
        // SAFETY: behind `lock`.
        private let lock = NSLock()
        private var full = false
        private var syncErrors = Int.max

        var isFull: Bool {
            get { lock.withLock { full } }
            set { lock.withLock { full = newValue } }
        }

        /// The n-th sync from now on fails with EIO.
        func failSync(after count: Int) { lock.withLock { syncErrors = count } }

        func answer(_ step: LogStep) -> StepResult? {
            lock.withLock {
                switch step {
                case .allocate where full: return .noSpace
                case .sync:
                    syncErrors -= 1
                    return syncErrors == 0 ? .failed(EIO) : nil
                default: return nil
                }
            }
        }
    }

    init(_ inner: any StepExecutor, _ faults: Faults) {
        self.inner = inner
        self.faults = faults
    }

    func perform(_ step: LogStep) -> StepResult { faults.answer(step) ?? inner.perform(step) }

    static func open(
        _ directory: TemporaryDirectory, _ faults: Faults, _ witness: Witness
    ) throws -> NodeLog {
        try LogDirectory.ensure(directory.log)
        return try NodeLog.open(
            directory: directory.log, identity: Logs.identity, applied: Logs.marks(), lanes: 2, options: Logs.options,
            executor: { () throws(LogOpenError) in
                FaultyExecutor(try DirectoryExecutor(path: directory.log, syncDisabled: false), faults)
            },
            replay: { witness.replay($0) }, onDurable: { witness.report($0, $1) }
        ).0
    }
}

@Suite struct FaultTests {
    /// W1, W2: bytes after a valid prefix that nobody was told of are cut, and a copy is kept.
    @Test func tornTailIsCutAndKept() throws {
        let directory = TemporaryDirectory()
        let (log, _, witness) = try Logs.open(directory)
        Logs.write(log, witness, 0, 1...20)
        let file = try #require(directory.files(".wal").last)
        // What a kill in the middle of a group leaves: the log's files as they are, the last record not whole.
        let crashed = TemporaryDirectory()
        try FileManager.default.copyItem(atPath: directory.log, toPath: crashed.log)
        log.close()
        crashed.change(file) { bytes in tearLastRecord(&bytes) }
        let (again, report, replay) = try Logs.open(crashed)
        #expect(!report.wasClean)
        #expect(report.tornTail?.copy != nil)
        #expect(report.quarantined.isEmpty && report.damage.isEmpty)
        #expect(replay.replayed.map(\.position.rawValue) == Array(1...19))
        #expect(crashed.files(".torn").count == 1)
        // The position of the lost record is free again.
        Logs.write(again, replay, 0, 20...25)
        again.close()
        let (last, second, _) = try Logs.open(crashed)
        #expect(second.recordsReplayed == 25 && second.tornTail == nil)
        last.close()
    }

    /// A copy of a running log, with its last record broken, as a crash in the middle of its group would leave it.
    private func tearLastRecord(_ bytes: inout [UInt8]) {
        guard let header = try? SegmentHeader.decode(bytes) else { return }
        var scanner = SegmentScanner(bytes: bytes, header: header, endLSN: nil)
        var last: SegmentScanner.ScannedRecord?
        while case .record(let record)? = scanner.next() {
            if record.header.type == .effect { last = record }
        }
        guard let last else { return }
        // A commit hint may follow: it would say that the record was durable.
        for index in (last.stored.lowerBound + 10)..<bytes.count { bytes[index] = 0 }
    }

    /// A flipped bit in a sealed segment: the shard is quarantined, named with file and offset; the others go on; the
    /// file is kept, also at the next start.
    @Test func flippedBitInASealedSegmentQuarantinesItsShard() throws {
        let directory = TemporaryDirectory()
        let (log, _, witness) = try Logs.open(directory)
        for position in 1...100 {
            #expect(log.submit(Logs.batch(0, from: position, [Logs.payload(0, position)])) == .accepted)
            #expect(log.submit(Logs.batch(1, from: position, [Logs.payload(1, position)])) == .accepted)
        }
        #expect(witness.waitFor(0, 100) && witness.waitFor(1, 100))
        log.close()
        let file = directory.files(".wal")[0]
        var offset = 0
        directory.change(file) { bytes in
            guard let header = try? SegmentHeader.decode(bytes) else { return }
            var scanner = SegmentScanner(bytes: bytes, header: header, endLSN: nil)
            while case .record(let record)? = scanner.next() {
                guard record.header.shard == ShardID(1), record.header.position == Position(7) else { continue }
                offset = record.offset
                bytes[record.stored.lowerBound + 3] ^= 0x10
                return
            }
        }
        #expect(offset > 0)
        for _ in 0..<2 {
            let (again, report, replay) = try Logs.open(directory)
            #expect(report.quarantined.map(\.shard) == [ShardID(1)])
            #expect(report.quarantined.first?.expected == Position(7))
            #expect(report.quarantined.first?.offset == offset)
            #expect(report.damage.map(\.shard) == [ShardID(1)])
            #expect(replay.replayed.map(\.shard) == [ShardID](repeating: ShardID(0), count: 100))
            #expect(directory.files(".wal").contains(file))
            again.close()
        }
        let inspection = try LogInspection.inspect(directory: directory.log)
        #expect(inspection.verdict == .damaged)
        #expect(inspection.segments[0].damage.map(\.offset) == [offset])
    }

    /// A full disk refuses writes by name, keeps what it has, and heals by itself when there is space again.
    @Test func fullDiskRefusesAndHeals() throws {
        let directory = TemporaryDirectory()
        let faults = FaultyExecutor.Faults()
        let witness = Witness()
        let log = try FaultyExecutor.open(directory, faults, witness)
        Logs.write(log, witness, 0, 1...5)
        faults.isFull = true
        var position = 6
        var refused = false
        let limit = Date(timeIntervalSinceNow: 60)
        while !refused, Date() < limit {
            switch log.submit(Logs.batch(0, from: position, [Logs.payload(0, position)])) {
            case .accepted:
                #expect(witness.waitFor(0, position), "what was accepted is durable all the same")
                position += 1
            case .storageFull: refused = true
            case .later, .queueFull, .stopped: break
            }
        }
        #expect(refused)
        faults.isFull = false
        while log.submit(Logs.batch(0, from: position, [Logs.payload(0, position)])) != .accepted, Date() < limit {
            usleep(2000)
        }
        #expect(witness.waitFor(0, position))
        log.close()
        #expect(log.statistics.log.storageFullTimes == 1)
        let (again, report, _) = try Logs.open(directory)
        #expect(report.recordsReplayed == position)
        again.close()
    }

    /// W4: the process ends with status 70 at once.
    @Test func syncErrorEndsTheProcess() async {
        await #expect(processExitsWith: .exitCode(70)) {
            let directory = TemporaryDirectory()
            let faults = FaultyExecutor.Faults()
            let witness = Witness()
            guard let log = try? FaultyExecutor.open(directory, faults, witness) else { return }
            faults.failSync(after: 1)
            _ = log.submit(Logs.batch(0, from: 1, [Logs.payload(0, 1)]))
            _ = witness.waitFor(0, 1)
        }
    }

    /// A file that cannot be opened for lack of descriptors is waited for. In a process of its own, since the limit is
    /// the process's.
    @Test func theLogWaitsForDescriptors() async {
        await #expect(processExitsWith: .success) {
            let directory = TemporaryDirectory()
            let (log, _, witness) = try Logs.open(directory)
            var limit = rlimit(rlim_cur: 64, rlim_max: 64)
            setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
            var taken: [Int32] = []
            func takeAll() {
                while true {
                    let descriptor = open("/dev/null", O_RDONLY)
                    if descriptor < 0 { return }
                    taken.append(descriptor)
                }
            }
            // Each new segment has the log open another file, until it gets none.
            var position = 1
            while position < 2000 {
                takeAll()
                guard log.submit(Logs.batch(0, from: position, [Logs.payload(0, position)])) == .accepted else { break }
                position += 1
            }
            usleep(300_000)
            for descriptor in taken { close(descriptor) }
            guard position > 1, witness.waitFor(0, position - 1) else { exit(10) }
            log.close()
        }
    }

    @Test func unreadableSegmentRefusesTheStart() throws {
        let directory = TemporaryDirectory()
        let (log, _, witness) = try Logs.open(directory)
        Logs.write(log, witness, 0, 1...5)
        log.close()
        let file = directory.log + "/" + directory.files(".wal")[0]
        try FileManager.default.removeItem(atPath: file)
        // Opening a link is refused (O_NOFOLLOW): an error that is not "no such file".
        try FileManager.default.createSymbolicLink(atPath: file, withDestinationPath: "/dev/null")
        #expect(throws: LogOpenError.readFailed(file: file, errno: ELOOP)) {
            _ = try NodeLog.open(
                directory: directory.log, identity: Logs.identity, applied: Logs.marks(), lanes: 1,
                options: Logs.options, replay: { _ in }, onDurable: { _, _ in })
        }
    }
}

@Suite struct InspectionTests {
    @Test func soundLogIsReportedWhole() throws {
        let directory = TemporaryDirectory()
        let (log, _, witness) = try Logs.open(directory)
        Logs.write(log, witness, 2, 1...150)
        Logs.write(log, witness, 0, 1...10)
        log.close()
        var visited = 0
        let report = try LogInspection.inspect(directory: directory.log, visit: { _ in visited += 1 })
        #expect(report.verdict == .sound)
        #expect(report.segments.count >= 2)
        #expect(report.segments.dropLast().filter { !$0.isSealed }.isEmpty)
        #expect(report.segments.last?.isClosedCleanly == true)
        #expect(report.shards.map(\.shard) == [ShardID(0), ShardID(2)])
        #expect(report.shards.map(\.records) == [10, 150])
        #expect(report.shards.allSatisfy { $0.holes.isEmpty && !$0.isQuarantined })
        #expect(visited == report.segments.reduce(0) { $0 + $1.records })
        var ofShard = 0
        let one = try LogInspection.inspect(directory: directory.log, shard: ShardID(0), visit: { _ in ofShard += 1 })
        #expect(one.shards.map(\.shard) == [ShardID(0)])
        #expect(ofShard == 10)
    }

    @Test func missingSegmentAndDamagedHeaderAreNamed() throws {
        let directory = TemporaryDirectory()
        let (log, _, witness) = try Logs.open(directory)
        Logs.write(log, witness, 2, 1...500)
        log.close()
        let files = directory.files(".wal")
        #expect(files.count >= 4)
        try FileManager.default.removeItem(atPath: directory.log + "/" + files[1])
        directory.change(files[2]) { bytes in
            bytes[0] = 0
            bytes[2048] = 0
        }
        let report = try LogInspection.inspect(directory: directory.log)
        #expect(report.verdict == .damaged)
        #expect(report.missingSegments == [2])
        #expect(report.segments.map(\.headerProblem).compactMap { $0 } == ["damaged"])
        #expect(report.shards.first?.holes.count == 1)
        let (again, recovered, _) = try Logs.open(directory)
        #expect(recovered.quarantined.map(\.shard) == [ShardID(2)])
        #expect(recovered.damage.map(\.kind).contains(.headerDamaged))
        again.close()
    }
}
