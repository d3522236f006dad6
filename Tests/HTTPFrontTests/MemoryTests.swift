import Entities
import NIOCore
import NIOEmbedded
import Primitives
import Testing

@testable import HTTPFront

/// What a connection holds is charged before it is held, and given back exactly once however it ends.
@Suite struct MemoryTests {
    private let budget = PlainMemory(capacity: 8 << 20)
    private let account: MemoryAccount

    init() { account = MemoryAccount(budget) }

    private func makeFront(_ backend: FakeBackend = FakeBackend()) throws -> FrontChannel {
        try FrontChannel(backend: backend, memory: account)
    }

    private func put(_ id: String, bytes: Int) -> String {
        EntityRouteTests.request("PUT /v1/entities/user/\(id)", body: String(repeating: "x", count: bytes))
    }

    private func get(_ id: String) -> String { EntityRouteTests.request("GET /v1/entities/user/\(id)") }

    /// Nothing but open connections.
    private func isAtRest(connections: Int) -> Bool {
        account.chargedBytes == connections * Limits.memoryConnectionBytes
    }

    // MARK: Refusals

    @Test func aBodyIsChargedByItsLengthBeforeItComes() throws {
        let first = try makeFront()
        let head = "PUT /v1/entities/user/a HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n"
        try first.send(head)
        #expect(account.chargedBytes(for: .requests) >= 1_000_000)
        var fronts: [FrontChannel] = [first]
        var refused: Response?
        while refused == nil, fronts.count < 20 {
            let next = try makeFront()
            fronts.append(next)
            try next.send(head)
            refused = try next.takeResponses().first
        }
        let response = try #require(refused)
        #expect(response.status == 503)
        #expect(response.text.contains("urn:keystead:error:overloaded"))
        #expect(response["Retry-After"] != nil)
        #expect(fronts.count == 7, "three quarters of the budget, in bodies of a megabyte")

        // Small ones still have room.
        let other = try makeFront()
        #expect(try other.ask(put("b", bytes: 10)).status == 204)
        #expect(try other.ask(get("b")).status == 200)
        for front in fronts + [other] { front.channel.close(promise: nil) }
        #expect(account.chargedBytes == 0)
    }

    /// Who waits to be asked for a body that there is no room for is refused and not asked.
    @Test func expectationsAreNotMetBeforeTheCharge() throws {
        account.chargeAnyway(8 << 20, for: .effects)
        let front = try makeFront()
        try front.send(
            "PUT /v1/entities/user/a HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 1000000\r\n\r\n")
        #expect(try front.takeResponses().map(\.status) == [503])
    }

    @Test func aBodyInChunksIsChargedAsItComes() throws {
        account.chargeAnyway(5 << 20, for: .effects)
        let front = try makeFront()
        try front.send("PUT /v1/entities/user/a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
        let chunk = "10000\r\n" + String(repeating: "x", count: 1 << 16) + "\r\n"
        for _ in 0..<8 { try front.send(chunk) }
        #expect(account.chargedBytes(for: .requests) >= 8 << 16)
        for _ in 0..<12 { try front.send(chunk) }
        #expect(try front.takeResponses().map(\.status) == [503])
        #expect(account.chargedBytes(for: .requests) == 0)
        #expect(front.backend.writes.isEmpty)
    }

    @Test func aReadWithoutRoomIsRefusedAndASmallOneIsNot() throws {
        let front = try makeFront()
        front.backend.store("user/large", String(repeating: "x", count: 1 << 20))
        front.backend.store("user/small", "x")
        account.chargeAnyway(6 << 20, for: .effects)
        try front.send(get("large") + get("small"))
        #expect(try front.takeResponses().map(\.status) == [503, 200])
        account.refund(6 << 20, of: .effects)
        #expect(try front.ask(get("large")).status == 200)
        #expect(isAtRest(connections: 1))
    }

    /// A write that has happened is told of, whatever the answer takes.
    @Test func aRepresentationIsAlwaysGiven() throws {
        let front = try makeFront()
        front.backend.isHolding = true
        let document = "\"" + String(repeating: "x", count: 300_000) + "\""
        try front.send(
            EntityRouteTests.request(
                "PATCH /v1/entities/user/a",
                "Content-Type: application/merge-patch+json", "Prefer: return=representation", body: document))
        account.chargeAnyway(8 << 20, for: .effects)
        front.release(0)
        let response = try #require(try front.takeResponses().first)
        #expect(response.status == 200)
        #expect(response.text == document)
        account.refund(8 << 20, of: .effects)
        #expect(isAtRest(connections: 1))
    }

    @Test func aLineOfABatchWithoutRoomIsRefusedByItself() throws {
        let front = try makeFront()
        front.backend.store("user/large", String(repeating: "x", count: 1 << 20))
        account.chargeAnyway(6 << 20, for: .effects)
        let response = try front.ask(
            BatchTests.batch(#"{"op":"get","key":"user/large"}"# + "\n" + #"{"op":"get","key":"user/none"}"#))
        let statuses = response.text.split(separator: "\n").map { $0.prefix(14) }
        #expect(statuses == [#"{"status":503,"#, #"{"status":404,"#])
        account.refund(6 << 20, of: .effects)
        #expect(isAtRest(connections: 1))
    }

    @Test func anUnfinishedLineIsCharged() throws {
        let front = try makeFront()
        try front.send("POST /v1/batch HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
        let chunk = "40000\r\n" + String(repeating: "x", count: 1 << 18) + "\r\n"
        for _ in 0..<6 { try front.send(chunk) }
        #expect(account.chargedBytes(for: .batches) >= 5 << 18)
        account.chargeAnyway(6 << 20, for: .effects)
        for _ in 0..<6 { try front.send(chunk) }
        #expect(account.chargedBytes(for: .batches) <= FrontLimits.bodyChargeBytes)
        try front.send("1\r\n\n\r\n0\r\n\r\n")
        let response = try #require(try front.takeResponses().first)
        #expect(response.text.hasPrefix(#"{"status":503,"#))
        account.refund(6 << 20, of: .effects)
        #expect(isAtRest(connections: 1))
    }

    @Test func connectionsAreCharged() throws {
        account.chargeAnyway(8 << 20, for: .effects)
        let front = try makeFront()
        #expect(try front.takeResponses().map(\.status) == [503])
        front.channel.close(promise: nil)
        #expect(account.chargedBytes(for: .connections) == 0)
    }

    // MARK: A client that does not read

    /// One answer that is larger than the bound, and nothing behind it is even decoded.
    @Test func holdsOneLargeAnswer() throws {
        let front = try makeFront()
        front.backend.store("user/a", String(repeating: "x", count: 1 << 20))
        front.backend.isHolding = true
        try front.send(String(repeating: get("a"), count: 40))
        #expect(front.backend.heldCount == 8, "what reads bring is not known yet")
        front.release(0)
        #expect(account.chargedBytes(for: .requests) < 1 << 20)
        let count = front.backend.reads.count
        #expect(count <= 9)
        while front.backend.heldCount > 0 { front.release(0) }
        #expect(try front.takeResponses().count == 40)
        #expect(isAtRest(connections: 1))
    }

    @Test func readsAreTakenToBeAsLargeAsTheLast() throws {
        let front = try makeFront()
        front.backend.store("user/a", String(repeating: "x", count: 1 << 20))
        _ = try front.ask(get("a"))
        front.backend.isHolding = true
        try front.send(String(repeating: get("a"), count: 10))
        #expect(front.backend.heldCount == 1)
        while front.backend.heldCount > 0 { front.release(0) }
        #expect(try front.takeResponses().count == 10)
    }

    @Test func listsAreMadeOneAfterTheOther() throws {
        let front = try makeFront()
        front.backend.isHolding = true
        try front.send(String(repeating: ListTests.list("user?values=true"), count: 5))
        #expect(front.backend.lists.count == 1)
        front.release(0)
        #expect(front.backend.lists.count == 2)
        while front.backend.heldCount > 0 { front.release(0) }
        #expect(try front.takeResponses().count == 5)
    }

    /// Text that is several times as long as its values ends the page, and the cursor goes on behind the last item.
    @Test func aPageEndsWhereItsTextIsLong() throws {
        let front = try FrontChannel(memory: account, pageTextBytesMax: 10_000)
        let items = (0..<10).map { ListTests.item("user/\($0)", String(repeating: "\u{1}", count: 1000), "text/plain") }
        front.backend.page = ListPage(items: items, next: nil, shardCount: 64, missing: [])
        let response = try front.ask(ListTests.list("user?values=true"))
        #expect(response.text.count { $0 == "{" } == 4, "two items, and the two objects around them")
        let next = ListCursor(
            ringHash: try EntityKey(plain: Array("user/1".utf8)[...], seed: front.backend.ringSeed).ringHash,
            keyBytes: Array("user/1".utf8))
        #expect(response.text.contains(String(decoding: CursorText.encode(next), as: UTF8.self)))
        #expect(isAtRest(connections: 1))
    }

    // MARK: Ends

    /// A request that the backend still has when its connection is gone stays charged until it is answered.
    @Test func whatTheBackendHoldsOutlivesTheConnection() throws {
        let front = try makeFront()
        front.backend.isHolding = true
        try front.send(put("a", bytes: 100_000) + put("b", bytes: 200_000) + get("a"))
        front.release(1)
        front.channel.close(promise: nil)
        front.channel.embeddedEventLoop.run()
        #expect(account.chargedBytes(for: .connections) == 0)
        #expect(account.chargedBytes(for: .requests) >= 100_000)
        #expect(account.chargedBytes(for: .requests) < 200_000)
        front.release(0, 1)
        #expect(account.chargedBytes == 0)
    }

    @Test func whatADeadlineAnsweredStaysCharged() throws {
        let front = try makeFront()
        front.backend.isHolding = true
        try front.send(put("a", bytes: 100_000) + get("b"))
        front.advance(seconds: Int64(Limits.requestSecondsMax) + 1)
        #expect(try front.takeResponses().map(\.status) == [504, 503])
        #expect(account.chargedBytes(for: .requests) >= 100_000)
        front.release(0, 1)
        #expect(isAtRest(connections: 1))
    }

    /// Any traffic, cut off anywhere: when the backend has answered all, nothing is charged.
    @Test func everyEndGivesEverythingBack() throws {
        var generator = SplitMix64(seed: 23)
        for round in 0..<40 {
            let backend = FakeBackend()
            backend.requestsMayOvertake = generator.below(2) == 0
            backend.store("user/a", String(repeating: "x", count: 40_000))
            backend.isHolding = generator.below(3) > 0
            let front = try makeFront(backend)
            var bytes: [UInt8] = []
            for _ in 0..<(1 + generator.below(8)) { bytes += Array(traffic(&generator).utf8) }
            let cut = generator.below(3) == 0 ? bytes.count : generator.below(bytes.count)
            var sent = 0
            while sent < cut {
                let next = min(cut, sent + 1 + generator.below(50_000))
                try front.send(Array(bytes[sent..<next]))
                sent = next
                if backend.heldCount > 0, generator.below(2) == 0 { front.release(generator.below(backend.heldCount)) }
            }
            switch generator.below(4) {
            case 0: front.endInput()
            case 1: front.drain()
            case 2: front.advance(seconds: Int64(generator.below(80)))
            default: break
            }
            _ = try front.takeFlushes()
            front.channel.close(promise: nil)
            front.channel.embeddedEventLoop.run()
            while backend.heldCount > 0 { front.release(generator.below(backend.heldCount)) }
            for use in MemoryUse.allCases {
                #expect(account.chargedBytes(for: use) == 0, "round \(round), \(use)")
            }
        }
    }

    private func traffic(_ generator: inout SplitMix64) -> String {
        switch generator.below(7) {
        case 0: get("a")
        case 1: put("b", bytes: generator.below(40_000))
        case 2: ListTests.list("user?values=true")
        case 3:
            BatchTests.batch(
                #"{"op":"get","key":"user/a"}"# + "\n" + #"{"op":"put","key":"user/c","text":"x"}"# + "\n"
                    + String(repeating: "y", count: generator.below(40_000)))
        case 4:
            "PUT /v1/entities/user/d HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n10000\r\n"
                + String(repeating: "x", count: 1 << 16) + "\r\n0\r\n\r\n"
        case 5: "PUT /v1/entities/user/e HTTP/1.1\r\nHost: h\r\nContent-Length: 90000000\r\n\r\n"
        default: get("none")
        }
    }
}
