internal import NIOCore
internal import PeerWire
internal import Primitives

/// A frame that has come, decoded.
enum InboundFrame {
    /// `nil` for a type of a later version.
    case control(PeerControl?)
    case request(PeerRequest)
    case response(PeerResponse)
    /// A whole frame that this version cannot read.
    case unreadable(PeerFrameType, PeerWireError)
    /// There is no memory for the frame: it is passed over as it comes.
    case tooMuch(PeerFrameType)
}

/// Puts the frames of one connection together. What is decoded is copied out of the socket's buffer once; only a frame
/// that comes in several reads is copied on its way there.
///
/// A frame that is not small is charged as soon as its header is there, before any more of it is kept, with what it is
/// decoded to. On the loop of its account.
struct FrameReader {
    /// The longest frame taken.
    var frameBytesMax: Int
    private let ring: WireRing
    private let memory: MemoryAccount
    /// Whether a frame that there is no memory for is passed over; else it is charged all the same.
    private let mayRefuse: Bool
    private var buffer = ByteBuffer()
    /// Of the frame that is coming.
    private var charge = 0
    /// What is still to come of a frame that is passed over.
    private var passedOver = 0

    /// Room made at once for a frame that has only begun: more only as its bytes come.
    private static let reservedBytesMax = 1 << 20 + 1 << 10

    init(frameBytesMax: Int, ring: WireRing, memory: MemoryAccount, mayRefuse: Bool) {
        self.frameBytesMax = frameBytesMax
        self.ring = ring
        self.memory = memory
        self.mayRefuse = mayRefuse
    }

    mutating func add(_ incoming: ByteBuffer) {
        var incoming = incoming
        if passedOver > 0 {
            let passed = min(passedOver, incoming.readableBytes)
            incoming.moveReaderIndex(forwardBy: passed)
            passedOver -= passed
            // The piece itself is not kept.
            if incoming.readableBytes == 0 { return }
        }
        guard buffer.readableBytes > 0 else {
            buffer = incoming
            return
        }
        buffer.discardReadBytes()
        let header = try? buffer.withUnsafeReadableBytes {
            try PeerFrameHeader($0, frameBytesMax: frameBytesMax)
        }
        if let header { buffer.reserveCapacity(min(header.frameBytes, Self.reservedBytesMax)) }
        buffer.writeBuffer(&incoming)
    }

    private enum Step {
        case incomplete
        /// It is to be charged before more of it is kept.
        case uncharged(PeerFrameHeader)
        case frame(UInt64, Int, InboundFrame)
    }

    /// The next whole frame with its id and its bytes, or one that there is no memory for; `nil` until it has come.
    /// After an error the stream is of no use.
    mutating func next() throws(PeerWireError) -> (id: UInt64, bytes: Int, frame: InboundFrame)? {
        guard passedOver == 0 else { return nil }
        let ring = ring
        let max = frameBytesMax
        let charged = charge
        let read = buffer.withUnsafeReadableBytes { bytes in
            Result { () throws(PeerWireError) -> Step in
                guard let header = try PeerFrameHeader(bytes, frameBytesMax: max) else { return .incomplete }
                if charged == 0, header.frameBytes > Limits.peerSmallFrameBytesMax { return .uncharged(header) }
                guard bytes.count >= header.frameBytes else { return .incomplete }
                let body = try header.body(in: bytes)
                return .frame(header.id, header.frameBytes, Self.decode(header.type, body, ring))
            }
        }
        switch try read.get() {
        case .incomplete:
            compact()
            return nil
        case .uncharged(let header):
            if chargeFrame(header.frameBytes) { return try next() }
            passOver(header.frameBytes)
            return (header.id, header.frameBytes, .tooMuch(header.type))
        case .frame(let id, let count, let frame):
            buffer.moveReaderIndex(forwardBy: count)
            // Memory is not held between frames.
            if buffer.readableBytes == 0 { buffer = ByteBuffer() }
            refund()
            return (id, count, frame)
        }
    }

    /// The connection is over.
    mutating func close() {
        refund()
        buffer = ByteBuffer()
    }

    /// The bytes and what is made of them, until the frame is handed over.
    private mutating func chargeFrame(_ count: Int) -> Bool {
        let bytes = memory.budget.bounds.clamped(2 * count)
        if mayRefuse {
            guard memory.charge(bytes, for: .frames, as: .large) else { return false }
        } else {
            memory.chargeAnyway(bytes, for: .frames)
        }
        charge = bytes
        return true
    }

    private mutating func refund() {
        memory.refund(charge, of: .frames)
        charge = 0
    }

    private mutating func passOver(_ count: Int) {
        let here = min(count, buffer.readableBytes)
        buffer.moveReaderIndex(forwardBy: here)
        if buffer.readableBytes == 0 { buffer = ByteBuffer() }
        passedOver = count - here
    }

    /// A few bytes do not keep the large buffer that they came in.
    private mutating func compact() {
        guard buffer.storageCapacity > 2 * buffer.readableBytes + Limits.receiveBytesMin, charge == 0 else { return }
        buffer = buffer.readableBytes == 0 ? ByteBuffer() : ByteBuffer(bytes: buffer.readableBytesView)
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
