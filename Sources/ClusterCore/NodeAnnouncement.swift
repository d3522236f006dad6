public import HashRing

extension NodeSession {
    /// What makes a node known as alive under its session of now; `nil` where the map says it already. Ask again
    /// whenever the map has changed: what another session of the node has put vanishes when that one ends, and with it
    /// the node would seem dead for ever. A node that is joining becomes active by it, so that one that is active and
    /// not alive was alive before.
    ///
    /// It compares the key, so that one that comes in late, of an earlier session or start, changes nothing.
    public static func announcement(
        of node: NodeID, bootCount: UInt64, session: SessionID, in map: ClusterMap
    ) -> MetadataTransaction? {
        let key = MetadataKey.session(node)
        if map.marks[key]?.session == session { return nil }
        var conditions = [map.unchanged(key)]
        var puts: [MetadataTransaction.Operation] = [
            .put(key, NodeSession(bootCount: bootCount).encoded(), session: session)
        ]
        if var record = map.node(node), record.state == .joining {
            record.state = .active
            conditions.append(map.unchanged(.node(node)))
            puts.append(.put(.node(node), record.encoded()))
        }
        return MetadataTransaction(if: conditions, then: puts)
    }
}
