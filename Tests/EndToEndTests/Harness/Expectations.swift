import Foundation
import Testing

/// What the outside contract says about each code of a refusal (Contract §1.9).
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
            "misdirected": never(421), "cross-site": never(403), "idempotency-mismatch": never(422),
            "fields-too-large": never(431), "version-not-supported": never(505),
            "overloaded": later(), "shard-unavailable": later(), "shutting-down": later(),
            "outcome-unknown": .init(status: 504, applied: "unknown", retry: "with-key", hasRetryAfter: false),
            "storage-full": .init(status: 507, applied: "no", retry: "safe", hasRetryAfter: false),
        ]
    }()
}

/// What does not hold of an answer, gathered so that one wrong answer is one line of the report.
private struct Objections {
    private(set) var list: [String] = []

    mutating func require(_ holds: Bool, _ text: @autoclosure () -> String) {
        if !holds { list.append(text()) }
    }

    func report(_ shown: String, _ sourceLocation: SourceLocation) {
        guard !list.isEmpty else { return }
        Issue.record("\(list.joined(separator: "; ")). Got:\n\(shown)", sourceLocation: sourceLocation)
    }
}

/// Expects a well-formed problem document with this code, and the status, `applied` and `retry` that belong to it.
func expectProblem(
    _ answer: HTTPAnswer, _ code: String, positioned: Bool? = nil, sourceLocation: SourceLocation = #_sourceLocation
) {
    var objections = Objections()
    objections.require(answer["Content-Type"] == "application/problem+json", "not a problem document")
    check(answer.object, status: answer.status, code, &objections)
    objections.require((answer.object["title"] as? String)?.isEmpty == false, "no title")
    if ProblemContract.byCode[code]?.hasRetryAfter == true {
        objections.require(answer["Retry-After"].flatMap(Int.init).map { $0 > 0 } == true, "no Retry-After")
    }
    if let positioned {
        let wrong = positioned ? "no Keystead-Position" : "a Keystead-Position"
        objections.require((answer.position != nil) == positioned, wrong)
    }
    objections.report("\(answer)", sourceLocation)
}

/// The same for a line of a batch, whose `error` is the problem object.
func expectProblem(line: [String: Any], _ code: String, sourceLocation: SourceLocation = #_sourceLocation) {
    var objections = Objections()
    check(line["error"] as? [String: Any] ?? [:], status: line["status"] as? Int ?? 0, code, &objections)
    objections.report("\(line)", sourceLocation)
}

private func check(_ problem: [String: Any], status: Int, _ code: String, _ objections: inout Objections) {
    guard let contract = ProblemContract.byCode[code] else {
        return objections.require(false, "\(code) is no code of the contract")
    }
    let type = problem["type"] as? String
    objections.require(status == contract.status, "status \(status), not \(contract.status)")
    objections.require(type == "urn:keystead:error:\(code)", "type \(type ?? "missing"), not \(code)")
    objections.require(problem["status"] as? Int == contract.status, "the document's status is not \(contract.status)")
    objections.require((problem["detail"] as? String)?.isEmpty == false, "no detail")
    objections.require(problem["applied"] as? String == contract.applied, "applied is not \(contract.applied)")
    objections.require(problem["retry"] as? String == contract.retry, "retry is not \(contract.retry)")
}

/// A write that took effect: `status`, no body, an `ETag`, and a position that says the same number.
func expectWritten(
    _ answer: HTTPAnswer, status: Int = 204, replayed: Bool = false, sourceLocation: SourceLocation = #_sourceLocation
) {
    var objections = Objections()
    objections.require(answer.status == status, "status \(answer.status), not \(status)")
    objections.require(answer.version64 != nil, "no ETag with a number")
    if status == 204 {
        objections.require(answer.body.isEmpty, "a body")
        objections.require(answer["Content-Length"] == nil, "a 204 has no length (RFC 9110 §8.6)")
    }
    let isReplay = answer["Idempotency-Replayed"] == "true"
    objections.require(isReplay == replayed, replayed ? "not marked as replayed" : "marked as replayed")
    let (position, version) = (answer.position?.position, answer.version64)
    if replayed {
        objections.require(position ?? 0 >= version ?? .max, "the position is below the tag")
    } else {
        objections.require(position == version, "the position is not the tag's number")
    }
    objections.report("\(answer)", sourceLocation)
}

/// A read that found the entity: the state, its type and its tag, at a position that is not below the tag.
func expectFound(
    _ answer: HTTPAnswer, _ state: String, type: String? = nil, version: UInt64? = nil,
    sourceLocation: SourceLocation = #_sourceLocation
) {
    var objections = Objections()
    objections.require(answer.status == 200, "status \(answer.status), not 200")
    objections.require(answer.text == state, "not the state \(state.prefix(200))")
    if let type { objections.require(answer["Content-Type"] == type, "not the type \(type)") }
    if let version { objections.require(answer.version64 == version, "not version \(version)") }
    objections.require(answer.version64 != nil, "no ETag with a number")
    objections.require((answer.position?.position ?? 0) >= (answer.version64 ?? .max), "the position is below the tag")
    objections.require(answer["Last-Modified"].map(isHTTPDate) == true, "no Last-Modified")
    objections.report("\(answer)", sourceLocation)
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 §5.6.7).
func isHTTPDate(_ text: String) -> Bool {
    let format = DateFormatter()
    format.locale = Locale(identifier: "en_US_POSIX")
    format.timeZone = TimeZone(identifier: "GMT")
    format.dateFormat = "EEE, dd MMM yyyy HH:mm:ss 'GMT'"
    return format.date(from: text).map { format.string(from: $0) == text } ?? false
}
