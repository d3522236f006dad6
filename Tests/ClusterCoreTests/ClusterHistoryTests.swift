import ClusterCore
import HashRing
import Primitives
import Testing

/// Long random histories: operators, controllers and nodes at odds, crashes, lost answers, late watches. Then peace, in
/// which everything must come to an end.
@Suite struct ClusterHistoryTests {
    static let names = ["n1", "n2", "n3", "n4", "n5"]
    static let steps = 1200

    @Test(arguments: UInt64(1)...24) func everyHistoryEndsWell(seed: UInt64) throws {
        var cluster = try TestCluster(seed: seed, nodes: Self.names)
        try Self.disturb(&cluster)
        try Self.heal(&cluster)
        #expect(cluster.violations == [])
        #expect(cluster.map.operations.allSatisfy { $0.state.isFinished }, "\(cluster.map.operations)")
        #expect(cluster.map.shards.allSatisfy { $0.move == nil })
        let kept = Set(cluster.map.nodes.filter { $0.state == .active || $0.state == .cordoned }.map(\.id))
        #expect(cluster.map.shards.allSatisfy { kept.contains($0.primary) })
        try Self.rebalance(&cluster)
        #expect(RebalanceProposal.rebalance(cluster.map).moves == [])
        #expect(cluster.violations == [])
    }

    static func rebalance(_ cluster: inout TestCluster) throws {
        let proposal = RebalanceProposal.rebalance(cluster.map)
        #expect(proposal.moves.count <= proposal.lowerBound)
        let before = cluster.handovers
        let decision = try cluster.command(.commit(plan: proposal.plan))
        try calm(&cluster)
        #expect(cluster.handovers - before == proposal.moves.count)
        guard !proposal.moves.isEmpty else { return }
        guard case .change(_, let id?) = decision else {
            Issue.record("\(decision)")
            return
        }
        #expect(cluster.map.operation(id)?.state == .done)
        #expect(try cluster.command(.commit(plan: proposal.plan)).isNothingToDo(id))
    }

    static func disturb(_ cluster: inout TestCluster) throws {
        for _ in 0..<steps {
            let node = NodeID.named(names[cluster.random.below(names.count)])
            switch cluster.random.below(32) {
            case 0: if cluster.random.chance(1, in: 5) { try cluster.kill(node) }
            case 1, 2: try cluster.start(node)
            case 3, 4: try cluster.runLate()
            case 5: try cluster.command(command(on: node, &cluster))
            case 6...11: try cluster.control(node)
            default:
                try cluster.step(node)
                try cluster.step(.named(names[cluster.random.below(names.count)]))
            }
        }
    }

    private static func command(on node: NodeID, _ cluster: inout TestCluster) -> AdminCommand {
        let operations = cluster.map.operations
        let operation = operations.isEmpty ? "op-1" : operations[cluster.random.below(operations.count)].id
        switch cluster.random.below(18) {
        case 0, 1, 2, 3: return .commit(plan: RebalanceProposal.rebalance(cluster.map).plan)
        case 4: return .drain(node)
        case 5: return .cordon(node)
        case 6, 7, 8: return .uncordon(node)
        case 9: return .weight(node, thousandths: 500 * cluster.random.below(4))
        case 13, 14, 15: return .move(ShardID(UInt32(cluster.random.below(16))), to: node)
        case 10: return cluster.random.chance(1, in: 4) ? .remove(node) : .throttle(bytesPerSecond: 1 << 20)
        case 11: return .cancel(operation)
        case 12: return .pause(operation)
        default: return .resume(operation)
        }
    }

    /// No more faults, everyone is there, nothing is paused, and there is someone to take shards.
    static func heal(_ cluster: inout TestCluster) throws {
        while cluster.hasLate { try cluster.runLate() }
        cluster.isFaulty = false
        for name in names { try cluster.start(.named(name)) }
        for node in cluster.map.nodes where node.state == .cordoned { try cluster.command(.uncordon(node.id)) }
        for node in cluster.map.nodes { try cluster.command(.weight(node.id, thousandths: 1000)) }
        for operation in cluster.map.operations where operation.state == .paused {
            try cluster.command(.resume(operation.id))
        }
        try calm(&cluster)
    }

    /// Runs until nothing changes any more. A node may need a round to learn what became of a handover.
    static func calm(_ cluster: inout TestCluster) throws {
        var quietRounds = 0
        for _ in 0..<400 {
            let before = cluster.map.revision
            for name in names { try cluster.control(.named(name)) }
            for name in names { try cluster.step(.named(name)) }
            quietRounds = cluster.map.revision == before ? quietRounds + 1 : 0
            if quietRounds == 3 { return }
        }
        Issue.record("no rest: \(cluster.map.operations.filter { !$0.state.isFinished })")
    }

    @Test func theHistoriesMoveShards() throws {
        var handovers = 0
        var conflicts = 0
        for seed in UInt64(1)...5 {
            var cluster = try TestCluster(seed: seed, nodes: Self.names)
            try Self.disturb(&cluster)
            handovers += cluster.handovers
            conflicts += cluster.store.conflicts
        }
        #expect(handovers > 30)
        #expect(conflicts > 50)
    }

    #if KEYSTEAD_MUTANTS
        @Test(arguments: [Mutant.controllerActsWithoutComparing, .handoverWithoutEpochRaise])
        func plantedBugsAreSeen(mutant: Mutant) throws {
            for seed in UInt64(1)...40 {
                var cluster = try TestCluster(seed: seed, nodes: Self.names, mutants: Mutants([mutant]))
                try Self.disturb(&cluster)
                if !cluster.violations.isEmpty { return }
            }
            Issue.record("\(mutant) went unseen")
        }
    #endif
}

extension AdminDecision {
    func isNothingToDo(_ id: OperationID?) -> Bool {
        guard case .nothingToDo(id, _) = self else { return false }
        return true
    }

    func isRefused(_ kind: Refusal) -> Bool {
        guard case .refused(kind, _) = self else { return false }
        return true
    }

    var transaction: MetadataTransaction? {
        guard case .change(let transaction, _) = self else { return nil }
        return transaction
    }
}
