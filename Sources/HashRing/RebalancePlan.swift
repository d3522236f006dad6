public import Primitives

/// What has to happen for an assignment to fit the nodes: a value that says everything about itself and has done
/// nothing.
public struct RebalancePlan: Sendable, Hashable {
    /// A replica that comes, goes, or both.
    public struct Move: Sendable, Hashable {
        public let shard: ShardID
        /// `nil`: an additional replica.
        public let from: NodeID?
        /// `nil`: a replica too many.
        public let to: NodeID?
    }

    /// Another replica becomes the primary: no data moves but what `moves` says.
    public struct PrimaryChange: Sendable, Hashable {
        public let shard: ShardID
        public let from: NodeID?
        public let to: NodeID
    }

    /// What a node should keep by its weight.
    public struct Quota: Sendable, Hashable {
        public let node: NodeID
        public let replicas: Int
        public let primaries: Int
    }

    /// By shard.
    public let moves: [Move]
    /// By shard.
    public let primaryChanges: [PrimaryChange]
    /// By node; nodes that keep nothing have none.
    public let quotas: [Quota]
    /// What must be copied whatever the plan, as far as counting tells. Tight zones can ask for more; then so does
    /// every plan.
    public let lowerBoundMoves: Int
    /// Shards with two replicas in one zone, since there are not enough zones.
    public let shardsSharingZones: [ShardID]
    /// Shards with fewer replicas than asked for, since there are not enough nodes.
    public let shardsShortOfReplicas: [ShardID]
    /// The assignment after the plan. Epochs are those of before: whoever carries the plan out raises them.
    public let result: Assignment

    /// Moves that copy data.
    public var copies: Int { moves.count { $0.to != nil } }

    public var isEmpty: Bool { moves.isEmpty && primaryChanges.isEmpty }
}
