import Entities
import NIOCore
import Primitives
import Testing

@testable import HTTPFront

@Suite struct ListTests {
    static func list(_ target: String) -> String { EntityRouteTests.request("GET /v1/entities/\(target)") }

    static func item(_ key: String, _ state: String, _ contentType: String = "") -> ListPage.Item {
        ListPage.Item(
            keyBytes: Array(key.utf8),
            record: StoredRecord(
                version: Position(9), updatedAt: FakeBackend.updatedAt, expiresAt: nil,
                contentType: Array(contentType.utf8), state: Array(state.utf8)))
    }

    @Test func answersAPage() throws {
        let front = try FrontChannel()
        let cursor = ListCursor(ringHash: 5, keyBytes: Array("user/a".utf8))
        front.backend.page = ListPage(
            items: [Self.item("user/a\"é", "hello"), Self.item("user/b", "{}", "application/json")], next: cursor,
            shardCount: 64, missing: [ShardID(3), ShardID(17)])
        let response = try front.ask(Self.list("user"))
        #expect(response.status == 200)
        #expect(response["Content-Type"] == "application/json")
        #expect(response["Keystead-Position"] == nil)
        let text = String(decoding: CursorText.encode(cursor), as: UTF8.self)
        #expect(
            response.text == #"""
                {"items":[{"key":"user/a\"é","etag":"\"9\"","bytes":5,"content-type":"application/octet-stream",\#
                "updated":"1994-11-06T08:49:37.123Z"},{"key":"user/b","etag":"\"9\"","bytes":2,\#
                "content-type":"application/json","updated":"1994-11-06T08:49:37.123Z"}],"cursor":"\#(text)",\#
                "harvest":{"answered":62,"of":64,"missing":[3,17]}}
                """#)
        // A text that was made ahead, off the loop, is the same.
        var yields = 0
        JSONPageRenderer(withValues: false, ringSeed: 0).render(
            &front.backend.page, textBytesMax: .max, now: Timestamp(milliseconds: FrontChannel.wallSeconds * 1000)
        ) { yields += 1 }
        #expect(front.backend.page.items.isEmpty && yields == 1)
        #expect(try front.ask(Self.list("user")).body == response.body)
        let request = try #require(front.backend.lists.first)
        #expect(request.keyPrefix == Array("user/".utf8))
        #expect(request.itemsMax == Limits.listItemsDefault)
        #expect(request.after == nil)
        #expect(!request.withValues)

        _ = try front.ask(Self.list("user?prefix=a%2Fb+c&limit=7&values=true&cursor=\(text)"))
        let next = try #require(front.backend.lists.last)
        #expect(next.keyPrefix == Array("user/a/b c".utf8))
        #expect(next.itemsMax == 7)
        #expect(next.after == cursor)
        #expect(next.withValues)
    }

    /// Whole seconds, at least one, and never more than an entity was given.
    @Test(
        arguments: [(0, 1), (37_000, 1), (37_123, 1), (38_000, 1), (39_122, 2), (97_123, 60), (.max, 315_360_000)]
            as [(UInt64, UInt64)])
    func secondsAreCountedDown(milliseconds: UInt64, seconds: UInt64) throws {
        let front = try FrontChannel()
        // The wall clock stands at second 37.
        let expiry = milliseconds == .max ? milliseconds : 784_111_740_000 + milliseconds
        let record = StoredRecord(
            version: Position(9), updatedAt: FakeBackend.updatedAt, expiresAt: Timestamp(milliseconds: expiry),
            contentType: [UInt8](), state: [UInt8]())
        front.backend.page = ListPage(
            items: [ListPage.Item(keyBytes: Array("k/a".utf8), record: record)], next: nil, shardCount: 1, missing: [])
        let text = try front.ask(Self.list("k")).text
        #expect(text.contains(#""updated":"1994-11-06T08:49:37.123Z","ttl":\#(seconds)}]"#))
    }

    static let values: [(state: String, contentType: String, member: String)] = [
        (" {\"a\": 1.0}\t", "application/json", #""json":{"a": 1.0}"#),
        ("{\n  \"a\": 1.0,\r\n \"b\": \"\\n\"}", "Application/JSON; charset=utf-8", #""json":{"a":1.0,"b":"\n"}"#),
        ("[1]", "application/problem+json", #""json":[1]"#),
        ("{\"a\":1,\"a\":1}", "application/json", #""base64":"eyJhIjoxLCJhIjoxfQ==""#),
        ("nonsense", "application/json", #""base64":"bm9uc2Vuc2U=""#),
        ("", "application/json", #""base64":"""#),
        ("[1]", "text/plain", #""text":"[1]""#),
        ("a\n\u{1}\"é", "text/plain; charset=utf-8", #""text":"a\n\u0001\"é""#),
        ("hello", "", #""base64":"aGVsbG8=""#),
        ("[1]", "application/octet-stream", #""json":[1]"#),
        ("{\"a\":1.0}", "", #""json":{"a":1.0}"#),
    ]

    @Test(arguments: values)
    func valuesByTypeAndBytes(state: String, contentType: String, member: String) throws {
        let front = try FrontChannel()
        front.backend.page = ListPage(
            items: [Self.item("user/a", state, contentType)], next: nil, shardCount: 64, missing: [])
        let text = try front.ask(Self.list("user?values=true")).text
        #expect(text.contains("37.123Z\",\(member)}],\"cursor\":null,"))
    }

    @Test func textThatIsNotUTF8() {
        let record = StoredRecord(
            version: Position(9), updatedAt: FakeBackend.updatedAt, expiresAt: nil,
            contentType: Array("text/plain".utf8), state: [0xC3, 0x28] as [UInt8])
        var text = ByteBuffer()
        text.writeValueMember(record)
        #expect(String(buffer: text) == #","base64":"wyg=""#)
    }

    @Test func requireFull() throws {
        let front = try FrontChannel()
        #expect(try front.ask(Self.list("user?require=full")).status == 200)
        front.backend.page.missing = [ShardID(3), ShardID(17)]
        #expect(try front.ask(Self.list("user")).status == 200)
        let response = try front.ask(Self.list("user?require=full"))
        #expect(response.status == 503)
        #expect(response["Retry-After"] != nil)
        #expect(response.text.contains("shard-unavailable"))
        #expect(response.text.contains("3, 17"))
    }

    static let refusedQueries = [
        "limit=0", "limit=1001", "limit=-1", "limit=", "limit=x", "values=yes", "values=", "require=some", "cursor=",
        "cursor=AAAA", "cursor=!", "x=1", "limit=1&limit=1", "prefix=%", "prefix=%f", "limit", "Limit=1",
    ]

    @Test(arguments: refusedQueries)
    func refusesQueries(query: String) throws {
        let front = try FrontChannel()
        let response = try front.ask(Self.list("user?\(query)"))
        #expect(response.status == 400)
        #expect(response.text.contains("urn:keystead:error:bad-request"))
        #expect(front.backend.lists.isEmpty)
    }

    @Test func cursorsRoundTripAndNoOtherTextIsOne() throws {
        var generator = SplitMix64(seed: 11)
        for _ in 0..<200 {
            let key = (0..<generator.below(60)).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
            let cursor = ListCursor(ringHash: generator.next(), keyBytes: key)
            var text = CursorText.encode(cursor)
            #expect(try CursorText.decode(text) == cursor)
            #expect(text.allSatisfy { ByteClasses.isToken($0) })
            let place = generator.below(text.count)
            text[place] = text[place] == UInt8(ascii: "A") ? UInt8(ascii: "B") : UInt8(ascii: "A")
            #expect(throws: Problem.self) { try CursorText.decode(text) }
        }
    }
}
