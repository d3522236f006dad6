import ClusterCore
import HashRing
import LogFormat
import Primitives

/// What the metadata store says of the cluster and of this node, as the node came in.
struct Membership: Sendable {
    let node: NodeRecord
    let map: ClusterMap

    var config: ClusterConfig { map.config }
    var ringSeed: UInt64 { config.hash.seed }

    /// The shards that this node owns, ascending.
    var shards: [(shard: ShardID, epoch: Epoch)] {
        zip(Ring(shardCount: config.shardCount).shards, map.shards).compactMap { shard, record in
            record.primary == node.id ? (shard: shard, epoch: record.epoch) : nil
        }
    }

    var logIdentity: LogIdentity {
        LogIdentity(
            clusterID: .init(high: config.clusterID.high, low: config.clusterID.low),
            nodeStoreID: .init(high: node.storeID.high, low: node.storeID.low))
    }
}
