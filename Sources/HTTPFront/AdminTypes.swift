public import Entities

/// Answers one admin request. Called off the event loops; the answer must come within `Limits.requestSecondsMax`.
public typealias AdminHandler = @Sendable (AdminRequest) async -> AdminResponse

/// A request to the admin listener. Low rate, so plain strings. HEAD comes as GET; its answer's body is left out.
public struct AdminRequest: Sendable {
    public let method: String
    /// As sent, not decoded.
    public let path: String
    /// Decoded names and values, in order.
    public let query: [(name: String, value: String)]
    public internal(set) var body: [UInt8]

    public init(method: String, path: String, query: [(name: String, value: String)], body: [UInt8]) {
        self.method = method
        self.path = path
        self.query = query
        self.body = body
    }
}

public struct AdminResponse: Sendable {
    public var status: Int
    public var contentType: String
    public var body: [UInt8]
    /// Further fields. Names and values must be free of control characters.
    public var fields: [(name: String, value: String)]
    var problem: Problem?

    public init(
        status: Int, contentType: String, body: [UInt8], fields: [(name: String, value: String)] = []
    ) {
        self.status = status
        self.contentType = contentType
        self.body = body
        self.fields = fields
    }

    /// A refusal, answered as a problem document.
    public init(_ problem: Problem, fields: [(name: String, value: String)] = []) {
        self.init(status: problem.code.status, contentType: "application/problem+json", body: [], fields: fields)
        self.problem = problem
    }
}
