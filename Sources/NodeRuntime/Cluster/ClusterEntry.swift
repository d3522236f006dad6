import ClusterCore
import ClusterMetadata
import HashRing
import Logging
import Primitives

/// How a node comes into its cluster: it founds it, joins it, or comes back to it.
///
/// The directory is filled and says whose it is before the metadata store hears of the node, and the start is announced
/// on disk before it is counted there and confirmed afterwards (rule R8). So a crash on the way leaves
/// either a directory that nobody knows, which the next start fills anew, or a node that comes back to it.
struct ClusterEntry {
    let directory: DataDirectory
    let metadata: any MetadataStore
    let configuration: NodeConfiguration
    let descriptors: Descriptors
    let logger: Logger
    /// Makes the empty stores of shards that nothing was ever written to. Blocks.
    let makeStores: ([ShardID]) throws -> Void

    /// Between two tries while the metadata store cannot be reached.
    private static let retryNanoseconds: UInt64 = 1_000_000_000
    /// Changes by others that a start lets get in its way before it gives up.
    private static let conflictsMax = 20

    private var addresses: NodeAddresses { configuration.addresses }

    /// Waits for as long as the metadata store cannot be reached.
    func enter() async throws -> Membership {
        let map = try await readMap()
        try check(map)
        guard !directory.isNew else { return try await enterAnew(map) }
        let identity = try IdentityFile.read(from: directory)
        guard identity.node.text == configuration.nodeID else {
            throw NodeStartError(
                "\(directory.path) belongs to node '\(identity.node)', not '\(configuration.nodeID)': check --node-id",
                isRefusal: true)
        }
        // A first start that ended before the cluster knew of it: nothing was ever acknowledged from the directory.
        if identity.bootCount == 0, map?.node(identity.node)?.storeID != identity.store {
            return try await enterAnew(map)
        }
        guard map != nil else { throw noCluster }
        return try await comeBack(identity)
    }

    /// What speaks against this start, before anything is written.
    private func check(_ map: ClusterMap?) throws(NodeStartError) {
        guard let map else {
            // A founder holds every shard.
            _ = try descriptors.plan(held: configuration.shards, of: configuration.shards)
            return
        }
        let count = map.config.shardCount
        guard !configuration.shardsAreGiven || configuration.shards == count else {
            throw NodeStartError(
                "the cluster '\(map.config.name)' has \(count) shards, which is fixed, and --shards says "
                    + "\(configuration.shards): leave it out or say \(count)",
                isRefusal: true)
        }
        let held = map.shards.count { $0.primary.text == configuration.nodeID }
        _ = try descriptors.plan(held: held, of: count, others: map.nodes.count)
    }

    // MARK: For the first time

    private func enterAnew(_ map: ClusterMap?) async throws -> Membership {
        if let map { return try await join(map) }
        var random = SystemRandomNumberGenerator()
        let config = ClusterConfig(
            name: configuration.cluster, clusterID: UniqueID(random: &random), shardCount: configuration.shards,
            hash: RingHash(seed: random.next()), created: NodeTime(floor: .zero).now())
        let node = try newNode(&random)
        let cluster = NewCluster(config, founder: node, companions: configuration.companions)
        try fill(config.clusterID, node) { try makeStores(cluster.shardsOfFounder) }
        let outcome = try await patiently { () async throws(MetadataError) in
            try await ClusterFounding(cluster, in: metadata).run()
        }
        let map = try await readFoundedMap()
        // Another node has founded the cluster meanwhile: what was made here is not needed.
        guard outcome == .founded else { return try await join(map) }
        return try confirmed(map, node)
    }

    private func join(_ map: ClusterMap) async throws -> Membership {
        var random = SystemRandomNumberGenerator()
        let node = try newNode(&random)
        // Refusals come before the directory is touched.
        _ = try NodeStart.joining(node, clusterName: configuration.cluster, map: map)
        try fill(map.config.clusterID, node) { try makeStores(map.shardsToMake(by: node.id)) }
        return try confirmed(
            await ClusterJoining.join(node, clusterName: configuration.cluster, in: metadata), node)
    }

    private func newNode(_ random: inout some RandomNumberGenerator) throws(NodeStartError) -> NodeRecord {
        guard let id = NodeID(configuration.nodeID) else {
            throw NodeStartError("'\(configuration.nodeID)' cannot be a node's name", isRefusal: true)
        }
        return NodeRecord(
            id: id, storeID: UniqueID(random: &random), bootCount: 1, state: .joining, zone: configuration.zone,
            weight: configuration.nodeWeight, addresses: addresses)
    }

    /// Makes the directory this node's, announced and not yet confirmed.
    private func fill(_ cluster: UniqueID, _ node: NodeRecord, _ content: () throws -> Void) throws {
        do {
            try directory.beginInitializing()
            try content()
            try write(cluster, node, confirmed: node.bootCount - 1)
            try directory.finishInitializing()
        } catch {
            // The cluster has not heard of the node yet.
            if directory.isNew { directory.undo() }
            throw error
        }
    }

    // MARK: Again

    private func comeBack(_ identity: NodeIdentity) async throws -> Membership {
        for _ in 0..<Self.conflictsMax {
            let entry = try await patiently { () async throws(MetadataError) in
                try await metadata.get(.node(identity.node)).value
            }
            // After the entry, so that the map knows what the entry does: a drain, or a removal.
            var map = try await readFoundedMap()
            let (node, transaction) = try NodeStart.again(
                identity, clusterName: configuration.cluster, addresses: addresses, map: map, entry: entry)
            try write(map.config.clusterID, node, confirmed: node.bootCount - 1)
            do throws(MetadataError) {
                _ = try await metadata.transaction(transaction)
            } catch .io(let detail) {
                throw MetadataError.io(detail: detail)
            } catch {
                logger.debug("the metadata store did not take the start", metadata: ["reason": "\(error)"])
            }
            // Whatever the transaction said, what stands there now decides (rule R9).
            map = try await readFoundedMap()
            if map.node(node.id)?.bootCount == node.bootCount {
                return try confirmed(try await settleMoves(of: node.id, map), node)
            }
        }
        throw NodeStartError("node '\(identity.node)' could not start: others change it all the time")
    }

    /// A handover that this node's former life took part in may still be on its way to the metadata store. It relied on
    /// what that life had promised, and what is about to be opened, or thrown away, may not keep it. So its condition
    /// is taken away first: afterwards the map says for certain who owns the shard.
    private func settleMoves(of node: NodeID, _ map: ClusterMap) async throws -> ClusterMap {
        for shard in map.shardIDs {
            guard let entry = map.shard(shard), let move = entry.record.move, move.from == node || move.to == node
            else { continue }
            let ledger = MoveLedger(metadata: metadata, shard: shard, node: node)
            _ = try await patiently { () async throws(MetadataError) in
                try await settled(ledger) { ShardRole.beforeStart($0, for: $1) }
            }
        }
        return try await readFoundedMap()
    }

    /// Takes the step until it applies no more.
    private func settled(
        _ ledger: MoveLedger, _ step: (ShardEntry, NodeID) -> MetadataTransaction?
    ) async throws(MetadataError) {
        for _ in 0..<Self.conflictsMax {
            guard step(try await ledger.read(), ledger.node) != nil else { return }
            do throws(MetadataError) {
                _ = try await ledger.take(step)
            } catch {
                guard error.leavesOutcomeOpen else { throw error }
            }
        }
        throw .unavailable(detail: "the record of shard \(ledger.shard) changes all the time")
    }

    // MARK: Both

    private func confirmed(_ map: ClusterMap, _ node: NodeRecord) throws -> Membership {
        try write(map.config.clusterID, node, confirmed: node.bootCount)
        return Membership(node: map.node(node.id) ?? node, map: map)
    }

    private func write(_ cluster: UniqueID, _ node: NodeRecord, confirmed: UInt64) throws {
        try IdentityFile.write(
            NodeIdentity(
                cluster: cluster, node: node.id, store: node.storeID, bootCount: confirmed,
                announcedBootCount: node.bootCount), to: directory)
    }

    private var noCluster: NodeStartError {
        NodeStartError(
            "the metadata store holds no cluster named '\(configuration.cluster)': check --cluster and --metadata",
            isRefusal: true)
    }

    private func readFoundedMap() async throws -> ClusterMap {
        guard let map = try await readMap() else {
            throw noCluster
        }
        return map
    }

    private func readMap() async throws -> ClusterMap? {
        let read = try await patiently { () async throws(MetadataError) in
            try await metadata.range(prefix: MetadataKey(""))
        }
        return try ClusterMap(read)
    }

    /// Tries until the metadata store answers. What it does not know the outcome of is for the caller to read again.
    private func patiently<Value>(_ body: () async throws(MetadataError) -> Value) async throws -> Value {
        while true {
            let reason: String
            do throws(MetadataError) {
                return try await body()
            } catch .unavailable(let detail) {
                reason = detail
            } catch {
                throw error
            }
            try Task.checkCancellation()
            logger.warning("waiting for the metadata store", metadata: ["reason": "\(reason)"])
            try await Task.sleep(nanoseconds: Self.retryNanoseconds)
        }
    }
}
