internal import NIOCore
internal import PeerWire
internal import Primitives

/// The writing half of a connection: frames wait for the end of the loop's tick, one after the other in a buffer that
/// is used again and again, and go to the socket together. What the socket has not taken is charged to the loop's
/// account.
// SAFETY: everything here is touched on the connection's event loop only.
final class FrameWriter: @unchecked Sendable {
    /// The channel to write to; what is written while there is none waits for it.
    var context: ChannelHandlerContext?
    /// How often bytes have been handed to the socket.
    private(set) var flushes: UInt64 = 0
    private let eventLoop: any EventLoop
    private var buffer = ByteBuffer()
    private var isFlushScheduled = false
    private let memory: MemoryAccount

    /// A buffer that grew beyond this is given back after use.
    private static let keptBytesMax = 64 << 10
    /// So much does not wait for the end of the tick.
    private static let flushedBytesMin = 256 << 10

    init(eventLoop: any EventLoop, memory: MemoryAccount) {
        self.eventLoop = eventLoop
        self.memory = memory
    }

    func write(_ control: PeerControl, id: UInt64) {
        write(control.frameBytes) { control.encodeFrame(id: id, into: $0) }
    }

    /// Writes a frame of exactly `count` bytes, which `encode` puts at the start of the memory that it is given. It
    /// leaves at the end of the loop's tick.
    func write(_ count: Int, _ encode: (UnsafeMutableRawBufferPointer) -> Int) {
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
        guard let context, buffer.readableBytes > 0 else { return }
        flushes += 1
        let count = buffer.readableBytes
        memory.chargeAnyway(count, for: .frames)
        guard buffer.capacity <= Self.keptBytesMax else {
            let bytes = buffer
            buffer = ByteBuffer()
            return write(bytes, of: count, context)
        }
        context.writeAndFlush(NIOAny(buffer), promise: nil)
        // The socket has mostly taken it by now, and the memory is used again.
        if buffer.modifyIfUniquelyOwned({ $0.clear() }) != nil {
            memory.refund(count, of: .frames)
        } else {
            buffer = ByteBuffer()
            // What is written behind it tells when it is gone.
            write(ByteBuffer(), of: count, context)
        }
    }

    /// By the time `bytes` are written the socket has taken `count` bytes more, or is gone.
    private func write(_ bytes: ByteBuffer, of count: Int, _ context: ChannelHandlerContext) {
        let taken = eventLoop.makePromise(of: Void.self)
        let memory = memory
        taken.futureResult.whenComplete { _ in memory.refund(count, of: .frames) }
        context.writeAndFlush(NIOAny(bytes), promise: taken)
    }
}
