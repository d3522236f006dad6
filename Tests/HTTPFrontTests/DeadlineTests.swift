import Entities
import NIOCore
import Primitives
import Testing

@testable import HTTPFront

/// The deadlines of a connection, on the embedded loop's time.
@Suite struct DeadlineTests {
    private let get = EntityRouteTests.request("GET /v1/entities/user/a")
    private let putHead = "PUT /v1/entities/user/a HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n"

    @Test func idleConnectionsClose() throws {
        let fresh = try FrontChannel()
        fresh.advance(seconds: 59)
        #expect(fresh.isOpen)
        fresh.advance(seconds: 1)
        #expect(!fresh.isOpen)
        #expect(try fresh.takeFlushes().isEmpty)

        let used = try FrontChannel()
        used.advance(seconds: 50)
        #expect(try used.ask(get).status == 404)
        used.advance(seconds: 59)
        #expect(used.isOpen)
        used.advance(seconds: 1)
        #expect(!used.isOpen)
        #expect(used.loop.counters.timedOut(.idle) == 1)
    }

    /// The deadline counts from the head's first byte, however steadily bytes keep coming.
    @Test func slowHeads() throws {
        let front = try FrontChannel()
        front.advance(seconds: 30)
        for byte in get.utf8.prefix(9) {
            try front.send([byte])
            front.advance(seconds: 1)
        }
        #expect(front.isOpen)
        front.advance(seconds: 1)
        #expect(try front.takeResponses().map(\.status) == [400])
        #expect(!front.isOpen)
        #expect(front.loop.counters.timedOut(.header) == 1)
    }

    @Test func slowHeadsBehindAnAnswer() throws {
        let front = try FrontChannel()
        try front.send(get + "GET")
        #expect(try front.takeResponses().count == 1)
        front.advance(seconds: 9)
        #expect(front.isOpen)
        front.advance(seconds: 1)
        #expect(!front.isOpen)
    }

    @Test func slowBodies() throws {
        let front = try FrontChannel()
        try front.send(putHead)
        front.advance(seconds: 9)
        #expect(front.isOpen)
        front.advance(seconds: 1)
        #expect(try front.takeResponses().map(\.status) == [400])
        #expect(!front.isOpen)
        #expect(front.loop.counters.timedOut(.body) == 1)
        #expect(front.backend.writes.isEmpty)
    }

    /// One KiB a second is enough, and a burst at the start does not pay for silence later.
    @Test func bodyRate() throws {
        let front = try FrontChannel()
        try front.send(putHead + String(repeating: "x", count: 20_000))
        for _ in 0..<20 {
            front.advance(seconds: 1)
            try front.send(String(repeating: "x", count: 1024))
        }
        #expect(front.isOpen)
        front.advance(seconds: 20)
        #expect(!front.isOpen)
    }

    /// A body that we do not read is not slow.
    @Test func pausedBodies() throws {
        let front = try FrontChannel()
        try front.send(putHead)
        front.socketHasRoom(false)
        front.advance(seconds: 25)
        #expect(front.isOpen)
        front.socketHasRoom(true)
        front.advance(seconds: 20)
        #expect(!front.isOpen)
    }

    @Test func unansweredRequests() throws {
        let front = try FrontChannel()
        front.backend.isHolding = true
        try front.send(get + EntityRouteTests.request("PUT /v1/entities/user/a", body: "x"))
        front.advance(seconds: 29)
        try front.send(EntityRouteTests.request("DELETE /v1/entities/user/a"))
        #expect(try front.takeFlushes().isEmpty)
        front.advance(seconds: 1)
        let responses = try front.takeResponses()
        #expect(responses.map(\.status) == [503, 504])
        #expect(responses[0].text.contains("\"applied\":\"no\",\"retry\":\"safe\""))
        #expect(responses[1].text.contains("urn:keystead:error:outcome-unknown"))
        #expect(responses[1].text.contains("\"applied\":\"unknown\",\"retry\":\"with-key\""))
        #expect(responses.map { $0["Keystead-Position"] } == ["3:100", "3:100"])

        // The late answers of those two are dropped; the third is in time.
        front.release(0, 1)
        #expect(try front.takeFlushes().isEmpty)
        front.release(0)
        #expect(try front.takeResponses().map(\.status) == [204])
        #expect(front.isOpen)
        #expect(front.loop.counters.timedOut(.request) == 2)
    }

    /// An answer behind one that is missing waits no longer than the missing one may take.
    @Test func answersBehindAMissingOne() throws {
        let front = try FrontChannel()
        front.backend.isHolding = true
        try front.send(EntityRouteTests.request("PUT /v1/entities/user/a", body: "x") + get)
        front.release(1)
        front.advance(seconds: 30)
        let statuses = try front.takeResponses().map(\.status)
        #expect(statuses == [504, 404])
    }

    @Test func stalledResponses() throws {
        let gate = FlushGate()
        let front = try FrontChannel(before: [gate])
        gate.isShut = true
        try front.send(get)
        front.advance(seconds: 29)
        #expect(front.isOpen)
        front.advance(seconds: 7)
        #expect(!front.isOpen)
        #expect(front.loop.counters.timedOut(.stalledResponse) == 1)
    }

    /// The last answer of a connection has as much time as any other.
    @Test func slowLastAnswers() throws {
        let gate = FlushGate()
        let front = try FrontChannel(before: [gate])
        gate.isShut = true
        try front.send(EntityRouteTests.request("GET /v1/entities/user/a", "Connection: close"))
        front.advance(seconds: 20)
        #expect(front.isOpen)
        gate.open()
        #expect(try front.takeResponses().map(\.status) == [404])
        #expect(!front.isOpen)
    }

    /// A client that reads slowly but reads is not stalled.
    @Test func slowReaders() throws {
        let gate = FlushGate()
        let front = try FrontChannel(before: [gate])
        gate.isShut = true
        for _ in 0..<10 {
            try front.send(get)
            front.advance(seconds: 10)
            gate.open()
            try front.send(get)
        }
        #expect(front.isOpen)
        #expect(front.loop.counters.timedOut(.stalledResponse) == 0)
    }
}

/// Stands between the front and the socket, and holds what is written back while it is shut.
private final class FlushGate: ChannelOutboundHandler {
    typealias OutboundIn = ByteBuffer

    var isShut = false
    private var context: ChannelHandlerContext?

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func flush(context: ChannelHandlerContext) {
        if !isShut { context.flush() }
    }

    func open() { context?.flush() }
}
