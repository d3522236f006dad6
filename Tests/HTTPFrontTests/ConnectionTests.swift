import Entities
import NIOCore
import Primitives
import Testing

@testable import HTTPFront

/// One connection: order, keep-alive, `Expect`, limits of bodies, ends.
@Suite struct ConnectionTests {
    private func get(_ id: String, _ fields: String...) -> String {
        var text = "GET /v1/entities/user/\(id) HTTP/1.1\r\nHost: h\r\n"
        for field in fields { text += field + "\r\n" }
        return text + "\r\n"
    }

    private func put(_ id: String, _ body: String) -> String {
        EntityRouteTests.request("PUT /v1/entities/user/\(id)", body: body)
    }

    // MARK: Order

    @Test func pipelinedAnswersLeaveInOrderAndInOneFlush() throws {
        let front = try FrontChannel()
        front.backend.store("user/a", "one")
        try front.send(get("a") + put("b", "two") + get("b") + get("c"))
        let flushes = try front.takeFlushes()
        #expect(flushes.count == 1)
        let responses = try Response.parse(Array(flushes.joined()), toHead: false)
        #expect(responses.map(\.status) == [200, 204, 200, 404])
        #expect(responses[2].text == "two")
    }

    @Test func lateAnswersWaitForTheirTurn() throws {
        let front = try FrontChannel()
        front.backend.store("user/a", "one")
        front.backend.isHolding = true
        try front.send(get("a") + put("b", "two") + get("c"))
        front.release(2, 1)
        #expect(try front.takeFlushes().isEmpty)
        front.release(0)
        #expect(try front.takeFlushes().count == 1)
    }

    /// Any order of answers gives the order of requests.
    @Test func everyOrderOfAnswers() throws {
        var generator = SplitMix64(seed: 5)
        for _ in 0..<50 {
            let front = try FrontChannel()
            front.backend.isHolding = true
            for id in 0..<8 { front.backend.store("user/\(id)", "\(id)") }
            try front.send((0..<8).map { get("\($0)") }.joined())
            while front.backend.heldCount > 0 {
                front.backend.release([generator.below(front.backend.heldCount)], to: front.sink)
            }
            #expect(try front.takeResponses().map(\.text) == (0..<8).map { "\($0)" })
        }
    }

    /// Where requests may overtake each other, one waits for those before it on its entity, unless both read.
    @Test func requestsOnOneEntityWaitForEachOther() throws {
        let front = try FrontChannel()
        front.backend.isHolding = true
        front.backend.requestsMayOvertake = true
        try front.send(get("a") + get("a") + put("b", "1") + put("a", "2") + put("c", "3") + get("a"))
        #expect(front.backend.reads.count == 2 && front.backend.writes.count == 1, "the rest waits")
        front.release(2, 0)
        #expect(front.backend.writes.count == 1, "a read before it is still under way")
        front.release(0)
        #expect(front.backend.writes.count == 3 && front.backend.reads.count == 2)
        front.release(0)
        front.release(0, 1)
        #expect(try front.takeResponses().map(\.status) == [404, 404, 204, 204, 204, 200])
    }

    /// One that waits when the node begins to stop is run, and is the last.
    @Test func heldRequestsAreAnsweredWhenTheNodeStops() throws {
        let front = try FrontChannel()
        front.backend.isHolding = true
        front.backend.requestsMayOvertake = true
        try front.send(put("a", "1") + put("a", "2") + put("a", "3"))
        front.drain()
        front.release(0)
        front.release(0)
        let responses = try front.takeResponses()
        #expect(responses.map(\.status) == [204, 204])
        #expect(front.backend.writes.count == 2 && !front.isOpen)
    }

    /// One that waits behind a write that comes to its deadline is run then.
    @Test func heldRequestsOutliveADeadline() throws {
        let front = try FrontChannel()
        front.backend.isHolding = true
        front.backend.requestsMayOvertake = true
        try front.send(put("a", "1") + get("a"))
        front.advance(seconds: Int64(Limits.requestSecondsMax) + 1)
        #expect(front.backend.reads.count == 1)
        front.release(1)
        #expect(try front.takeResponses().map(\.status) == [504, 404])
    }

    @Test func boundsRequestsInFlight() throws {
        let front = try FrontChannel()
        front.backend.isHolding = true
        let delete = EntityRouteTests.request("DELETE /v1/entities/user/a")
        try front.send(String(repeating: delete, count: 200))
        #expect(front.backend.heldCount == Limits.pipelinedRequestsMax)
        front.release(1)
        #expect(front.backend.heldCount == Limits.pipelinedRequestsMax - 1)
        front.release(0)
        #expect(front.backend.heldCount == Limits.pipelinedRequestsMax)
        while front.backend.heldCount > 0 { front.release(0) }
        #expect(try front.takeResponses().count == 200)
    }

    @Test func boundsBytesInFlight() throws {
        let front = try FrontChannel()
        front.backend.isHolding = true
        let body = String(repeating: "x", count: 1 << 20)
        for _ in 0..<12 { try front.send(put("a", body)) }
        #expect(front.backend.heldCount == 8)
        while front.backend.heldCount > 0 { front.release(0) }
        #expect(try front.takeResponses().count == 12)
    }

    /// A client that does not read its answers is not read from.
    @Test func stopsWhereTheSocketIsFull() throws {
        let front = try FrontChannel()
        front.socketHasRoom(false)
        try front.send(get("a"))
        #expect(front.backend.reads.isEmpty)
        front.socketHasRoom(true)
        #expect(try front.takeResponses().map(\.status) == [404])
    }

    // MARK: Keep-alive and closing

    @Test func closesWhenAsked() throws {
        let front = try FrontChannel()
        try front.send(get("a") + get("b", "Connection: close") + get("c"))
        let responses = try front.takeResponses()
        #expect(responses.count == 2)
        #expect(responses[0]["Connection"] == nil)
        #expect(responses[1]["Connection"] == "close")
        #expect(!front.isOpen)
        #expect(front.backend.reads.count == 2)
    }

    @Test func oldVersion() throws {
        let closing = try FrontChannel()
        #expect(try closing.ask("GET /v1/entities/user/a HTTP/1.0\r\n\r\n")["Connection"] == "close")
        #expect(!closing.isOpen)
        let kept = try FrontChannel()
        let request = "GET /v1/entities/user/a HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"
        #expect(try kept.ask(request)["Connection"] == "keep-alive")
        #expect(try kept.ask(request)["Connection"] == "keep-alive")
        #expect(kept.isOpen)
    }

    @Test func answersAfterTheClientShutItsSide() throws {
        let front = try FrontChannel()
        front.backend.isHolding = true
        try front.send(put("a", "x") + get("b"))
        front.endInput()
        #expect(front.isOpen)
        front.release(0, 1)
        #expect(try front.takeResponses().map(\.status) == [204, 404])
        #expect(!front.isOpen)
    }

    @Test(arguments: ["GET / HT", "PUT /v1/entities/user/a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nab"])
    func refusesWhatEndsEarly(request: String) throws {
        let front = try FrontChannel()
        try front.send(request)
        front.endInput()
        #expect(try front.takeResponses().map(\.status) == [400])
        #expect(!front.isOpen)
        #expect(front.backend.writes.isEmpty)
    }

    @Test func refusalsComeInOrderAndEndTheConnection() throws {
        let front = try FrontChannel()
        front.backend.isHolding = true
        try front.send(put("a", "x") + "GET /\n" + get("b"))
        #expect(try front.takeFlushes().isEmpty)
        front.release(0)
        let responses = try front.takeResponses()
        #expect(responses.map(\.status) == [204, 400])
        #expect(responses.map { $0["Connection"] } == [nil, "close"])
        #expect(front.backend.reads.isEmpty)
        #expect(!front.isOpen)
    }

    @Test func drains() throws {
        let idle = try FrontChannel()
        idle.drain()
        #expect(!idle.isOpen)

        let busy = try FrontChannel()
        busy.backend.isHolding = true
        try busy.send(put("a", "x") + get("b"))
        busy.drain()
        #expect(busy.isOpen)
        try busy.send(get("c"))
        busy.release(0, 1)
        let responses = try busy.takeResponses()
        #expect(responses.map(\.status) == [204, 404])
        #expect(responses[1]["Connection"] == "close")
        #expect(!busy.isOpen)

        let receiving = try FrontChannel()
        let request = put("a", "hello")
        try receiving.send(String(request.dropLast(2)))
        receiving.drain()
        let response = try receiving.ask(String(request.suffix(2)))
        #expect(response.status == 204)
        #expect(response["Connection"] == "close")
        #expect(!receiving.isOpen)
    }

    @Test func refusesConnectionsOverTheCap() throws {
        let front = try FrontChannel(connectionsMax: 0)
        let response = try #require(try front.takeResponses().first)
        #expect(response.status == 503)
        #expect(response.text.contains("overloaded"))
        #expect(response["Connection"] == "close")
        #expect(!front.isOpen)
        #expect(front.loop.counters.connectionsRefused == 1)
    }

    // MARK: Bodies

    @Test func continuesWhenAsked() throws {
        let front = try FrontChannel()
        let head = "PUT /v1/entities/user/a HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
        #expect(try front.ask(head).status == 100)
        #expect(try front.ask("abc").status == 204)
        #expect(try front.ask(head + "abc").status == 204)
        #expect(try front.ask(head.replacing("1.1", with: "1.0") + "abc").status == 204)
    }

    @Test func continuesOnlyInTurn() throws {
        let front = try FrontChannel()
        front.backend.isHolding = true
        let put = EntityRouteTests.request("PUT /v1/entities/user/a", "Expect: 100-continue", "Content-Length: 3")
        try front.send(get("b") + put)
        #expect(try front.takeFlushes().isEmpty)
        front.release(0)
        #expect(try front.takeResponses().map(\.status) == [404, 100])
    }

    /// A client that waits for 100 may or may not send the body of what was refused, so nothing after it is trusted.
    @Test func neverContinuesWhatIsRefused() throws {
        for field in ["Idempotency-Key: a b", "Content-Type: \(String(repeating: "x", count: 300))"] {
            let front = try FrontChannel()
            let response = try front.ask(
                EntityRouteTests.request(
                    "PUT /v1/entities/user/a", field, "Expect: 100-continue", "Content-Length: 3"))
            #expect(response.status == 400)
            #expect(response["Connection"] == "close")
            #expect(!front.isOpen)
        }
    }

    @Test func refusedBodiesArePassedOver() throws {
        let front = try FrontChannel()
        try front.send(
            EntityRouteTests.request("PUT /v1/entities/user/a?x=1", body: get("smuggled")) + get("b"))
        #expect(try front.takeResponses().map(\.status) == [400, 404])
        #expect(front.backend.reads.map { Array($0.key.id) } == [Array("b".utf8)])
    }

    @Test func boundsBodies() throws {
        let front = try FrontChannel()
        front.backend.limits.entityBytesMax = 10
        #expect(try front.ask(put("a", "0123456789")).status == 204)
        try front.send(EntityRouteTests.request("PUT /v1/entities/user/a", "Transfer-Encoding: chunked"))
        try front.send("6\r\n012345\r\n")
        #expect(try front.takeFlushes().isEmpty)
        let response = try front.ask("6\r\n012345\r\n0\r\n\r\n" + get("a"))
        #expect(response.status == 413)
        #expect(response["Keystead-Position"] == "3:101")
        #expect(response["Connection"] == "close")
        #expect(!front.isOpen)
        #expect(front.backend.writes.count == 1)
        #expect(front.backend.reads.isEmpty)
    }

    // MARK: Counters

    @Test func counts() throws {
        let front = try FrontChannel()
        let requests = put("a", "x") + get("a") + get("b") + "GET /\n"
        try front.send(requests)
        let bytesOut = try front.takeFlushes().map(\.count).reduce(0, +)
        let counters = front.loop.counters
        #expect(counters.answered(.put, statusClass: 2) == 1)
        #expect(counters.answered(.get, statusClass: 2) == 1)
        #expect(counters.answered(.get, statusClass: 4) == 1)
        #expect(counters.answered(.other, statusClass: 4) == 1)
        #expect(counters.refused(.notFound) == 1)
        #expect(counters.refused(.badRequest) == 1)
        #expect(counters.bytesIn == UInt64(requests.utf8.count))
        #expect(counters.bytesOut == UInt64(bytesOut))
        #expect(counters.connectionsAccepted == 1)
        #expect(counters.connectionsClosed == 1)
    }
}
