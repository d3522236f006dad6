public import HashRing
public import Primitives

/// What a rebalance, or a drain of one node, would move: pure, nothing has changed.
///
/// It is planned on where the shards will be once the operations under way are through: what they move, or are about
/// to, is left to them. A node that is not alive keeps what it has and is given nothing.
public struct RebalanceProposal: Sendable, Hashable {
    /// A node's shards now and after, what other operations bring and take included.
    public struct Share: Sendable, Hashable {
        public let node: NodeID
        public let shards: Int
        public let after: Int
    }

    public let plan: PlanID
    /// By shard.
    public let moves: [PlannedMove]
    /// As many moves as any plan needs.
    public let lowerBound: Int
    /// By node; removed ones are left out.
    public let shares: [Share]
    /// Shards that should leave their node, but no node could take them.
    public let stranded: [ShardID]

    /// Brings every node to its share by weight.
    public static func rebalance(_ map: ClusterMap) -> RebalanceProposal {
        let outlook = ShardOutlook(map, leaving: nil)
        let plan = RebalancePlanner.plan(
            current: outlook.assignment, nodes: map.plannedNodes(leaving: nil), replicationFactor: 1)
        var moves: [PlannedMove] = []
        var stranded: [ShardID] = []
        for move in plan.moves where !outlook.isPinned(move.shard) {
            guard let from = move.from else { continue }
            guard let to = move.to else {
                stranded.append(move.shard)
                continue
            }
            moves.append(PlannedMove(shard: move.shard, from: from, to: to))
        }
        return RebalanceProposal(map, outlook, moves, lowerBound: plan.lowerBoundMoves, stranded)
    }

    /// Takes every shard from `node` and moves nothing else. What another operation is about to take from the node goes
    /// where that would take it.
    public static func drain(_ node: NodeID, _ map: ClusterMap) -> RebalanceProposal {
        let outlook = ShardOutlook(map, leaving: node)
        let plan = RebalancePlanner.plan(
            current: outlook.assignment, nodes: map.plannedNodes(leaving: node), replicationFactor: 1)
        var moves = outlook.adopted
        var stranded: [ShardID] = []
        for move in plan.moves where move.from == node && !outlook.isPinned(move.shard) {
            guard let to = move.to else {
                stranded.append(move.shard)
                continue
            }
            moves.append(PlannedMove(shard: move.shard, from: node, to: to))
        }
        moves.sort { $0.shard < $1.shard }
        return RebalanceProposal(map, outlook, moves, lowerBound: moves.count, stranded)
    }

    private init(
        _ map: ClusterMap, _ outlook: ShardOutlook, _ moves: [PlannedMove], lowerBound: Int, _ stranded: [ShardID]
    ) {
        self.moves = moves
        self.stranded = stranded
        self.lowerBound = min(lowerBound, moves.count)
        plan = PlanID(mapRevision: map.mapRevision, movesHash: Self.hash(moves))
        var now: [NodeID: Int] = [:]
        for shard in map.shards { now[shard.primary, default: 0] += 1 }
        var after: [NodeID: Int] = [:]
        var holders = outlook.holders
        for move in moves { holders[Int(move.shard.rawValue)] = move.to }
        for holder in holders { after[holder, default: 0] += 1 }
        shares = map.nodes.filter { $0.state != .removed }.map {
            Share(node: $0.id, shards: now[$0.id] ?? 0, after: after[$0.id] ?? 0)
        }
    }

    private static func hash(_ moves: [PlannedMove]) -> UInt32 {
        let text = moves.map { "\($0.shard) \($0.from) \($0.to)\n" }.joined()
        return UInt32(truncatingIfNeeded: XXH64.hash(Array(text.utf8), seed: 0))
    }
}

extension ClusterMap {
    /// The nodes as the planner is to see them.
    fileprivate func plannedNodes(leaving: NodeID?) -> [NodeDescription] {
        nodes.filter { $0.state != .removed }.map { node in
            var description = node.description
            if node.id == leaving {
                description.state = .draining
            } else if node.state == .joining || node.state == .active && !isAlive(node.id) {
                // Shards that a cluster was founded with on it stay there.
                description.state = .down
            }
            return description
        }
    }
}

/// Where every shard will be once the operations under way are through.
private struct ShardOutlook {
    /// By shard.
    private(set) var holders: [NodeID]
    /// What operations under way would take from the node that is leaving.
    private(set) var adopted: [PlannedMove] = []
    private var pinned: [Bool]

    init(_ map: ClusterMap, leaving: NodeID?) {
        holders = map.shards.map(\.primary)
        pinned = Array(repeating: false, count: holders.count)
        for (index, shard) in map.shards.enumerated() {
            guard let move = shard.move else { continue }
            if !move.isBeforeHandover {
                // Owned by its new node, it cannot move again before the old one has put it away.
                pinned[index] = shard.primary != leaving
            } else if move.to != leaving, map.obstacle(toTarget: move.to) == nil, map.operationIsActive(move.operation)
            {
                holders[index] = move.to
                pinned[index] = true
            }
        }
        for operation in map.operations where !operation.state.isFinished {
            for move in operation.moves { foresee(move, of: operation, map, leaving) }
        }
    }

    private mutating func foresee(
        _ move: PlannedMove, of operation: OperationRecord, _ map: ClusterMap, _ leaving: NodeID?
    ) {
        let index = Int(move.shard.rawValue)
        guard index < holders.count, !pinned[index], map.shards[index].move == nil else { return }
        let primary = map.shards[index].primary
        // A shard that has been moved meanwhile is followed by a move, and left alone by the others.
        guard primary == move.from || operation.kind == .move, primary != move.to else { return }
        guard move.to != leaving, map.obstacle(toTarget: move.to) == nil else { return }
        holders[index] = move.to
        pinned[index] = true
        if primary == leaving { adopted.append(PlannedMove(shard: move.shard, from: primary, to: move.to)) }
    }

    func isPinned(_ shard: ShardID) -> Bool { pinned[Int(shard.rawValue)] }

    var assignment: Assignment {
        Assignment(holders.map { ShardPlacement(primary: $0, replicas: [$0]) })
    }
}
