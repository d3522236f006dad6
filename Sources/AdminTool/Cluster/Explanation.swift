import KeysteadClient

/// Why a shard or a node is as it is, in sentences. Pure.
struct Explanation {
    let picture: ClusterPicture
    /// The plan of now; `nil` where it cannot be had.
    let plan: PlanDetail?
    /// Operations under way.
    let operations: [OperationDetail]

    /// Why a shard is where it is.
    func shard(_ shard: ClusterPicture.Shard) -> [String] {
        var why: [String] = []
        if let owner = shard.primary {
            why += place(owner)
            if let plan { why.append(planned(shard.shard, from: owner, in: plan)) }
        } else {
            why.append("no node owns it")
        }
        let moves = operations.flatMap { operation in
            operation.moves.filter { $0.shard == shard.shard && $0.state != "done" }.map { (operation, $0) }
        }
        for (operation, move) in moves { why.append(onItsWay(move, operation)) }
        if moves.isEmpty, let move = shard.move {
            why.append("it moves from \(move.from) to \(move.to): \(move.stage), by operation \(move.operation)")
        }
        return why
    }

    /// Why a node has what it has.
    func node(_ node: ClusterPicture.Node) -> [String] {
        var why = place(node.id)
        if let plan {
            let away = plan.moves.filter { $0.from == node.id }.map(\.shard)
            let here = plan.moves.filter { $0.to == node.id }.map(\.shard)
            if away.isEmpty && here.isEmpty {
                why.append("the plan of now moves nothing away from it and nothing to it")
            } else {
                why.append(
                    "the plan of now, \(plan.plan), moves \(shardsText(away)) away from it and "
                        + "\(shardsText(here)) to it"
                )
            }
        }
        for operation in operations {
            let left = operation.moves.filter { $0.state != "done" }
            let away = left.filter { $0.from == node.id }.map(\.shard)
            let here = left.filter { $0.to == node.id }.map(\.shard)
            guard operation.node == node.id || !away.isEmpty || !here.isEmpty else { continue }
            let what = "has yet to move \(shardsText(away)) away from it and \(shardsText(here)) to it"
            why.append("operation \(operation.id) (\(operation.kind), \(operation.state)) \(what)\(waits(operation))")
        }
        return why
    }

    /// Zone, state, weight and quota of a node.
    private func place(_ id: String) -> [String] {
        guard let node = picture.nodes.first(where: { $0.id == id }) else { return ["node \(id) is unknown"] }
        let owned = picture.shards.filter { $0.primary == id }.count
        var text = "node \(id) (zone \(node.zone.isEmpty ? "-" : node.zone), weight \(node.weight)"
        let takers = picture.nodes.filter { $0.state == "active" }
        let weights = takers.compactMap { Double($0.weight) }
        if node.state == "active", weights.count == takers.count {
            text += " of \(decimal(weights.reduce(0, +))) over \(takers.count) active nodes"
        }
        text += ") owns \(owned) of \(picture.shards.count) shards"
        if let quota = plan?.quotas.first(where: { $0.node == id })?.after {
            let difference = Int64(clamping: owned) - Int64(clamping: quota)
            let side = difference == 0 ? "as it should" : difference > 0 ? "\(difference) over" : "\(-difference) under"
            text += "; its quota is \(quota): \(side)"
        }
        return [text] + (stateMeaning(node).map { [$0] } ?? [])
    }

    private func stateMeaning(_ node: ClusterPicture.Node) -> String? {
        switch node.state {
        case "active": nil
        case "joining": "it is joining: it gets shards once it is active"
        case "cordoned": "it is cordoned: it keeps what it has and gets nothing new"
        case "draining": "it is draining: it gives everything away"
        case "drained": "it is drained: it has given everything away and gets nothing; node uncordon brings it back"
        case "maintenance": "it is in maintenance: it keeps what it has and gets nothing new"
        case "down": "it is down: what it owns does not serve until it is back"
        case "removed": "it is removed for good"
        default: "it is \(node.state)"
        }
    }

    private func planned(_ shard: UInt64, from owner: String, in plan: PlanDetail) -> String {
        if let move = plan.moves.first(where: { $0.shard == shard }) {
            return "the plan of now, \(plan.plan), would move it to \(move.to ?? "nowhere")"
        }
        return "the plan of now leaves it there"
    }

    private func onItsWay(_ move: OperationDetail.Move, _ operation: OperationDetail) -> String {
        var text = "operation \(operation.id) (\(operation.kind), \(operation.state)) moves it from "
        text += "\(move.from ?? "nowhere") to \(move.to ?? "nowhere"): \(move.state)"
        if let done = move.bytesDone, let total = move.bytesTotal {
            text += ", \(Format.bytes(done)) of \(Format.bytes(total)) copied"
        }
        if let rate = move.bytesPerSecond { text += " at \(OperationText.rate(rate))" }
        if let lag = move.lag { text += ", \(Format.count(lag)) positions behind" }
        if let wait = move.waitsFor { return text + "; waits: \(wait)" }
        return text + (move.state == "waiting" ? waits(operation) : "")
    }

    private func waits(_ operation: OperationDetail) -> String {
        operation.waitsFor.isEmpty ? "" : "; waits: " + operation.waitsFor.joined(separator: "; ")
    }

    private func shardsText(_ shards: [UInt64]) -> String {
        switch shards.count {
        case 0: "nothing"
        case 1: "shard \(shards[0])"
        default: "shards \(Verdict.runs(shards))"
        }
    }

    private func decimal(_ value: Double) -> String {
        value == value.rounded() && value < 1e9 ? "\(Int(value))" : "\((value * 1000).rounded() / 1000)"
    }
}

extension Explanation {
    /// Asks for what an explanation needs. Where the plan or an operation cannot be had, it says less.
    static func gather(_ client: Keystead) async throws -> Explanation {
        let picture = try await client.cluster()
        let plan = try? await client.rebalancePlan()
        var operations: [OperationDetail] = []
        for operation in picture.operations where operation.state == "running" || operation.state == "paused" {
            if let detail = try? await client.operation(operation.id) { operations.append(detail) }
        }
        return Explanation(picture: picture, plan: plan, operations: operations)
    }
}
