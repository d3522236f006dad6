import Primitives

/// What one update does to its shard's rows: the payload of one log record, and what enters the store once that record
/// is committed. It says what the rows become, never which operation made them so.
///
/// Byte table (little-endian):
///
/// | offset | bytes | field |
/// | --- | --- | --- |
/// | 0 | 1 | format version, 1 |
/// | 1 | 1 | flags: bit 0, the entity is put (else removed); bit 1, an idempotency row follows; the others are 0 |
/// | 2 | 2 | k, length of `kind/id` |
/// | 4 | 1 | length of the kind |
/// | 5 | 1 | i, length of the idempotency key; 0 without flag bit 1 |
/// | 6 | 1 | `E`: here begins the entity's row key as ``StoreRows`` has it |
/// | 7 | 8 | ring hash, big-endian |
/// | 15 | k | `kind/id` |
/// | 15 + k | i | idempotency key (only with flag bit 1) |
/// | … | 35 | ``IdempotencyRow`` (only with flag bit 1) |
/// | … | rest | ``StoredRecord``; nothing for a removal |
///
/// The entity's row key and both values stand in one piece each, so a write batch is filled from slices of the payload.
public struct EntityEffect: Sendable {
    public let key: EntityKey
    /// The payload.
    public let encoded: [UInt8]
    private let idempotencyKeyRange: Range<Int>?
    /// Empty for a removal; its start is the end of the part before.
    private let recordRange: Range<Int>

    static let formatVersion: UInt8 = 1
    private static let putFlag: UInt8 = 1
    private static let idempotencyFlag: UInt8 = 2
    private static let rowKeyOffset = 6
    private static let fixedBytes = 15

    /// Encodes, in one allocation; `record`'s state is copied once.
    ///
    /// - Parameters:
    ///   - record: what the entity becomes, `nil` where it is removed.
    ///   - idempotencyKey: 1 to 255 bytes, and then `idempotencyRow` is its row; both or neither.
    public init(
        key: EntityKey, record: StoredRecord?, idempotencyKey: [UInt8]?, idempotencyRow: IdempotencyRow?
    ) {
        precondition((idempotencyKey == nil) == (idempotencyRow == nil), "an idempotency key comes with its row")
        let keyLength = idempotencyKey?.count ?? 0
        precondition(keyLength <= Limits.idempotencyKeyBytesMax, "the length of an idempotency key is one byte")
        let idempotencyBytes = idempotencyKey == nil ? 0 : keyLength + IdempotencyRow.encodedCount
        let recordStart = Self.fixedBytes + key.bytes.count + idempotencyBytes
        let total = recordStart + (record?.encodedCount ?? 0)

        var writer = ByteWriter(reserving: total)
        writer.write(Self.formatVersion)
        writer.write((record == nil ? 0 : Self.putFlag) | (idempotencyKey == nil ? 0 : Self.idempotencyFlag))
        writer.write(UInt16(key.bytes.count))
        writer.write(UInt8(key.kindLength))
        writer.write(UInt8(keyLength))
        writer.write(StoreRows.entityFamily)
        writer.writeBigEndian(key.ringHash)
        writer.write(key.bytes)
        if let idempotencyKey, let idempotencyRow {
            writer.write(idempotencyKey)
            idempotencyRow.write(to: &writer)
        }
        record?.write(to: &writer)

        self.key = key
        encoded = writer.bytes
        let rowStart = Self.fixedBytes + key.bytes.count
        idempotencyKeyRange = idempotencyKey == nil ? nil : rowStart..<(rowStart + keyLength)
        recordRange = recordStart..<total
    }

    /// Decodes; `nil` where the bytes are no effect of a known format, every row included. Keeps `bytes` and copies
    /// only the key. The hash is taken from the payload, not computed again.
    public init?(decoding bytes: [UInt8]) {
        var reader = ByteReader(bytes)
        guard reader.readUInt8() == Self.formatVersion,
            let flags = reader.readUInt8(), flags & ~(Self.putFlag | Self.idempotencyFlag) == 0,
            let keyLength = reader.readUInt16(),
            let kindLength = reader.readUInt8(),
            let idempotencyKeyLength = reader.readUInt8(),
            reader.readUInt8() == StoreRows.entityFamily,
            let ringHash = reader.readBigEndianUInt64(),
            keyLength <= EntityKey.bytesMax, kindLength > 0, Int(kindLength) + 1 < Int(keyLength),
            let keyBytes = reader.readBytes(Int(keyLength)), keyBytes[Int(kindLength)] == UInt8(ascii: "/")
        else { return nil }
        if flags & Self.idempotencyFlag != 0 {
            guard idempotencyKeyLength > 0, let range = reader.readRange(Int(idempotencyKeyLength)),
                let row = reader.readRange(IdempotencyRow.encodedCount),
                IdempotencyRow(decoding: bytes, range: row) != nil
            else { return nil }
            idempotencyKeyRange = range
        } else {
            guard idempotencyKeyLength == 0 else { return nil }
            idempotencyKeyRange = nil
        }
        recordRange = reader.offset..<reader.end
        let isPut = flags & Self.putFlag != 0
        guard isPut ? StoredRecord(decoding: bytes, range: recordRange) != nil : recordRange.isEmpty else {
            return nil
        }
        key = EntityKey(checked: keyBytes, kindLength: Int(kindLength), ringHash: ringHash)
        encoded = bytes
    }

    /// What the entity becomes, as slices of ``encoded``; `nil` where it is removed.
    public var record: StoredRecord? {
        recordRange.isEmpty ? nil : StoredRecord(decoding: encoded, range: recordRange)
    }

    public var idempotencyKey: ArraySlice<UInt8>? { idempotencyKeyRange.map { encoded[$0] } }

    public var idempotencyRow: IdempotencyRow? {
        idempotencyRowRange.flatMap { IdempotencyRow(decoding: encoded, range: $0) }
    }

    private var idempotencyRowRange: Range<Int>? {
        idempotencyKeyRange.map { $0.upperBound..<($0.upperBound + IdempotencyRow.encodedCount) }
    }
}

extension EntityEffect {
    /// One row of the store that an effect puts or removes.
    public struct RowChange: Sendable, Equatable {
        public let key: ArraySlice<UInt8>
        /// `nil` removes the row.
        public let value: ArraySlice<UInt8>?
    }

    /// The entity's row, as slices of ``encoded``.
    public var entityRow: RowChange {
        let rowKey = Self.rowKeyOffset..<(Self.fixedBytes + key.bytes.count)
        return RowChange(key: encoded[rowKey], value: recordRange.isEmpty ? nil : encoded[recordRange])
    }

    /// The row of the idempotency key, always put. Its key is built at each call; its value is a slice of ``encoded``.
    public var idempotencyRowChange: RowChange? {
        guard let idempotencyKey, let idempotencyRowRange else { return nil }
        return RowChange(key: StoreRows.idempotency(key, idempotencyKey)[...], value: encoded[idempotencyRowRange])
    }

    /// Calls `body` with each row that changes; all of them belong in one batch.
    public func forEachRow<Failure: Error>(_ body: (RowChange) throws(Failure) -> Void) throws(Failure) {
        try body(entityRow)
        if let idempotencyRowChange { try body(idempotencyRowChange) }
    }
}
