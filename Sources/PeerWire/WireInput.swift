internal import Entities
internal import Primitives

/// Reads a message, little-endian, out of memory that outlives the reader. Whatever the bytes are, nothing traps, and
/// nothing is allocated for more than the bytes that are there: a length or a count that they cannot hold is
/// ``PeerWireError/malformed(_:)``.
///
/// Numbers are checked as they are read: a shard is one of the ring's, positions and epochs stay below
/// `Limits.counterMax`, times below `Limits.timeMillisecondsMax`.
struct WireInput {
    private let bytes: UnsafeRawBufferPointer
    let ring: WireRing
    private(set) var offset = 0

    init(_ bytes: UnsafeRawBufferPointer, ring: WireRing = .none) {
        self.bytes = bytes
        self.ring = ring
    }

    var remaining: Int { bytes.count - offset }

    mutating func uint8() throws(PeerWireError) -> UInt8 { try integer() }
    mutating func uint16() throws(PeerWireError) -> UInt16 { try integer() }
    mutating func uint32() throws(PeerWireError) -> UInt32 { try integer() }
    mutating func uint64() throws(PeerWireError) -> UInt64 { try integer() }

    /// The next `count` bytes where they lie.
    mutating func raw(_ count: Int) throws(PeerWireError) -> UnsafeRawBufferPointer {
        guard count <= remaining else { throw .malformed("it ends early") }
        defer { offset += count }
        return UnsafeRawBufferPointer(rebasing: bytes[offset..<(offset + count)])
    }

    mutating func array(_ count: Int) throws(PeerWireError) -> [UInt8] { Array(try raw(count)) }

    /// A 4-byte length and as many bytes, copied.
    mutating func longArray() throws(PeerWireError) -> [UInt8] { try array(Int(try uint32())) }

    /// A 2-byte length and a text of at most `bytesMax` bytes; what is no UTF-8 is repaired.
    mutating func text(bytesMax: Int) throws(PeerWireError) -> String {
        let count = Int(try uint16())
        guard count <= bytesMax else { throw .malformed("a text is too long") }
        return String(decoding: try raw(count), as: UTF8.self)
    }

    /// A 4-byte count of things that take `bytesEach` at least.
    mutating func count(max: Int, bytesEach: Int) throws(PeerWireError) -> Int {
        let count = Int(try uint32())
        guard count <= max, count <= remaining / bytesEach else { throw .malformed("a count is too large") }
        return count
    }

    /// A byte of flags; one that is not in `known` could change what the message means.
    mutating func flags(known: UInt8) throws(PeerWireError) -> UInt8 {
        let flags = try uint8()
        guard flags & ~known == 0 else { throw .malformed("a flag is unknown") }
        return flags
    }

    /// A number that the reader may count on from.
    mutating func counter() throws(PeerWireError) -> UInt64 {
        let number = try uint64()
        guard number <= Limits.counterMax else { throw .malformed("a number is beyond all bounds") }
        return number
    }

    mutating func position() throws(PeerWireError) -> Position { Position(try counter()) }
    mutating func epoch() throws(PeerWireError) -> Epoch { Epoch(try counter()) }

    mutating func shard() throws(PeerWireError) -> ShardID {
        let number = try uint32()
        guard Int(number) < ring.shardCount else { throw .malformed("the ring has no such shard") }
        return ShardID(number)
    }

    mutating func time() throws(PeerWireError) -> Timestamp {
        let milliseconds = try uint64()
        guard milliseconds <= Limits.timeMillisecondsMax else { throw .malformed("a time is beyond all bounds") }
        return Timestamp(milliseconds: milliseconds)
    }

    /// Bytes, or bytes a second, that are shown and added up.
    mutating func reportedBytes() throws(PeerWireError) -> UInt64 { min(try uint64(), Limits.peerReportBytesMax) }

    /// One of the words of a closed set.
    mutating func word<Word: RawRepresentable>() throws(PeerWireError) -> Word where Word.RawValue == String {
        guard let word = Word(rawValue: try text(bytesMax: Limits.peerTextBytesMax)) else {
            throw .malformed("a word is unknown")
        }
        return word
    }

    mutating func shardPosition() throws(PeerWireError) -> ShardPosition {
        ShardPosition(shard: try shard(), position: try position())
    }

    private mutating func integer<T: FixedWidthInteger>() throws(PeerWireError) -> T {
        let width = MemoryLayout<T>.size
        guard width <= remaining else { throw .malformed("it ends early") }
        defer { offset += width }
        return T(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: T.self))
    }
}

/// Why bytes are no message.
public enum PeerWireError: Error, Sendable, Equatable {
    /// The frame says it is longer than the reader takes. Nothing after it can be found.
    case frameTooLong(bytes: Int, max: Int)
    /// The checksum is wrong: the stream is damaged, or is no stream of frames.
    case damaged
    /// A type of frame that this version does not know.
    case unknownType(UInt8)
    /// A whole frame whose body is not what its type says.
    case malformed(StaticString)

    public static func == (left: Self, right: Self) -> Bool {
        switch (left, right) {
        case (.frameTooLong(let bytes, let max), .frameTooLong(let others, let other)): bytes == others && max == other
        case (.damaged, .damaged): true
        case (.unknownType(let type), .unknownType(let other)): type == other
        case (.malformed(let what), .malformed(let other)): "\(what)" == "\(other)"
        case (.frameTooLong, _), (.damaged, _), (.unknownType, _), (.malformed, _): false
        }
    }
}

extension PeerWireError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .frameTooLong(let bytes, let max): "a frame of \(bytes) bytes; \(max) at most"
        case .damaged: "a frame with a wrong checksum"
        case .unknownType(let type): "a frame of the unknown type \(type)"
        case .malformed(let what): "a malformed frame: \(what)"
        }
    }
}
