public import HashRing
public import Primitives

/// The one deciding mind of a cluster: begins moves, plans anew what has become impossible, ends operations. Any node
/// may be it; one is elected.
///
/// Level-triggered: whatever has happened, it looks at the whole map and wants what is missing. It keeps nothing of its
/// own, so that any node goes on where another one ended. It acts by transactions that compare what they were decided
/// on and that its seat is still the same, so a late controller, or a late look at the map, does nothing.
public enum Controller {
    /// The transaction by which `node` becomes the controller; `nil` where there is one. The seat vanishes with the
    /// session.
    public static func candidacy(
        of node: NodeID, session: SessionID?, in map: ClusterMap
    ) -> MetadataTransaction? {
        guard map.controller == nil else { return nil }
        return MetadataTransaction(
            if: [.absent(.controller)],
            then: [.put(.controller, ControllerSeat(node: node).encoded(), session: session)])
    }

    public static func isElected(_ node: NodeID, in map: ClusterMap) -> Bool { map.controller?.node == node }

    /// What to do now: run each in order, whatever becomes of the ones before; after a change of the map ask again.
    /// Nothing to do where `node` is not the controller.
    ///
    /// - Returns: at most `Limits.controllerTransactionsMax`. Empty is the state of rest.
    public static func pass(
        _ map: ClusterMap, as node: NodeID, now: Timestamp, mutants: Mutants = .none
    ) -> [MetadataTransaction] {
        guard isElected(node, in: map) else { return [] }
        var pass = ControllerPass(map: map, now: now, mutants: mutants)
        pass.clearMoves()
        pass.reviewOperations()
        pass.startMoves()
        pass.forgetOperations()
        return Array(pass.transactions.prefix(Limits.controllerTransactionsMax))
    }
}

struct ControllerPass {
    let map: ClusterMap
    let now: Timestamp
    let mutants: Mutants
    private(set) var transactions: [MetadataTransaction] = []
    /// Operations that this pass changes: nothing else may be decided on them.
    var changed: Set<OperationID> = []

    init(map: ClusterMap, now: Timestamp, mutants: Mutants) {
        self.map = map
        self.now = now
        self.mutants = mutants
    }

    /// Adds a transaction that also compares that the seat is the one of the map.
    mutating func act(
        if conditions: [MetadataTransaction.Condition], then operations: [MetadataTransaction.Operation]
    ) {
        let seat = MetadataTransaction.Condition.created(.controller, at: map.createRevision(of: .controller))
        let compared = mutants.has(.controllerActsWithoutComparing) ? [] : [seat] + conditions
        transactions.append(MetadataTransaction(if: compared, then: operations))
    }

    mutating func put(_ operation: OperationRecord, if others: [MetadataTransaction.Condition] = []) {
        changed.insert(operation.id)
        let key = MetadataKey.operation(operation.id)
        act(if: [map.unchanged(key)] + others, then: [.put(key, operation.encoded())])
    }

    // MARK: Moves that lead nowhere

    /// Ends moves before their handover that belong to no operation any more or cannot go on: their operation plans
    /// them anew, or they begin again when both nodes are back. And the leftovers of nodes that were removed.
    mutating func clearMoves() {
        for shard in map.shardIDs {
            // Most shards move nowhere, and what a move needs beside its record is looked up by name.
            guard let move = map.shards[Int(shard.rawValue)].move, isIdle(move), let entry = map.shard(shard)
            else { continue }
            act(
                if: [.lastPut(.shard(shard), at: entry.revision)],
                then: [.put(.shard(shard), entry.record.with(nil).encoded())])
        }
    }

    private func isIdle(_ move: ShardMove) -> Bool {
        guard move.isBeforeHandover else {
            let source = map.node(move.from)
            return source == nil || source?.state == .removed
        }
        return !map.operationIsActive(move.operation) || map.obstacle(toTarget: move.to) != nil
            || !map.isAlive(move.from)
    }

    // MARK: Starting

    /// Begins the moves that the limits leave room for, all in one transaction. It also puts the seat again, which the
    /// next one compares: so no two are decided on the same map, and the limits hold however late the map is.
    mutating func startMoves() {
        var traffic = MoveTraffic(map)
        var begun: Set<ShardID> = []
        var batch = StartBatch()
        let running = map.operations.filter { $0.state == .running }
        for operation in running.sorted(by: { ($0.kind.work.rawValue, $0.id) < ($1.kind.work.rawValue, $1.id) }) {
            // What it is to do now stands in the next map; until then it keeps its turn.
            if changed.contains(operation.id) { break }
            for move in operation.moves where !begun.contains(move.shard) {
                guard !batch.isFull, let entry = map.shard(move.shard), move.from != move.to,
                    traffic.obstacle(to: move, of: operation, in: map) == nil
                else { continue }
                traffic.add(move)
                begun.insert(move.shard)
                batch.add(entry, move, operation.id, map)
            }
        }
        guard let seat = map.controller, !batch.operations.isEmpty else { return }
        act(
            if: [map.unchanged(.controller)] + batch.conditions,
            then: [.put(.controller, seat.encoded(), session: map.marks[.controller]?.session)] + batch.operations)
    }

    private struct StartBatch {
        private(set) var conditions: [MetadataTransaction.Condition] = []
        private(set) var operations: [MetadataTransaction.Operation] = []
        private var compared: Set<MetadataKey> = []

        /// A move compares five keys at most, and the pass two.
        var isFull: Bool { conditions.count + 7 > Limits.transactionOperationsMax }

        mutating func add(_ entry: ShardEntry, _ move: PlannedMove, _ operation: OperationID, _ map: ClusterMap) {
            for key in [MetadataKey.operation(operation), .node(move.to)] where compared.insert(key).inserted {
                conditions.append(map.unchanged(key))
            }
            for key in [MetadataKey.session(move.to), .session(move.from)] where compared.insert(key).inserted {
                conditions.append(.created(key, at: map.createRevision(of: key)))
            }
            conditions.append(.lastPut(.shard(entry.shard), at: entry.revision))
            let begun = ShardMove(stage: .learner, from: move.from, to: move.to, operation: operation)
            operations.append(.put(.shard(entry.shard), entry.record.with(begun).encoded()))
        }
    }

    // MARK: Forgetting

    /// Operations that ended long ago; the newest is never among them, so numbers are not used again.
    mutating func forgetOperations() {
        let referred = Set(map.shards.compactMap(\.move?.operation))
        let ended = map.operations.filter { $0.state.isFinished && !referred.contains($0.id) }
        let excess = ended.dropLast(Limits.finishedOperationsMax).prefix(Limits.finishedOperationsMax)
        guard !excess.isEmpty else { return }
        act(
            if: excess.map { map.unchanged(.operation($0.id)) }, then: excess.map { .delete(.operation($0.id)) })
    }
}
