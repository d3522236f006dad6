public import HashRing
public import Primitives

/// A cluster that is about to be founded: who belongs to it from the start, and who holds which shard.
public struct NewCluster: Sendable {
    public let config: ClusterConfig
    /// The node that founds it.
    public let founder: NodeRecord
    /// Nodes that start later. Until then nobody serves their shards.
    public let companions: [NodeRecord]
    /// By shard.
    private let owners: [NodeID]

    /// - Parameters:
    ///   - founder: counts one start.
    ///   - companions: made by ``NodeRecord/awaited(_:zone:weight:)``. Without any the founder holds every shard; with
    ///     some each node holds its share by weight.
    public init(_ config: ClusterConfig, founder: NodeRecord, companions: [NodeRecord] = []) {
        precondition(founder.bootCount == 1, "a node founds a cluster with its first start")
        precondition(companions.allSatisfy(\.isAwaited), "the other nodes start later")
        self.config = config
        self.founder = founder
        self.companions = companions
        let nodes = ([founder] + companions).map {
            NodeDescription(id: $0.id, weight: $0.weight, zone: $0.zone, state: .active)
        }
        let plan = RebalancePlanner.plan(
            current: Assignment(shardCount: config.shardCount), nodes: nodes, replicationFactor: 1)
        // Where no node has a weight the planner places nothing.
        owners = plan.result.placements.map { $0.primary ?? founder.id }
    }

    /// The shards that the founder holds, ascending. Their empty stores are made before the cluster is founded.
    public var shardsOfFounder: [ShardID] { shards.filter { owners[Int($0.rawValue)] == founder.id } }

    private var shards: some RandomAccessCollection<ShardID> { Ring(shardCount: config.shardCount).shards }

    /// Every shard, in order.
    public var shardPuts: [MetadataTransaction.Operation] {
        zip(shards, owners).map { shard, owner in
            let record = ShardRecord(epoch: .founding, primary: owner, replicas: [owner], inSync: [owner])
            return .put(.shard(shard), record.encoded())
        }
    }

    /// Everything else. The cluster exists by it, so it comes last, or together with the shards.
    public var lastPuts: [MetadataTransaction.Operation] {
        [.put(.config, config.encoded()), .put(.mapRevision, MapRevision(1).encoded())]
            + ([founder] + companions).map { .put(.node($0.id), $0.encoded()) }
    }

    /// Founds it in one transaction, for stores that take one so large; a conflict means that there is a cluster.
    public var transaction: MetadataTransaction {
        MetadataTransaction(if: [.absent(.config)], then: lastPuts + shardPuts)
    }
}

extension NodeRecord {
    /// A node that a cluster is founded with, and that starts later.
    public static func awaited(_ id: NodeID, zone: String, weight: NodeWeight) -> NodeRecord {
        NodeRecord(
            id: id, storeID: UniqueID(high: 0, low: 0), bootCount: 0, state: .joining, zone: zone, weight: weight,
            addresses: NodeAddresses(listen: ""))
    }

    /// Whether it has never started: it has no data directory so far, and nothing was ever written to its shards.
    public var isAwaited: Bool { state == .joining && bootCount == 0 }
}

extension ClusterMap {
    /// The shards whose empty stores `node` makes at its first start: the cluster was founded with them on it, and it
    /// has never started. Empty for every node that has: the store of a shard that it holds is never made again.
    public func shardsToMake(by node: NodeID) -> [ShardID] {
        guard self.node(node)?.isAwaited == true else { return [] }
        return zip(shardIDs, shards).filter { $1.primary == node && $1.epoch == .founding }.map(\.0)
    }
}

extension Epoch {
    /// Of every shard as the cluster is founded.
    static let founding = Epoch(1)
}
