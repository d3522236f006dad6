import Foundation

/// Entities over one keep-alive connection, one request at a time. Keys are plain text.
final class EntityClient {
    let connection: RawConnection

    init(_ connection: RawConnection) { self.connection = connection }

    /// `kind/id` with every byte of the id that is not unreserved (nor `/`) percent-encoded.
    static func path(_ key: String, under prefix: String = "/v1/entities/") -> String {
        prefix + key.addingPercentEncoding(withAllowedCharacters: unreserved)!
    }

    private static let unreserved = CharacterSet(
        charactersIn: "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/")

    /// The bytes of a request with a `Host`, and a `Content-Length` where there is a body.
    static func request(
        _ method: String, _ target: String, _ fields: [(String, String)] = [], body: [UInt8]? = nil
    ) -> [UInt8] {
        var head = "\(method) \(target) HTTP/1.1\r\nHost: localhost\r\n"
        for (name, value) in fields { head += "\(name): \(value)\r\n" }
        if let body { head += "Content-Length: \(body.count)\r\n" }
        return Array((head + "\r\n").utf8) + (body ?? [])
    }

    @discardableResult
    func send(
        _ method: String, _ target: String, _ fields: [(String, String)] = [], body: [UInt8]? = nil
    ) throws -> HTTPAnswer {
        try connection.send(Self.request(method, target, fields, body: body))
        return try connection.answer(toHead: method == "HEAD")
    }

    @discardableResult
    func get(_ key: String, _ fields: [(String, String)] = []) throws -> HTTPAnswer {
        try send("GET", Self.path(key), fields)
    }

    @discardableResult
    func head(_ key: String, _ fields: [(String, String)] = []) throws -> HTTPAnswer {
        try send("HEAD", Self.path(key), fields)
    }

    @discardableResult
    func put(
        _ key: String, _ state: String, type: String? = nil, query: String = "", _ fields: [(String, String)] = []
    ) throws -> HTTPAnswer {
        try put(key, Array(state.utf8), type: type, query: query, fields)
    }

    @discardableResult
    func put(
        _ key: String, _ state: [UInt8], type: String? = nil, query: String = "", _ fields: [(String, String)] = []
    ) throws -> HTTPAnswer {
        let typed = type.map { [("Content-Type", $0)] } ?? []
        return try send("PUT", Self.path(key) + query, typed + fields, body: state)
    }

    @discardableResult
    func patch(_ key: String, _ kind: PatchKind, _ document: String, _ fields: [(String, String)] = []) throws
        -> HTTPAnswer
    {
        try send("PATCH", Self.path(key), [("Content-Type", kind.rawValue)] + fields, body: Array(document.utf8))
    }

    @discardableResult
    func delete(_ key: String, _ fields: [(String, String)] = []) throws -> HTTPAnswer {
        try send("DELETE", Self.path(key), fields)
    }

    func outcome(_ key: String, idempotencyKey: String) throws -> HTTPAnswer {
        try send("GET", Self.path(key, under: "/v1/outcomes/"), [("Idempotency-Key", idempotencyKey)])
    }

    /// Sends the lines as one batch and gives back one JSON object a line.
    func batch(_ lines: [String], lastLineFeed: Bool = true) throws -> [[String: Any]] {
        let text = lines.joined(separator: "\n") + (lastLineFeed ? "\n" : "")
        let answer = try send(
            "POST", "/v1/batch", [("Content-Type", "application/x-ndjson")], body: Array(text.utf8))
        guard answer.status == 200 else { throw HarnessError("the batch was refused:\n\(answer)") }
        return try Self.lines(of: answer.body)
    }

    static func lines(of body: [UInt8]) throws -> [[String: Any]] {
        try body.split(separator: UInt8(ascii: "\n")).map { line in
            guard let object = try JSONSerialization.jsonObject(with: Data(line)) as? [String: Any] else {
                throw HarnessError("a line of an answer is no object: \(String(decoding: line, as: UTF8.self))")
            }
            return object
        }
    }

    func list(_ kind: String, _ query: String = "") throws -> HTTPAnswer {
        try send("GET", "/v1/entities/\(kind)\(query.isEmpty ? "" : "?" + query)")
    }

    /// Every item of a kind, page by page.
    func listAll(_ kind: String, limit: Int = 1000, _ query: String = "") throws -> [[String: Any]] {
        var items: [[String: Any]] = []
        var cursor: String?
        repeat {
            var parameters = ["limit=\(limit)"] + (query.isEmpty ? [] : [query])
            if let cursor { parameters.append("cursor=\(cursor)") }
            let answer = try list(kind, parameters.joined(separator: "&"))
            guard answer.status == 200, let page = answer.object["items"] as? [[String: Any]] else {
                throw HarnessError("the list was refused:\n\(answer)")
            }
            items += page
            cursor = answer.object["cursor"] as? String
        } while cursor != nil
        return items
    }
}

enum PatchKind: String, CaseIterable, Sendable {
    case merge = "application/merge-patch+json"
    case jsonPatch = "application/json-patch+json"
    case update = "application/vnd.keystead.update+json"
}
