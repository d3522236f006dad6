private import CPosixShims
import LogCore
import LogFormat
import Primitives

/// The writer thread: it owns the machine, carries out the commit lane's steps and passes the background lane's on.
///
/// It decides nothing: between two waits it hands the machine its input, asks for a step, does it and reports.
final class LogWriter: @unchecked Sendable {
    // SAFETY: made on one thread and then used by the writer thread alone, which is started with it.
    private var machine: LogMachine
    private let executor: any StepExecutor
    private let monitor: Monitor<LogMailbox>
    private let onDurable: @Sendable (Int, [DurableMark]) -> Void
    private var batches: [AppendBatch] = []
    private var syncs = SyncHistogram()
    private var isBackgroundBusy = false
    private var wasToldToClose = false

    init(
        machine: LogMachine, executor: any StepExecutor, monitor: Monitor<LogMailbox>,
        onDurable: @escaping @Sendable (Int, [DurableMark]) -> Void
    ) {
        self.machine = machine
        self.executor = executor
        self.monitor = monitor
        self.onDurable = onDurable
    }

    static var now: MonotonicTime { MonotonicTime(nanoseconds: ks_boottime_ns()) }

    func run() {
        var isIdle = false
        while !machine.isClosed {
            takeInput(waiting: isIdle)
            isIdle = !advance()
            if let failure = machine.failure { ProcessEnd.stop(failure) }
        }
        monitor.withLock { mailbox in
            mailbox.publish(machine)
            mailbox.stopAccepting()
            mailbox.isStopped = true
        }
        monitor.signal(.background)
    }

    /// Everything that has come since the last time; waits for something where there is nothing else to do.
    private func takeInput(waiting: Bool) {
        var flushed: [DurableMark] = []
        var orders: [LogMailbox.Order] = []
        var result: StepResult?
        let take = { (mailbox: inout LogMailbox) in
            mailbox.isWriterWaiting = false
            self.batches = mailbox.queue.drain(reusing: self.batches)
            swap(&flushed, &mailbox.flushed)
            swap(&orders, &mailbox.orders)
            swap(&result, &mailbox.backgroundResult)
            self.wasToldToClose = mailbox.isClosing
        }
        if waiting { wait(then: take) } else { monitor.withLock(take) }
        carryOut(orders)
        batches.removeAll(keepingCapacity: true)
        if !flushed.isEmpty { machine.flushed(flushed) }
        if let result {
            isBackgroundBusy = false
            machine.backgroundCompleted(result, now: Self.now)
        }
        if wasToldToClose { machine.close() }
    }

    /// The batches that came meanwhile go in between: a shard's own come after it was adopted and before it is
    /// released, or where it is released and adopted again they are all of its new life.
    private func carryOut(_ orders: [LogMailbox.Order]) {
        var released: [ShardID] = []
        for order in orders {
            switch order {
            case .release(let shard): released.append(shard)
            case .spaceIsTight(let isTight): machine.spaceIsTight(isTight)
            case .adopt(let mark):
                if let index = released.firstIndex(of: mark.shard) { machine.release(released.remove(at: index)) }
                machine.adopt(mark)
            }
        }
        for batch in batches { machine.enqueue(batch) }
        for shard in released { machine.release(shard) }
    }

    private func wait(then take: (inout LogMailbox) -> Void) {
        let delay = machine.deadline.map { $0.nanoseconds(since: Self.now) }
        let knowsOfClosing = wasToldToClose
        monitor.withLock { $0.isWriterWaiting = true }
        // Once closing is known it is no news: what is waited for then is the background thread.
        monitor.wait(
            as: .writer, nanoseconds: delay,
            until: { $0.hasNews(knowingOfClosing: knowsOfClosing) }, then: take)
    }

    /// One step of each lane. False: there was none.
    private func advance() -> Bool {
        let backgroundStep = isBackgroundBusy ? nil : machine.nextBackgroundStep(now: Self.now)
        if let backgroundStep {
            isBackgroundBusy = true
            monitor.withLock { $0.backgroundStep = backgroundStep }
            monitor.signal(.background)
        }
        guard let step = machine.nextStep(now: Self.now) else {
            publish()
            return backgroundStep != nil || machine.isClosed
        }
        perform(consume step)
        for notice in machine.takeNotices() { onDurable(notice.lane, notice.marks) }
        publish()
        return true
    }

    private func perform(_ step: consuming LogStep) {
        let begun = Self.now
        var isSync = false
        if case .sync = step { isSync = true }
        let result = executor.perform(step)
        let ended = Self.now
        if isSync { syncs.record(nanoseconds: ended.nanoseconds(since: begun)) }
        machine.completed(result, now: ended)
    }

    private func publish() {
        let released = machine.takeReleasedBytes()
        let admission = machine.admission
        monitor.withLock { mailbox in
            mailbox.queue.update(admission: mailbox.isClosing ? .stopped : admission, releasing: released)
            mailbox.publish(machine)
            mailbox.statistics.syncs = syncs
        }
    }
}

/// The background thread: it carries out the background lane's steps, one at a time.
final class BackgroundWorker: @unchecked Sendable {
    // SAFETY: made on one thread and then used by the background thread alone, which is started with it.
    private let executor: any StepExecutor
    private let monitor: Monitor<LogMailbox>

    init(executor: any StepExecutor, monitor: Monitor<LogMailbox>) {
        self.executor = executor
        self.monitor = monitor
    }

    func run() {
        while let step = nextStep() {
            let result = executor.perform(step)
            monitor.withLock { $0.backgroundResult = result }
            monitor.signal(.writer)
        }
    }

    private func nextStep() -> LogStep? {
        monitor.wait(
            as: .background, nanoseconds: nil, until: { $0.backgroundStep != nil || $0.isStopped },
            then: { mailbox in
                defer { mailbox.backgroundStep = nil }
                return mailbox.isStopped ? nil : mailbox.backgroundStep
            })
    }
}
