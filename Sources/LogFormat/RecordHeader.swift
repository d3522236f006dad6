public import Primitives

/// The 64 bytes before each payload.
///
/// ```
/// offset size  field (little-endian)
///      0    4  header CRC: CRC32C of bytes 4 ..< 64, continuing from the segment's record seed
///      4    4  payload CRC: CRC32C of the stored bytes (compressed, when they are)
///      8    4  stored bytes: the payload's length in the segment
///     12    4  payload bytes: its length before compression
///     16    1  type (RecordType)
///     17    1  flags: bit 0 the payload is one LZ4 block; the others zero
///     18    6  time, milliseconds since 1970
///     24    4  shard (0 for a record of the log itself)
///     28    4  header CRC of the record before, in this segment or the one before
///     32    8  epoch
///     40    8  position
///     48    8  LSN
///     56    8  durable LSN: the highest LSN known to be synced when this record's group was built
/// ```
///
/// A record is valid if and only if (1) its header CRC holds, so that its lengths can be trusted, (2) its lengths are
/// within `Limits.recordBytesMax` and the segment, (3) its payload CRC holds, (4) its LSN is the one after the record
/// before, and (5) the checksum it names is that record's. The header CRC stands apart from the payload's so that a
/// damaged payload is still known by its shard, position and length.
public struct RecordHeader: Equatable, Sendable {
    /// The type's byte; ``type`` where this version knows it.
    public var rawType: UInt8
    public var isCompressed: Bool
    public var storedBytes: Int
    public var payloadBytes: Int
    public var payloadChecksum: UInt32
    public var time: Timestamp
    public var shard: ShardID
    public var epoch: Epoch
    public var position: Position
    public var lsn: LSN
    public var durableLSN: LSN
    public var previousChecksum: UInt32
    /// The header's own CRC; what the next record names.
    public internal(set) var checksum: UInt32 = 0

    public var type: RecordType? { RecordType(rawValue: rawType) }

    /// What the record takes in the segment.
    public var recordBytes: Int { LogLayout.recordBytes(storing: storedBytes) }

    static let timeMillisecondsMax: UInt64 = 1 << 48 - 1

    public init(
        type: RecordType, shard: ShardID, epoch: Epoch, position: Position, lsn: LSN, durableLSN: LSN,
        previousChecksum: UInt32, time: Timestamp
    ) {
        self.rawType = type.rawValue
        self.isCompressed = false
        self.storedBytes = 0
        self.payloadBytes = 0
        self.payloadChecksum = 0
        self.time = time
        self.shard = shard
        self.epoch = epoch
        self.position = position
        self.lsn = lsn
        self.durableLSN = durableLSN
        self.previousChecksum = previousChecksum
    }

    /// Writes the header at the start of `buffer` (64 bytes or more), sets ``checksum`` and returns it.
    @discardableResult
    mutating func encode(into buffer: UnsafeMutableRawBufferPointer, seed: UInt32) -> UInt32 {
        buffer.setField(4, payloadChecksum)
        buffer.setField(8, UInt32(storedBytes))
        buffer.setField(12, UInt32(payloadBytes))
        buffer[16] = rawType
        buffer[17] = isCompressed ? 1 : 0
        buffer.setField48(18, min(time.milliseconds, Self.timeMillisecondsMax))
        buffer.setField(24, shard.rawValue)
        buffer.setField(28, previousChecksum)
        buffer.setField(32, epoch.rawValue)
        buffer.setField(40, position.rawValue)
        buffer.setField(48, lsn.rawValue)
        buffer.setField(56, durableLSN.rawValue)
        checksum = CRC32C.checksum(
            buffer: UnsafeRawBufferPointer(rebasing: buffer[4..<LogLayout.recordHeaderBytes]), continuing: seed)
        buffer.setField(0, checksum)
        return checksum
    }

    /// The header at the start of `buffer`, or `nil` when there is no valid one there: too few bytes, a CRC that does
    /// not hold, or lengths and numbers that no writer of this version writes.
    static func decode(_ buffer: UnsafeRawBufferPointer, seed: UInt32) -> RecordHeader? {
        guard buffer.count >= LogLayout.recordHeaderBytes else { return nil }
        let covered = UnsafeRawBufferPointer(rebasing: buffer[4..<LogLayout.recordHeaderBytes])
        let checksum: UInt32 = buffer.field(0)
        guard checksum == CRC32C.checksum(buffer: covered, continuing: seed) else { return nil }
        let stored = Int(buffer.field(8, as: UInt32.self))
        let payload = Int(buffer.field(12, as: UInt32.self))
        let flags = buffer[17]
        guard stored <= payload, payload <= Limits.recordBytesMax, flags <= 1, flags == 1 || stored == payload else {
            return nil
        }
        let shard: UInt32 = buffer.field(24)
        let (epoch, position): (UInt64, UInt64) = (buffer.field(32), buffer.field(40))
        let (lsn, durableLSN): (UInt64, UInt64) = (buffer.field(48), buffer.field(56))
        guard Int(shard) < Limits.shardsMax, max(epoch, position, lsn, durableLSN) <= Limits.counterMax else {
            return nil
        }
        var header = RecordHeader(
            type: .effect, shard: ShardID(shard), epoch: Epoch(epoch), position: Position(position), lsn: LSN(lsn),
            durableLSN: LSN(durableLSN),
            previousChecksum: buffer.field(28), time: Timestamp(milliseconds: buffer.field48(18)))
        header.rawType = buffer[16]
        header.isCompressed = flags == 1
        header.storedBytes = stored
        header.payloadBytes = payload
        header.payloadChecksum = buffer.field(4)
        header.checksum = checksum
        return header
    }
}
