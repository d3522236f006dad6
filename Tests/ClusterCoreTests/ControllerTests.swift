import ClusterCore
import HashRing
import Primitives
import Testing

@Suite struct ControllerTests {
    private let n1 = NodeID.named("n1")
    private let n2 = NodeID.named("n2")
    private let n3 = NodeID.named("n3")

    /// n1 is the controller and has every shard.
    private func store(_ names: [String] = ["n1", "n2", "n3"]) throws -> MemoryMetadata {
        var store = MemoryMetadata.founded(names)
        let session = store.entry(.session(n1))?.session
        store.run(try #require(Controller.candidacy(of: n1, session: session, in: try store.map())))
        return store
    }

    private func pass(_ store: MemoryMetadata, at milliseconds: UInt64 = 9) throws -> [MetadataTransaction] {
        Controller.pass(try store.map(), as: n1, now: Timestamp(milliseconds: milliseconds))
    }

    /// Passes until there is nothing to do, without anyone taking steps.
    private func settle(_ store: inout MemoryMetadata) throws {
        for _ in 0..<20 {
            let wanted = try pass(store)
            if wanted.isEmpty { return }
            for transaction in wanted { store.run(transaction) }
        }
        Issue.record("the controller finds no rest")
    }

    private func put(_ store: inout MemoryMetadata, _ operation: OperationRecord) {
        store.put(.operation(operation.id), operation)
    }

    private func moves(_ shards: ClosedRange<UInt32>, to: NodeID) -> [PlannedMove] {
        shards.map { PlannedMove(shard: ShardID($0), from: n1, to: to) }
    }

    private func underWay(_ store: MemoryMetadata) throws -> [UInt32: ShardMove] {
        var found: [UInt32: ShardMove] = [:]
        for (index, shard) in try store.map().shards.enumerated() { found[UInt32(index)] = shard.move }
        return found
    }

    private func set(_ store: inout MemoryMetadata, _ shard: UInt32, on node: NodeID, _ move: ShardMove? = nil) {
        store.put(
            .shard(ShardID(shard)),
            ShardRecord(epoch: Epoch(5), primary: node, replicas: [node], inSync: [node], move: move))
    }

    @Test func oneNodeIsElected() throws {
        var store = try store()
        #expect(Controller.isElected(n1, in: try store.map()))
        #expect(Controller.candidacy(of: n2, session: nil, in: try store.map()) == nil)
        #expect(Controller.pass(try store.map(), as: n2, now: .zero) == [])
        store.setAlive(n1, false)
        let map = try store.map()
        #expect(map.controller == nil)
        let second = try #require(Controller.candidacy(of: n2, session: store.entry(.session(n2))?.session, in: map))
        let third = try #require(Controller.candidacy(of: n3, session: store.entry(.session(n3))?.session, in: map))
        guard case .committed = store.run(second), case .conflict = store.run(third) else {
            Issue.record("two controllers, or none")
            return
        }
        #expect(Controller.isElected(n2, in: try store.map()))
    }

    /// What a controller has decided does nothing once another one is elected.
    @Test func aLateControllerDoesNothing() throws {
        var store = try store()
        put(&store, OperationRecord(id: "op-1", kind: .rebalance, moves: moves(0...3, to: n2), created: .zero))
        set(&store, 9, on: n1, ShardMove(stage: .copy, from: n1, to: n3, operation: "op-9"))
        let wanted = try pass(store)
        #expect(wanted.count == 2)
        let seat = try #require(store.entry(.controller))
        store.run(MetadataTransaction(then: [.delete(.controller)]))
        store.run(MetadataTransaction(then: [.put(.controller, seat.value, session: seat.session)]))
        for transaction in wanted {
            guard case .conflict = store.run(transaction) else {
                Issue.record("\(transaction)")
                continue
            }
        }
    }

    @Test func limitsAndPriorities() throws {
        var store = try store(["n1", "n2", "n3", "n4"])
        put(&store, OperationRecord(id: "op-1", kind: .rebalance, moves: moves(0...3, to: n2), created: .zero))
        put(&store, OperationRecord(id: "op-2", kind: .move, moves: moves(8...8, to: n3), created: .zero))
        try settle(&store)
        var now = try underWay(store)
        #expect(now.keys.sorted() == [0, 8], "the move before the rebalance, and two out of n1")
        #expect(now[8]?.operation == "op-2" && now[8]?.stage == .learner)
        // A late look at the map cannot go beyond the limits.
        set(&store, 0, on: n1)
        set(&store, 8, on: n1)
        let wanted = try pass(store)
        for transaction in wanted { store.run(transaction) }
        set(&store, 0, on: n1)
        let again = try pass(store)
        #expect(again.count == 1)
        store.run(again[0])
        guard case .conflict = store.run(again[0]) else {
            Issue.record("one decision happened twice")
            return
        }
        now = try underWay(store)
        #expect(now.count == 2)
        store.put(.node(n1), NodeRecord.named("n1", .draining))
        put(&store, OperationRecord(id: "op-3", kind: .drain, node: n1, moves: moves(12...15, to: n3), created: .zero))
        set(&store, 0, on: n1)
        set(&store, 8, on: n1)
        try settle(&store)
        #expect(try underWay(store).values.allSatisfy { $0.operation == "op-3" })
    }

    @Test func twoInForOneTarget() throws {
        var store = try store(["n1", "n2", "n3", "n4"])
        for shard in UInt32(8)...15 { set(&store, shard, on: n2) }
        let moves =
            moves(0...3, to: n3) + (8...11).map { PlannedMove(shard: ShardID($0), from: n2, to: n3) }
        put(&store, OperationRecord(id: "op-1", kind: .rebalance, moves: moves, created: .zero))
        try settle(&store)
        #expect(try underWay(store).count == 2)
    }

    @Test func nothingBeginsWhereItCannotEnd() throws {
        var store = try store()
        put(
            &store,
            OperationRecord(id: "op-1", kind: .rebalance, state: .paused, moves: moves(0...1, to: n2), created: .zero))
        #expect(try pass(store) == [])
        put(&store, OperationRecord(id: "op-1", kind: .rebalance, moves: moves(0...1, to: n2), created: .zero))
        try settle(&store)
        #expect(try underWay(store).count == 2)
    }

    /// A target that dies is not waited for: its shards go to those who live, and where nobody has a use for them the
    /// operation ends and says why.
    @Test func aRebalanceGoesOnWithoutADeadTarget() throws {
        for state in [OperationRecord.State.running, .paused] {
            var store = try store()
            put(
                &store,
                OperationRecord(
                    id: "op-1", kind: .rebalance, state: state, moves: moves(0...4, to: n2), created: .zero))
            try settle(&store)
            #expect(try underWay(store).isEmpty == (state == .paused))
            store.setAlive(n2, false)
            try settle(&store)
            let operation = try #require(try store.map().operation("op-1"))
            #expect(operation.state == state && !operation.moves.isEmpty)
            #expect(operation.moves.allSatisfy { $0.to == n3 })
            #expect(operation.detail.hasPrefix("n2 is not alive: "))
            #expect(try underWay(store).values.allSatisfy { $0.to == n3 })
            // It comes back in the middle, and finds that others do its part.
            store.setAlive(n2, true)
            try settle(&store)
            #expect(try store.map().operation("op-1")?.moves == operation.moves)
        }
        var store = try store(["n1", "n2"])
        put(&store, OperationRecord(id: "op-1", kind: .rebalance, moves: moves(0...4, to: n2), created: .zero))
        try settle(&store)
        store.setAlive(n2, false)
        try settle(&store)
        let ended = try #require(try store.map().operation("op-1"))
        #expect(ended.state == .failed && ended.moves == [] && ended.finished != nil)
        #expect(ended.detail.hasPrefix("n2 is not alive: ") && ended.detail.hasSuffix("moves are dropped"))
        #expect(try underWay(store).isEmpty)
    }

    @Test func whatADeadSourceHasStaysThere() throws {
        var store = try store()
        for shard in UInt32(8)...15 { set(&store, shard, on: n2) }
        let planned = moves(0...1, to: n3) + (8...9).map { PlannedMove(shard: ShardID($0), from: n2, to: n3) }
        put(&store, OperationRecord(id: "op-1", kind: .rebalance, moves: planned, created: .zero))
        try settle(&store)
        store.setAlive(n2, false)
        try settle(&store)
        #expect(try store.map().operation("op-1")?.moves.map(\.shard.rawValue) == [0, 1])
        // What has been handed over has arrived, though the dead one has still to put it away.
        set(&store, 0, on: n3)
        set(&store, 1, on: n3, ShardMove(stage: .retire, from: n1, to: n3, operation: "op-1"))
        #expect(try store.map().operation("op-1")?.state == .running)
        store.setAlive(n1, false)
        store.run(
            try #require(
                Controller.candidacy(of: n3, session: store.entry(.session(n3))?.session, in: try store.map())))
        for transaction in Controller.pass(try store.map(), as: n3, now: .zero) { store.run(transaction) }
        #expect(try store.map().operation("op-1")?.state == .done)
        #expect(try underWay(store).keys.sorted() == [1], "the source puts it away when it is back")
    }

    @Test func aMoveFailsWithADeadNode() throws {
        for dead in [n2, n3] {
            var store = try store()
            set(&store, 0, on: n3)
            let move = PlannedMove(shard: ShardID(0), from: n3, to: n2)
            put(&store, OperationRecord(id: "op-1", kind: .move, moves: [move], created: .zero))
            try settle(&store)
            #expect(try underWay(store).count == 1)
            store.setAlive(dead, false)
            try settle(&store)
            #expect(try store.map().operation("op-1")?.state == .failed)
            #expect(try store.map().operation("op-1")?.detail == "\(dead) is not alive: nothing was moved")
            #expect(try underWay(store).isEmpty)
        }
    }

    /// The node may come back, and then goes on with it: nobody else has what it holds.
    @Test func aDrainWaitsForItsNode() throws {
        var store = try store()
        store.put(.node(n2), NodeRecord.named("n2", .draining))
        set(&store, 0, on: n2)
        let move = PlannedMove(shard: ShardID(0), from: n2, to: n3)
        put(&store, OperationRecord(id: "op-1", kind: .drain, node: n2, moves: [move], created: .zero))
        store.setAlive(n2, false)
        try settle(&store)
        #expect(try store.map().operation("op-1")?.state == .running && underWay(store).isEmpty)
        store.setAlive(n2, true)
        try settle(&store)
        #expect(try underWay(store).count == 1)
    }

    @Test func aRemovedTargetIsPlannedAround() throws {
        var store = try store()
        put(&store, OperationRecord(id: "op-1", kind: .rebalance, moves: moves(0...4, to: n2), created: .zero))
        store.put(.node(n2), NodeRecord.named("n2", .removed))
        store.setAlive(n2, false)
        try settle(&store)
        let operation = try #require(try store.map().operation("op-1"))
        #expect(operation.moves.allSatisfy { $0.to == n3 } && !operation.moves.isEmpty)
        #expect(operation.detail.hasPrefix("n2 is removed: "))
    }

    @Test func leftoversAreCleared() throws {
        var store = try store()
        put(
            &store,
            OperationRecord(
                id: "op-1", kind: .rebalance, state: .cancelled, moves: moves(0...1, to: n2), created: .zero))
        set(&store, 0, on: n1, ShardMove(stage: .handover, from: n1, to: n2, operation: "op-1"))
        set(&store, 1, on: n2, ShardMove(stage: .retire, from: n1, to: n2, operation: "op-1"))
        set(&store, 2, on: n2, ShardMove(stage: .retire, from: n3, to: n2, operation: "op-1"))
        store.put(.node(n3), NodeRecord.named("n3", .removed))
        try settle(&store)
        #expect(try underWay(store).keys.sorted() == [1], "the source puts its own away")
        #expect(try store.map().shards[0].primary == n1)
    }

    /// A target that takes no shards any more: the rebalance finds its shards another one, or leaves them.
    @Test func aRebalancePlansAnew() throws {
        var store = try store()
        put(&store, OperationRecord(id: "op-1", kind: .rebalance, moves: moves(0...4, to: n2), created: .zero))
        store.put(.node(n2), NodeRecord.named("n2", .cordoned))
        try settle(&store)
        let operation = try #require(try store.map().operation("op-1"))
        #expect(operation.moves.map(\.shard.rawValue).allSatisfy { $0 <= 4 })
        #expect(operation.moves.allSatisfy { $0.to == n3 } && !operation.moves.isEmpty)
        #expect(operation.detail.hasPrefix("n2 is cordoned: "))
        store.put(.node(n3), NodeRecord.named("n3", .cordoned))
        try settle(&store)
        #expect(try store.map().operation("op-1")?.state == .done)
        #expect(try store.map().operation("op-1")?.moves == [])
        #expect(try store.map().operation("op-1")?.detail.contains("; n3 is cordoned: ") == true)
        #expect(try underWay(store).isEmpty)
    }

    @Test func aRebalanceIsDoneWhenItsShardsHaveArrived() throws {
        var store = try store()
        put(&store, OperationRecord(id: "op-1", kind: .rebalance, moves: moves(0...1, to: n2), created: .zero))
        set(&store, 0, on: n2)
        set(&store, 1, on: n2, ShardMove(stage: .retire, from: n1, to: n2, operation: "op-1"))
        #expect(try pass(store) == [])
        set(&store, 1, on: n2)
        try settle(&store)
        #expect(try store.map().operation("op-1")?.state == .done)
        #expect(try store.map().operation("op-1")?.finished == Timestamp(milliseconds: 9))
        #expect(try store.map().operation("op-1")?.moves.count == 2)
    }

    @Test func aDrainTakesWhateverItsNodeHas() throws {
        var store = try store()
        store.put(.node(n1), NodeRecord.named("n1", .draining))
        for shard in UInt32(4)...15 { set(&store, shard, on: n3) }
        // Planned for one shard to a node that is away, and for one that somebody else took.
        store.setAlive(n2, false)
        put(
            &store,
            OperationRecord(
                id: "op-1", kind: .drain, node: n1,
                moves: [
                    PlannedMove(shard: ShardID(0), from: n1, to: n2), PlannedMove(shard: ShardID(4), from: n1, to: n2),
                ], created: .zero))
        try settle(&store)
        let moves = try #require(try store.map().operation("op-1")?.moves)
        #expect(moves.map(\.shard.rawValue) == [0, 1, 2, 3, 4])
        #expect(moves.allSatisfy { $0.from == n1 && $0.to == n3 })
        for shard in UInt32(0)...3 { set(&store, shard, on: n3) }
        try settle(&store)
        #expect(try store.map().operation("op-1")?.state == .done)
        #expect(try store.map().node(n1)?.state == .drained)
    }

    @Test func aDrainWithoutADrainingNodeEnds() throws {
        var store = try store()
        put(&store, OperationRecord(id: "op-1", kind: .drain, node: n2, created: .zero))
        try settle(&store)
        #expect(try store.map().operation("op-1")?.state == .cancelled)
        #expect(try store.map().node(n2)?.state == .active)
    }

    @Test func aMoveFollowsItsShardAndFailsWithItsTarget() throws {
        var store = try store()
        put(&store, OperationRecord(id: "op-1", kind: .move, moves: moves(0...0, to: n2), created: .zero))
        set(&store, 0, on: n3)
        try settle(&store)
        #expect(try underWay(store)[0] == ShardMove(stage: .learner, from: n3, to: n2, operation: "op-1"))
        store.put(.node(n2), NodeRecord.named("n2", .draining))
        try settle(&store)
        #expect(try underWay(store).isEmpty)
        #expect(try store.map().operation("op-1")?.state == .failed)
        #expect(try store.map().operation("op-1")?.detail == "n2 is draining: it takes no shards")
    }

    @Test func oldOperationsAreForgotten() throws {
        var store = try store()
        for number in UInt64(1)...UInt64(Limits.finishedOperationsMax + 30) {
            put(
                &store,
                OperationRecord(id: OperationID(number: number), kind: .weight, state: .done, created: .zero))
        }
        set(&store, 0, on: n2, ShardMove(stage: .retire, from: n1, to: n2, operation: "op-3"))
        let next = try store.map().nextOperation
        try settle(&store)
        let map = try store.map()
        #expect(map.operations.count == Limits.finishedOperationsMax + 1)
        #expect(map.operation("op-3") != nil && map.operation("op-4") == nil)
        #expect(map.nextOperation == next)
    }
}
