/// Why a call did not succeed, and what the caller may conclude from it.
///
/// The three questions to ask, in this order: did it happen (``applied``), may I send it again (``retry``), and why
/// (``code``, ``detail``).
public struct KeysteadError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The reason: the server's codes, and those that only a client can see.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        public let description: String

        public init(_ name: String) { self.description = name }

        public static let badRequest = Code("bad-request")
        public static let badKey = Code("bad-key")
        public static let notFound = Code("not-found")
        public static let preconditionFailed = Code("precondition-failed")
        public static let conditionFailed = Code("condition-failed")
        public static let entityTooLarge = Code("entity-too-large")
        public static let unsupportedMediaType = Code("unsupported-media-type")
        public static let notJSON = Code("not-json")
        public static let patchFailed = Code("patch-failed")
        public static let idempotencyMismatch = Code("idempotency-mismatch")
        public static let overloaded = Code("overloaded")
        public static let shardUnavailable = Code("shard-unavailable")
        public static let shuttingDown = Code("shutting-down")
        public static let outcomeUnknown = Code("outcome-unknown")
        public static let storageFull = Code("storage-full")

        /// An admin verb's preflight said no.
        public static let refused = Code("refused")
        public static let stalePlan = Code("stale-plan")
        public static let concurrentChange = Code("concurrent-change")
        /// The node cannot reach the metadata store, so nothing about the cluster can be changed through it.
        public static let metadataUnavailable = Code("metadata-unavailable")

        /// No endpoint could be connected to; nothing was sent.
        public static let unreachable = Code("unreachable")
        /// The connection ended after the request had gone out and before its answer came in.
        public static let connectionLost = Code("connection-lost")
        /// The call's deadline passed first.
        public static let deadlineExceeded = Code("deadline-exceeded")
        /// The calling task was cancelled.
        public static let cancelled = Code("cancelled")
        /// The answer is none that this protocol knows: another kind of server, or something between.
        public static let malformedAnswer = Code("malformed-answer")
        /// The request cannot be sent as it stands (an endpoint that is no URL); nothing was sent.
        public static let invalidRequest = Code("invalid-request")
    }

    /// Whether the write happened.
    public enum Applied: String, Hashable, Sendable {
        /// Nothing has changed.
        case no
        /// It may or may not have happened, or may still happen.
        case unknown
    }

    /// What may be done about it.
    public enum Retry: String, Hashable, Sendable {
        /// The same request fails again.
        case never
        /// Nothing happened; try again, after ``KeysteadError/retryAfter`` where given.
        case safe
        /// Send it again only under an ``IdempotencyKey`` or a precondition that the first effect would make false.
        case withKey = "with-key"
    }

    public var code: Code
    /// The HTTP status; `nil` where no answer came.
    public var status: Int?
    /// A sentence for people.
    public var detail: String
    public var applied: Applied
    public var retry: Retry
    /// The entity's current tag, on a failed precondition of an entity that exists.
    public var currentETag: EntityTag?
    public var retryAfter: Duration?
    public var position: ShardPosition?

    public init(
        code: Code, status: Int? = nil, detail: String, applied: Applied, retry: Retry, currentETag: EntityTag? = nil,
        retryAfter: Duration? = nil, position: ShardPosition? = nil
    ) {
        self.code = code
        self.status = status
        self.detail = detail
        self.applied = applied
        self.retry = retry
        self.currentETag = currentETag
        self.retryAfter = retryAfter
        self.position = position
    }

    public var description: String { "\(code): \(detail)" }
}

extension KeysteadError {
    /// An error of the client's own: after a read nothing can have changed; after a write that may have gone out its
    /// outcome is unknown.
    static func afterSending(_ code: Code, _ detail: String, isWrite: Bool) -> KeysteadError {
        KeysteadError(
            code: code, detail: detail, applied: isWrite ? .unknown : .no, retry: isWrite ? .withKey : .safe)
    }

    static func malformed(_ detail: String, isWrite: Bool, status: Int? = nil) -> KeysteadError {
        KeysteadError(
            code: .malformedAnswer, status: status, detail: detail, applied: isWrite ? .unknown : .no,
            retry: isWrite ? .withKey : .never)
    }
}
