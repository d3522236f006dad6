internal import NIOCore
internal import Primitives

/// Sizes of the buffers that a socket is read into: small ones, which are kept from read to read, and large ones while
/// reads come full, which nobody keeps. A connection that rests holds one small buffer, whatever it has brought before.
///
/// For channels that read once a turn (`maxMessagesPerRead` 1): only then is no large buffer kept.
struct SteppedReceiving: RecvByteBufferAllocator {
    private static let smallBytes = Limits.receiveBytesMin
    private static let largeBytes = Limits.peerReceiveBytesMax
    private var isLarge = false

    func buffer(allocator: ByteBufferAllocator) -> ByteBuffer {
        allocator.buffer(capacity: isLarge ? Self.largeBytes : Self.smallBytes)
    }

    /// - Returns: whether the buffer for the next read is one that nobody keeps.
    mutating func record(actualReadBytes: Int) -> Bool {
        isLarge = actualReadBytes >= Self.smallBytes
        return isLarge
    }

    func nextBufferSize() -> Int? { isLarge ? nil : Self.smallBytes }
}
