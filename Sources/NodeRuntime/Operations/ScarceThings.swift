import ClusterCore
import Logging
import Primitives

/// What a node shares with the other nodes of its process, and its listeners with each other.
struct ScarceThings: Sendable {
    let descriptors: Descriptors
    let connections: ConnectionBudget
    let logger: Logger

    init(_ configuration: NodeConfiguration, _ descriptors: Descriptors, logger: Logger) {
        self.descriptors = descriptors
        self.logger = logger
        // The admin listener answers before the node knows its shards.
        connections = ConnectionBudget(sharedMax: Limits.connectionsMin, logger: logger)
    }

    /// The node knows its shards.
    func settle(for membership: Membership) throws(NodeStartError) -> DescriptorPlan {
        let held = membership.shards.count
        let plan = try descriptors.plan(
            held: held, of: membership.config.shardCount, others: membership.map.nodes.count - 1)
        descriptors.open(held, under: plan)
        connections.settle(sharedMax: plan.connections, reservedForPeers: plan.connectionsOfPeers)
        if plan.connections < descriptors.connectionsWanted {
            logger.warning(
                "the limit of file descriptors leaves room for fewer connections than limits.connections",
                metadata: [
                    "connections": "\(plan.connections)", "limits.connections": "\(descriptors.connectionsWanted)",
                    "file-descriptors": "\(descriptors.limit)", "hint": "raise it: ulimit -n, or LimitNOFILE=",
                ])
        }
        return plan
    }
}
