internal import HashRing
internal import Primitives

// MARK: Operations

extension AdminDesk {
    func commit(_ plan: PlanID) -> AdminDecision {
        let sameName = map.operations.last { $0.plan == plan && $0.state != .cancelled && $0.state != .failed }
        if let sameName {
            return .nothingToDo(operation: sameName.id, text: "\(sameName.id) carries out \(plan): \(sameName.state)")
        }
        if let running = active(.rebalance) {
            return refuse(
                "\(running.id) is rebalancing: wait for it (`keysteadctl op wait \(running.id)`) or cancel it, "
                    + "then plan again")
        }
        let proposal = RebalanceProposal.rebalance(map)
        guard proposal.plan == plan else {
            let what =
                plan.mapRevision == map.mapRevision
                ? "nodes have changed since" : "the map is at revision \(map.mapRevision.rawValue) now"
            return .refused(
                .stalePlan, text: "\(plan) is not the plan any more: \(what); see `keysteadctl rebalance plan`")
        }
        guard !proposal.moves.isEmpty else {
            return .nothingToDo(operation: nil, text: "every node has its share: nothing to move")
        }
        return create(
            operation(.rebalance, plan: plan, moves: proposal.moves),
            if: [map.unchanged(.mapRevision)] + unchangedNodes(Set(proposal.moves.flatMap { [$0.to, $0.from] })))
    }

    func rebalance(_ decide: (OperationRecord) -> AdminDecision) -> AdminDecision {
        guard let running = active(.rebalance) else {
            return .refused(.notFound, text: "no rebalance is running: see `keysteadctl op list`")
        }
        return decide(running)
    }

    func move(_ shard: ShardID, to target: NodeRecord) -> AdminDecision {
        guard let entry = map.shard(shard) else {
            return .refused(.notFound, text: "there is no shard \(shard): they are 0 to \(map.shards.count - 1)")
        }
        let record = entry.record
        if let current = record.move {
            if current.to == target.id, map.operationIsActive(current.operation) || !current.isBeforeHandover {
                return .nothingToDo(
                    operation: current.operation, text: "\(current.operation) moves shard \(shard) to \(target.id)")
            }
            let instead =
                current.isBeforeHandover
                ? "wait for it, or cancel it (`keysteadctl op cancel \(current.operation)`)" : "try again when it has"
            return refuse("shard \(shard) is moving from \(current.from) to \(current.to): \(instead)")
        }
        if record.primary == target.id {
            return .nothingToDo(operation: nil, text: "shard \(shard) is on \(target.id)")
        }
        if let planned = pending(shard, record) {
            if planned.move.to == target.id {
                return .nothingToDo(
                    operation: planned.operation,
                    text: "\(planned.operation) is about to move shard \(shard) to \(target.id)")
            }
            return refuse(
                "\(planned.operation) is about to move shard \(shard) to \(planned.move.to): "
                    + "cancel it, or move the shard when it is through")
        }
        if let obstacle = map.obstacle(toTarget: target.id) {
            return refuse("\(obstacle): shard \(shard) can go to a node that is active and alive")
        }
        guard map.isAlive(record.primary) else {
            return refuse("\(record.primary) is not alive, and it has the only copy of shard \(shard): start it first")
        }
        let planned = PlannedMove(shard: shard, from: record.primary, to: target.id)
        var conditions: [MetadataTransaction.Condition] = [
            .lastPut(.shard(shard), at: entry.revision), map.unchanged(.node(target.id)),
            .created(.session(target.id), at: map.createRevision(of: .session(target.id))),
            .created(.session(record.primary), at: map.createRevision(of: .session(record.primary))),
        ]
        var puts: [MetadataTransaction.Operation] = []
        // A rebalance must not take the shard where it wanted it, before or after.
        if var balancing = active(.rebalance), balancing.moves.contains(where: { $0.shard == shard }) {
            balancing.moves.removeAll { $0.shard == shard }
            conditions.append(map.unchanged(.operation(balancing.id)))
            puts.append(.put(.operation(balancing.id), balancing.encoded()))
        }
        return create(operation(.move, moves: [planned]), if: conditions, then: puts)
    }

    /// What a drain or another move is about to do with the shard.
    private func pending(_ shard: ShardID, _ record: ShardRecord) -> (operation: OperationID, move: PlannedMove)? {
        for operation in map.operations where !operation.state.isFinished && operation.kind != .rebalance {
            for move in operation.moves where move.shard == shard && move.to != record.primary {
                if operation.kind == .move || move.from == record.primary { return (operation.id, move) }
            }
        }
        return nil
    }

    func pause(_ operation: OperationRecord) -> AdminDecision {
        switch operation.state {
        case .running: return put(operation, in: .paused)
        case .paused: return .nothingToDo(operation: operation.id, text: "\(operation.id) is paused")
        case .done, .failed, .cancelled: return ended(operation)
        }
    }

    func resume(_ operation: OperationRecord) -> AdminDecision {
        switch operation.state {
        case .running: return .nothingToDo(operation: operation.id, text: "\(operation.id) is running")
        case .paused: return put(operation, in: .running)
        case .done, .failed, .cancelled: return ended(operation)
        }
    }

    /// A node whose drain is cancelled keeps what it has and takes nothing: it stays cordoned.
    func cancel(_ operation: OperationRecord) -> AdminDecision {
        switch operation.state {
        case .running, .paused:
            let kept = operation.kind == .drain ? operation.node.map { "; \($0) is cordoned" } ?? "" : ""
            return end(operation, then: .cordoned, "cancelled\(kept)")
        case .cancelled: return .nothingToDo(operation: operation.id, text: "\(operation.id) is cancelled")
        case .done, .failed: return ended(operation)
        }
    }

    private func ended(_ operation: OperationRecord) -> AdminDecision {
        refuse("\(operation.id) is \(operation.state.rawValue): there is nothing left to change; start another one")
    }

    private func put(_ operation: OperationRecord, in state: OperationRecord.State) -> AdminDecision {
        var changed = operation
        changed.state = state
        let key = MetadataKey.operation(operation.id)
        return .change(
            MetadataTransaction(if: [map.unchanged(key)], then: [.put(key, changed.encoded())]),
            operation: operation.id)
    }

    /// Cancels an operation with its moves before their handover, as many as one transaction takes; the controller
    /// ends the others.
    func end(_ operation: OperationRecord, then state: NodeState, _ detail: String) -> AdminDecision {
        let key = MetadataKey.operation(operation.id)
        var conditions = [map.unchanged(key)]
        var puts: [MetadataTransaction.Operation] = [
            .put(key, operation.ended(.cancelled, at: now, detail).encoded())
        ]
        if operation.kind == .drain, var node = operation.node.flatMap({ map.node($0) }), node.state == .draining {
            node.state = state
            conditions.append(map.unchanged(.node(node.id)))
            puts.append(.put(.node(node.id), node.encoded()))
        }
        for shard in map.shardIDs where puts.count < Limits.transactionOperationsMax {
            guard let entry = map.shard(shard), let move = entry.record.move, move.operation == operation.id,
                move.isBeforeHandover
            else { continue }
            conditions.append(.lastPut(.shard(shard), at: entry.revision))
            puts.append(.put(.shard(shard), entry.record.with(nil).encoded()))
        }
        return .change(MetadataTransaction(if: conditions, then: puts), operation: operation.id)
    }

    /// Of new operations, and of those under way.
    func throttle(_ bytesPerSecond: UInt64) -> AdminDecision {
        var conditions = [map.unchanged(.throttle)]
        var changes: [MetadataTransaction.Operation] = []
        if bytesPerSecond != map.throttle.bytesPerSecond {
            changes.append(.put(.throttle, Throttle(bytesPerSecond: bytesPerSecond).encoded()))
        }
        for var operation in map.operations
        where !operation.state.isFinished && operation.bytesPerSecond != bytesPerSecond {
            guard conditions.count < Limits.transactionOperationsMax else { break }
            operation.bytesPerSecond = bytesPerSecond
            conditions.append(map.unchanged(.operation(operation.id)))
            changes.append(.put(.operation(operation.id), operation.encoded()))
        }
        guard !changes.isEmpty else {
            return .nothingToDo(operation: nil, text: "the throttle is \(bytesPerSecond) bytes a second")
        }
        return .change(MetadataTransaction(if: conditions, then: changes), operation: nil)
    }
}
