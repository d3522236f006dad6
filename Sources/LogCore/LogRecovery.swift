public import LogFormat
public import Primitives

/// What recovery wants done next.
public enum RecoveryStep: Sendable {
    /// Read `count` bytes (fewer at the file's end). `fresh`: drop the page cache first, so that the device answers
    /// (rule W5). Answer with ``LogRecovery/read(_:)``.
    case read(LogFileName, offset: Int, count: Int, fresh: Bool)
    /// Answer with ``LogRecovery/completed(_:)``.
    case perform(LogStep)
    /// Hand these to the shards' stores, in this order. Answer with ``LogRecovery/replayed()``, or
    /// ``LogRecovery/replayRefused(at:reason:)``.
    case replay([LogRecord])
    case finished(LogStart, RecoveryReport)
    case failed(LogOpenError)
}

public enum ReadResult: Sendable {
    case bytes([UInt8])
    case failed(Int32)
}

/// Opens a log: decides what of it is true, repairs its end, and replays what the stores have not applied.
public struct LogRecovery: Sendable {
    /// - Parameters:
    ///   - applied: one mark for each shard that this node holds, in any order. Records of other shards are not replayed.
    ///   - files: the log directory's files whose names are the log's.
    ///   - saltSeed: drawn at random for each start.
    public init(
        configuration: LogConfiguration, identity: LogIdentity, applied: [AppliedMark], files: [LogFileEntry],
        saltSeed: UInt64, time: Timestamp, mutants: Mutants = .none
    ) { fatalError() }

    /// The next thing to do. To be answered before it is called again; after `.finished` or `.failed`, not at all.
    public mutating func next() -> RecoveryStep { fatalError() }
    public mutating func read(_ result: ReadResult) { fatalError() }
    public mutating func completed(_ result: StepResult) { fatalError() }
    public mutating func replayed() { fatalError() }
    public mutating func replayRefused(at record: LogRecord, reason: String) { fatalError() }
}

/// Where a log begins to run: what ``LogRecovery`` hands to ``LogMachine``.
public struct LogStart: Sendable {}
