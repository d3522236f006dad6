import Primitives

/// Every shard's last position at one LSN: the payload of opening and seal records.
///
/// With it recovery proves, shard by shard, whether a damaged or missing stretch of the log held anything of that shard,
/// so that it quarantines exactly the shards that lost something.
///
/// ```
/// offset size  field (little-endian)
///      0    4  count of entries
///      4    4  zero
///  then, for each entry, in ascending order of shard:
///      0    4  shard
///      4    4  zero
///      8    8  epoch of its last record
///     16    8  its last position (0: none yet)
///     24    8  LSN of the record at that position (0: not in this log)
/// ```
public struct PositionTable: Equatable, Sendable {
    /// In ascending order of shard.
    public let entries: [DurableMark]

    /// `entries` must ascend by shard.
    public init(entries: [DurableMark]) {
        for index in entries.indices.dropFirst() {
            precondition(entries[index - 1].shard < entries[index].shard, "a table ascends by shard")
        }
        self.entries = entries
    }

    public func encoded() -> [UInt8] {
        var writer = ByteWriter(reserving: LogLayout.tableHeaderBytes + entries.count * LogLayout.tableEntryBytes)
        writer.write(UInt32(entries.count))
        writer.write(UInt32(0))
        for entry in entries {
            writer.write(entry.shard.rawValue)
            writer.write(UInt32(0))
            writer.write(entry.epoch.rawValue)
            writer.write(entry.position.rawValue)
            writer.write(entry.lsn.rawValue)
        }
        return writer.bytes
    }

    /// `nil` unless the bytes are exactly one table.
    public init?(decoding bytes: [UInt8]) {
        var reader = ByteReader(bytes)
        guard let count = reader.readUInt32(), reader.readUInt32() == 0,
            reader.remaining == Int(count) * LogLayout.tableEntryBytes
        else { return nil }
        var entries: [DurableMark] = []
        entries.reserveCapacity(Int(count))
        for _ in 0..<count {
            guard let shard = reader.readUInt32(), reader.readUInt32() == 0, let epoch = reader.readUInt64(),
                let position = reader.readUInt64(), let lsn = reader.readUInt64()
            else { return nil }
            if let last = entries.last, last.shard.rawValue >= shard { return nil }
            entries.append(
                DurableMark(shard: ShardID(shard), epoch: Epoch(epoch), position: Position(position), lsn: LSN(lsn)))
        }
        self.entries = entries
    }
}
