import ClusterCore
import HashRing
import Primitives
import Testing

@Suite struct AdminDecisionTests {
    private let n1 = NodeID.named("n1")
    private let n2 = NodeID.named("n2")
    private let n3 = NodeID.named("n3")
    private let now = Timestamp(milliseconds: 7)

    private func decide(_ command: AdminCommand, _ store: MemoryMetadata) throws -> AdminDecision {
        AdminDecision.decide(command, on: try store.map(), now: now)
    }

    /// Runs the command, which must change something.
    @discardableResult
    private func carryOut(_ command: AdminCommand, _ store: inout MemoryMetadata) throws -> OperationID? {
        let decision = try decide(command, store)
        guard case .change(let transaction, let operation) = decision else {
            Issue.record("\(command): \(decision)")
            return nil
        }
        guard case .committed = store.run(transaction) else {
            Issue.record("\(command) conflicts with nothing")
            return nil
        }
        return operation
    }

    private func move(
        _ store: inout MemoryMetadata, _ shard: UInt32, to: NodeID, _ stage: ShardMove.Stage, _ id: OperationID
    ) {
        let owner = stage == .retire ? to : n1
        store.put(
            .shard(ShardID(shard)),
            ShardRecord(
                epoch: Epoch(1), primary: owner, replicas: [owner], inSync: [owner],
                move: ShardMove(stage: stage, from: n1, to: to, operation: id)))
    }

    @Test func aPlanIsCommittedOnce() throws {
        var store = MemoryMetadata.founded(["n1", "n2"])
        let proposal = RebalanceProposal.rebalance(try store.map())
        #expect(proposal.moves.count == 8 && proposal.lowerBound == 8)
        let other = PlanID(mapRevision: proposal.plan.mapRevision, movesHash: proposal.plan.movesHash ^ 1)
        #expect(try decide(.commit(plan: other), store).isRefused(.stalePlan))
        let id = try carryOut(.commit(plan: proposal.plan), &store)
        #expect(id == "op-1")
        let operation = try #require(try store.map().operation("op-1"))
        #expect(operation.moves == proposal.moves && operation.plan == proposal.plan && operation.created == now)
        #expect(try decide(.commit(plan: proposal.plan), store).isNothingToDo("op-1"))
        #expect(try decide(.commit(plan: other), store).isRefused(.refused))
        // Done, and the map has gone on: the same plan has been carried out.
        var done = operation
        done.state = .done
        store.put(.operation("op-1"), done)
        store.put(.mapRevision, MapRevision(99))
        #expect(try decide(.commit(plan: proposal.plan), store).isNothingToDo("op-1"))
        // Cancelled, it has not.
        done.state = .cancelled
        store.put(.operation("op-1"), done)
        #expect(try decide(.commit(plan: proposal.plan), store).isRefused(.stalePlan))
    }

    @Test func aBalancedClusterHasNothingToCommit() throws {
        let store = MemoryMetadata.founded(["n1"])
        let plan = RebalanceProposal.rebalance(try store.map()).plan
        #expect(try decide(.commit(plan: plan), store).isNothingToDo(nil))
    }

    @Test func rebalanceVerbsNeedARebalance() throws {
        var store = MemoryMetadata.founded(["n1", "n2"])
        for command in [AdminCommand.pauseRebalance, .resumeRebalance, .cancelRebalance] {
            #expect(try decide(command, store).isRefused(.notFound))
        }
        try carryOut(.commit(plan: RebalanceProposal.rebalance(try store.map()).plan), &store)
        #expect(try decide(.resumeRebalance, store).isNothingToDo("op-1"))
        try carryOut(.pauseRebalance, &store)
        #expect(try store.map().operation("op-1")?.state == .paused)
        #expect(try decide(.pauseRebalance, store).isNothingToDo("op-1"))
        try carryOut(.resumeRebalance, &store)
        #expect(try store.map().operation("op-1")?.state == .running)
        move(&store, 3, to: n2, .copy, "op-1")
        move(&store, 4, to: n2, .retire, "op-1")
        move(&store, 5, to: n2, .copy, "op-2")
        try carryOut(.cancelRebalance, &store)
        let map = try store.map()
        #expect(map.operation("op-1")?.state == .cancelled && map.operation("op-1")?.finished == now)
        #expect(map.shards[3].move == nil && map.shards[4].move != nil && map.shards[5].move != nil)
        #expect(try decide(.cancel("op-1"), store).isNothingToDo("op-1"))
        #expect(try decide(.pause("op-1"), store).isRefused(.refused))
        #expect(try decide(.cancel("op-9"), store).isRefused(.notFound))
    }

    @Test func cordonAndUncordonAreIdempotent() throws {
        var store = MemoryMetadata.founded(["n1", "n2"])
        #expect(try decide(.uncordon(n1), store).isNothingToDo(nil))
        try carryOut(.cordon(n1), &store)
        #expect(try store.map().node(n1)?.state == .cordoned)
        #expect(try decide(.cordon(n1), store).isNothingToDo(nil))
        try carryOut(.uncordon(n1), &store)
        #expect(try store.map().node(n1)?.state == .active)
        store.put(.node(n2), NodeRecord.named("n2", .drained))
        try carryOut(.uncordon(n2), &store)
        #expect(try store.map().node(n2)?.state == .active)
        store.put(.node(n2), NodeRecord.named("n2", .joining))
        #expect(try decide(.cordon(n2), store).isRefused(.refused))
        #expect(try decide(.uncordon(n2), store).isRefused(.refused))
        #expect(try decide(.cordon(n3), store).isRefused(.notFound))
        store.put(.node(n2), NodeRecord.named("n2", .removed))
        #expect(try decide(.uncordon(n2), store).isRefused(.notFound))
    }

    @Test func aDrainIsAttachedToAndEndedByUncordon() throws {
        var store = MemoryMetadata.founded(["n1", "n2", "n3"])
        #expect(try carryOut(.drain(n1), &store) == "op-1")
        var map = try store.map()
        #expect(map.node(n1)?.state == .draining)
        #expect(map.operation("op-1")?.moves.count == 16)
        #expect(map.operation("op-1")?.moves.allSatisfy { $0.from == n1 && $0.to != n1 } == true)
        #expect(try decide(.drain(n1), store).isNothingToDo("op-1"))
        move(&store, 2, to: n2, .handover, "op-1")
        move(&store, 3, to: n2, .retire, "op-1")
        try carryOut(.uncordon(n1), &store)
        map = try store.map()
        #expect(map.node(n1)?.state == .active)
        #expect(map.operation("op-1")?.state == .cancelled)
        #expect(map.shards[2].move == nil && map.shards[3].move != nil)
        // Cancelled by its name, the drain leaves the node cordoned.
        #expect(try carryOut(.drain(n1), &store) == "op-2")
        try carryOut(.cancel("op-2"), &store)
        #expect(try store.map().node(n1)?.state == .cordoned)
        store.put(.node(n1), NodeRecord.named("n1", .drained))
        #expect(try decide(.drain(n1), store).isNothingToDo(nil))
    }

    @Test func aDrainNeedsSomeoneToTakeTheShards() throws {
        var store = MemoryMetadata.founded(["n1", "n2"])
        try carryOut(.cordon(n2), &store)
        #expect(try decide(.drain(n1), store).isRefused(.refused))
        try carryOut(.uncordon(n2), &store)
        store.setAlive(n2, false)
        #expect(try decide(.drain(n1), store).isRefused(.refused))
        store.setAlive(n2, true)
        try carryOut(.weight(n2, thousandths: 0), &store)
        #expect(try decide(.drain(n1), store).isRefused(.refused))
        try carryOut(.weight(n2, thousandths: 1), &store)
        store.setAlive(n1, false)
        #expect(try decide(.drain(n1), store).isRefused(.refused))
        // Without shards it needs neither itself nor others alive.
        #expect(try carryOut(.drain(n2), &store) == "op-3")
        #expect(try store.map().operation("op-3")?.moves == [])
        #expect(try decide(.drain(n1), store).isRefused(.refused), "no other node is active")
    }

    @Test func aDrainLeavesAPlaceForThoseUnderWay() throws {
        var store = MemoryMetadata.founded(["n1", "n2", "n3"])
        store.setAlive(n3, false)
        try carryOut(.drain(n1), &store)
        // It holds nothing, but what is drained from n1 has nowhere else to go.
        #expect(try decide(.drain(n2), store).isRefused(.refused))
        store.setAlive(n3, true)
        #expect(try carryOut(.drain(n2), &store) == "op-2")
    }

    @Test func removeIsForNodesWithoutShards() throws {
        var store = MemoryMetadata.founded(["n1", "n2", "n3"])
        #expect(try decide(.remove(n1), store).isRefused(.refused))
        store.setAlive(n1, false)
        #expect(try decide(.remove(n1), store).isRefused(.refused))
        #expect(try decide(.remove(n2), store).isRefused(.refused), "alive and not drained")
        store.put(.node(n2), NodeRecord.named("n2", .drained))
        #expect(try carryOut(.remove(n2), &store) == "op-1")
        #expect(try store.map().node(n2)?.state == .removed)
        #expect(try store.map().operation("op-1")?.state == .done)
        #expect(try decide(.remove(n2), store).isNothingToDo("op-1"))
        store.setAlive(n3, false)
        move(&store, 1, to: n3, .copy, "op-9")
        #expect(try decide(.remove(n3), store).isRefused(.refused), "a shard is on its way")
        store.put(.shard(ShardID(1)), try store.map().shards[0])
        let late = try #require(try decide(.remove(n3), store).transaction)
        store.setAlive(n3, true)
        guard case .conflict = store.run(late) else {
            Issue.record("a node that came back was removed")
            return
        }
        #expect(try decide(.remove(NodeID.named("n9")), store).isRefused(.notFound))
    }

    @Test func weightsHaveBounds() throws {
        var store = MemoryMetadata.founded(["n1", "n2"])
        #expect(try decide(.weight(n1, thousandths: 1_000_001), store).isRefused(.refused))
        #expect(try decide(.weight(n1, thousandths: .max), store).isRefused(.refused))
        #expect(try decide(.weight(n1, thousandths: 1000), store).isNothingToDo(nil))
        #expect(try carryOut(.weight(n1, thousandths: 2050), &store) == "op-1")
        let map = try store.map()
        #expect(map.node(n1)?.weight.thousandths == 2050)
        #expect(map.operation("op-1")?.state == .done)
        #expect(map.operation("op-1")?.detail.hasPrefix("n1: weight 1 -> 2.05;") == true)
        try carryOut(.weight(n1, thousandths: 0), &store)
        #expect(try decide(.weight(n2, thousandths: 0), store).isRefused(.refused))
    }

    @Test func aShardIsMovedByName() throws {
        var store = MemoryMetadata.founded(["n1", "n2", "n3"])
        let shard = ShardID(4)
        #expect(try decide(.move(ShardID(16), to: n2), store).isRefused(.notFound))
        #expect(try decide(.move(shard, to: NodeID.named("n9")), store).isRefused(.notFound))
        #expect(try decide(.move(shard, to: n1), store).isNothingToDo(nil))
        try carryOut(.cordon(n2), &store)
        #expect(try decide(.move(shard, to: n2), store).isRefused(.refused))
        try carryOut(.uncordon(n2), &store)
        store.setAlive(n2, false)
        #expect(try decide(.move(shard, to: n2), store).isRefused(.refused))
        store.setAlive(n2, true)
        #expect(try carryOut(.move(shard, to: n2), &store) == "op-1")
        #expect(try decide(.move(shard, to: n2), store).isNothingToDo("op-1"))
        #expect(try decide(.move(shard, to: n3), store).isRefused(.refused))
        move(&store, 4, to: n2, .catchUp, "op-1")
        #expect(try decide(.move(shard, to: n2), store).isNothingToDo("op-1"))
        #expect(try decide(.move(shard, to: n3), store).isRefused(.refused))
        move(&store, 4, to: n2, .retire, "op-1")
        #expect(try decide(.move(shard, to: n3), store).isRefused(.refused))
        store.setAlive(n1, false)
        #expect(try decide(.move(ShardID(5), to: n2), store).isRefused(.refused), "the only copy is away")
    }

    /// A rebalance does not take back what somebody has moved by name.
    @Test func aMoveTakesItsShardOutOfTheRebalance() throws {
        var store = MemoryMetadata.founded(["n1", "n2", "n3"])
        try carryOut(.commit(plan: RebalanceProposal.rebalance(try store.map()).plan), &store)
        let planned = try #require(try store.map().operation("op-1")?.moves.first)
        let other = planned.to == n2 ? n3 : n2
        #expect(try carryOut(.move(planned.shard, to: other), &store) == "op-2")
        #expect(try store.map().operation("op-1")?.moves.contains { $0.shard == planned.shard } == false)
    }

    @Test func theThrottleHoldsForNewOperations() throws {
        var store = MemoryMetadata.founded(["n1", "n2"])
        #expect(try decide(.throttle(bytesPerSecond: Throttle.standard.bytesPerSecond), store).isNothingToDo(nil))
        try carryOut(.throttle(bytesPerSecond: 5), &store)
        try carryOut(.move(ShardID(1), to: n2), &store)
        #expect(try store.map().operation("op-1")?.bytesPerSecond == 5)
    }

    /// Whatever a decision rests on changes first: the decision does nothing.
    @Test func decisionsConflictWithWhatTheyRestOn() throws {
        let base = MemoryMetadata.founded(["n1", "n2", "n3"])
        let plan = RebalanceProposal.rebalance(try base.map()).plan
        let cases: [(AdminCommand, [MetadataKey])] = [
            (.commit(plan: plan), [.mapRevision, .node(n1), .node(n2), .node(n3), .operation("op-1")]),
            (.drain(n1), [.mapRevision, .node(n1), .node(n2), .node(n3), .operation("op-1")]),
            (.cordon(n1), [.node(n1)]),
            (.weight(n1, thousandths: 5), [.node(n1), .operation("op-1")]),
            (.weight(n1, thousandths: 0), [.node(n1), .node(n2)]),
            (
                .move(ShardID(3), to: n2),
                [.shard(ShardID(3)), .node(n2), .session(n1), .session(n2), .operation("op-1")]
            ),
            (.throttle(bytesPerSecond: 9), [.throttle]),
        ]
        for (command, keys) in cases {
            let transaction = try #require(try decide(command, base).transaction)
            for key in keys {
                var store = base
                store.run(MetadataTransaction(then: [.delete(key)]))
                store.run(MetadataTransaction(then: [.put(key, base.entry(key)?.value ?? [])]))
                guard case .conflict = store.run(transaction) else {
                    Issue.record("\(command) happened although \(key) had changed")
                    continue
                }
            }
            var store = base
            guard case .committed = store.run(transaction) else {
                Issue.record("\(command) conflicts with nothing")
                continue
            }
        }
    }

    /// A cluster at its largest: what is decided fits into one transaction and one value.
    @Test func largeOperationsFit() throws {
        var store = MemoryMetadata.founded(["n1"], shards: 64)
        let long = { (index: Int) in "node-\(index)-" + String(repeating: "x", count: 50) }
        for index in 0..<200 {
            store.put(.node(.named(long(index))), NodeRecord.named(long(index)))
            store.setAlive(.named(long(index)), true)
        }
        let proposal = RebalanceProposal.rebalance(try store.map())
        let id = try #require(try carryOut(.commit(plan: proposal.plan), &store))
        #expect(try store.map().operation(id)?.moves.count == proposal.moves.count)
        for index in 0..<64 {
            move(&store, UInt32(index), to: .named(long(index)), .copy, id)
        }
        try carryOut(.cancel(id), &store)
        #expect(try store.map().shards.allSatisfy { $0.move == nil })
        let longest = { (letter: String) in NodeID.named(String(repeating: letter, count: NodeID.bytesMax)) }
        let bytes = [0, 1].map { count in
            let moves = (0..<count).map { _ in PlannedMove(shard: ShardID(4095), from: longest("a"), to: longest("b")) }
            return OperationRecord(id: "op-1", kind: .rebalance, moves: moves, created: now).encoded().count
        }
        #expect(bytes[0] + (bytes[1] - bytes[0] + 1) * Limits.shardsMax < MetadataLimits.valueBytesMax)
    }
}
