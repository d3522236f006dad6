public import HashRing
public import Primitives

/// What a node's data directory says about itself.
public struct NodeIdentity: Sendable, Hashable {
    public let cluster: UniqueID
    public let node: NodeID
    public let store: UniqueID
    /// Starts that the metadata store has confirmed.
    public let bootCount: UInt64
    /// The start that was last announced on disk before it was asked of the metadata store: `bootCount`, or one more
    /// where the node ended between the two.
    public let announcedBootCount: UInt64

    public init(cluster: UniqueID, node: NodeID, store: UniqueID, bootCount: UInt64, announcedBootCount: UInt64) {
        precondition(
            announcedBootCount == bootCount || announcedBootCount == bootCount + 1, "starts are announced one by one")
        self.cluster = cluster
        self.node = node
        self.store = store
        self.bootCount = bootCount
        self.announcedBootCount = announcedBootCount
    }
}

/// Why a node must not start with this data directory in this cluster.
public enum StartRefusal: Error, Sendable, Hashable {
    case otherCluster(asked: String, found: String)
    /// The directory belongs to another cluster of, perhaps, the same name.
    case foreignDirectory(directory: UniqueID, cluster: UniqueID)
    case unknownNode(NodeID)
    case removedNode(NodeID)
    /// The node was here with another data directory: this one is new or another node's.
    case otherStore(NodeID, registered: UniqueID, found: UniqueID)
    /// The directory is not the latest one: restored from the past, or a copy that runs elsewhere.
    case bootCount(NodeID, registered: UInt64, found: UInt64)
}

extension StartRefusal: CustomStringConvertible {
    public var description: String {
        switch self {
        case .otherCluster(let asked, let found):
            "the metadata is of cluster \(found), not \(asked): check --cluster and --metadata"
        case .foreignDirectory(let directory, let cluster):
            "the data directory is of cluster \(directory), the metadata of cluster \(cluster)"
        case .unknownNode(let node): "the cluster does not know node \(node): check --node-id"
        case .removedNode(let node): "node \(node) was removed from the cluster: give the machine a new --node-id"
        case .otherStore(let node, let registered, let found):
            "node \(node) is registered with data \(registered), but the data directory holds \(found)"
        case .bootCount(let node, let registered, let found):
            "node \(node) has started \(registered) times, but its data directory has seen \(found): "
                + "it was restored from an old copy, or another process runs with the same name"
        }
    }
}

/// The starts of nodes in a cluster that exists, as transactions: the caller runs them on whichever metadata store it
/// has.
public enum NodeStart {
    /// A later start: checks the directory against the cluster, and counts the start. Announce `node.bootCount` of the
    /// result on disk, run the transaction, and confirm it on disk once committed; on a conflict read the map again.
    ///
    /// - Parameters:
    ///   - map: read at `entry.modRevision` or later.
    ///   - entry: the node's entry, as read with the map.
    public static func again(
        _ identity: NodeIdentity, clusterName: String, addresses: NodeAddresses, map: ClusterMap, entry: MetadataEntry?,
        mutants: Mutants = .none
    ) throws(StartRefusal) -> (node: NodeRecord, transaction: MetadataTransaction) {
        guard map.config.name == clusterName else {
            throw .otherCluster(asked: clusterName, found: map.config.name)
        }
        guard map.config.clusterID == identity.cluster else {
            throw .foreignDirectory(directory: identity.cluster, cluster: map.config.clusterID)
        }
        guard let entry, var node = map.node(identity.node) else { throw .unknownNode(identity.node) }
        guard node.state != .removed else { throw .removedNode(node.id) }
        guard node.storeID == identity.store else {
            throw .otherStore(node.id, registered: node.storeID, found: identity.store)
        }
        let isLatest = node.bootCount == identity.bootCount || node.bootCount == identity.announcedBootCount
        guard isLatest || mutants.has(.bootCountIgnored) else {
            throw .bootCount(node.id, registered: node.bootCount, found: identity.bootCount)
        }
        node.bootCount += 1
        node.addresses = addresses
        return (
            node,
            MetadataTransaction(
                if: [.lastPut(entry.key, at: entry.modRevision)], then: [.put(entry.key, node.encoded())])
        )
    }
}
