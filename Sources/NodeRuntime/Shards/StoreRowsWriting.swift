import Entities
import Primitives
import RocksStore

extension StoreBatch {
    /// The rows that one update leaves behind.
    mutating func put(_ effect: EntityEffect) {
        put(effect.entityRow)
        if let row = effect.idempotencyRowChange { put(row) }
    }

    private mutating func put(_ change: EntityEffect.RowChange) {
        change.key.withUnsafeBytes { key in
            if let value = change.value {
                value.withUnsafeBytes { put(row: key, value: $0) }
            } else {
                delete(row: key)
            }
        }
    }

    /// A recent time that the shard has seen: what the node's clock will not go back behind after a restart, together
    /// with the times in the log.
    mutating func put(clock now: Timestamp) {
        var writer = ByteWriter(reserving: 8)
        writer.write(now.milliseconds)
        put(row: ShardClockRow.key, value: writer.bytes)
    }
}

/// The row that holds a recent time that a shard has seen: milliseconds since 1970, 8 bytes, little-endian.
enum ShardClockRow {
    static let key: [UInt8] = [StoreRows.metaFamily] + Array("clock".utf8)

    static func read(from store: ShardStore) throws(StoreError) -> Timestamp {
        guard case .found(let bytes) = try store.read(row: key, from: .disk) else { return .zero }
        var reader = ByteReader(bytes)
        guard let milliseconds = reader.readUInt64() else {
            throw .corruption(file: store.directory, detail: "the row of the shard's clock is not 8 bytes long")
        }
        return Timestamp(milliseconds: milliseconds)
    }
}
