public import HashRing
public import Primitives

/// Why a planned move does not begin. The controller decides by these and the admin tool explains by them, so that what
/// is said is what holds.
public enum MoveObstacle: Sendable, Hashable {
    case paused(OperationID)
    /// The shard is neither where the plan takes it from nor where it takes it.
    case elsewhere(ShardID, NodeID)
    /// Another operation moves the shard.
    case otherOperation(ShardID, OperationID)
    case unknownNode(NodeID)
    /// The target takes no shards in this state.
    case state(NodeID, NodeState)
    case notAlive(NodeID)
    /// The node takes in, or gives away, as many shards as it may at once.
    case takesInEnough(NodeID)
    case givesAwayEnough(NodeID)
    case noController
}

extension MoveObstacle {
    var isDeath: Bool { if case .notAlive = self { true } else { false } }
}

extension MoveObstacle: CustomStringConvertible {
    public var description: String {
        switch self {
        case .paused(let operation): "\(operation) is paused"
        case .elsewhere(let shard, let node): "shard \(shard) is on \(node)"
        case .otherOperation(let shard, let operation): "\(operation) moves shard \(shard)"
        case .unknownNode(let node): "the cluster does not know \(node)"
        case .state(let node, let state): "\(node) is \(state.rawValue)"
        case .notAlive(let node): "\(node) is not alive"
        case .takesInEnough(let node): "\(node) takes in \(Limits.movesInMax) shards already"
        case .givesAwayEnough(let node): "\(node) gives away \(Limits.movesOutMax) shards already"
        case .noController: "no node is the controller"
        }
    }
}

extension ClusterMap {
    /// Why `node` cannot be the target of a move; `nil` where it can.
    func obstacle(toTarget node: NodeID) -> MoveObstacle? {
        guard let record = self.node(node) else { return .unknownNode(node) }
        guard record.state.takesReplicas else { return .state(node, record.state) }
        return isAlive(node) ? nil : .notAlive(node)
    }

    /// Active, with a weight, and alive: what may be planned as a target.
    func takes(_ node: NodeRecord) -> Bool {
        obstacle(toTarget: node.id) == nil && node.weight > .zero
    }

    func operationIsActive(_ id: OperationID) -> Bool { operation(id).map { !$0.state.isFinished } ?? false }
}

/// How many shards each node takes in and gives away: moves under way, and those added on the way.
struct MoveTraffic {
    private var takingIn: [NodeID: Int] = [:]
    private var givingAway: [NodeID: Int] = [:]

    /// What retires is no longer taken in; it is given away until its source has put it away.
    init(_ map: ClusterMap) {
        for case let move? in map.shards.lazy.map(\.move) {
            if move.isBeforeHandover { takingIn[move.to, default: 0] += 1 }
            givingAway[move.from, default: 0] += 1
        }
    }

    mutating func add(_ move: PlannedMove) {
        takingIn[move.to, default: 0] += 1
        givingAway[move.from, default: 0] += 1
    }

    /// Why the move of the operation cannot begin; `nil` where it can.
    func obstacle(to move: PlannedMove, of operation: OperationRecord, in map: ClusterMap) -> MoveObstacle? {
        guard let entry = map.shard(move.shard) else { return .unknownNode(move.from) }
        if let other = entry.record.move { return .otherOperation(move.shard, other.operation) }
        guard entry.record.primary == move.from else { return .elsewhere(move.shard, entry.record.primary) }
        if operation.state == .paused { return .paused(operation.id) }
        if let obstacle = map.obstacle(toTarget: move.to) { return obstacle }
        guard map.isAlive(move.from) else { return .notAlive(move.from) }
        if takingIn[move.to, default: 0] >= Limits.movesInMax { return .takesInEnough(move.to) }
        if givingAway[move.from, default: 0] >= Limits.movesOutMax { return .givesAwayEnough(move.from) }
        return nil
    }
}
