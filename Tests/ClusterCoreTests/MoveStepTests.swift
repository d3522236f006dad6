import ClusterCore
import HashRing
import Primitives
import Testing

@Suite struct MoveStepTests {
    static let shard = ShardID(5)
    static let source = NodeID.named("n1")
    static let target = NodeID.named("n2")

    private func store(at stage: ShardMove.Stage) -> MemoryMetadata {
        var store = MemoryMetadata.founded(["n1", "n2"])
        let retired = stage == .retire
        let owner = retired ? Self.target : Self.source
        store.put(
            .shard(Self.shard),
            ShardRecord(
                epoch: Epoch(retired ? 2 : 1), primary: owner, replicas: [owner], inSync: [owner],
                move: ShardMove(stage: stage, from: Self.source, to: Self.target, operation: "op-1")))
        return store
    }

    private func entry(_ store: MemoryMetadata) throws -> ShardEntry {
        try #require(try store.map().shard(Self.shard))
    }

    @Test func theWholeWay() throws {
        var store = store(at: .learner)
        let mapRevision = try store.map().mapRevision
        try take(&store) { MoveStep.beginCopy($0, by: Self.target) }
        try take(&store) { MoveStep.catchUp($0, by: Self.target) }
        try take(&store) { MoveStep.enterHandover($0, by: Self.source) }
        try take(&store) { MoveStep.leaveHandover($0, by: Self.source) }
        try take(&store) { MoveStep.enterHandover($0, by: Self.source) }
        #expect(try entry(store).record.primary == Self.source)
        let map = try store.map()
        try take(&store) { _ in MoveStep.handOver(Self.shard, by: Self.source, in: map) }
        let given = try entry(store).record
        #expect(given.primary == Self.target && given.replicas == [Self.target] && given.inSync == [Self.target])
        #expect(given.epoch == Epoch(2))
        #expect(given.move?.stage == .retire)
        #expect(try store.map().mapRevision == mapRevision.next)
        try take(&store) { MoveStep.finishRetire($0, by: Self.source) }
        #expect(try entry(store).record.move == nil)
    }

    private func take(_ store: inout MemoryMetadata, _ step: (ShardEntry) -> MetadataTransaction?) throws {
        let transaction = try #require(step(try entry(store)))
        guard case .committed = store.run(transaction) else {
            Issue.record("a step on the record of now conflicts")
            return
        }
        guard case .conflict = store.run(transaction) else {
            Issue.record("a step happened twice")
            return
        }
    }

    /// Each step is for one node, at its stages, and for nobody else at any other.
    @Test(arguments: ShardMove.Stage.allCases) func stepsApplyWhereTheyBelong(stage: ShardMove.Stage) throws {
        let store = store(at: stage)
        let map = try store.map()
        let entry = try entry(store)
        for node in [Self.source, Self.target, NodeID.named("n3")] {
            let isSource = node == Self.source
            let isTarget = node == Self.target
            let begins = isTarget && stage != .retire
            #expect((MoveStep.beginCopy(entry, by: node) != nil) == begins)
            #expect((MoveStep.catchUp(entry, by: node) != nil) == (isTarget && stage == .copy))
            let withdraws = isTarget && (stage == .copy || stage == .catchUp || stage == .handover)
            #expect((MoveStep.withdrawCopy(entry, by: node) != nil) == withdraws)
            #expect((MoveStep.enterHandover(entry, by: node) != nil) == (isSource && stage == .catchUp))
            #expect((MoveStep.leaveHandover(entry, by: node) != nil) == (isSource && stage == .handover))
            #expect((MoveStep.handOver(Self.shard, by: node, in: map) != nil) == (isSource && stage == .handover))
            #expect((MoveStep.finishRetire(entry, by: node) != nil) == (isSource && stage == .retire))
        }
    }

    /// A target that begins again makes sure that what its attempt before asked for can no longer happen.
    @Test func aCopyThatBeginsAgainVoidsTheOneBefore() throws {
        var store = store(at: .copy)
        let late = try #require(MoveStep.catchUp(try entry(store), by: Self.target))
        store.run(try #require(MoveStep.beginCopy(try entry(store), by: Self.target)))
        guard case .conflict = store.run(late) else {
            Issue.record("a copy that was thrown away was declared complete")
            return
        }
    }

    /// What a node settles at its start comes to an end, and what its former life asked for can no longer happen.
    @Test(arguments: ShardMove.Stage.allCases) func aStartSettlesAMove(stage: ShardMove.Stage) throws {
        for (node, settled) in [(Self.source, ShardMove.Stage.catchUp), (Self.target, .learner)] {
            var store = store(at: stage)
            let before = try entry(store)
            let late = [
                MoveStep.catchUp(before, by: node),
                MoveStep.handOver(Self.shard, by: node, in: try store.map()),
            ].compactMap { $0 }
            var steps = 0
            while let step = ShardRole.beforeStart(try entry(store), for: node) {
                store.run(step)
                steps += 1
                guard steps < 3 else { break }
            }
            #expect(steps <= 1)
            guard steps == 1 else { continue }
            #expect(try entry(store).record.move?.stage == settled)
            for transaction in late {
                guard case .conflict = store.run(transaction) else {
                    Issue.record("what a former life asked for has happened")
                    return
                }
            }
        }
    }

    @Test func nothingAppliesWithoutAMove() throws {
        let map = try MemoryMetadata.founded(["n1"]).map()
        let entry = try #require(map.shard(Self.shard))
        #expect(MoveStep.beginCopy(entry, by: Self.source) == nil)
        #expect(MoveStep.catchUp(entry, by: Self.source) == nil)
        #expect(MoveStep.enterHandover(entry, by: Self.source) == nil)
        #expect(MoveStep.leaveHandover(entry, by: Self.source) == nil)
        #expect(MoveStep.handOver(Self.shard, by: Self.source, in: map) == nil)
        #expect(MoveStep.handOver(ShardID(99), by: Self.source, in: map) == nil)
        #expect(MoveStep.finishRetire(entry, by: Self.source) == nil)
    }

    /// Two handovers at once both raise the map revision: one of them conflicts, although its shard is untouched.
    @Test func handoversOfTwoShardsTakeTurns() throws {
        var store = store(at: .handover)
        let other = ShardID(6)
        store.put(.shard(other), try entry(store).record)
        let map = try store.map()
        let first = try #require(MoveStep.handOver(Self.shard, by: Self.source, in: map))
        let second = try #require(MoveStep.handOver(other, by: Self.source, in: map))
        guard case .committed = store.run(first), case .conflict = store.run(second) else {
            Issue.record("both happened, or none")
            return
        }
        let tried = try #require(map.shard(other))
        #expect(MoveOutcome.judge(tried, try #require(try store.map().shard(other))) == .open(tried))
        let again = try #require(MoveStep.handOver(other, by: Self.source, in: try store.map()))
        guard case .committed = store.run(again) else {
            Issue.record("the second try conflicts")
            return
        }
        #expect(try store.map().mapRevision == map.mapRevision.next.next)
    }

    @Test func outcomes() throws {
        var store = store(at: .handover)
        let tried = try entry(store)
        let handover = try #require(MoveStep.handOver(Self.shard, by: Self.source, in: try store.map()))
        #expect(MoveOutcome.judge(tried, tried) == .open(tried))

        // Left, the late transaction can do no harm.
        var left = store
        left.run(try #require(MoveStep.leaveHandover(tried, by: Self.source)))
        guard case .conflict = left.run(handover) else {
            Issue.record("a handover that was given up happened")
            return
        }
        #expect(MoveOutcome.judge(tried, try entry(left)) == .void(try entry(left)))
        left.run(try #require(MoveStep.enterHandover(try entry(left), by: Self.source)))
        #expect(MoveOutcome.judge(tried, try entry(left)) == .void(try entry(left)))

        var cancelled = store
        let owner = [Self.source]
        cancelled.put(
            .shard(Self.shard), ShardRecord(epoch: Epoch(1), primary: Self.source, replicas: owner, inSync: owner))
        #expect(MoveOutcome.judge(tried, try entry(cancelled)) == .cancelled(try entry(cancelled)))
        cancelled.put(
            .shard(Self.shard),
            ShardRecord(
                epoch: Epoch(1), primary: Self.source, replicas: owner, inSync: owner,
                move: ShardMove(stage: .handover, from: Self.source, to: Self.target, operation: "op-2")))
        #expect(MoveOutcome.judge(tried, try entry(cancelled)) == .cancelled(try entry(cancelled)))

        store.run(handover)
        #expect(MoveOutcome.judge(tried, try entry(store)) == .committed(try entry(store)))
        store.run(try #require(MoveStep.finishRetire(try entry(store), by: Self.source)))
        #expect(MoveOutcome.judge(tried, try entry(store)) == .committed(try entry(store)))
    }
}
