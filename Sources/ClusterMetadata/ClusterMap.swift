public import HashRing
internal import Primitives

/// The cluster as one revision of the metadata store tells it: read whole, decoded and checked.
public struct ClusterMap: Sendable, Hashable {
    public let config: ClusterConfig
    /// By name.
    public let nodes: [NodeRecord]
    /// By shard: `shards[n]` is shard n.
    public let shards: [ShardRecord]
    public let mapRevision: MapRevision
    /// The revision of the store that this is of: compare against it, watch after it.
    public let revision: MetadataRevision

    public func node(_ id: NodeID) -> NodeRecord? { nodes.first { $0.id == id } }

    /// Decodes what `range(prefix: MetadataKey(""))` read.
    ///
    /// - Returns: `nil` where no cluster has been founded.
    /// - Throws: a record that cannot be read, or a shard that is missing.
    public init?(_ read: MetadataRead<[MetadataEntry]>) throws(RecordError) {
        var config: ClusterConfig?
        var mapRevision = MapRevision(0)
        var nodes: [NodeRecord] = []
        var shards: [ShardID: ShardRecord] = [:]
        for entry in read.value {
            if entry.key == .config {
                config = try ClusterConfig(decoding: entry.value, of: entry.key)
            } else if entry.key == .mapRevision {
                mapRevision = try MapRevision(decoding: entry.value, of: entry.key)
            } else if entry.key.hasPrefix(.nodes) {
                nodes.append(try NodeRecord(decoding: entry.value, of: entry.key))
            } else if let shard = entry.key.shardID {
                shards[shard] = try ShardRecord(decoding: entry.value, of: entry.key)
            }
        }
        guard let config else { return nil }
        var ordered: [ShardRecord] = []
        for shard in Ring(shardCount: config.shardCount).shards {
            guard let record = shards[shard] else {
                throw .malformed(key: .shard(shard), detail: "the shard is missing")
            }
            ordered.append(record)
        }
        self.config = config
        self.nodes = nodes.sorted { $0.id < $1.id }
        self.shards = ordered
        self.mapRevision = mapRevision
        revision = read.revision
    }
}
