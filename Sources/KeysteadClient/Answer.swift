import NIOHTTP1

/// One HTTP answer, read whole.
struct Answer: Sendable {
    let status: Int
    let headers: HTTPHeaders
    let body: [UInt8]
    /// Why the body ends early, where it does.
    var cut: KeysteadError?

    var isSuccess: Bool { (200..<300).contains(status) }

    var etag: EntityTag? { headers.first(name: "ETag").flatMap { EntityTag($0) } }

    var position: ShardPosition? { headers.first(name: "Keystead-Position").flatMap { ShardPosition($0) } }

    /// Whole seconds, the only form that the server sends.
    private var retryAfter: Duration? {
        headers.first(name: "Retry-After").flatMap { Int64($0) }.map { .seconds(max(0, $0)) }
    }

    /// The error that this answer is, from its problem document (RFC 9457) where it holds one.
    ///
    /// An answer without a document is not Keystead's own (a proxy's, say). A 4xx then still means "not done"; a 5xx
    /// says nothing about what happened behind it.
    func error(isWrite: Bool) -> KeysteadError {
        var error: KeysteadError
        if let problem = JSONText(body), let told = KeysteadError(problem: problem, status: status) {
            error = told
        } else if (400..<500).contains(status) {
            error = KeysteadError(
                code: .malformedAnswer, status: status, detail: "HTTP \(status) without a problem document",
                applied: .no, retry: .never)
        } else {
            error = .malformed(
                "HTTP \(status), which is no answer of this protocol", isWrite: isWrite, status: status)
        }
        error.currentETag = etag
        error.retryAfter = retryAfter
        error.position = position
        return error
    }
}

extension KeysteadError {
    /// Reads a problem document, from an answer's body or a batch line; `nil` where it is none of Keystead's.
    init?(problem: JSONText, status: Int) {
        let prefix = "urn:keystead:error:"
        guard let type = problem.member("type")?.string, type.hasPrefix(prefix),
            let applied = problem.member("applied")?.string.flatMap({ Applied(rawValue: $0) }),
            let retry = problem.member("retry")?.string.flatMap({ Retry(rawValue: $0) })
        else { return nil }
        let detail = problem.member("detail")?.string ?? problem.member("title")?.string ?? "HTTP \(status)"
        self.init(
            code: Code(String(type.dropFirst(prefix.count))), status: status, detail: detail, applied: applied,
            retry: retry)
    }
}
