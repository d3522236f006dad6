import Entities
import NIOCore
import NIOPosix
import Primitives
import Testing

@testable import HTTPFront

/// Listeners on real sockets: what the embedded channel cannot show.
@Suite struct ServerTests {
    static let options = options(connectionsMax: nil)

    private static func options(connectionsMax: Int?) -> HTTPServer.Options {
        var options = shut(connectionsMax: connectionsMax)
        options.door = DoorPolicy(hosts: .any)
        return options
    }

    private static func shut(connectionsMax: Int? = nil) -> HTTPServer.Options {
        HTTPServer.Options(
            wallSeconds: { FrontChannel.wallSeconds }, memory: { _ in MemoryAccount(PlainMemory()) },
            connectionsMax: connectionsMax)
    }

    private let group: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton

    /// Sends all, shuts its side, and returns what came until the server closed. It is sent by the connection's loop: a
    /// test may have to wait for its turn for longer than a server keeps an idle connection.
    private func ask(_ server: HTTPServer, _ bytes: String) async throws -> [UInt8] {
        let answer = group.any().makePromise(of: [UInt8].self)
        let request = ByteBuffer(string: bytes)
        let channel = try await ClientBootstrap(group: group)
            .channelOption(.allowRemoteHalfClosure, value: true)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Collector(request, answer))
                }
            }
            .connect(to: server.localAddress).get()
        let received = try await answer.futureResult.get()
        try? await channel.close()
        return received
    }

    private func serve(connectionsMax: Int? = nil) async throws -> HTTPServer {
        let backend = MemoryBackend()
        return try await HTTPServer.serve(
            backend, on: group, host: "127.0.0.1", port: 0, options: Self.options(connectionsMax: connectionsMax))
    }

    /// Unless something else is said, a listener answers to addresses and to `localhost`, and to no foreign page.
    @Test func doorsAreShutUnlessTheyAreOpened() async throws {
        let server = try await HTTPServer.serve(
            MemoryBackend(), on: group, host: "127.0.0.1", port: 0, options: Self.shut())
        for (field, status) in [("Host: localhost", 404), ("Host: h", 421), ("Host: [::1]\r\nOrigin: http://h", 403)] {
            let bytes = try await ask(server, "GET /v1/entities/k/a HTTP/1.1\r\n\(field)\r\n\r\n")
            let answers = try Response.parse(bytes, toHead: false)
            #expect(answers.map(\.status) == [status], "\(field): \(bytes.count) bytes came")
        }
        await server.shutDown(within: .seconds(5))
    }

    @Test func servesAndCounts() async throws {
        let server = try await serve()
        let put = EntityRouteTests.request("PUT /v1/entities/user/a", body: "hello")
        let get = EntityRouteTests.request("GET /v1/entities/user/a")
        let responses = try Response.parse(try await ask(server, put + get + get), toHead: false)
        #expect(responses.map(\.status) == [204, 200, 200])
        #expect(responses.last?.text == "hello")
        let counters = await server.counters()
        #expect(counters.answered(.get, statusClass: 2) == 2)
        #expect(counters.answered(.put, statusClass: 2) == 1)
        await server.shutDown(within: .seconds(5))
        await #expect(throws: (any Error).self) { try await ask(server, get) }
    }

    /// A client that sends a body to the end before it reads gets the refusal, not a reset.
    @Test func refusalsSurviveABodyThatIsStillComing() async throws {
        let server = try await serve()
        let body = String(repeating: "x", count: 8 << 20)
        let bytes = try await ask(server, EntityRouteTests.request("PUT /v1/entities/user/a", body: body))
        #expect(try Response.parse(bytes, toHead: false).map(\.status) == [413])
        await server.shutDown(within: .seconds(5))
    }

    @Test func refusesConnectionsOverTheCap() async throws {
        let server = try await serve(connectionsMax: 0)
        let bytes = try await ask(server, EntityRouteTests.request("GET /v1/entities/user/a"))
        #expect(try Response.parse(bytes, toHead: false).map(\.status) == [503])
        await server.shutDown(within: .seconds(5))
    }

    /// A batch whose answers are far larger than what the sockets hold streams both ways.
    @Test func longBatches() async throws {
        let server = try await serve()
        let put = "{\"op\":\"put\",\"key\":\"user/a\",\"text\":\"\(String(repeating: "x", count: 5000))\"}\n"
        let get = "{\"op\":\"get\",\"key\":\"user/a\"}\n"
        let bytes = try await ask(server, BatchTests.batch(put + String(repeating: get, count: 3000)))
        let answers = try Response.parse(bytes, toHead: false)
        let response = try #require(answers.first, "of \(bytes.count) bytes that came")
        #expect(response.body.count > 15_000_000)
        #expect(response.body.split(separator: 0x0A).count == 3001)
        await server.shutDown(within: .seconds(5))
    }

    @Test func adminRequests() async throws {
        let server = try await HTTPServer.serveAdmin(
            on: group, host: "127.0.0.1", port: 0, options: Self.options
        ) { request in
            guard request.path != "/refused" else {
                return AdminResponse(Problem(.methodNotAllowed, "no"), fields: [("Allow", "GET")])
            }
            let query = request.query.map { "\($0.name)=\($0.value)" }.joined(separator: ",")
            let text = "\(request.method) \(request.path) \(query) \(String(decoding: request.body, as: UTF8.self))"
            return AdminResponse(status: 200, contentType: "text/plain", body: Array(text.utf8))
        }
        let requests =
            EntityRouteTests.request("GET /livez?a=%20b&c") + EntityRouteTests.request("POST /v1/admin/x", body: "{}")
            + EntityRouteTests.request("GET /refused") + "GET / HTTP/3.0\r\n\r\n"
        let responses = try Response.parse(try await ask(server, requests), toHead: false)
        #expect(responses.map(\.status) == [200, 200, 405, 505])
        #expect(responses[0].text == "GET /livez a= b,c= ")
        #expect(responses[1].text == "POST /v1/admin/x  {}")
        #expect(responses[2]["Allow"] == "GET")
        #expect(responses[2]["Content-Type"] == "application/problem+json")
        await server.shutDown(within: .seconds(5))
    }
}

/// Gives what it read when the peer has ended its side.
private final class Collector: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let request: ByteBuffer
    private var bytes: [UInt8] = []
    private var answer: EventLoopPromise<[UInt8]>?

    init(_ request: ByteBuffer, _ answer: EventLoopPromise<[UInt8]>) {
        self.request = request
        self.answer = answer
    }

    func channelActive(context: ChannelHandlerContext) {
        context.writeAndFlush(wrapOutboundOut(request)).assumeIsolated().whenComplete { _ in
            context.close(mode: .output, promise: nil)
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        bytes += Array(unwrapInboundIn(data).readableBytesView)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .some(.inputClosed) = event as? ChannelEvent { finish() }
    }

    func channelInactive(context: ChannelHandlerContext) { finish() }

    func handlerRemoved(context: ChannelHandlerContext) { finish() }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        answer?.fail(error)
        answer = nil
    }

    private func finish() {
        answer?.succeed(bytes)
        answer = nil
    }
}
