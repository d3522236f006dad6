import ClusterMetadata
import HashRing
import LogFormat
import Primitives

/// What the metadata store says of the cluster and of this node: its identity, and the shards it holds.
struct Membership: Sendable {
    let config: ClusterConfig
    let node: NodeRecord
    let mapRevision: MapRevision
    /// Every shard of the cluster, ascending.
    let shards: [(shard: ShardID, epoch: Epoch)]

    var ringSeed: UInt64 { config.hash.seed }

    var logIdentity: LogIdentity {
        LogIdentity(
            clusterID: .init(high: config.clusterID.high, low: config.clusterID.low),
            nodeStoreID: .init(high: node.storeID.high, low: node.storeID.low))
    }

    /// A cluster of one node, made up and not yet stored: the node's directory is filled first, so that a crash on the
    /// way leaves no record of data that is not there.
    static func founded(_ configuration: NodeConfiguration, now: Timestamp) throws(NodeStartError) -> Membership {
        var random = SystemRandomNumberGenerator()
        guard let id = NodeID(configuration.nodeID) else {
            throw NodeStartError("'\(configuration.nodeID)' cannot be a node's name", isRefusal: true)
        }
        let config = ClusterConfig(
            name: configuration.cluster, clusterID: UniqueID(random: &random), shardCount: configuration.shards,
            hash: RingHash(seed: random.next()), created: now)
        let node = NodeRecord(
            id: id, storeID: UniqueID(random: &random), bootCount: 1, state: .active, zone: configuration.zone,
            weight: NodeWeight(thousandths: UInt32((configuration.weight * 1000).rounded())),
            addresses: addresses(configuration))
        let shards = Ring(shardCount: config.shardCount).shards.map { (shard: $0, epoch: Epoch(1)) }
        return Membership(config: config, node: node, mapRevision: MapRevision(1), shards: shards)
    }

    /// Stores a founded cluster, and ties the directory to it.
    func save(in metadata: EmbeddedMetadata, _ directory: DataDirectory) throws {
        guard case .committed = try metadata.transaction(NodeStart.founding(config, node: node)) else {
            throw NodeStartError("the metadata store already holds a cluster", isRefusal: true)
        }
        try IdentityFile.write(identity(announced: node.bootCount), to: directory)
    }

    /// A later start: checks that the directory is this node's and the cluster's, and counts the start.
    static func resumed(
        _ directory: DataDirectory, _ metadata: EmbeddedMetadata, _ configuration: NodeConfiguration
    ) throws -> Membership {
        let found = try IdentityFile.read(from: directory)
        guard found.node.text == configuration.nodeID else {
            throw NodeStartError(
                "\(directory.path) belongs to node '\(found.node)', not '\(configuration.nodeID)': check --node-id",
                isRefusal: true)
        }
        guard let map = try ClusterMap(try metadata.range(prefix: MetadataKey(""))) else {
            throw NodeStartError("the metadata store holds no cluster", isRefusal: true)
        }
        let entry = try metadata.get(.node(found.node)).value
        let (node, transaction) = try NodeStart.again(
            found, clusterName: configuration.cluster, addresses: addresses(configuration), map: map, entry: entry)
        let shards = zip(Ring(shardCount: map.config.shardCount).shards, map.shards).map {
            (shard: $0, epoch: $1.epoch)
        }
        let resumed = Membership(config: map.config, node: node, mapRevision: map.mapRevision, shards: shards)
        try IdentityFile.write(
            NodeIdentity(
                cluster: found.cluster, node: found.node, store: found.store, bootCount: node.bootCount - 1,
                announcedBootCount: node.bootCount), to: directory)
        guard case .committed = try metadata.transaction(transaction) else {
            throw NodeStartError("another process changed node '\(found.node)' while it started", isRefusal: true)
        }
        try IdentityFile.write(resumed.identity(announced: node.bootCount), to: directory)
        return resumed
    }

    private func identity(announced: UInt64) -> NodeIdentity {
        NodeIdentity(
            cluster: config.clusterID, node: node.id, store: node.storeID, bootCount: node.bootCount,
            announcedBootCount: announced)
    }

    private static func addresses(_ configuration: NodeConfiguration) -> NodeAddresses {
        NodeAddresses(
            listen: (configuration.advertise ?? configuration.listen).description,
            admin: (configuration.advertiseAdmin ?? configuration.adminListen).description,
            peer: configuration.peerListen.description)
    }
}
