import Primitives

/// The rows that one shard keeps, as keys of its ordered store.
///
/// | family | key after the family byte | value |
/// | --- | --- | --- |
/// | `E` | ring hash (8, big-endian), `kind/id` | ``StoredRecord`` |
/// | `I` | ring hash (8, big-endian), length k of `kind/id` (2, big-endian), `kind/id`, its key | ``IdempotencyRow`` |
/// | `M` | name | the shard's own state (applied mark) |
///
/// The hash comes first, so a scan runs in ring order and an arc splits into two ranges.
public enum StoreRows {
    public static let entityFamily = UInt8(ascii: "E")
    public static let idempotencyFamily = UInt8(ascii: "I")
    public static let metaFamily = UInt8(ascii: "M")

    public static func entity(_ key: EntityKey) -> [UInt8] {
        var writer = ByteWriter(reserving: 9 + key.bytes.count)
        writer.write(entityFamily)
        writer.writeBigEndian(key.ringHash)
        writer.write(key.bytes)
        return writer.bytes
    }

    public static func idempotency(_ key: EntityKey, _ idempotencyKey: [UInt8]) -> [UInt8] {
        idempotency(key, idempotencyKey[...])
    }

    static func idempotency(_ key: EntityKey, _ idempotencyKey: ArraySlice<UInt8>) -> [UInt8] {
        var writer = ByteWriter(reserving: 11 + key.bytes.count + idempotencyKey.count)
        writer.write(idempotencyFamily)
        writer.writeBigEndian(key.ringHash)
        writer.write(UInt8(key.bytes.count >> 8))
        writer.write(UInt8(key.bytes.count & 0xFF))
        writer.write(key.bytes)
        writer.write(idempotencyKey)
        return writer.bytes
    }
}
