import Primitives

/// Every shard's last position at one LSN: the payload of opening and seal records.
///
/// With it recovery proves, shard by shard, whether a damaged or missing stretch of the log held anything of that
/// shard, so that it quarantines exactly the shards that lost something.
///
/// ```
/// offset size  field (little-endian)
///      0    4  count of entries
///      4    4  zero
///  then, for each entry, in ascending order of shard:
///      0    4  shard
///      4    4  flags: bit 0 the shard is quarantined; the others zero
///      8    8  epoch of its last record
///     16    8  its last position (0: none yet)
///     24    8  LSN of the record at that position (0: not in this log)
/// ```
public struct PositionTable: Equatable, Sendable {
    public struct Entry: Equatable, Sendable {
        public let last: DurableMark
        /// An earlier start found the shard's records incomplete, and nothing has replaced its store since.
        public let isQuarantined: Bool

        public init(last: DurableMark, isQuarantined: Bool) {
            self.last = last
            self.isQuarantined = isQuarantined
        }
    }

    /// In ascending order of shard.
    public let entries: [Entry]

    /// `entries` must ascend by shard.
    public init(entries: [Entry]) {
        for index in entries.indices.dropFirst() {
            precondition(entries[index - 1].last.shard < entries[index].last.shard, "a table ascends by shard")
        }
        self.entries = entries
    }

    public func encoded() -> [UInt8] {
        var writer = ByteWriter(reserving: LogLayout.tableHeaderBytes + entries.count * LogLayout.tableEntryBytes)
        writer.write(UInt32(entries.count))
        writer.write(UInt32(0))
        for entry in entries {
            writer.write(entry.last.shard.rawValue)
            writer.write(UInt32(entry.isQuarantined ? 1 : 0))
            writer.write(entry.last.epoch.rawValue)
            writer.write(entry.last.position.rawValue)
            writer.write(entry.last.lsn.rawValue)
        }
        return writer.bytes
    }

    /// `nil` unless the bytes are exactly one table.
    public init?(decoding bytes: [UInt8]) {
        var reader = ByteReader(bytes)
        guard let count = reader.readUInt32(), reader.readUInt32() == 0,
            reader.remaining == Int(count) * LogLayout.tableEntryBytes
        else { return nil }
        var entries: [Entry] = []
        entries.reserveCapacity(Int(count))
        for _ in 0..<count {
            guard let entry = Self.readEntry(&reader) else { return nil }
            if let last = entries.last?.last, last.shard >= entry.last.shard { return nil }
            entries.append(entry)
        }
        self.entries = entries
    }

    private static func readEntry(_ reader: inout ByteReader) -> Entry? {
        guard let shard = reader.readUInt32(), let flags = reader.readUInt32(), flags <= 1,
            let epoch = reader.readUInt64(), let position = reader.readUInt64(), let lsn = reader.readUInt64(),
            Int(shard) < Limits.shardsMax, max(epoch, position, lsn) <= Limits.counterMax
        else { return nil }
        let last = DurableMark(
            shard: ShardID(shard), epoch: Epoch(epoch), position: Position(position), lsn: LSN(lsn))
        return Entry(last: last, isQuarantined: flags == 1)
    }
}
