import Primitives

/// What sending a request a second time would mean.
enum Repetition: Sendable, Equatable {
    /// A read: nothing.
    case harmless
    /// A write without guard: a second write. It is never sent again after an unknown outcome.
    case bare
    /// A write under an idempotency key: the server answers the first one's outcome.
    case keyed
    /// A write whose precondition its own effect makes false: refused if the first took effect.
    case guarded
}

/// Decides what follows a failed attempt. Pure: elapsed time and the seed are arguments, effects are values.
///
/// The rule it keeps (G6): a request goes out again only where nothing happened, or where a second effect is
/// impossible; and once an attempt's outcome is unknown, no later refusal makes it known again. Only a success does.
struct RetryMachine: Sendable {
    enum Step: Equatable, Sendable {
        /// Send the request again after the wait, to the next endpoint or the same.
        case attempt(after: Duration, nextEndpoint: Bool)
        /// Ask `/v1/outcomes` after the wait whether the write took effect.
        case lookUp(after: Duration, nextEndpoint: Bool)
        case fail(KeysteadError)
    }

    private let repetition: Repetition
    private let policy: RetryPolicy
    private let endpointCount: Int
    private let deadline: Duration
    private var random: SplitMix64
    private var attempts = 0
    /// Endpoints found unreachable since the last wait: each is tried once before the first wait.
    private var unreachableInRow = 0
    private var isOutcomeUnknown = false
    private var waits = 0
    /// When the attempt under way was begun.
    private var begun = Duration.zero

    init(repetition: Repetition, policy: RetryPolicy, endpointCount: Int, deadline: Duration, seed: UInt64) {
        self.repetition = repetition
        self.policy = policy
        self.endpointCount = endpointCount
        self.deadline = deadline
        self.random = SplitMix64(seed: seed)
    }

    /// An attempt, or a look-up, ended with `error`, `elapsed` after the call began.
    mutating func failed(_ error: KeysteadError, elapsed: Duration) -> Step {
        attempts += 1
        if error.applied == .unknown { isOutcomeUnknown = true }
        guard mayRepeat(after: error), attempts < policy.attemptsMax + endpointCount - 1 else {
            return .fail(final(error))
        }
        let moves =
            error.status == nil || error.code == .unreachable || error.code == .shuttingDown
            || error.code == .metadataUnavailable
        unreachableInRow = error.code == .unreachable ? unreachableInRow + 1 : 0
        let isRoundOver = unreachableInRow == 0 || unreachableInRow % endpointCount == 0
        let wait = isRoundOver ? max(backoff(), error.retryAfter ?? .zero) : .zero
        guard elapsed + wait < deadline, !isInVain(after: error, took: elapsed - begun, left: deadline - elapsed - wait)
        else { return .fail(final(error)) }
        begun = elapsed + wait
        return isOutcomeUnknown && repetition == .keyed
            ? .lookUp(after: wait, nextEndpoint: moves) : .attempt(after: wait, nextEndpoint: moves)
    }

    /// The look-up found no record: the write has not taken effect so far, and under its key it can go out again.
    func outcomeAbsent() -> Step { .attempt(after: .zero, nextEndpoint: false) }

    /// A server that took long to say no would be cut off while it says so again: its answer is worth more than that.
    private func isInVain(after error: KeysteadError, took: Duration, left: Duration) -> Bool {
        error.status != nil && !isOutcomeUnknown && left < took
    }

    private func mayRepeat(after error: KeysteadError) -> Bool {
        switch error.retry {
        case .never: false
        case .safe: true
        case .withKey: repetition != .bare
        }
    }

    /// Doubles from wait to wait; the random half keeps clients that failed together from coming back together.
    private mutating func backoff() -> Duration {
        let full = min(policy.backoffMin * (1 << min(waits, 20)), policy.backoffMax)
        waits += 1
        let thousandths = 500 + random.below(501)
        return full * Int(thousandths) / 1000
    }

    private func final(_ error: KeysteadError) -> KeysteadError {
        guard isOutcomeUnknown, error.applied == .no else { return error }
        var honest = error
        honest.applied = .unknown
        honest.retry = .withKey
        honest.detail += " (an earlier attempt of this write went out and was not answered, so it may have happened)"
        return honest
    }
}
