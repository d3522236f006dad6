import Primitives

/// One line of a batch.
public struct BatchOperation: Sendable {
    public enum Action: Sendable {
        case get
        /// `contentType` `nil` is `application/octet-stream`, as with a single put.
        case put(state: [UInt8], contentType: String?, ttlSeconds: UInt64?)
        case patch(Patch)
        case delete
    }

    public var key: EntityKey
    public var action: Action
    public var precondition: Precondition?
    public var idempotencyKey: IdempotencyKey?

    public init(
        _ action: Action, _ key: EntityKey, precondition: Precondition? = nil, idempotencyKey: IdempotencyKey? = nil
    ) {
        self.action = action
        self.key = key
        self.precondition = precondition
        self.idempotencyKey = idempotencyKey
    }

    public static func put(_ key: EntityKey, json: String) -> BatchOperation {
        BatchOperation(.put(state: Array(json.utf8), contentType: "application/json", ttlSeconds: nil), key)
    }

    public static func get(_ key: EntityKey) -> BatchOperation { BatchOperation(.get, key) }
    public static func patch(_ key: EntityKey, _ patch: Patch) -> BatchOperation { BatchOperation(.patch(patch), key) }
    public static func delete(_ key: EntityKey) -> BatchOperation { BatchOperation(.delete, key) }

    var isWrite: Bool {
        if case .get = action { return false }
        return true
    }

    /// Appends the operation as a line of NDJSON, its line feed included.
    ///
    /// A state goes as `text` where it is UTF-8 and as `base64` otherwise, with its content type beside it: both give
    /// the server exactly the state's bytes, where `json` would leave white space around the value to chance.
    package func appendLine(to output: inout [UInt8]) {
        output.append(contentsOf: #"{"op":""#.utf8)
        output.append(contentsOf: name.utf8)
        output.append(UInt8(ascii: "\""))
        appendMember("key", key.description, to: &output)
        switch action {
        case .get, .delete: break
        case .put(let state, let contentType, let ttlSeconds):
            appendState(state[...], to: &output)
            appendMember("content-type", contentType ?? "application/octet-stream", to: &output)
            if let ttlSeconds { output.append(contentsOf: #","ttl":\#(ttlSeconds)"#.utf8) }
        case .patch(let patch):
            output.append(contentsOf: #","json":"#.utf8)
            // A line feed in the document would end the line; between JSON's tokens a space says the same.
            output.append(contentsOf: patch.document.lazy.map { $0 == 0x0A || $0 == 0x0D ? 0x20 : $0 })
            appendMember("patch", patch.kind.rawValue, to: &output)
        }
        if let field = precondition?.field { appendMember(field.name.lowercased(), field.value, to: &output) }
        if let idempotencyKey { appendMember("idempotency-key", idempotencyKey.description, to: &output) }
        output.append(contentsOf: "}\n".utf8)
    }

    private var name: String {
        switch action {
        case .get: "get"
        case .put: "put"
        case .patch: "patch"
        case .delete: "delete"
        }
    }

    private func appendState(_ state: ArraySlice<UInt8>, to output: inout [UInt8]) {
        if isUTF8(state) {
            output.append(contentsOf: #","text":"#.utf8)
            JSONString.append(state, to: &output)
        } else {
            output.append(contentsOf: #","base64":""#.utf8)
            output.append(contentsOf: Base64.encode(state))
            output.append(UInt8(ascii: "\""))
        }
    }

    private func appendMember(_ name: String, _ value: String, to output: inout [UInt8]) {
        output.append(contentsOf: #","\#(name)":"#.utf8)
        JSONString.append(value, to: &output)
    }
}

/// The answer to one line of a batch.
public struct BatchAnswer: Sendable {
    /// The HTTP status that the operation would have had by itself; `nil` where no answer came.
    public let status: Int?
    public let etag: EntityTag?
    public let position: ShardPosition?
    /// What a `get` found.
    public let state: [UInt8]?
    public let error: KeysteadError?

    public var isSuccess: Bool { error == nil }

    init(unanswered error: KeysteadError) {
        self.init(status: nil, etag: nil, position: nil, state: nil, error: error)
    }

    private init(status: Int?, etag: EntityTag?, position: ShardPosition?, state: [UInt8]?, error: KeysteadError?) {
        self.status = status
        self.etag = etag
        self.position = position
        self.state = state
        self.error = error
    }

    /// Reads one line of an answer; `nil` where it is none.
    init?(line: ArraySlice<UInt8>) {
        guard let text = JSONText(line), text.kind == .object else { return nil }
        var fields: [String: JSONText] = [:]
        for (name, value) in text.members { fields[name.string ?? ""] = value }
        guard let status = fields["status"]?.unsigned.map({ Int(clamping: $0) }) else { return nil }
        let etag = fields["etag"]?.string.flatMap { EntityTag($0) }
        let position = fields["position"]?.string.flatMap { ShardPosition($0) }
        var error: KeysteadError?
        if let problem = fields["error"] {
            error = KeysteadError(problem: problem, status: status)
            guard error != nil else { return nil }
            error?.currentETag = etag
            error?.position = position
        } else if !(200..<400).contains(status) {
            return nil
        }
        self.init(status: status, etag: etag, position: position, state: StateField.read(fields), error: error)
    }
}
