import KeysteadClient
import ScriptedServer
import Testing

@Suite struct EntityTests {
    @Test(arguments: [
        (EntityKey(kind: "user", id: "alice"), "/v1/entities/user/alice"),
        (EntityKey(kind: "user", id: "a/b//c"), "/v1/entities/user/a%2Fb%2F%2Fc"),
        (EntityKey(kind: "user", id: "é %?#"), "/v1/entities/user/%C3%A9%20%25%3F%23"),
        (EntityKey(kind: "user", id: "../x"), "/v1/entities/user/..%2Fx"),
    ])
    func keysAreEncodedOnce(key: EntityKey, uri: String) async throws {
        try await withServer([.answer(200, ["ETag": "\"1\""])]) { client, server in
            _ = try await client.get(key)
            #expect(server.requests.map(\.uri) == [uri])
        }
    }

    @Test func keysAreReadAtTheFirstSlash() {
        #expect(EntityKey("user/a/b") == EntityKey(kind: "user", id: "a/b"))
        #expect(EntityKey("user/") == EntityKey(kind: "user", id: ""))
        #expect(EntityKey("user") == nil)
    }

    @Test(arguments: [("12", 12), ("\"12\"", 12), ("\"18446744073709551615\"", UInt64.max)])
    func tagsAreReadWithAndWithoutQuotes(text: String, version: UInt64) {
        #expect(EntityTag(text) == EntityTag(version: version))
        #expect(EntityTag(version: version).description == "\"\(version)\"")
    }

    @Test(arguments: ["", "\"", "\"\"", "abc", "W/\"7\"", "-1", "+1", "1 ", "18446744073709551616"])
    func otherTagsAreRefused(text: String) { #expect(EntityTag(text) == nil) }

    @Test func getGivesTheStateAndWhatGoesWithIt() async throws {
        let fields = [
            "ETag": "\"7\"", "Content-Type": "text/plain", "Keystead-Position": "3:9", "Last-Modified": "then",
        ]
        try await withServer([.answer(200, fields, "hello")]) { client, _ in
            let entity = try await client.get(alice)
            #expect(entity.state == Array("hello".utf8))
            #expect(entity.contentType == "text/plain")
            #expect(entity.etag.version == 7)
            #expect(entity.position == ShardPosition(shard: 3, position: 9))
            #expect(entity.lastModified == "then")
        }
    }

    @Test func getUnlessIsNotModified() async throws {
        try await withServer([.answer(304, ["ETag": "\"7\""])]) { client, server in
            let read = try await client.get(alice, unless: EntityTag(version: 7))
            #expect(read == .notModified(EntityTag(version: 7)))
            #expect(server.requests[0].headers["If-None-Match"] == ["\"7\""])
        }
    }

    @Test func putSendsWhatItWasGiven() async throws {
        try await withServer([.answer(204, ["ETag": "\"8\"", "Keystead-Position": "1:8"])]) { client, server in
            let key = try #require(IdempotencyKey("k-1"))
            let receipt = try await client.put(
                alice, Array("{}".utf8), contentType: "application/json", ttlSeconds: 60,
                options: WriteOptions(precondition: .matches(EntityTag(version: 7)), idempotencyKey: key))
            #expect(
                receipt == WriteReceipt(etag: EntityTag(version: 8), position: ShardPosition(shard: 1, position: 8)))
            let request = server.requests[0]
            #expect(request.method == "PUT")
            #expect(request.uri == "/v1/entities/user/alice?ttl=60")
            #expect(request.body == "{}")
            #expect(request.headers["Content-Type"] == ["application/json"])
            #expect(request.headers["If-Match"] == ["\"7\""])
            #expect(request.headers["Idempotency-Key"] == ["k-1"])
        }
    }

    @Test func anEmptyPutHasALength() async throws {
        try await withServer([.answer(204, ["ETag": "\"8\""])]) { client, server in
            try await client.put(alice, [])
            #expect(server.requests[0].headers["Content-Length"] == ["0"])
        }
    }

    @Test(arguments: [
        (Precondition.absent, "If-None-Match", "*"), (.exists, "If-Match", "*"),
        (.matches([EntityTag(version: 1), EntityTag(version: 2)]), "If-Match", "\"1\", \"2\""),
    ])
    func preconditionsAreFields(precondition: Precondition, name: String, value: String) async throws {
        try await withServer([.answer(204, ["ETag": "\"8\""])]) { client, server in
            try await client.delete(alice, options: WriteOptions(precondition: precondition))
            #expect(server.requests[0].headers[name] == [value])
        }
    }

    @Test(arguments: [
        (Patch.merge("{}"), "application/merge-patch+json"), (.jsonPatch("[]"), "application/json-patch+json"),
        (.update("{}"), "application/vnd.keystead.update+json"),
    ])
    func patchesGoUnderTheirMediaType(patch: Patch, type: String) async throws {
        try await withServer([.answer(200, ["ETag": "\"8\""], "{\"a\":1}")]) { client, server in
            let receipt = try await client.patch(alice, patch, options: WriteOptions(returnsState: true))
            #expect(receipt.state == Array("{\"a\":1}".utf8))
            #expect(server.requests[0].headers["Content-Type"] == [type])
            #expect(server.requests[0].headers["Prefer"] == ["return=representation"])
        }
    }

    @Test func outcomesAreFoundOrAbsent() async throws {
        let text = "k"
        let key = try #require(IdempotencyKey(text))
        try await withServer([
            .answer(200, ["Keystead-Position": "1:9"], #"{"status":204,"etag":"\"5\""}"#),
            .answer(404, [:], problem("not-found")),
        ]) { client, server in
            let found = try await client.outcome(of: alice, key)
            #expect(found?.status == 204)
            #expect(found?.etag.version == 5)
            let absent = try await client.outcome(of: alice, key)
            #expect(absent == nil)
            #expect(server.requests.map(\.uri) == ["/v1/outcomes/user/alice", "/v1/outcomes/user/alice"])
        }
    }

    @Test func idempotencyKeysAreVisibleASCII() {
        #expect(IdempotencyKey("") == nil)
        #expect(IdempotencyKey("a b") == nil)
        #expect(IdempotencyKey("é") == nil)
        #expect(IdempotencyKey(String(repeating: "k", count: 255)) != nil)
        #expect(IdempotencyKey(String(repeating: "k", count: 256)) == nil)
        #expect(IdempotencyKey.random() != IdempotencyKey.random())
    }
}
