import Foundation
import LogCore
import LogFormat
import Primitives
import Testing

@testable import LogFiles

/// A data directory of its own, removed with the object.
final class TemporaryDirectory: Sendable {
    let path: String

    init() {
        path = NSTemporaryDirectory() + "keystead-log-\(UUID().uuidString)"
        _ = try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    var log: String { path + "/log" }

    func files(_ suffix: String) -> [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: log)) ?? [])
            .filter { $0.hasSuffix(suffix) }.sorted()
    }

    func change(_ file: String, _ body: (inout [UInt8]) -> Void) {
        let url = URL(fileURLWithPath: log + "/" + file)
        guard var bytes = try? Array(Data(contentsOf: url)) else {
            Issue.record("\(file) cannot be read")
            return
        }
        body(&bytes)
        do { try Data(bytes).write(to: url) } catch { Issue.record("\(file): \(error)") }
    }
}

/// What the log reported and replayed, gathered under a lock.
final class Witness: @unchecked Sendable {
    // SAFETY: everything is behind `lock`.
    private let lock = NSCondition()
    private var durable: [ShardID: DurableMark] = [:]
    private var calls: [Int] = []
    private var records: [LogRecord] = []

    func report(_ lane: Int, _ marks: [DurableMark]) {
        lock.lock()
        defer { lock.unlock() }
        calls.append(lane)
        for mark in marks {
            precondition((durable[mark.shard]?.position ?? .zero) < mark.position, "durability only grows")
            durable[mark.shard] = mark
        }
        lock.broadcast()
    }

    func replay(_ record: LogRecord) {
        lock.lock()
        records.append(record)
        lock.unlock()
    }

    var replayed: [LogRecord] {
        lock.lock()
        defer { lock.unlock() }
        return records
    }

    var lanes: [Int] {
        lock.lock()
        defer { lock.unlock() }
        return calls
    }

    /// Waits, bounded, until the shard is durable up to `position`.
    func waitFor(_ shard: UInt32, _ position: Int) -> Bool {
        lock.lock()
        defer { lock.unlock() }
        let limit = Date(timeIntervalSinceNow: 60)
        while (durable[ShardID(shard)]?.position.rawValue ?? 0) < UInt64(position) {
            if !lock.wait(until: limit) { return false }
        }
        return true
    }

    func mark(_ shard: UInt32) -> DurableMark? {
        lock.lock()
        defer { lock.unlock() }
        return durable[ShardID(shard)]
    }
}

enum Logs {
    static let identity = LogIdentity(
        clusterID: .init(high: 1, low: 2), nodeStoreID: .init(high: 3, low: 4))

    static var options: LogOptions {
        var options = LogOptions()
        options.configuration.segmentBytes = 64 << 10
        options.configuration.groupBytesMax = 8 << 10
        options.configuration.recordBytesMax = 8 << 10
        options.configuration.shardsMax = 16
        options.configuration.replayBytesMax = 256 << 10
        options.configuration.liveBytesMax = 64 << 20
        options.configuration.retryDelayNanoseconds = 10_000_000
        return options
    }

    static func marks(_ count: UInt32 = 4) -> [AppliedMark] {
        (0..<count).map { AppliedMark(shard: ShardID($0), epoch: Epoch(1), position: .zero, lsn: .zero) }
    }

    static func open(
        _ directory: TemporaryDirectory, applied: [AppliedMark] = marks(), lanes: Int = 2,
        options: LogOptions = options
    ) throws -> (log: NodeLog, report: RecoveryReport, witness: Witness) {
        let witness = Witness()
        let (log, report) = try NodeLog.open(
            directory: directory.log, identity: identity, applied: applied, lanes: lanes, options: options,
            replay: { witness.replay($0) }, onDurable: { witness.report($0, $1) })
        return (log, report, witness)
    }

    static func batch(_ shard: UInt32, from position: Int, _ payloads: [[UInt8]], lane: Int = 0) -> AppendBatch {
        AppendBatch(
            lane: lane, shard: ShardID(shard), epoch: Epoch(1), firstPosition: Position(UInt64(position)),
            payloads: payloads)
    }

    static func payload(_ shard: UInt32, _ position: Int, _ count: Int = 500) -> [UInt8] {
        var generator = SplitMix64(seed: UInt64(shard) << 32 | UInt64(position))
        return (0..<count).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
    }

    /// Writes records 1...count of a shard, in batches of `step`, and waits for the last.
    static func write(_ log: NodeLog, _ witness: Witness, _ shard: UInt32, _ range: ClosedRange<Int>) {
        for position in range {
            #expect(log.submit(batch(shard, from: position, [payload(shard, position)])) == .accepted)
        }
        #expect(witness.waitFor(shard, range.upperBound))
    }
}
