internal import Entities
internal import NIOCore

extension ByteBuffer {
    /// The problem as JSON (RFC 9457): the body of a refusal, and `error` in the answer to a batch line.
    mutating func writeProblem(_ problem: Problem) {
        writeStaticString("{\"type\":\"urn:keystead:error:")
        writeStaticString(problem.code.name)
        writeStaticString("\",\"title\":\"")
        writeStaticString(problem.code.title)
        writeStaticString("\",\"status\":")
        writeDecimal(problem.code.status)
        writeStaticString(",\"detail\":")
        writeJSONString(problem.detail)
        writeStaticString(",\"applied\":\"")
        writeStaticString(problem.code.applied.name)
        writeStaticString("\",\"retry\":\"")
        writeStaticString(problem.code.retry.name)
        writeStaticString("\"}")
    }
}

extension ProblemCode {
    /// The same words for every occurrence of the code (RFC 9457 §3.1.3).
    var title: StaticString {
        switch self {
        case .badRequest: "Bad request"
        case .badKey: "Bad key"
        case .notFound: "Not found"
        case .methodNotAllowed: "Method not allowed"
        case .lengthRequired: "Length required"
        case .preconditionFailed: "Precondition failed"
        case .conditionFailed: "Condition failed"
        case .entityTooLarge: "Entity too large"
        case .uriTooLong: "URI too long"
        case .unsupportedMediaType: "Unsupported media type"
        case .expectationFailed: "Expectation failed"
        case .notJSON: "The state is not JSON"
        case .patchFailed: "The patch does not apply"
        case .idempotencyMismatch: "Idempotency key used for another request"
        case .fieldsTooLarge: "Fields too large"
        case .overloaded: "Overloaded"
        case .shardUnavailable: "Shard unavailable"
        case .shuttingDown: "Shutting down"
        case .outcomeUnknown: "Outcome unknown"
        case .versionNotSupported: "HTTP version not supported"
        case .storageFull: "Storage full"
        case .refused: "Refused"
        case .stalePlan: "Stale plan"
        case .concurrentChange: "Concurrent change"
        case .metadataUnavailable: "Metadata unavailable"
        case .misdirected: "Misdirected"
        case .crossSite: "Cross-site request"
        }
    }

    /// Whether the answer tells when to come again.
    var hasRetryAfter: Bool { status == 503 || status == 507 }

    /// `Keystead-Position` stands on every answer about a sound key but these (Contract §1.12).
    var hasPosition: Bool {
        switch self {
        case .methodNotAllowed, .lengthRequired, .uriTooLong, .expectationFailed, .fieldsTooLarge, .misdirected,
            .crossSite:
            false
        case .badRequest, .badKey, .notFound, .preconditionFailed, .conditionFailed, .entityTooLarge,
            .unsupportedMediaType, .notJSON, .patchFailed, .idempotencyMismatch, .overloaded, .shardUnavailable,
            .shuttingDown, .outcomeUnknown, .versionNotSupported, .storageFull, .refused, .stalePlan, .concurrentChange,
            .metadataUnavailable:
            true
        }
    }
}
