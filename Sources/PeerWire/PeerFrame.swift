internal import Primitives

/// One frame of the peer protocol, version 1. A connection is a sequence of frames in each direction; each begins with
/// a header of 20 bytes (little-endian):
///
/// | offset | bytes | field |
/// | --- | --- | --- |
/// | 0 | 4 | CRC32C of everything after it: bytes 4 ..< 20 + n |
/// | 4 | 4 | n, bytes of the body |
/// | 8 | 8 | request id: the client's, unique among its open requests of the connection; 0 for hello, refuse, bye |
/// | 16 | 1 | type (``PeerFrameType``) |
/// | 17 | 3 | 0 when written, ignored when read |
/// | 20 | n | body, by type |
///
/// The length is bounded before anything is allocated: by `Limits.peerHelloBytesMax` for the first frame of a
/// connection, then by what the reader's hello said. A wrong checksum or a longer frame ends the connection, since
/// nothing after it can be trusted.
///
/// The client speaks first: its hello. The server answers with its own hello, or with a refuse frame and closes. After
/// that the client sends requests and the server answers each with one response under the same id, in any order.
///
/// What a later version may do: add types (an unknown request is answered `refused`, an unknown control frame is
/// ignored, an unknown response counts as lost), and add fields at the end of a body (what is left over is ignored). A
/// flag bit or a value of a tag that a reader does not know could change what the message means, so it refuses the
/// message and does nothing. A later version may add one only for what an older node must not leave out.
public struct PeerFrameHeader: Sendable, Equatable {
    public static let byteCount = 20

    /// Bytes of the body.
    public let bodyBytes: Int
    public let id: UInt64
    public let type: PeerFrameType
    private let checksum: UInt32

    /// What the whole frame takes.
    public var frameBytes: Int { Self.byteCount + bodyBytes }

    /// Reads the header at the start of `bytes`, whatever they are; `nil` where they are fewer than a header.
    public init?(_ bytes: UnsafeRawBufferPointer, frameBytesMax: Int) throws(PeerWireError) {
        guard bytes.count >= Self.byteCount else { return nil }
        checksum = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 0, as: UInt32.self))
        bodyBytes = Int(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 4, as: UInt32.self)))
        id = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
        type = PeerFrameType(rawValue: bytes[16])
        guard frameBytes <= frameBytesMax else {
            throw .frameTooLong(bytes: frameBytes, max: frameBytesMax)
        }
    }

    /// Checks the whole frame, header included, and gives its body where it lies.
    ///
    /// - Parameter frame: at least ``frameBytes`` bytes.
    public func body(in frame: UnsafeRawBufferPointer) throws(PeerWireError) -> UnsafeRawBufferPointer {
        precondition(frame.count >= frameBytes, "the frame is whole")
        let checked = UnsafeRawBufferPointer(rebasing: frame[4..<frameBytes])
        guard CRC32C.checksum(buffer: checked) == checksum else { throw .damaged }
        return UnsafeRawBufferPointer(rebasing: frame[Self.byteCount..<frameBytes])
    }
}

/// What a frame is.
///
/// | type | name | | type | name | | type | name |
/// | --- | --- | --- | --- | --- | --- | --- | --- |
/// | 0x01 | hello | | 0x10 | write | | 0x40 | answer |
/// | 0x02 | refuse | | 0x11 | read | | 0x41 | notOwner |
/// | 0x03 | ping | | 0x12 | list | | 0x42 | refused |
/// | 0x04 | pong | | 0x20 | moveOpen | | 0x50 | manifest |
/// | 0x05 | bye | | 0x21 | moveFetch | | 0x51 | chunk |
/// | | | | 0x22 | movePull | | 0x52 | records |
/// | | | | 0x23 | moveClose | | 0x53 | progress |
/// | | | | 0x24 | moveProgress | | 0x54 | closed |
/// | | | | 0x25 | shards | | 0x55 | shards |
///
/// 0x00 to 0x0F are control frames, 0x10 to 0x3F requests, 0x40 to 0x7F responses; the rest is free.
public struct PeerFrameType: RawRepresentable, Sendable, Hashable {
    public let rawValue: UInt8

    public init(rawValue: UInt8) { self.rawValue = rawValue }

    public var isControl: Bool { rawValue < 0x10 }
    public var isRequest: Bool { (0x10..<0x40).contains(rawValue) }
    public var isResponse: Bool { (0x40..<0x80).contains(rawValue) }

    static let hello = Self(rawValue: 0x01)
    static let refuse = Self(rawValue: 0x02)
    static let ping = Self(rawValue: 0x03)
    static let pong = Self(rawValue: 0x04)
    static let bye = Self(rawValue: 0x05)

    static let write = Self(rawValue: 0x10)
    static let read = Self(rawValue: 0x11)
    static let list = Self(rawValue: 0x12)
    static let moveOpen = Self(rawValue: 0x20)
    static let moveFetch = Self(rawValue: 0x21)
    static let movePull = Self(rawValue: 0x22)
    static let moveClose = Self(rawValue: 0x23)
    static let moveProgress = Self(rawValue: 0x24)
    static let shardsAsked = Self(rawValue: 0x25)

    static let answer = Self(rawValue: 0x40)
    static let notOwner = Self(rawValue: 0x41)
    static let refused = Self(rawValue: 0x42)
    static let manifest = Self(rawValue: 0x50)
    static let chunk = Self(rawValue: 0x51)
    static let records = Self(rawValue: 0x52)
    static let progress = Self(rawValue: 0x53)
    static let closed = Self(rawValue: 0x54)
    static let shards = Self(rawValue: 0x55)
}

/// The body of a frame that can be written.
protocol WireBody {
    var frameType: PeerFrameType { get }
    func write<Output: WireOutput>(to output: inout Output)
}

extension WireBody {
    func countedFrameBytes() -> Int {
        var counter = WireCounter()
        write(to: &counter)
        return PeerFrameHeader.byteCount + counter.count
    }

    /// Header and checksum go in after the body, so nothing is buffered.
    func writeFrame(id: UInt64, into target: UnsafeMutableRawBufferPointer) -> Int {
        var body = WireWriter(target, offset: PeerFrameHeader.byteCount)
        write(to: &body)
        let end = body.offset
        precondition(end - PeerFrameHeader.byteCount <= Int(UInt32.max), "the length of a body is 4 bytes")
        var header = WireWriter(target, offset: 4)
        header.write(UInt32(end - PeerFrameHeader.byteCount))
        header.write(id)
        header.write(frameType.rawValue)
        header.write(UInt8(0))
        header.write(UInt16(0))
        let checked = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(target)[4..<end])
        var checksum = WireWriter(target, offset: 0)
        checksum.write(CRC32C.checksum(buffer: checked))
        return end
    }

    func frameArray(id: UInt64) -> [UInt8] {
        let count = countedFrameBytes()
        return [UInt8](unsafeUninitializedCapacity: count) { buffer, written in
            written = writeFrame(id: id, into: UnsafeMutableRawBufferPointer(buffer))
        }
    }
}
