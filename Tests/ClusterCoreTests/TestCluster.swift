import ClusterCore
import HashRing
import Primitives

/// A whole cluster without data: nodes that take the steps of moves, controllers, operators, and a store whose answers
/// get lost. One seed decides everything. Whatever happens, ``violations`` stays empty.
struct TestCluster {
    /// A running node: what it has read, and the shards whose handover it tries.
    struct Node {
        var view: ClusterMap
        var frozen: [ShardID: ShardEntry] = [:]
    }

    enum Outcome {
        case committed
        case conflict
        case unknown
    }

    private(set) var store: MemoryMetadata
    private var state: ClusterState
    private(set) var map: ClusterMap
    /// The last maps, oldest first: what a late watch shows.
    private var recent: [ClusterMap]
    private(set) var nodes: [NodeID: Node] = [:]
    /// Requests that nobody knows the outcome of, and that the store may still carry out.
    private var late: [MetadataTransaction] = []
    private(set) var violations: [String] = []
    private(set) var handovers = 0
    var random: SplitMix64
    var isFaulty = true
    private var clock: UInt64 = 0
    private let mutants: Mutants

    init(seed: UInt64, nodes names: [String], shards: Int = 16, mutants: Mutants = .none) throws {
        store = MemoryMetadata.founded(names, shards: shards)
        state = ClusterState(store.read)
        let map = try store.map()
        self.map = map
        recent = [map]
        random = SplitMix64(seed: seed)
        self.mutants = mutants
        for name in names { nodes[.named(name)] = Node(view: map) }
    }

    var now: Timestamp { Timestamp(milliseconds: clock) }

    // MARK: The store

    @discardableResult
    mutating func run(_ transaction: MetadataTransaction) throws -> Outcome {
        let fate = isFaulty ? random.below(20) : 19
        switch fate {
        case 0: return .unknown
        case 1:
            late.append(transaction)
            return .unknown
        default:
            let outcome = store.run(transaction)
            try observe()
            if fate == 2 { return .unknown }
            if case .committed = outcome { return .committed }
            return .conflict
        }
    }

    var hasLate: Bool { !late.isEmpty }

    mutating func runLate() throws {
        guard !late.isEmpty else { return }
        store.run(late.remove(at: random.below(late.count)))
        try observe()
    }

    mutating func change(_ body: (inout MemoryMetadata) -> Void) throws {
        body(&store)
        try observe()
    }

    private mutating func observe() throws {
        for change in store.changes where change.revision > state.revision {
            let before = map
            state.advance(by: change)
            guard let after = try state.map() else { preconditionFailure("the cluster has been founded") }
            map = after
            recent.append(after)
            violations += Self.violations(before, after)
            handovers += zip(before.shards, after.shards).count { $0.primary != $1.primary }
        }
        if recent.count > 6 { recent.removeFirst(recent.count - 6) }
        store.forgetChanges()
        for shard in map.shardIDs {
            let owner = map.shards[Int(shard.rawValue)].primary
            for id in nodes.keys.sorted() where serves(id, shard) && id != owner {
                violations.append("\(id) serves shard \(shard) of \(owner)")
            }
        }
    }

    /// A node answers for a shard where it has read that it owns it, and is not about to give it away.
    private func serves(_ id: NodeID, _ shard: ShardID) -> Bool {
        guard let node = nodes[id], node.frozen[shard] == nil else { return false }
        return node.view.shards[Int(shard.rawValue)].primary == id
    }

    private static func violations(_ before: ClusterMap, _ after: ClusterMap) -> [String] {
        var found: [String] = []
        var takingIn: [NodeID: Int] = [:]
        var givingAway: [NodeID: Int] = [:]
        for (index, (old, new)) in zip(before.shards, after.shards).enumerated() {
            if let move = new.move {
                if move.stage != .retire { takingIn[move.to, default: 0] += 1 }
                givingAway[move.from, default: 0] += 1
            }
            let gaveAway = old.primary != new.primary
            if new.epoch != (gaveAway ? old.epoch.next : old.epoch) {
                found.append("shard \(index): epoch \(new.epoch)")
            }
            if new.replicas != [new.primary] || new.inSync != [new.primary] { found.append("shard \(index): replicas") }
            guard gaveAway else { continue }
            if old.move?.stage != .handover || old.move?.to != new.primary { found.append("shard \(index): taken") }
            if after.mapRevision != before.mapRevision.next { found.append("shard \(index): map revision") }
        }
        for (node, count) in takingIn where count > Limits.movesInMax { found.append("\(node) takes in \(count)") }
        for (node, count) in givingAway where count > Limits.movesOutMax { found.append("\(node) gives away \(count)") }
        for old in before.operations where old.state.isFinished {
            if let new = after.operation(old.id), new != old { found.append("\(old.id) has ended and changed") }
        }
        if after.nextOperation < before.nextOperation { found.append("\(after.nextOperation) is used again") }
        for node in after.nodes where [.removed, .drained].contains(node.state) {
            if after.shards.contains(where: { $0.primary == node.id }) {
                found.append("\(node.id) is left with shards")
            }
        }
        return found
    }

    /// A map that may be late.
    mutating func someMap() -> ClusterMap {
        isFaulty && random.chance(1, in: 2) ? recent[random.below(recent.count)] : map
    }

    // MARK: Operators and controllers

    @discardableResult
    mutating func command(_ command: AdminCommand) throws -> AdminDecision {
        clock += 1
        let decision = AdminDecision.decide(command, on: someMap(), now: now)
        if case .change(let transaction, _) = decision { try run(transaction) }
        return decision
    }

    /// The node runs for the seat, and does what the controller does if it has it; or had it, on a late map.
    mutating func control(_ id: NodeID) throws {
        clock += 1
        guard nodes[id] != nil else { return }
        let session = store.entry(.session(id))?.session
        if let candidacy = Controller.candidacy(of: id, session: session, in: map) { try run(candidacy) }
        for transaction in Controller.pass(someMap(), as: id, now: now, mutants: mutants) { try run(transaction) }
    }

    // MARK: Nodes

    mutating func kill(_ id: NodeID) throws {
        nodes[id] = nil
        try change { $0.setAlive(id, false) }
    }

    /// A handover that the process before it tried may still happen, so what stands at that stage stays frozen.
    mutating func start(_ id: NodeID) throws {
        guard nodes[id] == nil else { return }
        try change { $0.setAlive(id, true) }
        var node = Node(view: map)
        for shard in map.shardIDs {
            guard let entry = map.shard(shard), entry.record.primary == id, entry.record.move?.stage == .handover
            else { continue }
            node.frozen[shard] = entry
        }
        nodes[id] = node
    }

    /// The node reads on, late perhaps but never back, and takes one step of each move that it is part of.
    mutating func step(_ id: NodeID) throws {
        guard var node = nodes[id] else { return }
        let read = someMap()
        if read.revision > node.view.revision { node.view = read }
        nodes[id] = node
        for shard in node.view.shardIDs {
            if let tried = nodes[id]?.frozen[shard] {
                try settle(id, shard, tried)
            } else if let entry = node.view.shard(shard), let move = entry.record.move {
                try advance(id, entry, move)
            }
        }
    }

    private mutating func advance(_ id: NodeID, _ entry: ShardEntry, _ move: ShardMove) throws {
        if move.to == id {
            let restarts = isFaulty && random.chance(1, in: 12)
            if move.stage == .learner || restarts, let step = MoveStep.beginCopy(entry, by: id) {
                try run(step)
            } else if let step = MoveStep.catchUp(entry, by: id) {
                try run(step)
            }
        } else if let step = MoveStep.enterHandover(entry, by: id) ?? MoveStep.finishRetire(entry, by: id) {
            try run(step)
        } else if move.stage == .handover, move.from == id, entry.record.primary == id {
            nodes[id]?.frozen[entry.shard] = entry
            try handOver(id, entry)
        }
    }

    private mutating func handOver(_ id: NodeID, _ entry: ShardEntry) throws {
        let current = map
        guard
            let transaction = MoveStep.handOver(
                entry, by: id, mapRevision: current.mapRevision, mapEntry: current.modRevision(of: .mapRevision),
                mutants: mutants)
        else { return }
        if case .committed = try run(transaction) {
            nodes[id]?.view = map
            nodes[id]?.frozen[entry.shard] = nil
        }
    }

    /// Reads the record again, and thaws only on what is certain.
    private mutating func settle(_ id: NodeID, _ shard: ShardID, _ tried: ShardEntry) throws {
        guard let current = map.shard(shard) else { return }
        switch MoveOutcome.judge(tried, current) {
        case .open(let entry):
            if random.chance(1, in: 3), let step = MoveStep.leaveHandover(entry, by: id) {
                try run(step)
            } else {
                try handOver(id, entry)
            }
        case .committed, .void, .cancelled:
            nodes[id]?.view = map
            nodes[id]?.frozen[shard] = nil
        }
    }
}
