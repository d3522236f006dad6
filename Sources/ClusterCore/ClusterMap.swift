public import HashRing
public import Primitives

/// The cluster as one revision of the metadata store tells it: read whole, decoded and checked.
public struct ClusterMap: Sendable, Hashable {
    public let config: ClusterConfig
    /// By name.
    public let nodes: [NodeRecord]
    /// By shard: `shards[n]` is shard n.
    public let shards: [ShardRecord]
    /// By number.
    public let operations: [OperationRecord]
    /// Of the nodes that are alive, and of those that ended so lately that the store has not seen it.
    public let sessions: [NodeID: NodeSession]
    public let throttle: Throttle
    public let controller: ControllerSeat?
    public let mapRevision: MapRevision
    /// The revision of the store that this is of: compare against it, watch after it.
    public let revision: MetadataRevision
    let marks: [MetadataKey: EntryMark]

    init(
        config: ClusterConfig, nodes: [NodeRecord], shards: [ShardRecord], operations: [OperationRecord],
        sessions: [NodeID: NodeSession], throttle: Throttle, controller: ControllerSeat?, mapRevision: MapRevision,
        revision: MetadataRevision, marks: [MetadataKey: EntryMark]
    ) {
        precondition(shards.count == config.shardCount, "a map knows every shard")
        self.config = config
        self.nodes = nodes
        self.shards = shards
        self.operations = operations
        self.sessions = sessions
        self.throttle = throttle
        self.controller = controller
        self.mapRevision = mapRevision
        self.revision = revision
        self.marks = marks
    }

    /// Decodes what `range(prefix: MetadataKey(""))` read.
    ///
    /// - Returns: `nil` where no cluster has been founded.
    /// - Throws: a record that cannot be read, or a shard that is missing.
    public init?(_ read: MetadataRead<[MetadataEntry]>) throws(RecordError) {
        var state = ClusterState(read)
        guard let map = try state.map() else { return nil }
        self = map
    }

    /// O(log nodes).
    public func node(_ id: NodeID) -> NodeRecord? {
        var low = 0
        var high = nodes.count
        while low < high {
            let middle = (low + high) / 2
            if nodes[middle].id < id { low = middle + 1 } else { high = middle }
        }
        return low < nodes.count && nodes[low].id == id ? nodes[low] : nil
    }

    /// O(log operations).
    public func operation(_ id: OperationID) -> OperationRecord? {
        var low = 0
        var high = operations.count
        while low < high {
            let middle = (low + high) / 2
            if operations[middle].id < id { low = middle + 1 } else { high = middle }
        }
        return low < operations.count && operations[low].id == id ? operations[low] : nil
    }

    /// `nil` where the ring has no such shard.
    public func shard(_ id: ShardID) -> ShardEntry? {
        guard id.rawValue < UInt32(shards.count) else { return nil }
        return ShardEntry(shard: id, record: shards[Int(id.rawValue)], revision: modRevision(of: .shard(id)))
    }

    /// Every shard, in order.
    public var shardIDs: some RandomAccessCollection<ShardID> { Ring(shardCount: shards.count).shards }

    public func isAlive(_ node: NodeID) -> Bool { sessions[node] != nil }

    /// When the key was last put; zero where it does not exist.
    public func modRevision(of key: MetadataKey) -> MetadataRevision { marks[key]?.modRevision ?? .zero }

    /// When the key came into being; zero where it does not exist.
    public func createRevision(of key: MetadataKey) -> MetadataRevision { marks[key]?.createRevision ?? .zero }

    /// Holds while the key is as this map has it.
    public func unchanged(_ key: MetadataKey) -> MetadataTransaction.Condition {
        .lastPut(key, at: modRevision(of: key))
    }

    /// The number that the next operation takes. Whoever creates it compares that it is absent, so operations are
    /// created one after the other.
    public var nextOperation: OperationID { operations.last?.id.next ?? OperationID(number: 1) }
}

/// What a map remembers of an entry beside its value.
struct EntryMark: Sendable, Hashable {
    let createRevision: MetadataRevision
    let modRevision: MetadataRevision
    let session: SessionID?

    init(_ entry: MetadataEntry) {
        createRevision = entry.createRevision
        modRevision = entry.modRevision
        session = entry.session
    }
}

/// A shard's record as it was read: what a change of it is decided on and compared with.
public struct ShardEntry: Sendable, Hashable {
    public let shard: ShardID
    public let record: ShardRecord
    /// When the record was last put.
    public let revision: MetadataRevision

    public init(shard: ShardID, record: ShardRecord, revision: MetadataRevision) {
        self.shard = shard
        self.record = record
        self.revision = revision
    }

    /// What a transaction that was committed at `revision` has put for the shard; `nil` where it put nothing for it.
    public init?(_ shard: ShardID, putBy transaction: MetadataTransaction, at revision: MetadataRevision) {
        let key = MetadataKey.shard(shard)
        for case .put(key, let value, _) in transaction.operations {
            guard let record = try? ShardRecord(decoding: value, of: key) else { return nil }
            self.init(shard: shard, record: record, revision: revision)
            return
        }
        return nil
    }

    /// Decodes what `get(.shard(…))` read.
    ///
    /// - Returns: `nil` for the entry of another kind of key.
    public init?(_ entry: MetadataEntry) throws(RecordError) {
        guard let shard = entry.key.shardID else { return nil }
        self.init(
            shard: shard, record: try ShardRecord(decoding: entry.value, of: entry.key), revision: entry.modRevision)
    }
}
