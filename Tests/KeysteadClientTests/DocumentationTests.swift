import Glibc
import KeysteadClient
import Testing

// The examples of the article, compiled. The test below holds the two to each other.

private func example() async throws {
    try await Keystead.withClient(endpoints: ["http://127.0.0.1:7070"]) { client in
        let alice = EntityKey(kind: "user", id: "alice")
        let receipt = try await client.put(alice, json: #"{"name":"Alice","visits":1}"#)
        let entity = try await client.get(alice)
        assert(entity.etag == receipt.etag)
    }
}

private func rename(_ key: EntityKey, to name: String, client: Keystead) async throws(KeysteadError) {
    while true {
        let entity = try await client.get(key)
        do throws(KeysteadError) {
            try await client.put(
                key, json: #"{"name":"\#(name)"}"#, options: WriteOptions(precondition: .matches(entity.etag)))
            return
        } catch  where error.code == .preconditionFailed && error.applied == .no {
            continue
        }
    }
}

private func countVisit(_ key: EntityKey, client: Keystead) async throws(KeysteadError) {
    try await client.patch(key, .update(#"{"do":[{"increment":"/visits","by":1}],"else-create":{"visits":0}}"#))
}

private func charge(_ account: EntityKey, order: String, client: Keystead) async throws(KeysteadError) -> WriteReceipt {
    let options = WriteOptions(idempotencyKey: IdempotencyKey("charge-\(order)"))
    return try await client.patch(
        account, .update(#"{"if":[{"at":"/balance","gte":10}],"do":[{"increment":"/balance","by":-10}]}"#),
        options: options)
}

private func countUsers(client: Keystead) async throws -> Int {
    var count = 0
    for try await page in client.list("user", ListOptions(prefix: "a", pageItemsMax: 1000)) {
        assert(page.harvest.missing.isEmpty)
        count += page.items.count
    }
    return count
}

private func copyUsers(_ keys: AsyncStream<EntityKey>, client: Keystead) async throws {
    let operations = keys.map { key in BatchOperation.put(key, json: "{}") }
    for try await answer in client.batch(operations) {
        if let error = answer.error { throw error }
    }
}

@Suite struct DocumentationTests {
    private static let article = "Sources/KeysteadClient/KeysteadClient.docc/KeysteadClient.md"

    @Test func theExamplesOfTheArticleAreCompiled() throws {
        let source = try Self.words(of: Self.text(at: #filePath))
        let root = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        let pieces = try Self.text(at: "/\(root)/\(Self.article)").split(separator: "```swift\n").dropFirst()
        #expect(pieces.count == 6)
        for piece in pieces {
            let example = Self.words(of: String(piece.prefix { $0 != "`" }))
            #expect(source.contains(example), "not in this file: \(example)")
        }
    }

    /// Indentation aside, what a text says.
    private static func words(of text: String) -> String {
        text.replacing("private func", with: "func").split(whereSeparator: \.isWhitespace).joined(separator: " ")
    }

    private static func text(at path: String) throws -> String {
        let file = try #require(fopen(path, "r"), "cannot open \(path)")
        defer { fclose(file) }
        var bytes: [UInt8] = []
        while case let byte = fgetc(file), byte != EOF { bytes.append(UInt8(truncatingIfNeeded: byte)) }
        return String(decoding: bytes, as: UTF8.self)
    }
}
