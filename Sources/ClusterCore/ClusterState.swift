internal import HashRing
internal import Primitives

/// The metadata of a cluster as it goes on: read whole once, then advanced by what the watch tells. Makes a
/// ``ClusterMap`` of any moment, and decodes each record once.
public struct ClusterState: Sendable {
    /// The last revision that this has seen; watch after it.
    public private(set) var revision: MetadataRevision
    private var config: ClusterConfig?
    private var nodes: [NodeID: NodeRecord] = [:]
    private var shards: [ShardID: ShardRecord] = [:]
    private var operations: [OperationID: OperationRecord] = [:]
    private var sessions: [NodeID: NodeSession] = [:]
    private var throttle = Throttle.standard
    private var controller: ControllerSeat?
    private var mapRevision = MapRevision(0)
    private var marks: [MetadataKey: EntryMark] = [:]
    private var unreadable: [MetadataKey: RecordError] = [:]
    /// What ``map()`` has sorted; `nil` where it must again.
    private var orderedNodes: [NodeRecord]?
    private var orderedShards: [ShardRecord]?
    private var orderedOperations: [OperationRecord]?

    /// - Parameter read: what `range(prefix: MetadataKey(""))` read.
    public init(_ read: MetadataRead<[MetadataEntry]>) {
        revision = read.revision
        marks.reserveCapacity(read.value.count)
        for entry in read.value { put(entry) }
    }

    /// Applies the next change of a watch over the prefix `""`.
    ///
    /// - Returns: false, and nothing happens, where this has seen its revision already. A watch that goes on after
    ///   ``revision`` never misses a change; revisions between that touched nothing of ours are no gap.
    @discardableResult
    public mutating func advance(by change: MetadataChange) -> Bool {
        guard change.revision > revision else { return false }
        for event in change.events {
            switch event {
            case .put(let entry):
                precondition(entry.modRevision == change.revision, "an entry is put by the change that tells of it")
                put(entry)
            case .delete(let key): delete(key)
            }
        }
        revision = change.revision
        return true
    }

    /// The cluster of now. Cheap where only records changed that were there before.
    ///
    /// - Returns: `nil` where no cluster has been founded.
    /// - Throws: a record that cannot be read, or a shard that is missing.
    public mutating func map() throws(RecordError) -> ClusterMap? {
        if let first = unreadable.min(by: { $0.key < $1.key }) { throw first.value }
        guard let config else { return nil }
        return ClusterMap(
            config: config, nodes: sortedNodes(), shards: try sortedShards(config.shardCount),
            operations: sortedOperations(), sessions: sessions, throttle: throttle, controller: controller,
            mapRevision: mapRevision, revision: revision, marks: marks)
    }
}

extension ClusterState {
    private mutating func put(_ entry: MetadataEntry) {
        marks[entry.key] = EntryMark(entry)
        do {
            try decode(entry)
            unreadable[entry.key] = nil
        } catch {
            unreadable[entry.key] = error
        }
    }

    private mutating func decode(_ entry: MetadataEntry) throws(RecordError) {
        let key = entry.key
        switch key {
        case .config: config = try ClusterConfig(decoding: entry.value, of: key)
        case .mapRevision: mapRevision = try MapRevision(decoding: entry.value, of: key)
        case .controller: controller = try ControllerSeat(decoding: entry.value, of: key)
        case .throttle: throttle = try Throttle(decoding: entry.value, of: key)
        default:
            if let shard = key.shardID {
                set(shard, try ShardRecord(decoding: entry.value, of: key))
            } else if let operation = key.operationID {
                operations[operation] = try OperationRecord(decoding: entry.value, of: key)
                orderedOperations = nil
            } else if key.hasPrefix(.nodes) {
                let record = try NodeRecord(decoding: entry.value, of: key)
                guard key == .node(record.id) else {
                    throw .malformed(key: key, detail: "it is the record of \(record.id)")
                }
                nodes[record.id] = record
                orderedNodes = nil
            } else if key.hasPrefix(.sessions), let node = key.nodeID {
                sessions[node] = try NodeSession(decoding: entry.value, of: key)
            }
        }
    }

    private mutating func set(_ shard: ShardID, _ record: ShardRecord) {
        shards[shard] = record
        let place = Int(shard.rawValue)
        if let count = orderedShards?.count, place < count { orderedShards?[place] = record }
    }

    private mutating func delete(_ key: MetadataKey) {
        marks[key] = nil
        unreadable[key] = nil
        switch key {
        case .config: config = nil
        case .mapRevision: mapRevision = MapRevision(0)
        case .controller: controller = nil
        case .throttle: throttle = .standard
        default:
            if let shard = key.shardID {
                shards[shard] = nil
                orderedShards = nil
            } else if let operation = key.operationID {
                operations[operation] = nil
                orderedOperations = nil
            } else if let node = key.nodeID {
                if key.hasPrefix(.sessions) {
                    sessions[node] = nil
                } else {
                    nodes[node] = nil
                    orderedNodes = nil
                }
            }
        }
    }

    private mutating func sortedNodes() -> [NodeRecord] {
        let ordered = orderedNodes ?? nodes.values.sorted { $0.id < $1.id }
        orderedNodes = ordered
        return ordered
    }

    private mutating func sortedOperations() -> [OperationRecord] {
        let ordered = orderedOperations ?? operations.values.sorted { $0.id < $1.id }
        orderedOperations = ordered
        return ordered
    }

    private mutating func sortedShards(_ count: Int) throws(RecordError) -> [ShardRecord] {
        if let orderedShards, orderedShards.count == count { return orderedShards }
        var ordered: [ShardRecord] = []
        ordered.reserveCapacity(count)
        for shard in Ring(shardCount: count).shards {
            guard let record = shards[shard] else {
                throw .malformed(key: .shard(shard), detail: "the shard is missing")
            }
            ordered.append(record)
        }
        orderedShards = ordered
        return ordered
    }
}
