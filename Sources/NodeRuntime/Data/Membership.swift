import ClusterMetadata
import HashRing
import LogFormat
import Primitives

/// What the metadata store says of the cluster and of this node: its identity, and the shards it holds.
struct Membership: Sendable {
    let config: ClusterConfig
    let node: NodeRecord
    let shards: [(shard: ShardID, epoch: Epoch)]
    let mapRevision: MapRevision

    var ringSeed: UInt64 { config.hash.seed }

    var logIdentity: LogIdentity {
        LogIdentity(
            clusterID: .init(high: config.clusterID.high, low: config.clusterID.low),
            nodeStoreID: .init(high: node.storeID.high, low: node.storeID.low))
    }

    /// A cluster of one node, made up and not yet stored: the node's directory is filled first, so that a crash on the
    /// way leaves no record of data that is not there.
    static func create(_ configuration: NodeConfiguration, now: Timestamp) throws(NodeStartError) -> Membership {
        var random = SystemRandomNumberGenerator()
        let config = ClusterConfig(
            name: configuration.cluster, clusterID: UniqueID(random: &random), shardCount: configuration.shards,
            hash: RingHash(seed: random.next()), created: now)
        let node = NodeRecord(
            id: try nodeID(configuration), storeID: UniqueID(random: &random), bootCount: 1, state: .active,
            zone: configuration.zone, weight: weight(configuration), addresses: addresses(configuration))
        let shards = (0..<configuration.shards).map { (shard: ShardID(UInt32($0)), epoch: Epoch(1)) }
        return Membership(config: config, node: node, shards: shards, mapRevision: MapRevision(1))
    }

    /// Stores a created cluster in one transaction.
    func save(in metadata: EmbeddedMetadata) throws(NodeStartError) {
        var operations: [MetadataTransaction.Operation] = [
            .put(.config, config.encoded()), .put(.node(node.id), node.encoded()),
            .put(.mapRevision, mapRevision.encoded()),
        ]
        for (shard, epoch) in shards {
            let record = ShardRecord(epoch: epoch, primary: node.id, replicas: [node.id], inSync: [node.id])
            operations.append(.put(.shard(shard), record.encoded()))
        }
        do {
            let transaction = MetadataTransaction(if: [.absent(.config)], then: operations)
            guard case .committed = try metadata.transaction(transaction) else {
                throw NodeStartError("the metadata store already holds a cluster", isRefusal: true)
            }
        } catch let error as MetadataError {
            throw NodeStartError("the metadata store: \(error)")
        } catch {
            throw NodeStartError("\(error)")
        }
    }

    /// Reads the cluster that the directory belongs to, and counts this start. What was fixed at creation must agree
    /// with the configuration where that names it; zone, weight and addresses follow the configuration.
    static func load(
        from metadata: EmbeddedMetadata, _ configuration: NodeConfiguration
    ) throws(NodeStartError) -> Membership {
        do {
            let id = try nodeID(configuration)
            guard let config = try metadata.record(ClusterConfig.self, .config) else {
                throw NodeStartError("the metadata store holds no cluster", isRefusal: true)
            }
            guard config.name == configuration.cluster else {
                throw NodeStartError(
                    "the data directory belongs to cluster '\(config.name)', not '\(configuration.cluster)'",
                    isRefusal: true)
            }
            guard var node = try metadata.record(NodeRecord.self, .node(id)) else {
                throw NodeStartError(
                    "the data directory does not belong to node '\(id)'; start it with the --node-id that made it",
                    isRefusal: true)
            }
            node.bootCount += 1
            node.zone = configuration.zone
            node.weight = weight(configuration)
            node.addresses = addresses(configuration)
            _ = try metadata.transaction(MetadataTransaction(then: [.put(.node(id), node.encoded())]))
            let shards = try metadata.range(prefix: .shards).value.compactMap { entry in
                try entry.key.shardID.map { shard in
                    (shard: shard, epoch: try ShardRecord(decoding: entry.value, of: entry.key).epoch)
                }
            }.sorted { $0.shard < $1.shard }
            guard shards.map(\.shard) == (0..<config.shardCount).map({ ShardID(UInt32($0)) }) else {
                throw NodeStartError("the metadata store does not hold every shard of the cluster", isRefusal: true)
            }
            let revision = try metadata.record(MapRevision.self, .mapRevision) ?? MapRevision(1)
            return Membership(config: config, node: node, shards: shards, mapRevision: revision)
        } catch let error as NodeStartError {
            throw error
        } catch {
            throw NodeStartError("the metadata store: \(error)", isRefusal: true)
        }
    }

    // MARK: From the configuration

    private static func nodeID(_ configuration: NodeConfiguration) throws(NodeStartError) -> NodeID {
        guard let id = NodeID(configuration.nodeID) else {
            throw NodeStartError("'\(configuration.nodeID)' cannot be a node's name", isRefusal: true)
        }
        return id
    }

    private static func weight(_ configuration: NodeConfiguration) -> NodeWeight {
        NodeWeight(thousandths: UInt32((configuration.weight * 1000).rounded()))
    }

    private static func addresses(_ configuration: NodeConfiguration) -> NodeAddresses {
        NodeAddresses(
            listen: (configuration.advertise ?? configuration.listen).description,
            admin: (configuration.advertiseAdmin ?? configuration.adminListen).description,
            peer: configuration.peerListen.description)
    }
}

extension EmbeddedMetadata {
    fileprivate func record<Record: MetadataRecord>(_ type: Record.Type, _ key: MetadataKey) throws -> Record? {
        try get(key).value.map { try Record(decoding: $0.value, of: key) }
    }
}
