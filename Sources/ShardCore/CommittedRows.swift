public import Entities

/// The shard's committed rows as the machine reads them: the port below floor 3. The node answers from its block cache,
/// the simulator from its store.
public protocol CommittedRows {
    /// Never blocks. `row` is a key of ``StoreRows``.
    func lookup(_ row: [UInt8]) -> RowLookup
}

public enum RowLookup: Sendable {
    case found([UInt8])
    case absent
    /// Only the disk knows: the machine asks for a fetch, and that entity's queue waits.
    case notCached
    /// The store cannot answer (a read error or a bad checksum); nothing may be decided on it.
    case failed(String)
}

/// Rows that one entity's queue waits for, to be read off the loop and given back by
/// ``ShardMachine/fetched(_:record:idempotencyRow:now:at:rows:)``.
public struct Fetch: Sendable {
    public let key: EntityKey
    /// Told apart from an earlier fetch of the entity, which may still be under way though nothing waits for it any
    /// more.
    let number: UInt64
    /// The entity's row.
    public let recordRow: [UInt8]?
    /// The row of the Idempotency-Key of the operation at the head.
    public let idempotencyRow: [UInt8]?
}
