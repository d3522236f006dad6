import KeysteadClient
import ScriptedServer
import Synchronization

/// As much of a server as import and export need: batch puts under idempotency keys, lists with values, gets.
final class FakeStore: Sendable {
    struct Stored: Sendable {
        var state: String
        var contentType: String
        var ttl: UInt64?
        var version: Int
    }

    private struct State {
        var entities: [String: Stored] = [:]
        var replies: [String: Int] = [:]
        var version = 0
        var batches = 0
    }

    /// What to do with a batch, by its number from 1, instead of running it.
    typealias Interference = @Sendable (Int) -> Disturbance?
    enum Disturbance: Sendable {
        /// Nothing is run, and the connection closes.
        case lose
        /// Everything is run, and the connection closes before any answer.
        case loseAnswers
        /// Each line is answered so, and not run.
        case answerEach(String)
        /// The first line is answered so, and not run; the others are run.
        case answerFirst(String)
    }

    private let state = Mutex(State())
    private let interference: Interference

    init(_ interference: @escaping Interference = { _ in nil }) { self.interference = interference }

    var entities: [String: Stored] { state.withLock { $0.entities } }
    var batches: Int { state.withLock { $0.batches } }
    /// How many puts took effect.
    var version: Int { state.withLock { $0.version } }

    /// What is stored, without versions.
    var contents: [String: [String]] {
        entities.mapValues { [$0.state, $0.contentType, $0.ttl.map(String.init) ?? "-"] }
    }

    func put(_ key: String, _ text: String, contentType: String = "application/json", ttl: UInt64? = nil) {
        state.withLock {
            $0.version += 1
            $0.entities[key] = Stored(state: text, contentType: contentType, ttl: ttl, version: $0.version)
        }
    }

    func script(_ request: ScriptedServer.Request) -> ScriptedServer.Reaction {
        if request.uri == "/v1/batch" { return batch(request.body) }
        if request.uri.hasPrefix("/v1/entities/"), request.uri.contains("?") { return list(request.uri) }
        let key = percentDecoded(request.uri.dropFirst("/v1/entities/".count))
        guard let found = entities[key] else { return .answer(404, [:], problem("not-found")) }
        var fields = ["ETag": "\"\(found.version)\"", "Content-Type": found.contentType]
        fields["Keystead-TTL"] = found.ttl.map(String.init)
        return .answer(200, fields, found.state)
    }

    private func batch(_ body: String) -> ScriptedServer.Reaction {
        guard body != "\n" else { return .answer(200, ["Keystead-Cluster": "fake"], "") }
        let number = state.withLock {
            $0.batches += 1; return $0.batches
        }
        let lines = body.split(separator: "\n").map(String.init)
        switch interference(number) {
        case .lose: return .close
        case .loseAnswers:
            for line in lines { _ = run(line) }
            return .close
        case .answerEach(let answer): return .answer(200, [:], lines.map { _ in answer + "\n" }.joined())
        case .answerFirst(let answer):
            return .answer(200, [:], answer + "\n" + lines.dropFirst().map { run($0) + "\n" }.joined())
        case nil: return .answer(200, [:], lines.map { run($0) + "\n" }.joined())
        }
    }

    private func run(_ line: String) -> String {
        var fields: [String: String] = [:]
        for (name, value) in JSONText(Array(line.utf8))?.members ?? [] {
            fields[name.string ?? ""] = value.string ?? value.numberText
        }
        guard fields["op"] == "put", let key = fields["key"], let text = fields["text"],
            let type = fields["content-type"], let idempotencyKey = fields["idempotency-key"]
        else { return #"{"status":400,"error":\#(problem("bad-request"))}"# }
        if key.contains("refuse") { return #"{"status":400,"error":\#(problem("bad-key"))}"# }
        return state.withLock { state in
            if let version = state.replies[key + idempotencyKey] { return #"{"status":204,"etag":"\"\#(version)\""}"# }
            state.version += 1
            let ttl = fields["ttl"].flatMap { UInt64($0) }
            state.entities[key] = Stored(state: text, contentType: type, ttl: ttl, version: state.version)
            state.replies[key + idempotencyKey] = state.version
            return #"{"status":204,"etag":"\"\#(state.version)\""}"#
        }
    }

    /// Pages in the order of keys, of at most the limit asked for.
    private func list(_ uri: String) -> ScriptedServer.Reaction {
        let parts = uri.dropFirst("/v1/entities/".count).split(separator: "?")
        func argument(_ name: String) -> String? {
            parts[1].split(separator: "&").first { $0.hasPrefix(name + "=") }.map {
                percentDecoded($0.dropFirst(name.count + 1))
            }
        }
        let after = argument("cursor") ?? ""
        let entities = entities
        let all = entities.keys.filter { $0.hasPrefix("\(parts[0])/") && $0 > after }.sorted()
        let page = all.prefix(argument("limit").flatMap { Int($0) } ?? 100).map { ($0, entities[$0]) }
        let items = page.compactMap { key, stored -> String? in
            guard let stored else { return nil }
            var item: [UInt8] = Array(
                #"{"key":"\#(key)","etag":"\"\#(stored.version)\"","bytes":\#(stored.state.utf8.count),"#.utf8)
            item += Array(#""content-type":"#.utf8)
            JSONString.append(stored.contentType, to: &item)
            item += Array(#","updated":"now","#.utf8)
            if let ttl = stored.ttl { item += Array(#""ttl":\#(ttl),"#.utf8) }
            if JSONText(Array(stored.state.utf8)) != nil {
                item += Array(#""json": \#(stored.state) }"#.utf8)
            } else {
                item += Array(#""text":"#.utf8)
                JSONString.append(stored.state, to: &item)
                item += Array("}".utf8)
            }
            return String(decoding: item, as: UTF8.self)
        }
        let cursor = page.count < all.count ? "\"\(page.last?.0 ?? "")\"" : "null"
        let harvest = #"{"answered":16,"of":"16","missing":[]}"#
        return .answer(
            200, [:], #"{"items":[\#(items.joined(separator: ","))],"cursor":\#(cursor),"harvest":\#(harvest)}"#)
    }

    /// Runs `body` with the store behind a server.
    func serve(_ body: (String, ScriptedServer) async throws -> Void) async throws {
        try await ScriptedServer.run({ [self] in script($0) }) { try await body($0.url, $0) }
    }
}

private func percentDecoded(_ text: some StringProtocol) -> String {
    var bytes: [UInt8] = []
    var rest = Array(text.utf8)[...]
    while let byte = rest.popFirst() {
        guard byte == UInt8(ascii: "%") else {
            bytes.append(byte)
            continue
        }
        bytes.append(UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16) ?? 0)
        rest = rest.dropFirst(2)
    }
    return String(decoding: bytes, as: UTF8.self)
}
