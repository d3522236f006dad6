import Entities
import NIOConcurrencyHelpers
import NIOCore
import Primitives
import ShardCore
import Synchronization

/// Lets lists begin, one after the other as its ``ListQueue`` decides, and stops those that nobody waits for any more.
/// Any thread may call.
final class ListDesk: Sendable {
    /// Why a list was not made.
    enum Refusal: Error {
        /// There are too many.
        case tooMany
        /// Its turn did not come in time.
        case waitedTooLong
        case shuttingDown
        /// Nobody is there to be told.
        case callerLeft
    }

    /// What the desk has done since the start, and what it holds.
    struct Counts: Sendable {
        var underWay = 0
        var waiting = 0
        var refused: UInt64 = 0
        var cancelled: UInt64 = 0
    }

    fileprivate struct Job {
        let life: ListLife
        let begin: @Sendable () -> Void
        let refuse: @Sendable (Refusal) -> Void
    }

    fileprivate struct State {
        var queue: ListQueue
        /// Every list of the queue.
        var jobs: [ListTicket: Job] = [:]
        var lastTicket: ListTicket = 0
        var isTicking = false
        var refused: UInt64 = 0
        var cancelled: UInt64 = 0
    }

    private let state: NIOLockedValueBox<State>
    /// Looks for lists that have waited too long.
    private let loop: any EventLoop

    private static let tickInterval = TimeAmount.milliseconds(250)

    /// - Parameter underWayMax: lists that are made at once.
    init(underWayMax: Int, loop: any EventLoop) {
        state = NIOLockedValueBox(State(queue: ListQueue(underWayMax: underWayMax)))
        self.loop = loop
    }

    var counts: Counts {
        state.withLockedValue {
            Counts(
                underWay: $0.queue.underWayCount, waiting: $0.queue.waitingCount, refused: $0.refused,
                cancelled: $0.cancelled)
        }
    }

    /// Takes a list in. One of `begin` and `refuse` is called, once, in this call or later, on any thread; neither may
    /// block. What has begun ends with ``ended(_:)``.
    ///
    /// - Parameters:
    ///   - caller: who asks. Nothing keeps it alive.
    ///   - begin: makes the list, until its life says that nobody wants it.
    func submit(
        of caller: ListQueue.Caller, refuse: @escaping @Sendable (Refusal) -> Void,
        begin: @escaping @Sendable (ListLife) -> Void
    ) {
        var refusals: [(Job, Refusal)] = []
        let (beginnings, mustTick) = state.withLockedValue { state -> ([Job], Bool) in
            state.lastTicket += 1
            let ticket = state.lastTicket
            let life = ListLife(ticket: ticket)
            let job = Job(life: life, begin: { begin(life) }, refuse: refuse)
            let (admission, shed) = state.queue.admit(ticket, of: caller, now: NodeTime.monotonic())
            switch admission {
            case .admitted: state.jobs[ticket] = job
            case .refused: refusals.append((job, .tooMany))
            case .closed: refusals.append((job, .shuttingDown))
            }
            if let shed { refusals += state.take([shed], .tooMany) }
            state.refused += UInt64(refusals.count)
            let beginnings = state.beginNext()
            let mustTick = !state.isTicking && state.queue.waitingCount > 0
            if mustTick { state.isTicking = true }
            return (beginnings, mustTick)
        }
        for (job, reason) in refusals { job.refuse(reason) }
        for job in beginnings { job.begin() }
        if mustTick { scheduleTick() }
    }

    /// A list that had begun has been answered, or given up.
    func ended(_ life: ListLife) {
        let beginnings = state.withLockedValue { state in
            state.queue.ended(life.ticket)
            state.jobs[life.ticket] = nil
            return state.beginNext()
        }
        for job in beginnings { job.begin() }
    }

    /// Ends everything that a caller has asked for. It has gone, and is not answered.
    func leave(_ caller: ListQueue.Caller) {
        let (left, beginnings) = state.withLockedValue { state in
            let left = state.queue.leave(caller)
            state.cancelled += UInt64(left.waiting.count + left.underWay.count)
            return (state.take(left.waiting + left.underWay, .callerLeft), state.beginNext())
        }
        for (job, reason) in left { job.life.end(reason) }
        for job in beginnings { job.begin() }
    }

    /// The node is going down: what waits is refused now, what is under way as soon as it notices, and what still comes
    /// at once.
    func close() {
        let (waiting, underWay) = state.withLockedValue { state in
            let left = state.queue.close()
            return (state.take(left.waiting, .shuttingDown), state.take(left.underWay, .shuttingDown))
        }
        for (job, reason) in underWay { job.life.end(reason) }
        for (job, reason) in waiting { job.refuse(reason) }
    }

    // MARK: Time

    private func scheduleTick() { loop.scheduleTask(in: Self.tickInterval) { self.tick() } }

    private func tick() {
        let (expired, beginnings, ticksOn) = state.withLockedValue { state in
            let expired = state.take(state.queue.expire(now: NodeTime.monotonic()), .waitedTooLong)
            state.refused += UInt64(expired.count)
            state.isTicking = state.queue.waitingCount > 0
            return (expired, state.beginNext(), state.isTicking)
        }
        for (job, reason) in expired { job.refuse(reason) }
        for job in beginnings { job.begin() }
        if ticksOn { scheduleTick() }
    }
}

extension ListDesk.State {
    /// Takes lists out that the queue has let go of.
    fileprivate mutating func take(
        _ tickets: [ListTicket], _ reason: ListDesk.Refusal
    ) -> [(ListDesk.Job, ListDesk.Refusal)] {
        tickets.map { ticket in
            guard let job = jobs.removeValue(forKey: ticket) else {
                preconditionFailure("the queue knows list \(ticket), and the desk does not")
            }
            return (job, reason)
        }
    }

    fileprivate mutating func beginNext() -> [ListDesk.Job] {
        var beginnings: [ListDesk.Job] = []
        while let ticket = queue.nextToBegin() {
            guard let job = jobs[ticket] else {
                preconditionFailure("the queue begins list \(ticket), and the desk does not know it")
            }
            beginnings.append(job)
        }
        return beginnings
    }
}

/// Whether somebody still waits for a list. Any thread.
final class ListLife: Sendable {
    fileprivate let ticket: ListTicket
    private let ending = Atomic<UInt8>(0)

    fileprivate init(ticket: ListTicket) { self.ticket = ticket }

    /// Why nobody does; `nil` while somebody does. Read between rows, so it is one load.
    var refusal: ListDesk.Refusal? {
        switch ending.load(ordering: .relaxed) {
        case 0: nil
        case 1: .callerLeft
        default: .shuttingDown
        }
    }

    fileprivate func end(_ reason: ListDesk.Refusal) {
        switch reason {
        case .callerLeft: ending.store(1, ordering: .relaxed)
        case .shuttingDown, .tooMany, .waitedTooLong: ending.store(2, ordering: .relaxed)
        }
    }
}

extension Problem {
    /// What the caller of a list is told that was not made; `nil` where nobody is there.
    init?(_ refusal: ListDesk.Refusal) {
        switch refusal {
        case .tooMany:
            self.init(.overloaded, "the node has all the lists that it can hold; try again shortly")
        case .waitedTooLong:
            self.init(
                .overloaded, "the list has waited \(Limits.listWaitSecondsMax) s behind others; try again shortly")
        case .shuttingDown: self.init(.shuttingDown, "the node is shutting down")
        case .callerLeft: return nil
        }
    }
}
