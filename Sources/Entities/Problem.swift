/// Why a request was refused: the code of the outside contract (Contract §1.9) and a sentence that says what, where
/// and what to do.
public struct Problem: Error, Sendable, Equatable {
    public let code: ProblemCode
    public let detail: String

    public init(_ code: ProblemCode, _ detail: String) {
        self.code = code
        self.detail = detail
    }
}

/// Each reason a caller can act on, with its HTTP status. `urn:keystead:error:CODE` is its public name. Raw values
/// travel between nodes: new cases go to the end.
public enum ProblemCode: UInt8, Sendable, CaseIterable {
    case badRequest
    case badKey
    case notFound
    case methodNotAllowed
    case lengthRequired
    case preconditionFailed
    case conditionFailed
    case entityTooLarge
    case uriTooLong
    case unsupportedMediaType
    case expectationFailed
    case notJSON
    case patchFailed
    case idempotencyMismatch
    case fieldsTooLarge
    case overloaded
    case shardUnavailable
    case shuttingDown
    case outcomeUnknown
    case versionNotSupported
    case storageFull
    // Of the admin listener alone.
    case refused
    case stalePlan
    case concurrentChange
    case metadataUnavailable
    // Of every listener: what a browser's page must not do.
    case misdirected
    case crossSite

    /// The last part of `type`: `bad-request`, `not-json`, …
    public var name: StaticString {
        switch self {
        case .badRequest: "bad-request"
        case .badKey: "bad-key"
        case .notFound: "not-found"
        case .methodNotAllowed: "method-not-allowed"
        case .lengthRequired: "length-required"
        case .preconditionFailed: "precondition-failed"
        case .conditionFailed: "condition-failed"
        case .entityTooLarge: "entity-too-large"
        case .uriTooLong: "uri-too-long"
        case .unsupportedMediaType: "unsupported-media-type"
        case .expectationFailed: "expectation-failed"
        case .notJSON: "not-json"
        case .patchFailed: "patch-failed"
        case .idempotencyMismatch: "idempotency-mismatch"
        case .fieldsTooLarge: "fields-too-large"
        case .overloaded: "overloaded"
        case .shardUnavailable: "shard-unavailable"
        case .shuttingDown: "shutting-down"
        case .outcomeUnknown: "outcome-unknown"
        case .versionNotSupported: "version-not-supported"
        case .storageFull: "storage-full"
        case .refused: "refused"
        case .stalePlan: "stale-plan"
        case .concurrentChange: "concurrent-change"
        case .metadataUnavailable: "metadata-unavailable"
        case .misdirected: "misdirected"
        case .crossSite: "cross-site"
        }
    }

    public var status: Int {
        switch self {
        case .badRequest, .badKey: 400
        case .crossSite: 403
        case .notFound: 404
        case .methodNotAllowed: 405
        case .lengthRequired: 411
        case .preconditionFailed, .conditionFailed: 412
        case .entityTooLarge: 413
        case .uriTooLong: 414
        case .unsupportedMediaType: 415
        case .expectationFailed: 417
        case .misdirected: 421
        case .notJSON, .patchFailed, .idempotencyMismatch: 422
        case .fieldsTooLarge: 431
        case .refused, .stalePlan, .concurrentChange: 409
        case .overloaded, .shardUnavailable, .shuttingDown, .metadataUnavailable: 503
        case .outcomeUnknown: 504
        case .versionNotSupported: 505
        case .storageFull: 507
        }
    }

    /// Whether the write may have happened: only 504 is unknown; every other refusal changed nothing (G6).
    public var applied: Applied {
        switch self {
        case .outcomeUnknown: .unknown
        case .badRequest, .badKey, .notFound, .methodNotAllowed, .lengthRequired, .preconditionFailed, .conditionFailed,
            .entityTooLarge, .uriTooLong, .unsupportedMediaType, .expectationFailed, .notJSON, .patchFailed,
            .idempotencyMismatch, .fieldsTooLarge, .overloaded, .shardUnavailable, .shuttingDown, .versionNotSupported,
            .storageFull, .refused, .stalePlan, .concurrentChange, .metadataUnavailable, .misdirected, .crossSite:
            .no
        }
    }

    public enum Applied: Sendable {
        case no
        case unknown

        /// The member `applied` of a problem document.
        public var name: StaticString {
            switch self {
            case .no: "no"
            case .unknown: "unknown"
            }
        }
    }

    public var retry: Retry {
        switch self {
        case .overloaded, .shardUnavailable, .shuttingDown, .storageFull, .concurrentChange, .metadataUnavailable:
            .safe
        case .outcomeUnknown: .withKey
        case .badRequest, .badKey, .notFound, .methodNotAllowed, .lengthRequired, .preconditionFailed, .conditionFailed,
            .entityTooLarge, .uriTooLong, .unsupportedMediaType, .expectationFailed, .notJSON, .patchFailed,
            .idempotencyMismatch, .fieldsTooLarge, .versionNotSupported, .refused, .stalePlan, .misdirected, .crossSite:
            .never
        }
    }

    /// What a caller may do.
    public enum Retry: Sendable {
        /// The same request fails again.
        case never
        /// Nothing happened: try again.
        case safe
        /// Only under an Idempotency-Key or a precondition.
        case withKey

        /// The member `retry` of a problem document.
        public var name: StaticString {
            switch self {
            case .never: "never"
            case .safe: "safe"
            case .withKey: "with-key"
            }
        }
    }
}
