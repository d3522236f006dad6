import NIOCore
import NIOEmbedded
import Primitives
import Serving
import Testing

@testable import HTTPFront

/// A connection of the front on an embedded channel, with a fake backend behind it and time that a test moves.
final class FrontChannel {
    let backend: FakeBackend
    let loop: LoopContext
    let channel: EmbeddedChannel
    private let handler: ConnectionHandler<EntityService<FakeBackend>>

    /// Sun, 06 Nov 1994 08:49:37 GMT
    static let wallSeconds: UInt64 = 784_111_777

    /// - Parameters:
    ///   - memory: an account that several connections may share.
    ///   - pageTextBytesMax: as ``LoopContext/pageTextBytesMax``.
    init(
        backend: FakeBackend = FakeBackend(), connectionsMax: Int = 1, door: DoorPolicy = DoorPolicy(hosts: .any),
        memory: MemoryAccount? = nil, pageTextBytesMax: Int = Limits.listBytesMax, before: [any ChannelHandler] = [],
        clusterID: String? = nil
    ) throws {
        let eventLoop = EmbeddedEventLoop()
        self.backend = backend
        loop = LoopContext(
            eventLoop: eventLoop, number: LoopNumber(0), cap: ConnectionCap(max: connectionsMax), door: door,
            memory: memory ?? MemoryAccount(PlainMemory()), pageTextBytesMax: pageTextBytesMax, seed: 1,
            clusterID: clusterID, wallSeconds: { Self.wallSeconds })
        handler = ConnectionHandler(service: EntityService(backend: backend), loop: loop)
        channel = EmbeddedChannel(handlers: before + [handler], loop: eventLoop)
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
    }

    deinit { _ = try? channel.finish(acceptAlreadyClosed: true) }

    var sink: any ReplySink { handler }

    var isOpen: Bool { channel.isActive }

    func send(_ text: String) throws { try send(Array(text.utf8)) }

    func send(_ bytes: [UInt8]) throws {
        guard channel.isActive else { return }
        try channel.writeInbound(ByteBuffer(bytes: bytes))
        channel.embeddedEventLoop.run()
    }

    func endInput() {
        channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        channel.embeddedEventLoop.run()
    }

    /// Lets a batch that has had its turn go on.
    func nextTurn() { channel.embeddedEventLoop.advanceTime(by: .microseconds(Limits.turnPauseMicroseconds)) }

    func advance(seconds: Int64) { channel.embeddedEventLoop.advanceTime(by: .seconds(seconds)) }

    /// What the socket's queue tells the front.
    func socketHasRoom(_ hasRoom: Bool) {
        channel.isWritable = hasRoom
        channel.pipeline.fireChannelWritabilityChanged()
    }

    func drain() {
        _ = loop.drain()
        channel.embeddedEventLoop.run()
    }

    func release(_ places: Int...) {
        backend.release(places, to: handler)
        channel.embeddedEventLoop.run()
    }

    /// Everything sent since the last call, in the pieces it was flushed in.
    func takeFlushes() throws -> [[UInt8]] {
        var flushes: [[UInt8]] = []
        while let buffer = try channel.readOutbound(as: ByteBuffer.self) {
            if buffer.readableBytes > 0 { flushes.append(Array(buffer.readableBytesView)) }
        }
        return flushes
    }

    func takeResponses(toHead: Bool = false) throws -> [Response] {
        try Response.parse(Array(try takeFlushes().joined()), toHead: toHead)
    }

    /// Sends one request and takes its one answer.
    func ask(_ text: String, toHead: Bool = false) throws -> Response {
        try send(text)
        let responses = try takeResponses(toHead: toHead)
        #expect(responses.count == 1, "one answer to \(text.prefix(200))")
        return try #require(responses.first)
    }
}

/// A response, parsed by rules of its own: just enough to check what the front writes.
struct Response {
    struct Malformed: Error {
        let bytes: String
    }

    var status: Int
    var fields: [(name: String, value: String)]
    var body: [UInt8]

    var text: String { String(decoding: body, as: UTF8.self) }

    subscript(name: String) -> String? {
        fields.first { $0.name.lowercased() == name.lowercased() }?.value
    }

    static func parse(_ bytes: [UInt8], toHead: Bool) throws -> [Response] {
        var rest = bytes[...]
        var responses: [Response] = []
        while !rest.isEmpty { responses.append(try Response(&rest, toHead: toHead)) }
        return responses
    }

    private init(_ rest: inout ArraySlice<UInt8>, toHead: Bool) throws {
        let line = try Self.line(&rest).split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false)
        guard line.count == 3, line[0] == "HTTP/1.1", let status = Int(line[1]) else {
            throw Malformed(bytes: line.joined(separator: " "))
        }
        self.status = status
        fields = []
        body = []
        while true {
            let field = try Self.line(&rest)
            if field.isEmpty { break }
            let parts = field.split(separator: ":", maxSplits: 1)
            guard parts.count == 2, parts[1].first == " " else { throw Malformed(bytes: field) }
            fields.append((String(parts[0]), String(parts[1].dropFirst())))
        }
        if status == 100 || status == 204 || status == 304 || toHead { return }
        if self["Transfer-Encoding"] == "chunked" {
            try readChunks(&rest)
        } else if let length = self["Content-Length"].flatMap({ Int($0) }) {
            guard rest.count >= length else { throw Malformed(bytes: "body too short") }
            body = Array(rest.prefix(length))
            rest = rest.dropFirst(length)
        } else {
            body = Array(rest)
            rest = []
        }
    }

    private mutating func readChunks(_ rest: inout ArraySlice<UInt8>) throws {
        while true {
            guard let size = Int(try Self.line(&rest), radix: 16), rest.count >= size + 2 else {
                throw Malformed(bytes: "chunk")
            }
            body += rest.prefix(size)
            rest = rest.dropFirst(size)
            guard try Self.line(&rest).isEmpty else { throw Malformed(bytes: "chunk end") }
            if size == 0 { return }
        }
    }

    private static func line(_ rest: inout ArraySlice<UInt8>) throws -> String {
        guard let end = rest.indices.first(where: { rest[$0...].starts(with: [0x0D, 0x0A]) }) else {
            throw Malformed(bytes: String(decoding: rest.prefix(200), as: UTF8.self))
        }
        defer { rest = rest[(end + 2)...] }
        return String(decoding: rest[..<end], as: UTF8.self)
    }
}
