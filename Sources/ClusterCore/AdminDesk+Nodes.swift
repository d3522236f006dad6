internal import HashRing
internal import Primitives

// MARK: The states of nodes

extension AdminDesk {
    func cordon(_ node: NodeRecord) -> AdminDecision {
        switch node.state {
        case .active: return change(node, to: .cordoned)
        case .joining: return refuse("\(node.id) is joining and takes no shards so far: cordon it when it is active")
        case .cordoned, .draining, .drained, .maintenance, .down, .removed:
            return .nothingToDo(operation: nil, text: "\(node.id) is \(node.state.rawValue): it takes no shards")
        }
    }

    /// A drain that is under way ends: what has been moved stays where it is.
    func uncordon(_ node: NodeRecord) -> AdminDecision {
        switch node.state {
        case .active: return .nothingToDo(operation: nil, text: "\(node.id) is active")
        case .joining: return refuse("\(node.id) is joining: it becomes active by itself when it has started")
        case .draining:
            guard let drain = active(.drain, of: node.id) else { return change(node, to: .active) }
            return end(drain, then: .active, "\(node.id) was uncordoned")
        case .cordoned, .drained, .maintenance, .down, .removed: return change(node, to: .active)
        }
    }

    private func change(_ node: NodeRecord, to state: NodeState) -> AdminDecision {
        var changed = node
        changed.state = state
        return .change(
            MetadataTransaction(
                if: [map.unchanged(.node(node.id))], then: [.put(.node(node.id), changed.encoded())]),
            operation: nil)
    }

    func drain(_ node: NodeRecord) -> AdminDecision {
        let id = node.id
        if let running = active(.drain, of: id) {
            return .nothingToDo(operation: running.id, text: "\(running.id) drains \(id)")
        }
        switch node.state {
        case .drained:
            let last = map.operations.last { $0.kind == .drain && $0.node == id && $0.state == .done }
            return .nothingToDo(operation: last?.id, text: "\(id) is drained")
        case .joining: return refuse("\(id) is joining: drain it when it is active, or stop it and remove it")
        case .active, .cordoned, .draining, .maintenance, .down, .removed: break
        }
        let others = map.nodes.filter { $0.id != id && $0.state == .active }
        let held = map.shards.count { $0.primary == id }
        if held > 0, !map.isAlive(id) {
            return refuse(
                "\(id) is not alive, and it has the only copy of \(count(held, "shard")): start it, then drain it")
        }
        guard !others.isEmpty else {
            return refuse("\(id) is the last active node: add a node, or uncordon one, then drain \(id)")
        }
        // What drains under way have still to bring somewhere must not lose its last place either.
        let leaving = map.shards.count { $0.primary == id || map.node($0.primary)?.state == .draining }
        guard leaving == 0 || others.contains(where: map.takes) else {
            let why = others.map { map.obstacle(toTarget: $0.id)?.description ?? "\($0.id) has weight 0" }
            let whose = leaving == held ? id.description : "\(id) and of nodes that are being drained"
            return refuse(
                "nobody can take the \(count(leaving, "shard")) of \(whose) (\(why.joined(separator: ", "))): "
                    + "start or add a node, then drain \(id)")
        }
        var draining = node
        draining.state = .draining
        let proposal = RebalanceProposal.drain(id, map)
        return create(
            operation(.drain, node: id, moves: proposal.moves),
            if: [map.unchanged(.mapRevision)] + unchangedNodes([id]),
            then: [.put(.node(id), draining.encoded())])
    }

    func remove(_ id: NodeID) -> AdminDecision {
        guard let node = map.node(id) else {
            return .refused(.notFound, text: "there is no node \(id): see `keysteadctl node list`")
        }
        if node.state == .removed {
            let last = map.operations.last { $0.kind == .remove && $0.node == id }
            return .nothingToDo(operation: last?.id, text: "\(id) has been removed")
        }
        let held = map.shards.count { $0.primary == id }
        let alive = map.isAlive(id)
        guard held == 0 else {
            let first = alive ? "drain it first: `keysteadctl node drain \(id)`" : "start it, then drain it"
            return refuse("\(id) holds \(count(held, "shard")), and nobody else has a copy: \(first)")
        }
        guard !alive || node.state == .drained else {
            return refuse(
                "\(id) is \(node.state.rawValue) and alive: drain it (`keysteadctl node drain \(id)`) or stop it, "
                    + "then remove it")
        }
        let moving = map.shards.count { $0.move.map { $0.isBeforeHandover && $0.to == id } ?? false }
        guard moving == 0 else {
            return refuse("\(count(moving, "shard")) are on their way to \(id): cancel the operation, then remove it")
        }
        guard map.nodes.contains(where: { $0.id != id && $0.state != .removed }) else {
            return refuse("\(id) is the last node of the cluster")
        }
        var removed = node
        removed.state = .removed
        var conditions = [
            map.unchanged(.node(id)), map.unchanged(.mapRevision),
            .created(.session(id), at: map.createRevision(of: .session(id))),
        ]
        var puts: [MetadataTransaction.Operation] = [.put(.node(id), removed.encoded())]
        if let drain = active(.drain, of: id) {
            let key = MetadataKey.operation(drain.id)
            conditions.append(map.unchanged(key))
            puts.append(.put(key, drain.ended(.done, at: now, "\(id) was removed").encoded()))
        }
        return create(operation(.remove, .done, node: id, detail: "\(id) was removed"), if: conditions, then: puts)
    }

    func weigh(_ node: NodeRecord, _ thousandths: UInt64) -> AdminDecision {
        guard thousandths <= UInt64(NodeWeight.thousandthsMax) else {
            return refuse("a weight is from 0 to \(NodeWeight.thousandthsMax / 1000), in steps of 0.001")
        }
        var weighed = node
        weighed.weight = NodeWeight(thousandths: UInt32(thousandths))
        guard weighed.weight != node.weight else {
            return .nothingToDo(operation: nil, text: "\(node.id) has weight \(Self.text(node.weight))")
        }
        if weighed.weight == .zero,
            !map.nodes.contains(where: { $0.id != node.id && $0.state == .active && $0.weight > .zero })
        {
            return refuse("no other active node has a weight, so nobody could hold the shards: leave \(node.id) one")
        }
        let detail =
            "\(node.id): weight \(Self.text(node.weight)) -> \(Self.text(weighed.weight)); "
            + "`keysteadctl rebalance plan` shows what would move"
        let others = weighed.weight == .zero ? unchangedNodes([]) : [map.unchanged(.node(node.id))]
        return create(
            operation(.weight, .done, node: node.id, detail: detail), if: others,
            then: [.put(.node(node.id), weighed.encoded())])
    }

    private static func text(_ weight: NodeWeight) -> String {
        let rest = weight.thousandths % 1000
        guard rest > 0 else { return String(weight.thousandths / 1000) }
        var digits = String(String(1000 + rest).dropFirst())
        while digits.last == "0" { digits.removeLast() }
        return "\(weight.thousandths / 1000).\(digits)"
    }
}
