import Primitives

/// The node's write-ahead log as bytes: where things stand in a segment, format version 1.
///
/// ```
/// segment        0 ..< 4096              header block (SegmentHeader), synced before the file gets its name
///                4096 ..< end            records, each 8-byte aligned, one after the other
///                end  ..< segment bytes  zeros, or stale bytes of the file's earlier life; never read as records
/// record         64 bytes                header (RecordHeader)
///                stored bytes            payload, as is or LZ4
///                0 ..< 8 bytes           zeros up to the next multiple of 8
/// ```
///
/// A segment ends at its seal record, or, when it was open at a crash, at the LSN before the next segment's first:
/// bytes after that are never read. Records are numbered by LSN without a gap through all segments.
///
/// How the peers do it, and why this way: LevelDB's log_format.md for the plain frame; RocksDB's recyclable records for
/// bytes of an earlier life; etcd's `wal` for alignment and the chained checksum; the durable LSN in each record is
/// what lets recovery tell a torn tail from corruption without guessing.
public enum LogLayout {
    /// The version that this code writes. It reads this one only; a newer one is refused, never guessed at.
    public static let formatVersion: UInt32 = 1
    public static let headerBlockBytes = 4096
    public static let recordHeaderBytes = 64
    public static let alignment = 8
    public static let tableHeaderBytes = 8
    public static let tableEntryBytes = 32

    /// What a record with a payload of `storedBytes` takes in the segment, header and padding included.
    @inlinable
    public static func recordBytes(storing storedBytes: Int) -> Int {
        recordHeaderBytes + aligned(storedBytes)
    }

    @inlinable
    public static func aligned(_ bytes: Int) -> Int { (bytes + alignment - 1) & ~(alignment - 1) }

    /// What the record of a ``PositionTable`` with `shards` entries takes.
    public static func tableRecordBytes(shards: Int) -> Int {
        recordBytes(storing: tableHeaderBytes + shards * tableEntryBytes)
    }
}
