public import Primitives

/// The first 4096 bytes of a segment.
///
/// ```
/// offset size  field (little-endian)
///      0    8  magic "KEYSTWAL"
///      8    4  format version
///     12    4  flags: bit 0 the file had an earlier life, whose bytes may follow the last record; the others zero
///     16   16  cluster id (high 8, low 8)
///     32   16  node store id (high 8, low 8)
///     48    8  segment number, as in the file's name
///     56    8  segment bytes: the file's length
///     64    8  salt: random, new at each use of the file
///     72    8  first LSN
///     80    8  previous LSN: the last one before this segment (first LSN - 1); the segment before ends there
///     88    4  checksum of the record at the previous LSN (its header CRC); 0 when there is none or it is unreadable
///     92    4  zero
///     96    8  synced LSN: records up to it were written and synced before the file got its name
///    104    8  time of creation, milliseconds since 1970
///    112   12  zero
///    124    4  CRC32C of bytes 0 ..< 124
/// ```
///
/// The same 128 bytes stand again at offset 2048, in another sector; the rest is zero. A block is valid if and only if
/// one of the copies has (1) the magic and (2) its CRC. Offsets and lengths of magic, version and CRC never change, so
/// that any version can tell "newer" from "damaged".
public struct SegmentHeader: Equatable, Sendable {
    public let identity: LogIdentity
    public let number: UInt64
    public let segmentBytes: Int
    public let salt: UInt64
    public let firstLSN: LSN
    public let previousChecksum: UInt32
    public let syncedLSN: LSN
    public let created: Timestamp
    /// Bytes of an earlier life may follow the last record; otherwise they are zero.
    public let isReused: Bool

    static let magic: UInt64 = 0x4C41_5754_5359_454B
    static let encodedBytes = 128
    static let copyOffsets = [0, 2048]

    public init(
        identity: LogIdentity, number: UInt64, segmentBytes: Int, salt: UInt64, firstLSN: LSN,
        previousChecksum: UInt32, syncedLSN: LSN, created: Timestamp, isReused: Bool
    ) {
        precondition(firstLSN > .zero, "LSNs begin at 1")
        self.identity = identity
        self.number = number
        self.segmentBytes = segmentBytes
        self.salt = salt
        self.firstLSN = firstLSN
        self.previousChecksum = previousChecksum
        self.syncedLSN = syncedLSN
        self.created = created
        self.isReused = isReused
    }

    public var previousLSN: LSN { LSN(firstLSN.rawValue - 1) }

    /// Where the CRC of each record header of this segment starts from: bytes of the file's earlier life were made with
    /// another salt and number, so they never validate.
    public func recordSeed(_ mutants: Mutants = .none) -> UInt32 {
        if mutants.has(.recycledSegmentReplayed) { return 0 }
        return Self.recordSeed(salt: salt, number: number)
    }

    static func recordSeed(salt: UInt64, number: UInt64) -> UInt32 {
        withUnsafeBytes(of: (salt.littleEndian, number.littleEndian)) { CRC32C.checksum(buffer: $0) }
    }

    /// The whole header block.
    public func encoded() -> [UInt8] {
        var block = [UInt8](repeating: 0, count: LogLayout.headerBlockBytes)
        for offset in Self.copyOffsets {
            block.withUnsafeMutableBytes { write(to: .init(rebasing: $0[offset..<(offset + Self.encodedBytes)])) }
        }
        return block
    }

    private func write(to buffer: UnsafeMutableRawBufferPointer) {
        buffer.setField(0, Self.magic)
        buffer.setField(8, LogLayout.formatVersion)
        buffer.setField(12, UInt32(isReused ? 1 : 0))
        buffer.setField(16, identity.clusterID.high)
        buffer.setField(24, identity.clusterID.low)
        buffer.setField(32, identity.nodeStoreID.high)
        buffer.setField(40, identity.nodeStoreID.low)
        buffer.setField(48, number)
        buffer.setField(56, UInt64(segmentBytes))
        buffer.setField(64, salt)
        buffer.setField(72, firstLSN.rawValue)
        buffer.setField(80, previousLSN.rawValue)
        buffer.setField(88, previousChecksum)
        buffer.setField(96, syncedLSN.rawValue)
        buffer.setField(104, created.milliseconds)
        buffer.setField(124, CRC32C.checksum(buffer: UnsafeRawBufferPointer(rebasing: buffer[..<124])))
    }

    public enum DecodeError: Error, Equatable, Sendable {
        /// Neither copy is valid, or the valid one says what no writer writes.
        case damaged
        case newerFormat(UInt32)
    }

    /// Reads a header block (or the shorter beginning of one, of a file that was cut off).
    public static func decode(_ block: [UInt8]) throws(DecodeError) -> SegmentHeader {
        for offset in copyOffsets where block.count >= offset + encodedBytes {
            let copy = block.withUnsafeBytes { buffer in
                read(UnsafeRawBufferPointer(rebasing: buffer[offset..<(offset + encodedBytes)]))
            }
            switch copy {
            case .damaged: continue
            case .newer(let version): throw .newerFormat(version)
            case .header(let header): return header
            }
        }
        throw .damaged
    }

    private enum Copy {
        case damaged
        case newer(UInt32)
        case header(SegmentHeader)
    }

    private static func read(_ buffer: UnsafeRawBufferPointer) -> Copy {
        guard buffer.field(0) == magic else { return .damaged }
        guard buffer.field(124) == CRC32C.checksum(buffer: UnsafeRawBufferPointer(rebasing: buffer[..<124])) else {
            return .damaged
        }
        let version: UInt32 = buffer.field(8)
        if version > LogLayout.formatVersion { return .newer(version) }
        let first: UInt64 = buffer.field(72)
        let flags: UInt32 = buffer.field(12)
        let (number, synced): (UInt64, UInt64) = (buffer.field(48), buffer.field(96))
        guard flags <= 1, version == LogLayout.formatVersion, first > 0, buffer.field(80) == first - 1,
            max(first, number, synced) <= Limits.counterMax,
            let bytes = Int(exactly: buffer.field(56, as: UInt64.self)), bytes <= Limits.segmentBytesCeiling
        else { return .damaged }
        let identity = LogIdentity(
            clusterID: .init(high: buffer.field(16), low: buffer.field(24)),
            nodeStoreID: .init(high: buffer.field(32), low: buffer.field(40)))
        return .header(
            SegmentHeader(
                identity: identity, number: number, segmentBytes: bytes, salt: buffer.field(64),
                firstLSN: LSN(first), previousChecksum: buffer.field(88), syncedLSN: LSN(synced),
                created: Timestamp(milliseconds: buffer.field(104)),
                isReused: flags == 1))
    }
}
