internal import HashRing

extension NodeStart {
    /// The first start of a node in a cluster that exists: it registers as joining. It becomes active with its first
    /// session (``NodeSession/announcement(of:bootCount:session:in:)``).
    ///
    /// Run the transaction; on a conflict read the map again and ask again.
    ///
    /// - Parameters:
    ///   - node: counts one start.
    ///   - map: read after the node's directory was made, with the stores of ``ClusterMap/shardsToMake(by:)``.
    /// - Returns: `nil` where the node is registered already, with this very data: an earlier attempt was lost on its
    ///   way back, or the node ended before it noted its success.
    public static func joining(
        _ node: NodeRecord, clusterName: String, map: ClusterMap
    ) throws(StartRefusal) -> MetadataTransaction? {
        precondition(node.bootCount == 1, "a node joins with its first start")
        guard map.config.name == clusterName else {
            throw .otherCluster(asked: clusterName, found: map.config.name)
        }
        var record = node
        record.state = .joining
        if let known = map.node(node.id) {
            if known.isAwaited {
                // Somebody may have changed it since the cluster was founded.
                record.weight = known.weight
                return MetadataTransaction(
                    if: [map.unchanged(.node(node.id))], then: [.put(.node(node.id), record.encoded())])
            }
            guard known.state != .removed else { throw .removedNode(node.id) }
            guard known.storeID == node.storeID else {
                throw .otherStore(node.id, registered: known.storeID, found: node.storeID)
            }
            guard known.bootCount == node.bootCount else {
                throw .bootCount(node.id, registered: known.bootCount, found: node.bootCount)
            }
            return nil
        }
        return MetadataTransaction(
            if: [.absent(.node(node.id)), .notCreated(.config, at: .zero)],
            then: [.put(.node(node.id), record.encoded())])
    }
}
