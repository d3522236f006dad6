public import Primitives

/// Who keeps one shard.
public struct ShardPlacement: Sendable, Hashable {
    public var epoch: Epoch
    /// One of the replicas; `nil` before the first placement.
    public var primary: NodeID?
    /// Ascending, each once.
    public var replicas: [NodeID]

    public init(epoch: Epoch = Epoch(0), primary: NodeID? = nil, replicas: [NodeID] = []) {
        precondition(primary.map(replicas.contains) ?? true, "the primary is a replica")
        self.epoch = epoch
        self.primary = primary
        self.replicas = Array(Set(replicas)).sorted()
    }
}

/// Who keeps which shard: a table, not a formula, so that a change moves what has to move and nothing else.
public struct Assignment: Sendable, Hashable {
    public private(set) var placements: [ShardPlacement]

    /// Nobody keeps anything yet.
    public init(shardCount: Int) {
        precondition(Ring.isShardCount(shardCount), "the number of shards is a power of two up to 65,536")
        placements = Array(repeating: ShardPlacement(), count: shardCount)
    }

    /// - Parameter placements: of every shard, in order.
    public init(_ placements: [ShardPlacement]) {
        precondition(Ring.isShardCount(placements.count), "the number of shards is a power of two up to 65,536")
        self.placements = placements
    }

    public var shardCount: Int { placements.count }

    public subscript(shard: ShardID) -> ShardPlacement {
        get { placements[Int(shard.rawValue)] }
        set { placements[Int(shard.rawValue)] = newValue }
    }

    /// How many replicas each node keeps.
    public func replicaCounts() -> [NodeID: Int] {
        placements.reduce(into: [:]) { counts, placement in
            for node in placement.replicas { counts[node, default: 0] += 1 }
        }
    }

    /// How many shards each node is the primary of.
    public func primaryCounts() -> [NodeID: Int] {
        placements.reduce(into: [:]) { counts, placement in
            if let primary = placement.primary { counts[primary, default: 0] += 1 }
        }
    }
}
