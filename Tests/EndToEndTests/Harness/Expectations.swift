import Foundation
import Testing

/// What the outside contract says about each code of a refusal (API §1 "Errors").
struct ProblemContract {
    let status: Int
    let applied: String
    let retry: String
    let hasRetryAfter: Bool

    static let byCode: [String: ProblemContract] = {
        func never(_ status: Int) -> ProblemContract {
            .init(status: status, applied: "no", retry: "never", hasRetryAfter: false)
        }
        func later() -> ProblemContract { .init(status: 503, applied: "no", retry: "safe", hasRetryAfter: true) }
        return [
            "bad-request": never(400), "bad-key": never(400), "not-found": never(404), "method-not-allowed": never(405),
            "length-required": never(411), "precondition-failed": never(412), "condition-failed": never(412),
            "entity-too-large": never(413), "uri-too-long": never(414), "unsupported-media-type": never(415),
            "expectation-failed": never(417), "not-json": never(422), "patch-failed": never(422),
            "idempotency-mismatch": never(422), "fields-too-large": never(431), "version-not-supported": never(505),
            "overloaded": later(), "shard-unavailable": later(), "shutting-down": later(),
            "outcome-unknown": .init(status: 504, applied: "unknown", retry: "with-key", hasRetryAfter: false),
            "storage-full": .init(status: 507, applied: "no", retry: "safe", hasRetryAfter: false),
        ]
    }()
}

/// Expects a well-formed problem document with this code, and the status, `applied` and `retry` that belong to it.
func expectProblem(
    _ answer: HTTPAnswer, _ code: String, positioned: Bool? = nil, sourceLocation: SourceLocation = #_sourceLocation
) {
    guard let contract = ProblemContract.byCode[code] else {
        Issue.record("\(code) is no code of the contract", sourceLocation: sourceLocation)
        return
    }
    let problem = answer.object
    let shown = Comment(rawValue: "expected \(contract.status) \(code), got:\n\(answer)")
    #expect(answer.status == contract.status, shown, sourceLocation: sourceLocation)
    #expect(answer.problemCode == code, shown, sourceLocation: sourceLocation)
    #expect(answer["Content-Type"] == "application/problem+json", shown, sourceLocation: sourceLocation)
    #expect(problem["status"] as? Int == contract.status, shown, sourceLocation: sourceLocation)
    #expect((problem["title"] as? String)?.isEmpty == false, shown, sourceLocation: sourceLocation)
    #expect((problem["detail"] as? String)?.isEmpty == false, shown, sourceLocation: sourceLocation)
    #expect(problem["applied"] as? String == contract.applied, shown, sourceLocation: sourceLocation)
    #expect(problem["retry"] as? String == contract.retry, shown, sourceLocation: sourceLocation)
    if contract.hasRetryAfter {
        let seconds = answer["Retry-After"].flatMap(Int.init)
        #expect(seconds.map { $0 > 0 } == true, shown, sourceLocation: sourceLocation)
    }
    if let positioned { #expect((answer.position != nil) == positioned, shown, sourceLocation: sourceLocation) }
}

/// The same for a line of a batch, whose `error` is the problem object.
func expectProblem(
    line: [String: Any], _ code: String, sourceLocation: SourceLocation = #_sourceLocation
) {
    let contract = ProblemContract.byCode[code]
    let problem = line["error"] as? [String: Any] ?? [:]
    let shown = Comment(rawValue: "expected \(code), got: \(line)")
    #expect(contract != nil && line["status"] as? Int == contract?.status, shown, sourceLocation: sourceLocation)
    #expect(problem["type"] as? String == "urn:keystead:error:\(code)", shown, sourceLocation: sourceLocation)
    #expect(problem["status"] as? Int == contract?.status, shown, sourceLocation: sourceLocation)
    #expect(problem["applied"] as? String == contract?.applied, shown, sourceLocation: sourceLocation)
    #expect(problem["retry"] as? String == contract?.retry, shown, sourceLocation: sourceLocation)
    #expect((problem["detail"] as? String)?.isEmpty == false, shown, sourceLocation: sourceLocation)
}

/// A write that took effect: `status`, no body, an `ETag`, and a position that says the same number.
func expectWritten(
    _ answer: HTTPAnswer, status: Int = 204, replayed: Bool = false, sourceLocation: SourceLocation = #_sourceLocation
) {
    let shown = Comment(rawValue: "got:\n\(answer)")
    #expect(answer.status == status, shown, sourceLocation: sourceLocation)
    #expect(answer.version64 != nil, shown, sourceLocation: sourceLocation)
    if status == 204 {
        #expect(answer.body.isEmpty, shown, sourceLocation: sourceLocation)
        #expect(answer["Content-Length"] == nil, "a 204 has no length (RFC 9110 §8.6)", sourceLocation: sourceLocation)
    }
    #expect((answer["Idempotency-Replayed"] == "true") == replayed, shown, sourceLocation: sourceLocation)
    if replayed {
        #expect((answer.position?.position ?? 0) >= (answer.version64 ?? .max), shown, sourceLocation: sourceLocation)
    } else {
        #expect(answer.position?.position == answer.version64, shown, sourceLocation: sourceLocation)
    }
}

/// A read that found the entity: the state, its type and its tag, at a position that is not below the tag.
func expectFound(
    _ answer: HTTPAnswer, _ state: String, type: String? = nil, version: UInt64? = nil,
    sourceLocation: SourceLocation = #_sourceLocation
) {
    let shown = Comment(rawValue: "got:\n\(answer)")
    #expect(answer.status == 200, shown, sourceLocation: sourceLocation)
    #expect(answer.text == state, shown, sourceLocation: sourceLocation)
    if let type { #expect(answer["Content-Type"] == type, shown, sourceLocation: sourceLocation) }
    if let version { #expect(answer.version64 == version, shown, sourceLocation: sourceLocation) }
    #expect(answer.version64 != nil, shown, sourceLocation: sourceLocation)
    #expect((answer.position?.position ?? 0) >= (answer.version64 ?? .max), shown, sourceLocation: sourceLocation)
    #expect(answer["Last-Modified"].map(isHTTPDate) == true, shown, sourceLocation: sourceLocation)
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 §5.6.7).
func isHTTPDate(_ text: String) -> Bool {
    let format = DateFormatter()
    format.locale = Locale(identifier: "en_US_POSIX")
    format.timeZone = TimeZone(identifier: "GMT")
    format.dateFormat = "EEE, dd MMM yyyy HH:mm:ss 'GMT'"
    return format.date(from: text).map { format.string(from: $0) == text } ?? false
}
