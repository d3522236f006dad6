public import LogFormat
public import Primitives

/// The running log: every decision of it, and no I/O.
///
/// One owner drives it: the log's writer thread, or the simulator. Two lanes of steps run beside each other, the commit
/// lane (``nextStep(now:)``) and the background lane (``nextBackgroundStep(now:)``) that makes and recycles spares.
public struct LogMachine: Sendable {
    public init(configuration: LogConfiguration, start: LogStart, now: MonotonicTime, mutants: Mutants = .none) {
        fatalError()
    }

    // MARK: Input

    /// A batch that ``LogQueue`` accepted. Batches of one shard come in the order of their positions; a gap traps.
    public mutating func enqueue(_ batch: AppendBatch) { fatalError() }
    /// Stores have flushed up to these positions; segments below every shard's mark can be recycled.
    public mutating func flushed(_ marks: [DurableMark]) { fatalError() }
    /// The node holds one more shard from now on, whose store stands at `mark`, flushed.
    public mutating func adopt(_ mark: AppliedMark) { fatalError() }
    /// The node no longer holds the shard: it pins nothing any more.
    public mutating func release(_ shard: ShardID) { fatalError() }
    /// No more batches come. What is queued is made durable, a clean close is written and synced, then `isClosed`.
    public mutating func close() { fatalError() }

    // MARK: Steps

    /// The next step of the commit lane, or `nil` while there is nothing to do before new input or `deadline`. To be
    /// answered by ``completed(_:now:)``.
    public mutating func nextStep(now: MonotonicTime) -> LogStep? { fatalError() }
    public mutating func completed(_ result: StepResult, now: MonotonicTime) { fatalError() }
    /// The same for the background lane. A completion may let the commit lane go on.
    public mutating func nextBackgroundStep(now: MonotonicTime) -> LogStep? { fatalError() }
    public mutating func backgroundCompleted(_ result: StepResult, now: MonotonicTime) { fatalError() }

    // MARK: Output

    /// What became durable since the last call, a notice for each lane that it concerns.
    public mutating func takeNotices() -> [LaneNotice] { fatalError() }
    /// Bytes built into groups since the last call, for ``LogQueue/update(admission:releasing:)``.
    public mutating func takeReleasedBytes() -> Int { fatalError() }
    public var admission: LogAdmission { fatalError() }
    /// When `nextStep` or `nextBackgroundStep` is to be asked again though nothing happened.
    public var deadline: MonotonicTime? { fatalError() }
    /// Everything up to here is synced.
    public var durableLSN: LSN { fatalError() }
    /// The shards to flush now so that a restart stays within `replayBytesMax`, oldest first.
    public var pinningShards: [ShardID] { fatalError() }
    /// Set once, after a write or sync failed; from then on no step is given.
    public var failure: LogFailure? { fatalError() }
    public var isClosed: Bool { fatalError() }
    public var statistics: LogStatistics { fatalError() }
}

/// Counted since the log was opened.
public struct LogStatistics: Sendable, Equatable {
    public var groups = 0
    public var records = 0
    /// Payload bytes before compression.
    public var payloadBytes = 0
    /// Bytes written, headers and padding included.
    public var writtenBytes = 0
    public var syncs = 0
    public var hints = 0
    public var rotations = 0
    public var segmentsRecycled = 0
    public var segmentsFilled = 0
    /// Now: bytes in live segments, from the oldest one that is needed.
    public var liveBytes = 0
    public var liveSegments = 0
    public var spareSegments = 0
    /// Now: bytes that wait to be built into a group.
    public var backlogBytes = 0
    public var timesStorageWasFull = 0

    public init() {}
}
