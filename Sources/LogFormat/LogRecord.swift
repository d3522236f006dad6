public import Primitives

/// What a record is. The raw values are on disk and never change their meaning.
public enum RecordType: UInt8, Sendable, CaseIterable {
    /// A shard's update: takes a position, is replayed.
    case effect = 1
    /// A new owner's first record in its epoch: takes a position, is replayed.
    case epochStart = 2
    /// Says nothing but its durable LSN: written, unsynced, when the log falls idle, so that the last group of an idle
    /// log is not mistaken for a torn tail when it rots.
    case commitHint = 3
    /// First in each segment: every shard's last position before it (``PositionTable``).
    case opening = 4
    /// Last in a full segment: every shard's last position in or before it (``PositionTable``).
    case seal = 5
    /// Last in a log that was closed in order.
    case cleanClose = 6
    /// Reserved for replication: a shard's records after a position are void.
    case truncation = 7

    /// Belongs to a shard, takes one of its positions and is handed to its store on replay.
    public var takesPosition: Bool { self == .effect || self == .epochStart }
    /// Carries a ``PositionTable``.
    public var carriesTable: Bool { self == .opening || self == .seal }
}

/// A record as recovery hands it to a shard's store.
public struct LogRecord: Equatable, Sendable {
    public let type: RecordType
    public let shard: ShardID
    public let epoch: Epoch
    public let position: Position
    public let lsn: LSN
    /// The time that the shard stamped on the batch, never lower than that of the record before.
    public let time: Timestamp
    /// Opaque to the log; decompressed.
    public let payload: [UInt8]

    public init(
        type: RecordType, shard: ShardID, epoch: Epoch, position: Position, lsn: LSN, time: Timestamp, payload: [UInt8]
    ) {
        self.type = type
        self.shard = shard
        self.epoch = epoch
        self.position = position
        self.lsn = lsn
        self.time = time
        self.payload = payload
    }
}

/// How far a shard's store has applied the log, as its own atomic batch recorded it.
///
/// `lsn` is the place in this node's log of the record at `position`; `LSN.zero` when the store came from elsewhere (a
/// checkpoint of another node), whose LSNs mean nothing here.
public struct AppliedMark: Hashable, Sendable {
    public let shard: ShardID
    public let epoch: Epoch
    public let position: Position
    public let lsn: LSN

    public init(shard: ShardID, epoch: Epoch, position: Position, lsn: LSN) {
        self.shard = shard
        self.epoch = epoch
        self.position = position
        self.lsn = lsn
    }
}

/// A shard's records up to and including `position` are durable: synced in the log (as the log reports them), or
/// flushed in the store (as stores report them back).
public struct DurableMark: Hashable, Sendable {
    public let shard: ShardID
    public let epoch: Epoch
    public let position: Position
    /// The LSN of the record at `position`.
    public let lsn: LSN

    public init(shard: ShardID, epoch: Epoch, position: Position, lsn: LSN) {
        self.shard = shard
        self.epoch = epoch
        self.position = position
        self.lsn = lsn
    }
}

/// Whose log this is. It stands in every segment's header; a log of another cluster or node is refused.
public struct LogIdentity: Hashable, Sendable {
    /// A 128-bit random identifier.
    public struct Identifier: Hashable, Sendable, CustomStringConvertible {
        public let high: UInt64
        public let low: UInt64

        public init(high: UInt64, low: UInt64) {
            self.high = high
            self.low = low
        }

        /// 32 hexadecimal digits.
        public var description: String { LogFileName.hexadecimal(high) + LogFileName.hexadecimal(low) }
    }

    public let clusterID: Identifier
    /// Made at random when the node's data directory was formatted.
    public let nodeStoreID: Identifier

    public init(clusterID: Identifier, nodeStoreID: Identifier) {
        self.clusterID = clusterID
        self.nodeStoreID = nodeStoreID
    }
}
