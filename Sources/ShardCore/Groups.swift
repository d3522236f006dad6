public import Entities
public import Primitives

/// Effects for the log, at contiguous positions from `first`.
public struct AppendGroup: Sendable {
    public let shard: ShardID
    public let epoch: Epoch
    public let first: Position
    /// Encoded ``EntityEffect``s.
    public let payloads: [[UInt8]]
}

/// Committed effects for the store: one batch, which also carries `through` as the shard's applied position.
public struct CommitGroup: Sendable {
    public let shard: ShardID
    public let epoch: Epoch
    public let through: Position
    public let effects: [EntityEffect]
}
