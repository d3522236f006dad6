public import Primitives

/// Whether a row of the store has outlived its expiry, told from its bytes alone: the store drops such rows as it
/// compacts.
public enum RowExpiry {
    /// Reads the family byte and the fixed header, and allocates nothing; safe on any thread. False for whatever is no
    /// row of a known format: what cannot be read is never dropped.
    ///
    /// - Parameters:
    ///   - key: the whole row key, family byte first.
    ///   - now: a time that every reader of the shard has passed as well.
    public static func isExpired(key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer, now: Timestamp) -> Bool {
        guard let family = key.first, let format = value.first else { return false }
        switch family {
        case StoreRows.entityFamily:
            guard format == StoredRecord.formatVersion,
                value.count >= StoredRecord.fixedBytes + StoredRecord.expiryBytes,
                value[1] == StoredRecord.expiryFlag
            else { return false }
            return timestamp(in: value, at: StoredRecord.fixedBytes) <= now
        case StoreRows.idempotencyFamily:
            guard format == IdempotencyRow.formatVersion, value.count == IdempotencyRow.encodedCount else {
                return false
            }
            return timestamp(in: value, at: IdempotencyRow.expiryOffset) <= now
        default:
            return false
        }
    }

    private static func timestamp(in value: UnsafeRawBufferPointer, at offset: Int) -> Timestamp {
        Timestamp(milliseconds: UInt64(littleEndian: value.loadUnaligned(fromByteOffset: offset, as: UInt64.self)))
    }
}
