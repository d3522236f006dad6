public import Entities
public import NIOCore
public import Primitives

/// What the HTTP front asks of the node: the port between floors 4 and 5. The front parses, limits and answers; the
/// backend knows where entities live.
///
/// Every method is called on the connection's event loop and never blocks. Each call is answered exactly once through
/// its ``ReplyTarget``, on the connection's event loop: at once, inside the call, or later. Answers of different calls
/// may come in any order; the front puts them back in request order.
public protocol EntityBackend: AnyObject, Sendable {
    /// The seed of `EntityKey.ringHash`, from the cluster's config.
    var ringSeed: UInt64 { get }
    var limits: EntityLimits { get }

    func read(_ request: ReadRequest, replyTo target: ReplyTarget)
    func write(_ operation: WriteOperation, replyTo target: ReplyTarget)
    func list(_ request: ListRequest, replyTo target: ReplyTarget)

    /// The `Keystead-Position` to put on a refusal that the front makes by itself about a sound key (a bad condition,
    /// a body too large, …): a position at which nothing of this request had happened. `nil` where this node cannot
    /// know it.
    func currentPosition(of key: EntityKey) -> ShardPosition?
}

/// `Keystead-Position: SHARD:POSITION`.
public struct ShardPosition: Sendable, Equatable {
    public let shard: ShardID
    public let position: Position

    public init(shard: ShardID, position: Position) {
        self.shard = shard
        self.position = position
    }
}

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

public struct ListRequest: Sendable {
    /// Every key of the answer starts with these bytes: `kind/` and the prefix asked for.
    public let keyPrefix: [UInt8]
    /// 1 to `Limits.listItemsMax`.
    public let itemsMax: Int
    /// Where the page before ended: only entities after it in ring order are listed.
    public let after: ListCursor?
    public let withValues: Bool

    public init(keyPrefix: [UInt8], itemsMax: Int, after: ListCursor?, withValues: Bool) {
        self.keyPrefix = keyPrefix
        self.itemsMax = itemsMax
        self.after = after
        self.withValues = withValues
    }
}

/// A place between two entities in ring order (hash, then key bytes). It names no shard and no node, so it survives
/// restarts, moves and splits.
public struct ListCursor: Sendable, Equatable {
    public let ringHash: UInt64
    /// The last key listed, or empty: everything of that hash is still to come.
    public let keyBytes: [UInt8]

    public init(ringHash: UInt64, keyBytes: [UInt8]) {
        self.ringHash = ringHash
        self.keyBytes = keyBytes
    }
}

public struct ListPage: Sendable {
    public struct Item: Sendable {
        public let keyBytes: [UInt8]
        public let record: StoredRecord

        public init(keyBytes: [UInt8], record: StoredRecord) {
            self.keyBytes = keyBytes
            self.record = record
        }
    }

    public var items: [Item]
    /// `nil` at the end of the scan.
    public var next: ListCursor?
    /// Shards of the cluster, and those that could not answer, ascending.
    public var shardCount: Int
    public var missing: [ShardID]

    public init(items: [Item], next: ListCursor?, shardCount: Int, missing: [ShardID]) {
        self.items = items
        self.next = next
        self.shardCount = shardCount
        self.missing = missing
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

/// Where an answer goes: one request slot of one connection.
public struct ReplyTarget: Sendable {
    public let sink: any ReplySink
    /// Chosen by the sink; given back untouched.
    public let slot: UInt64

    public init(sink: any ReplySink, slot: UInt64) {
        self.sink = sink
        self.slot = slot
    }
}

/// A connection as the backend sees it.
public protocol ReplySink: AnyObject, Sendable {
    /// The loop on which every method of this protocol must be called.
    var eventLoop: any EventLoop { get }

    /// Gives the answer of `slot`. It is written out at the next ``flushAnswers()`` at the latest. A connection that has
    /// closed in the meantime drops it.
    func deliver(_ answer: Answer, slot: UInt64)

    /// Writes what has been delivered, in one flush. The backend calls it once after a burst of deliveries that did not
    /// happen inside one of its own methods.
    func flushAnswers()
}
