import LogCore
import LogFormat
import Primitives

/// Drives the real log machines over a virtual disk, as the node's writer thread and background thread do: it carries
/// steps out and reports back, and decides nothing.
final class NodeLog {
    private let disk: VirtualDisk
    private let configuration: LogConfiguration
    private let mutants: Mutants
    /// Runs a completion on the node's loop; drops it when the process that waited has died.
    private let onLoop: (@escaping () -> Void) -> Void
    private let now: () -> MonotonicTime
    private let audit: LogAudit

    private var recovery: LogRecovery?
    private var running: Running?
    private var queue: LogQueue
    private var isCommitBusy = false
    private var isBackgroundBusy = false

    /// A box: what is only looked up in the machine is not to cost a copy of it.
    private final class Running {
        var machine: LogMachine

        init(_ machine: LogMachine) { self.machine = machine }
    }

    init(
        disk: VirtualDisk, configuration: LogConfiguration, mutants: Mutants, audit: LogAudit,
        now: @escaping () -> MonotonicTime, onLoop: @escaping (@escaping () -> Void) -> Void
    ) {
        self.disk = disk
        self.configuration = configuration
        self.mutants = mutants
        self.audit = audit
        self.now = now
        self.onLoop = onLoop
        queue = LogQueue(configuration: configuration)
    }

    // MARK: Opening

    struct Opening {
        let identity: LogIdentity
        let applied: [AppliedMark]
        let saltSeed: UInt64
        let time: Timestamp
        /// Takes records for the stores; a reason refuses one.
        let replay: ([LogRecord]) -> Void
        let done: (Result<RecoveryReport, LogOpenError>) -> Void
    }

    func open(_ opening: Opening) {
        let files = disk.list().compactMap { file in
            LogFileName(file.name).map { LogFileEntry(name: $0, byteCount: file.bytes) }
        }
        recovery = LogRecovery(
            configuration: configuration, identity: opening.identity, applied: opening.applied, files: files,
            saltSeed: opening.saltSeed, time: opening.time, mutants: mutants)
        advance(opening)
    }

    private func advance(_ opening: Opening) {
        guard let step = recovery?.next() else { return }
        switch step {
        case .read(let name, let offset, let count, let fresh):
            disk.read(name.description, at: offset, count, fresh: fresh) { [self] result in
                onLoop { [self] in
                    switch result {
                    case .success(let bytes): recovery?.read(.bytes(bytes))
                    case .failure: recovery?.read(.failed(5))
                    }
                    advance(opening)
                }
            }
        case .perform(let step):
            perform(step) { [self] result in
                recovery?.completed(result)
                advance(opening)
            }
        case .replay(let records):
            opening.replay(records)
            recovery?.replayed()
            // Handing over to the stores takes time, in which a crash may fall.
            disk.world.schedule(after: 20 * Span.microsecond) { [self] in onLoop { [self] in advance(opening) } }
        case .finished(let start, let report):
            recovery = nil
            running = Running(
                LogMachine(configuration: configuration, start: start, now: now(), mutants: mutants))
            opening.done(.success(report))
        case .failed(let error):
            recovery = nil
            opening.done(.failure(error))
        }
    }

    // MARK: Running

    func submit(_ batch: AppendBatch) -> SubmitResult {
        let result = queue.submit(batch)
        if result == .accepted, queue.byteCount > max(configuration.queueBytesMax, batch.encodedBytesMax) {
            audit.world.fail(.queueWithinLimits, "the log's queue holds \(queue.byteCount) bytes")
        }
        return result
    }

    func flushed(_ mark: DurableMark) { running?.machine.flushed([mark]) }
    func close() { running?.machine.close() }

    /// A copy of a shard has come, whose store stands at `mark`.
    func adopt(_ mark: AppliedMark) { running?.machine.adopt(mark) }
    func release(_ shard: ShardID) {
        // What was queued goes into the machine first, which lets the shard go behind it.
        for batch in queue.drain() { running?.machine.enqueue(batch) }
        running?.machine.release(shard)
    }

    var isClosed: Bool { running?.machine.isClosed ?? true }
    var failure: LogFailure? { running?.machine.failure }
    var pinningShards: [ShardID] { running?.machine.pinningShards ?? [] }
    var deadline: MonotonicTime? { running?.machine.deadline }
    var statistics: LogStatistics? { running?.machine.statistics }

    /// Moves queued batches into the machine and its next steps to the disk; answers what became durable.
    func pump(whenDone: @escaping () -> Void) -> [LaneNotice] {
        guard let running else { return [] }
        for batch in queue.drain() { running.machine.enqueue(batch) }
        if !isCommitBusy, let step = running.machine.nextStep(now: now()) {
            isCommitBusy = true
            perform(step) { [self] result in
                isCommitBusy = false
                running.machine.completed(result, now: now())
                whenDone()
            }
        }
        if !isBackgroundBusy, let step = running.machine.nextBackgroundStep(now: now()) {
            isBackgroundBusy = true
            perform(step) { [self] result in
                isBackgroundBusy = false
                running.machine.backgroundCompleted(result, now: now())
                whenDone()
            }
        }
        queue.update(admission: running.machine.admission, releasing: running.machine.takeReleasedBytes())
        return running.machine.takeNotices()
    }

    // MARK: Steps

    private func perform(_ step: LogStep, _ done: @escaping (StepResult) -> Void) {
        audit.will(step, disk)
        let world = disk.world
        world.trace.note(world.now, .log, 0) { "log: \(step.summary)" }
        switch step {
        case .create(let name): disk.create(name.description) { [self] in finish($0.map { _ in }, done) }
        case .allocate(let name, let byteCount):
            guard let file = disk.names[name.description] else { return onLoop { done(.failed(2)) } }
            disk.allocate(file, byteCount) { [self] in finish($0, done) }
        case .fill(let name, let range):
            write(name, range.lowerBound, [UInt8](repeating: 0, count: range.count)[...], done)
        case .write(let name, let offset, let bytes): write(name, offset, bytes, done)
        case .sync(let name):
            guard let file = disk.names[name.description] else { return onLoop { done(.failed(2)) } }
            disk.sync(file) { [self] in finish($0, done) }
        case .rename(let name, let other):
            disk.rename(name.description, to: other.description) { [self] in finish($0, done) }
        case .delete(let name): disk.remove(name.description) { [self] in finish($0, done) }
        case .syncDirectory: disk.syncDirectory { [self] in finish($0, done) }
        }
    }

    /// Goes on after a short write, as any driver must.
    private func write(
        _ name: LogFileName, _ offset: Int, _ bytes: ArraySlice<UInt8>, _ done: @escaping (StepResult) -> Void
    ) {
        guard let file = disk.names[name.description] else { return onLoop { done(.failed(2)) } }
        disk.write(file, at: offset, Array(bytes)) { [self] result in
            onLoop { [self] in
                switch result {
                case .success(let count) where count < bytes.count:
                    write(name, offset + count, bytes.dropFirst(count), done)
                case .success: done(.done)
                case .failure(let failure): done(failure.stepResult)
                }
            }
        }
    }

    private func finish(_ result: Result<Void, DiskFailure>, _ done: @escaping (StepResult) -> Void) {
        onLoop {
            switch result {
            case .success: done(.done)
            case .failure(let failure): done(failure.stepResult)
            }
        }
    }
}

extension DiskFailure {
    fileprivate var stepResult: StepResult {
        switch self {
        case .io: .failed(5)
        case .noSpace: .noSpace
        }
    }
}
