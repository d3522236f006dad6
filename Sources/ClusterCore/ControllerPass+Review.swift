internal import HashRing
internal import Primitives

/// What each operation that has not ended needs: planning anew, or its end.
extension ControllerPass {
    mutating func reviewOperations() {
        for operation in map.operations where !operation.state.isFinished {
            switch operation.kind.work {
            case .balances: reviewRebalance(operation)
            case .emptiesNode: reviewDrain(operation)
            case .movesShard: reviewMove(operation)
            case .nothing: put(operation.ended(.done, at: now))
            }
        }
    }

    /// Where a move of an operation stands.
    private enum Standing {
        /// In its own hands, or in another operation's, and to be looked at again.
        case underWay
        case settled
        case waiting
        /// Its shard has been taken somewhere else.
        case overtaken(by: NodeID)
    }

    private func standing(_ move: PlannedMove, of operation: OperationRecord) -> Standing {
        guard let shard = map.shard(move.shard)?.record else { return .settled }
        if let current = shard.move {
            guard shard.primary == move.to else { return .underWay }
            // The shard has arrived. Another operation may move it on; this one has ended its move. A dead source
            // puts its copy away when it is back.
            let isLeft = current.operation != operation.id || !current.isBeforeHandover && isDead(current.from)
            return isLeft ? .settled : .underWay
        }
        if shard.primary == move.to { return .settled }
        return shard.primary == move.from ? .waiting : .overtaken(by: shard.primary)
    }

    /// Nobody knows whether it comes back: nothing waits for it.
    private func isDead(_ node: NodeID) -> Bool { !map.isAlive(node) && !mutants.has(.controllerWaitsForTheDead) }

    /// Why the move can neither begin nor is worth waiting for; `nil` where it has but to wait for its turn.
    private func defeat(of move: PlannedMove) -> MoveObstacle? {
        if let obstacle = map.obstacle(toTarget: move.to) {
            guard case .notAlive = obstacle else { return obstacle }
            return isDead(move.to) ? obstacle : nil
        }
        return isDead(move.from) ? .notAlive(move.from) : nil
    }

    /// What cannot go where it was to go, or has no source that gives it, is planned anew, for those shards only.
    private mutating func reviewRebalance(_ operation: OperationRecord) {
        var reviewed = operation
        var lost: [(move: PlannedMove, why: MoveObstacle)] = []
        var overtaken = 0
        var open = 0
        reviewed.moves = operation.moves.filter { move in
            switch standing(move, of: operation) {
            case .settled: return true
            case .underWay: break
            case .overtaken:
                overtaken += 1
                return false
            case .waiting:
                if let why = defeat(of: move) {
                    lost.append((move, why))
                    return false
                }
            }
            open += 1
            return true
        }
        if !lost.isEmpty {
            let shards = Set(lost.map(\.move.shard))
            let planned = RebalanceProposal.rebalance(map).moves.filter {
                shards.contains($0.shard) && defeat(of: $0) == nil
            }
            open += planned.count
            reviewed.moves = (reviewed.moves + planned).sorted { $0.shard < $1.shard }
            reviewed.note(reason(lost.map(\.why)) + ": " + outcome(of: lost.count, elsewhere: planned.count))
        }
        if overtaken > 0 { reviewed.note("\(overtaken) moves are dropped: their shards were taken elsewhere") }
        if open == 0 {
            // Where dead nodes have kept it from moving anything, it has not done what it was for.
            let isVain = reviewed.moves.isEmpty && lost.contains { $0.why.isDeath }
            put(reviewed.ended(isVain ? .failed : .done, at: now), if: [map.unchanged(.mapRevision)])
        } else if reviewed != operation {
            put(reviewed)
        }
    }

    /// `n2 is cordoned, n3 is not alive`.
    private func reason(_ why: [MoveObstacle]) -> String {
        Set(why.map(\.description)).sorted().joined(separator: ", ")
    }

    private func outcome(of lost: Int, elsewhere: Int) -> String {
        let dropped = lost - elsewhere
        if dropped == 0 { return "\(elsewhere) moves lead elsewhere now" }
        return elsewhere == 0
            ? "\(dropped) moves are dropped" : "\(dropped) moves are dropped, \(elsewhere) lead elsewhere now"
    }

    private mutating func reviewDrain(_ operation: OperationRecord) {
        guard let id = operation.node, var node = map.node(id), node.state == .draining else {
            let state = operation.node.flatMap { map.node($0) }?.state.rawValue ?? "unknown"
            put(operation.ended(.cancelled, at: now, "the node is \(state)"))
            return
        }
        let isEmpty = map.shards.allSatisfy { $0.primary != id && $0.move?.from != id && $0.move?.to != id }
        let reviewed = replanned(operation, leaving: id)
        if isEmpty {
            node.state = .drained
            let key = MetadataKey.operation(operation.id)
            changed.insert(operation.id)
            act(
                if: [map.unchanged(key), map.unchanged(.node(id)), map.unchanged(.mapRevision)],
                then: [
                    .put(key, reviewed.ended(.done, at: now).encoded()), .put(.node(id), node.encoded()),
                ])
        } else if reviewed != operation {
            put(reviewed)
        }
    }

    /// The drain with a move for every shard that the node still owns: what came to it meanwhile, and what cannot go
    /// where it was to go. A shard that went elsewhere counts as moved there.
    private func replanned(_ operation: OperationRecord, leaving id: NodeID) -> OperationRecord {
        var moves: [ShardID: PlannedMove] = [:]
        var stuck: Set<ShardID> = []
        for move in operation.moves {
            moves[move.shard] = move
            switch standing(move, of: operation) {
            case .settled, .underWay: break
            case .waiting: if map.obstacle(toTarget: move.to) != nil { stuck.insert(move.shard) }
            case .overtaken(let node):
                moves[move.shard] = node == id ? nil : PlannedMove(shard: move.shard, from: id, to: node)
            }
        }
        for shard in map.shardIDs {
            guard let record = map.shard(shard)?.record, record.primary == id, record.move == nil else { continue }
            if moves[shard]?.from != id || moves[shard]?.to == id { stuck.insert(shard) }
        }
        if !stuck.isEmpty {
            for move in RebalanceProposal.drain(id, map).moves where stuck.contains(move.shard) {
                moves[move.shard] = move
            }
        }
        var replanned = operation
        replanned.moves = moves.values.sorted { $0.shard < $1.shard }
        return replanned
    }

    private mutating func reviewMove(_ operation: OperationRecord) {
        var reviewed = operation
        for (index, move) in operation.moves.enumerated() {
            switch standing(move, of: operation) {
            case .underWay: return
            case .settled: continue
            case .waiting, .overtaken: break
            }
            guard let target = map.node(move.to), target.state.takesReplicas else {
                let state = map.node(move.to)?.state.rawValue ?? "unknown"
                put(operation.ended(.failed, at: now, "\(move.to) is \(state): it takes no shards"))
                return
            }
            if case .overtaken(let node) = standing(move, of: operation) {
                reviewed.moves[index] = PlannedMove(shard: move.shard, from: node, to: move.to)
                put(reviewed)
            } else if let why = defeat(of: move) {
                put(operation.ended(.failed, at: now, "\(why): nothing was moved"))
            }
            return
        }
        put(operation.ended(.done, at: now), if: [map.unchanged(.mapRevision)])
    }
}
