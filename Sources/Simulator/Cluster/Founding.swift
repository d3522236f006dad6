import ClusterCore
import HashRing
import Primitives

/// Puts a cluster together: its metadata as it was founded, and each node's part in it.
struct Founding {
    let metadata: VirtualMetadataStore
    let operators: Operators

    init(
        _ shape: ClusterShape, _ options: SimulationOptions, _ nodes: [Node], world: World, audit: Audit,
        random: inout SplitMix64
    ) {
        var settings = VirtualMetadataStore.Settings()
        settings.unknownEvery = options.faults.contains(.metadataUnknown) ? shape.unknownEvery : 0
        settings.watchLag = shape.watchLag
        metadata = VirtualMetadataStore(world: world, settings: settings, random: random.split())
        let names = nodes.indices.map { Self.name($0) }
        let config = ClusterConfig(
            name: "simulated", clusterID: UniqueID(high: 7, low: 7), shardCount: options.shardCount,
            hash: RingHash(seed: 0), created: .zero)
        let owners = OwnerLedger(world: world, shardCount: options.shardCount, nodes: names)
        audit.owners = owners
        metadata.committed = { owners.changed($0) }
        Self.found(config, shape, names, in: metadata)
        let endpoints = Dictionary(uniqueKeysWithValues: zip(names, nodes.map(\.endpoint)))
        let byName = Dictionary(uniqueKeysWithValues: zip(names, nodes))
        for (index, node) in nodes.enumerated() {
            node.agent = NodeAgent(
                node: node, name: names[index],
                identity: NodeIdentity(
                    cluster: config.clusterID, node: names[index], store: Self.storeID(index), bootCount: 0,
                    announcedBootCount: 0),
                clusterName: config.name, metadata: metadata, endpoints: endpoints,
                isDown: { byName[$0]?.state == .down })
            node.agent?.isKnown = index < shape.founders
            for shard in node.stores.indices where index >= shape.founders || shard % shape.founders != index {
                node.stores[shard] = nil
            }
        }
        operators = Operators(
            world: world, options: options, shape: shape, nodes: nodes, metadata: metadata, random: random.split())
    }

    static func name(_ index: Int) -> NodeID {
        guard let name = NodeID("n\(index)") else { preconditionFailure("a letter and a digit name a node") }
        return name
    }

    static func storeID(_ index: Int) -> UniqueID { UniqueID(high: 1, low: UInt64(index)) }

    static func record(_ index: Int) -> NodeRecord {
        NodeRecord(
            id: name(index), storeID: storeID(index), bootCount: 0, state: .active, zone: "", weight: .one,
            addresses: NodeAddresses(listen: "n\(index):1"))
    }

    /// The founders hold the shards in turn.
    private static func found(
        _ config: ClusterConfig, _ shape: ClusterShape, _ names: [NodeID], in metadata: VirtualMetadataStore
    ) {
        var puts: [MetadataTransaction.Operation] = [
            .put(.config, config.encoded()), .put(.mapRevision, MapRevision(1).encoded()),
        ]
        for index in 0..<shape.founders { puts.append(.put(.node(names[index]), record(index).encoded())) }
        for (index, shard) in Ring(shardCount: config.shardCount).shards.enumerated() {
            let owner = names[index % shape.founders]
            let record = ShardRecord(epoch: Epoch(1), primary: owner, replicas: [owner], inSync: [owner])
            puts.append(.put(.shard(shard), record.encoded()))
        }
        metadata.setUp(puts)
    }
}
