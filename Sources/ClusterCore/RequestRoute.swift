public import Entities
public import HashRing
public import Primitives

/// The way of one request through the cluster, as the node that a client asked sees it: at most one hop, never twice
/// what must not happen twice (G6), and an end by the deadline.
///
/// A shard that changes hands shows as latency and never as an error (G8): what was surely not executed is tried again
/// while the request's time lasts. An owner that cannot be reached, or answers nothing, is tried for a moment
/// only, for its shards are unavailable then, and callers are to hear so.
///
/// Pure, and its owner's alone. The node calls ``next(owner:now:)`` and does what it says; what came of it the node
/// tells by ``notOwner(now:)``, ``notYet(now:)``, ``notSent(_:now:)``, ``answerLost(_:now:)`` or ``answered(_:now:)``,
/// and asks again.
public struct RequestRoute: Sendable {
    public enum Step: Sendable {
        /// This node owns the shard: execute here.
        case execute
        /// Send it there, once. It is not to be forwarded from there.
        case forward(NodeID)
        /// A forwarded request that this node does not own: answer so, and do nothing.
        case answerNotOwner
        /// Have the map read from the metadata store, then ask again; where it cannot be read, ask again all the same.
        case readMap
        /// Ask again then.
        case pause(until: MonotonicTime)
        case refuse(Problem)
    }

    private let node: NodeID
    private let isForwarded: Bool
    /// May be executed twice without harm: a read, or a write with an Idempotency-Key.
    private let mayRepeat: Bool
    private let isWrite: Bool
    private let deadline: MonotonicTime
    private let mutants: Mutants

    /// An attempt was sent whose answer never came.
    private var isLost = false
    private var pausedUntil: MonotonicTime?
    private var mustReadMap = false
    private var pauses: UInt64 = 0
    /// Since when no attempt has reached the owner.
    private var unreachableSince: MonotonicTime?
    /// When the first of the answers was lost that have come to nothing since anybody answered.
    private var lostSince: MonotonicTime?
    /// What has last gone wrong.
    private var trouble: String?

    /// - Parameters:
    ///   - node: this one.
    ///   - isForwarded: it came from another node.
    ///   - deadline: by this node's clock.
    public init(
        node: NodeID, isForwarded: Bool, isWrite: Bool, mayRepeat: Bool, deadline: MonotonicTime,
        mutants: Mutants = .none
    ) {
        self.node = node
        self.isForwarded = isForwarded
        self.isWrite = isWrite
        self.mayRepeat = mayRepeat
        self.deadline = deadline
        self.mutants = mutants
    }

    /// - Parameters:
    ///   - owner: the shard's primary by this node's map. An owner that does not serve the shard yet pauses it by
    ///     ``notSent(now:)``.
    ///   - now: by the clock of the deadline.
    public mutating func next(owner: NodeID?, now: MonotonicTime) -> Step {
        if isForwarded, !mutants.has(.staleMapForwarded) { return owner == node ? .execute : .answerNotOwner }
        if isLost, !mayRepeat, !mutants.has(.forwardedTwice) { return .refuse(unknown) }
        if now >= deadline || isUnreachable(now) || isSilent(now) {
            return .refuse(isLost && isWrite ? unknown : unavailable)
        }
        if mustReadMap {
            mustReadMap = false
            return .readMap
        }
        if let until = pausedUntil, until > now { return .pause(until: min(until, deadline)) }
        pausedUntil = nil
        guard let owner else {
            rest(now)
            return .pause(until: pausedUntil ?? deadline)
        }
        return owner == node ? .execute : .forward(owner)
    }

    private func isUnreachable(_ now: MonotonicTime) -> Bool {
        guard let unreachableSince else { return false }
        return now.nanoseconds(since: unreachableSince) >= Limits.routeUnreachableMilliseconds * 1_000_000
    }

    /// An owner that takes requests and answers none is not asked for ever: it hangs, and callers are to hear so. One
    /// that is busy answers late, and its answer is waited for.
    private func isSilent(_ now: MonotonicTime) -> Bool {
        guard let lostSince else { return false }
        return now.nanoseconds(since: lostSince) >= Limits.routeLostMilliseconds * 1_000_000
    }

    /// The owner by our map says that it is not, and has done nothing: one of the two maps is old.
    public mutating func notOwner(now: MonotonicTime) { restAsReached(now) }

    /// This node is the owner and does not serve the shard yet, or has just given it up; nothing was done.
    public mutating func notYet(now: MonotonicTime) { restAsReached(now) }

    /// The request has not left this node, or not reached the machine of its shard.
    public mutating func notSent(_ reason: String, now: MonotonicTime) {
        trouble = reason
        unreachableSince = unreachableSince ?? now
        rest(now)
    }

    /// The request was sent, and no answer will come.
    public mutating func answerLost(_ reason: String, now: MonotonicTime) {
        isLost = true
        trouble = reason
        unreachableSince = nil
        lostSince = lostSince ?? now
        rest(now)
    }

    /// What the owner answered. `nil`: it is not the answer to give, ask again.
    ///
    /// After an attempt whose answer was lost, no refusal of a later one says that nothing happened: the first may have
    /// been executed, or may be yet.
    public mutating func answered(_ answer: Answer, now: MonotonicTime) -> Answer? {
        guard isLost, isWrite, case .refused(let problem, _, _) = answer, problem.code != .outcomeUnknown,
            !mutants.has(.refusalAfterLoss)
        else { return answer }
        guard now < deadline, problem.code.retry == .safe else {
            return .refused(unknown, currentVersion: nil, nil)
        }
        restAsReached(now)
        return nil
    }

    private mutating func restAsReached(_ now: MonotonicTime) {
        unreachableSince = nil
        lostSince = nil
        rest(now)
    }

    private mutating func rest(_ now: MonotonicTime) {
        let pause = min(Limits.routePauseMilliseconds << min(pauses, 8), Limits.routePauseMillisecondsMax)
        pauses += 1
        pausedUntil = now.adding(nanoseconds: pause * 1_000_000)
        mustReadMap = true
    }

    private var unknown: Problem {
        Problem(.outcomeUnknown, "the shard's owner had the write when its answer was lost\(because)")
    }

    private var unavailable: Problem {
        Problem(
            .shardUnavailable,
            trouble == nil
                ? "the shard is changing hands for longer than a request waits; nothing was done"
                : "the shard's owner cannot be reached; nothing was done\(because)")
    }

    private var because: String { trouble.map { ": \($0)" } ?? "" }
}
