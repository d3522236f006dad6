public import Primitives

/// `Keystead-Position: SHARD:POSITION`.
public struct ShardPosition: Sendable, Equatable {
    public let shard: ShardID
    public let position: Position

    public init(shard: ShardID, position: Position) {
        self.shard = shard
        self.position = position
    }
}

/// One read of one entity.
public struct ReadRequest: Sendable {
    public enum Kind: Sendable {
        /// GET and HEAD of an entity.
        case entity(Preconditions)
        /// `GET /v1/outcomes/…` with this Idempotency-Key.
        case outcome(idempotencyKey: [UInt8])
    }

    public let key: EntityKey
    public let kind: Kind
    /// A `get` line of a batch: answered in the entity's queue, after the writes of lines before it. Other reads are
    /// answered from committed state beside the queue.
    public let inQueueOrder: Bool

    public init(key: EntityKey, kind: Kind, inQueueOrder: Bool) {
        self.key = key
        self.kind = kind
        self.inQueueOrder = inQueueOrder
    }
}

/// The outcome of one call.
public enum Answer: Sendable {
    /// 200 to a read.
    case found(StoredRecord, ShardPosition)
    /// 304.
    case notModified(StoredRecord, ShardPosition)
    /// 204 or 200 to a write that took effect, now (`replayed` false) or when its Idempotency-Key first came. `version`
    /// is the write's own position. `representation` only where it was asked for and the write is no replay.
    case written(status: UInt16, version: Position, ShardPosition, representation: StoredRecord?, replayed: Bool)
    /// 200 to `GET /v1/outcomes/…`.
    case outcome(status: UInt16, version: Position, ShardPosition)
    case page(ListPage)
    /// Refused. `currentVersion` goes into `ETag` of a 412; `position` is absent only where no shard was reached.
    case refused(Problem, currentVersion: Position?, ShardPosition?)
}
