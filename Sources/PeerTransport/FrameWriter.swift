internal import NIOCore
internal import PeerWire

/// The writing half of a connection: frames wait for the end of the loop's tick, one after the other in a buffer that
/// is used again and again, and go to the socket together.
// SAFETY: everything here is touched on the connection's event loop only.
final class FrameWriter: @unchecked Sendable {
    /// The channel to write to; what is written while there is none waits for it.
    var context: ChannelHandlerContext?
    /// How often bytes have been handed to the socket.
    private(set) var flushes: UInt64 = 0
    private let eventLoop: any EventLoop
    private var buffer = ByteBuffer()
    private var isHandedOver = false
    private var isFlushScheduled = false

    /// A buffer that grew beyond this is given back after use.
    private static let keptBytesMax = 256 << 10
    /// So much does not wait for the end of the tick.
    private static let flushedBytesMin = 256 << 10

    init(eventLoop: any EventLoop) { self.eventLoop = eventLoop }

    func write(_ control: PeerControl, id: UInt64) {
        write(control.frameBytes) { control.encodeFrame(id: id, into: $0) }
    }

    /// Writes a frame of exactly `count` bytes, which `encode` puts at the start of the memory that it is given. It
    /// leaves at the end of the loop's tick.
    func write(_ count: Int, _ encode: (UnsafeMutableRawBufferPointer) -> Int) {
        if isHandedOver {
            isHandedOver = false
            // By now the socket has mostly let go of it, and then clearing keeps its memory.
            if buffer.capacity > Self.keptBytesMax { buffer = ByteBuffer() } else { buffer.clear() }
        }
        let written = buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: count, encode)
        precondition(written == count, "a frame has as many bytes as were counted")
        guard buffer.readableBytes < Self.flushedBytesMin else { return flush() }
        guard !isFlushScheduled else { return }
        isFlushScheduled = true
        eventLoop.execute {
            self.isFlushScheduled = false
            self.flush()
        }
    }

    /// Hands what has been written to the socket now.
    func flush() {
        guard let context, !isHandedOver, buffer.readableBytes > 0 else { return }
        isHandedOver = true
        flushes += 1
        context.writeAndFlush(NIOAny(buffer), promise: nil)
    }
}
