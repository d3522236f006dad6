internal import NIOCore
internal import PeerWire

/// A frame that has come, decoded.
enum InboundFrame {
    /// `nil` for a type of a later version.
    case control(PeerControl?)
    case request(PeerRequest)
    case response(PeerResponse)
    /// A whole frame that this version cannot read.
    case unreadable(PeerFrameType, PeerWireError)
}

/// Puts the frames of one connection together. What is decoded is copied out of the socket's buffer once; only a frame
/// that comes in several reads is copied on its way there.
struct FrameReader {
    /// The longest frame taken.
    var frameBytesMax: Int
    private let ring: WireRing
    private var buffer = ByteBuffer()

    /// Room made at once for a frame that has only begun: more only as its bytes come.
    private static let reservedBytesMax = 1 << 20 + 1 << 10

    init(frameBytesMax: Int, ring: WireRing) {
        self.frameBytesMax = frameBytesMax
        self.ring = ring
    }

    mutating func add(_ incoming: ByteBuffer) {
        guard buffer.readableBytes > 0 else {
            buffer = incoming
            return
        }
        var incoming = incoming
        buffer.discardReadBytes()
        let header = try? buffer.withUnsafeReadableBytes {
            try PeerFrameHeader($0, frameBytesMax: frameBytesMax)
        }
        if let header { buffer.reserveCapacity(min(header.frameBytes, Self.reservedBytesMax)) }
        buffer.writeBuffer(&incoming)
    }

    /// The next whole frame with its id and its bytes; `nil` until it has come. After an error the stream is of no use.
    mutating func next() throws(PeerWireError) -> (id: UInt64, bytes: Int, frame: InboundFrame)? {
        let ring = ring
        let max = frameBytesMax
        let read = buffer.withUnsafeReadableBytes { bytes in
            Result { () throws(PeerWireError) -> (UInt64, Int, InboundFrame)? in
                guard let header = try PeerFrameHeader(bytes, frameBytesMax: max), bytes.count >= header.frameBytes
                else { return nil }
                let body = try header.body(in: bytes)
                return (header.id, header.frameBytes, Self.decode(header.type, body, ring))
            }
        }
        guard let frame = try read.get() else { return nil }
        buffer.moveReaderIndex(forwardBy: frame.1)
        // Memory is not held between frames.
        if buffer.readableBytes == 0 { buffer = ByteBuffer() }
        return (frame.0, frame.1, frame.2)
    }

    private static func decode(
        _ type: PeerFrameType, _ body: UnsafeRawBufferPointer, _ ring: WireRing
    ) -> InboundFrame {
        do throws(PeerWireError) {
            if type.isRequest { return .request(try PeerRequest(type: type, body: body, ring: ring)) }
            if type.isResponse { return .response(try PeerResponse(type: type, body: body, ring: ring)) }
            return .control(type.isControl ? try PeerControl(type: type, body: body) : nil)
        } catch {
            return .unreadable(type, error)
        }
    }
}
