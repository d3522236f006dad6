import HashRing
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import PeerTransport
import PeerWire
import Primitives

/// The other side as bytes: what it says and when is up to the test.
final class RawHandler: ChannelInboundHandler, Sendable {
    typealias InboundIn = ByteBuffer

    struct Frame: Sendable {
        let type: UInt8
        let id: UInt64
        let body: [UInt8]
    }

    private struct State {
        var bytes: [UInt8] = []
        var frames: [Frame] = []
        var isClosed = false
        var channel: (any Channel)?
    }

    private let state = NIOLockedValueBox(State())
    private let onFrame: @Sendable (Frame, any Channel) -> Void

    /// - Parameter onFrame: called for each whole frame, on the channel's loop.
    init(_ onFrame: @escaping @Sendable (Frame, any Channel) -> Void = { _, _ in }) { self.onFrame = onFrame }

    var frames: [Frame] { state.withLockedValue { $0.frames } }
    var isClosed: Bool { state.withLockedValue { $0.isClosed } }
    var channel: (any Channel)? { state.withLockedValue { $0.channel } }

    func handlerAdded(context: ChannelHandlerContext) {
        state.withLockedValue { $0.channel = context.channel }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let new = state.withLockedValue { state -> [Frame] in
            state.bytes += Array(unwrapInboundIn(data).readableBytesView)
            var new: [Frame] = []
            while let frame = Self.cut(&state.bytes) { new.append(frame) }
            state.frames += new
            return new
        }
        for frame in new { onFrame(frame, context.channel) }
    }

    func channelInactive(context: ChannelHandlerContext) { state.withLockedValue { $0.isClosed = true } }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    private static func cut(_ bytes: inout [UInt8]) -> Frame? {
        guard bytes.count >= 20 else { return nil }
        let count = 20 + (0..<4).reduce(0) { $0 | Int(bytes[4 + $1]) << (8 * $1) }
        guard bytes.count >= count else { return nil }
        let id = (0..<8).reduce(UInt64(0)) { $0 | UInt64(bytes[8 + $1]) << UInt64(8 * $1) }
        defer { bytes.removeFirst(count) }
        return Frame(type: bytes[16], id: id, body: Array(bytes[20..<count]))
    }
}

extension Channel {
    func say(_ bytes: [UInt8]) { writeAndFlush(ByteBuffer(bytes: bytes), promise: nil) }
}

/// Listens and lets the test answer frame by frame.
func rawServer(
    _ group: any EventLoopGroup, _ onFrame: @escaping @Sendable (RawHandler.Frame, any Channel) -> Void
) async throws -> (channel: any Channel, address: PeerAddress) {
    let channel = try await ServerBootstrap(group: group)
        .childChannelInitializer { channel in
            channel.eventLoop.makeCompletedFuture {
                try channel.pipeline.syncOperations.addHandler(RawHandler(onFrame))
            }
        }
        .bind(host: "127.0.0.1", port: 0).get()
    let port = channel.localAddress?.port ?? 0
    return (channel, PeerAddress(node: Cluster.node("server"), host: "127.0.0.1", port: port))
}

/// Connects and says a hello unless another first word is given.
func rawClient(
    _ group: any EventLoopGroup, _ server: PeerServer, first: [UInt8]? = nil, autoRead: Bool = true
) async throws -> (channel: any Channel, handler: RawHandler) {
    let handler = RawHandler()
    let channel = try await ClientBootstrap(group: group)
        .channelOption(.autoRead, value: autoRead)
        .channelInitializer { channel in
            channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(handler) }
        }
        .connect(to: server.localAddress).get()
    channel.say(first ?? PeerControl.hello(Cluster.hello("raw")).frame(id: 0))
    return (channel, handler)
}

/// A frame of any type, with a right checksum.
func frame(type: UInt8, id: UInt64, _ body: [UInt8] = []) -> [UInt8] {
    var writer = ByteWriter()
    writer.write(UInt32(body.count))
    writer.write(id)
    writer.write(type)
    writer.write([0, 0, 0])
    writer.write(body)
    var whole = ByteWriter()
    whole.write(CRC32C.checksum(writer.bytes))
    whole.write(writer.bytes)
    return whole.bytes
}
