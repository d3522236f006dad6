private import CPosixShims
public import LogCore
public import LogFormat
public import Primitives

/// How a log runs, beyond its bounds.
public struct LogOptions: Sendable {
    public var configuration = LogConfiguration()
    /// For the benchmark that measures what syncing costs, and for nothing else: no fdatasync and no fsync is made, and
    /// a crash of the machine loses acknowledged writes. The log says so on stderr when it is opened.
    public var unsafeSyncDisabledForBenchmark = false

    public init() { configuration.gatherNanoseconds = Limits.logGatherNanoseconds }
}

/// The running log, counted.
public struct NodeLogStatistics: Sendable, Equatable {
    public var log = LogStatistics()
    /// Group syncs.
    public var syncs = SyncHistogram()
    /// Now: bytes accepted and not yet built into a group.
    public var queueBytes = 0
    public var durableLSN = LSN.zero

    public init() {}
}

/// The node's write-ahead log on disk: ``LogMachine`` with real files and two threads.
///
/// One writer thread takes what is queued, writes it with one `pwrite` and one `fdatasync`, and reports durability once
/// to each lane; the next group gathers meanwhile. A background thread zero-fills spares and recycles segments. A write
/// or sync error writes its reason to stderr and ends the process with status 70: nothing is retried (rule W4).
public final class NodeLog: Sendable {
    private let monitor: Monitor<LogMailbox>
    private let threads: [PosixThread]

    /// Opens the log, which may mean to create it, and replays into the stores what they have not applied.
    ///
    /// - Parameters:
    ///   - directory: the log's own directory; made with mode 0700 where it is not there. Its parent must exist. That
    ///     one process at a time uses it is the caller's business (the data directory's lock).
    ///   - dataTime: the newest time that the caller's stores have seen. A new segment is stamped with it, or with what
    ///     the log itself has seen; never with the wall clock, so an idle start leaves the data's time as it is.
    ///   - applied: one mark for each shard that this node holds. Records of shards that are left out are given up.
    ///   - lanes: how many event loops there are to report to.
    ///   - replay: called on this thread, in the order of the log, for each record that a healthy shard's store has not
    ///     applied. What it throws refuses the start.
    ///   - onDurable: called on the writer thread, once a lane and group, in the order of the log. It must not block
    ///     and must not call ``close()``.
    /// - Throws: why the log was refused; then nothing was changed that a later start could miss.
    /// - Returns: the running log, and what recovery found: the caller must not serve ``RecoveryReport/quarantined``
    ///   shards.
    public static func open(
        directory: String, identity: LogIdentity, dataTime: Timestamp = .zero, applied: [AppliedMark], lanes: Int,
        options: LogOptions = LogOptions(),
        replay: (LogRecord) throws -> Void,
        onDurable: @escaping @Sendable (_ lane: Int, _ marks: [DurableMark]) -> Void
    ) throws(LogOpenError) -> (NodeLog, RecoveryReport) {
        try LogDirectory.ensure(directory)
        let syncDisabled = options.unsafeSyncDisabledForBenchmark
        if syncDisabled {
            ProcessEnd.warn("keystead: WARNING: the log's syncs are disabled; a crash LOSES acknowledged writes")
        }
        return try open(
            directory: directory, identity: identity, dataTime: dataTime, applied: applied, lanes: lanes,
            options: options,
            executor: { () throws(LogOpenError) in
                try DirectoryExecutor(path: directory, syncDisabled: syncDisabled)
            }, replay: replay, onDurable: onDurable)
    }

    /// The same over executors of the caller's making, one for each thread: tests put faults there.
    static func open(
        directory: String, identity: LogIdentity, dataTime: Timestamp = .zero, applied: [AppliedMark], lanes: Int,
        options: LogOptions,
        executor: () throws(LogOpenError) -> any StepExecutor,
        replay: (LogRecord) throws -> Void,
        onDurable: @escaping @Sendable (_ lane: Int, _ marks: [DurableMark]) -> Void
    ) throws(LogOpenError) -> (NodeLog, RecoveryReport) {
        var configuration = options.configuration
        configuration.lanes = lanes
        let recovery = LogRecovery(
            configuration: configuration, identity: identity, applied: applied,
            files: try LogDirectory.files(in: directory), saltSeed: ks_random64(),
            time: dataTime)
        let writerExecutor = try executor()
        let (start, report) = try RecoveryDriver.run(
            recovery, directory: directory, executor: writerExecutor, replay: replay)
        let machine = LogMachine(configuration: configuration, start: start, now: LogWriter.now)
        let log = NodeLog(
            machine: machine, configuration: configuration, executors: (writerExecutor, try executor()),
            onDurable: onDurable)
        return (log, report)
    }

    private init(
        machine: LogMachine, configuration: LogConfiguration, executors: (any StepExecutor, any StepExecutor),
        onDurable: @escaping @Sendable (_ lane: Int, _ marks: [DurableMark]) -> Void
    ) {
        let monitor = Monitor(LogMailbox(configuration: configuration))
        monitor.withLock { $0.publish(machine) }
        let writer = LogWriter(machine: machine, executor: executors.0, monitor: monitor, onDurable: onDurable)
        let background = BackgroundWorker(executor: executors.1, monitor: monitor)
        self.monitor = monitor
        self.threads = [
            PosixThread(name: "log-writer") {
                ks_set_slice(Limits.loopSliceNanoseconds)
                writer.run()
            },
            PosixThread(name: "log-background") { background.run() },
        ]
    }

    deinit { close() }

    // MARK: Any thread

    /// Queues a batch. Never blocks beyond a short lock. The batches of one shard must be submitted in the order of
    /// their positions; a refused batch leaves nothing behind.
    ///
    /// - Parameter wakes: false where more batches follow at once: a writer with nothing to do then waits for
    ///   ``wake()``, and takes them as one group with one sync, not the first of them alone.
    public func submit(_ batch: AppendBatch, wakes: Bool = true) -> SubmitResult {
        let (result, isWaiting) = monitor.withLock { mailbox in
            (mailbox.queue.submit(batch), mailbox.isWriterWaiting)
        }
        if wakes, result == .accepted, isWaiting { monitor.signal(.writer) }
        return result
    }

    /// Sets the writer to work on what was submitted without waking it.
    public func wake() {
        if monitor.withLock({ $0.isWriterWaiting && !$0.queue.isEmpty }) { monitor.signal(.writer) }
    }

    /// Stores have flushed up to these positions, with their files synced: segments that nobody needs are recycled.
    public func flushed(_ marks: [DurableMark]) { post { $0.flushed += marks } }

    /// The node holds one more shard, whose store stands at `mark`, flushed. Before the shard's first ``submit(_:)``.
    public func adopt(_ mark: AppliedMark) { post { $0.orders.append(.adopt(mark)) } }

    /// The node no longer holds the shard: its records are given up.
    public func release(_ shard: ShardID) { post { $0.orders.append(.release(shard)) } }

    /// The disk is nearly full, or no more: while it is, the log keeps no more spares than it needs.
    public func spaceIsTight(_ isTight: Bool) { post { $0.orders.append(.spaceIsTight(isTight)) } }

    /// The shards to flush now so that a restart stays within its bound, oldest first.
    public func shardsPinningLog() -> [ShardID] { monitor.withLock { $0.pinningShards } }

    /// Batches are refused for lack of space.
    public var isStorageFull: Bool { monitor.withLock { $0.queue.isStorageFull } }

    /// Everything up to here is synced.
    public var durableLSN: LSN { monitor.withLock { $0.statistics.durableLSN } }

    public var statistics: NodeLogStatistics {
        monitor.withLock { mailbox in
            var statistics = mailbox.statistics
            statistics.queueBytes = mailbox.queue.byteCount
            return statistics
        }
    }

    /// Makes durable what was accepted, reports it, marks the log as closed in order, and waits for the threads to end.
    /// Later batches are answered `.stopped`. Calling it again does nothing. Not from `onDurable`.
    public func close() {
        let isFirst = monitor.withLock { mailbox in
            defer { mailbox.isClosing = true }
            mailbox.stopAccepting()
            return !mailbox.isClosing
        }
        guard isFirst else { return }
        monitor.signal(.writer)
        for thread in threads { thread.join() }
    }

    private func post(_ change: (inout LogMailbox) -> Void) {
        monitor.withLock(change)
        monitor.signal(.writer)
    }
}
