import Glibc
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

/// An HTTP server on a free port of 127.0.0.1 that answers what a test tells it to, for tests of clients.
public final class ScriptedServer: Sendable {
    /// A request, read whole.
    public struct Request: Sendable {
        public let method: String
        public let uri: String
        public let headers: Fields
        public let body: String
    }

    /// Header fields by name, in any letter case; each may stand more than once.
    public struct Fields: Sendable {
        fileprivate let headers: HTTPHeaders

        public subscript(name: String) -> [String] { headers[name] }
    }

    /// What the server does about a request.
    public enum Reaction: Sendable {
        case answer(Int, [String: String] = [:], String = "")
        /// Closes the connection without an answer.
        case close
        /// A head that promises more than the body sent before the connection closes.
        case cutOff(Int, [String: String] = [:], String)
        /// Never answers.
        case hang
    }

    public typealias Script = @Sendable (Request) -> Reaction
    /// Answers one line of a streamed request body with one line.
    public typealias LineScript = @Sendable (String) -> String

    /// A thread of its own, so that a script which computes does not hold up the client under test.
    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private let channel: any Channel
    private let log: RequestLog

    /// - Parameter lines: where given, `POST /v1/batch` is answered line by line as the lines come in.
    public init(lines: LineScript? = nil, _ script: @escaping Script) async throws {
        let log = RequestLog()
        self.log = log
        self.channel = try await ServerBootstrap(group: group)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline(withErrorHandling: false)
                    try channel.pipeline.syncOperations.addHandler(
                        ScriptHandler(script: script, lines: lines, log: log))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
    }

    public var url: String { "http://127.0.0.1:\(channel.localAddress?.port ?? 0)" }

    /// The requests so far, in the order of their arrival.
    public var requests: [Request] { log.requests }

    public func close() async {
        try? await channel.close()
        try? await group.shutdownGracefully()
    }

    /// Runs `body` with a server, and closes it afterwards.
    public static func run(
        lines: LineScript? = nil, _ script: @escaping Script, _ body: (ScriptedServer) async throws -> Void
    ) async throws {
        let server = try await ScriptedServer(lines: lines, script)
        do {
            try await body(server)
        } catch {
            await server.close()
            throw error
        }
        await server.close()
    }

    /// A URL where nothing listens, and nothing will: a socket holds the port for as long as the process runs.
    public static let deadURL: String = {
        let holder = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = INADDR_LOOPBACK.bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let failed = withUnsafeMutablePointer(to: &address) { address in
            address.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                bind(holder, address, size) != 0 || getsockname(holder, address, &size) != 0
            }
        }
        precondition(holder >= 0 && !failed, "no port to hold: \(errno)")
        return "http://127.0.0.1:\(UInt16(bigEndian: address.sin_port))"
    }()
}

private final class RequestLog: Sendable {
    private let entries = Mutex<[ScriptedServer.Request]>([])

    var requests: [ScriptedServer.Request] { entries.withLock { $0 } }

    func add(_ request: ScriptedServer.Request) { entries.withLock { $0.append(request) } }
}

private final class ScriptHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let script: ScriptedServer.Script
    private let lines: ScriptedServer.LineScript?
    private let log: RequestLog
    private var head: HTTPRequestHead?
    private var body = ByteBuffer()

    init(script: @escaping ScriptedServer.Script, lines: ScriptedServer.LineScript?, log: RequestLog) {
        self.script = script
        self.lines = lines
        self.log = log
    }

    private var isLineByLine: Bool { lines != nil && head?.uri == "/v1/batch" }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            self.head = head
            body.clear()
            if isLineByLine { writeHead(context, 200, [:], length: nil) }
        case .body(var part):
            body.writeBuffer(&part)
            if isLineByLine { answerLines(context) }
        case .end:
            if isLineByLine {
                context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
            } else if let head {
                react(context, head)
            }
        }
    }

    private func answerLines(_ context: ChannelHandlerContext) {
        while let end = body.readableBytesView.firstIndex(of: 0x0A) {
            let length = end - body.readerIndex
            guard let line = body.readString(length: length), body.readBytes(length: 1) != nil else { return }
            let answer = ByteBuffer(string: (lines?(line) ?? "") + "\n")
            context.writeAndFlush(wrapOutboundOut(.body(.byteBuffer(answer))), promise: nil)
        }
    }

    private func react(_ context: ChannelHandlerContext, _ head: HTTPRequestHead) {
        let request = ScriptedServer.Request(
            method: head.method.rawValue, uri: head.uri, headers: .init(headers: head.headers),
            body: String(buffer: body))
        log.add(request)
        switch script(request) {
        case .answer(let status, let fields, let text):
            let isBodiless = status == 204 || status == 304
            writeHead(context, status, fields, length: isBodiless ? nil : text.utf8.count)
            if !text.isEmpty {
                context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: text)))), promise: nil)
            }
            context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        case .close:
            context.close(promise: nil)
        case .cutOff(let status, let fields, let text):
            writeHead(context, status, fields, length: text.utf8.count + 1000)
            context.writeAndFlush(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: text)))), promise: nil)
            context.close(promise: nil)
        case .hang: break
        }
    }

    private func writeHead(_ context: ChannelHandlerContext, _ status: Int, _ fields: [String: String], length: Int?) {
        var head = HTTPResponseHead(version: .http1_1, status: HTTPResponseStatus(statusCode: status))
        for (name, value) in fields { head.headers.add(name: name, value: value) }
        if let length { head.headers.add(name: "Content-Length", value: "\(length)") }
        context.writeAndFlush(wrapOutboundOut(.head(head)), promise: nil)
    }
}
