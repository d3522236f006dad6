/// Bounds of one client. Every default is meant to be kept.
public struct ClientConfiguration: Sendable {
    /// For one call with its retries, unless the call names its own.
    public var deadline: Duration = .seconds(30)
    /// The same for calls to admin endpoints.
    public var adminDeadline: Duration = .seconds(30)
    /// For one attempt of a request that may be sent again, so that an endpoint which hangs does not eat the whole
    /// deadline. A bare write, which may not, waits for its answer until the deadline.
    public var attemptDeadline: Duration = .seconds(10)
    /// The same for calls to admin endpoints.
    public var adminAttemptDeadline: Duration = .seconds(10)
    public var connectDeadline: Duration = .seconds(5)
    /// Open connections to one endpoint; further requests wait their turn.
    public var connectionsMax = 8
    /// Below the server's 60 s, so that the client is the one to close an idle connection and no request meets a
    /// socket that the server has just closed.
    public var idleConnectionsKept: Duration = .seconds(30)
    /// An answer beyond this is refused (`malformed-answer`): a page of 8 MiB of states, escaped as JSON strings, fits.
    public var answerBytesMax = 64 << 20
    public var retries = RetryPolicy()
    /// Send what concerns one entity straight to its owner. Turn it off where the addresses that nodes give of
    /// themselves (`--advertise`) cannot be reached from here.
    public var routesByMap = true
    /// Tests set it, so that a busy machine does not reach its end.
    var avoidance = RouteMachine.Avoidance()
    /// Called when a call does not end at once: where an answer is missing for ``waitNoticeAfter``, and before each
    /// attempt that begins later than that. For programs that somebody watches. Any thread may call it, and several at
    /// once; it must not block.
    public var onWait: (@Sendable (CallWait) -> Void)?
    public var waitNoticeAfter: Duration = .seconds(2)

    public init() {}
}

/// What a call is waiting for.
public enum CallWait: Sendable {
    /// The endpoint has not answered an attempt for that long; the attempt has `left` to go.
    case unanswered(endpoint: String, since: Duration, left: Duration)
    /// An attempt failed so and will be repeated; the call has `left` to go.
    case trying(after: KeysteadError, left: Duration)
}

/// When and how often a request that may be sent again is sent again.
public struct RetryPolicy: Hashable, Sendable {
    /// Attempts in all, the first included; 1 turns retries off.
    public var attemptsMax = 6
    /// The wait doubles from `backoffMin` up to `backoffMax`, each drawn from its upper half at random. A server's
    /// `Retry-After` is waited for where it is longer.
    public var backoffMin: Duration = .milliseconds(50)
    public var backoffMax: Duration = .seconds(2)

    public init() {}
}
