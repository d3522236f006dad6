import ClusterCore
import HashRing
import Primitives
import Testing

@Suite struct OperationViewTests {
    private let n1 = NodeID.named("n1")
    private let n2 = NodeID.named("n2")
    private let id: OperationID = "op-1"

    private func store() -> MemoryMetadata {
        var store = MemoryMetadata.founded(["n1", "n2"])
        store.put(.controller, ControllerSeat(node: n1))
        return store
    }

    private func set(_ store: inout MemoryMetadata, _ shard: UInt32, _ stage: ShardMove.Stage?) {
        let owner = stage == nil || stage == .retire ? n2 : n1
        store.put(
            .shard(ShardID(shard)),
            ShardRecord(
                epoch: Epoch(5), primary: owner, replicas: [owner], inSync: [owner],
                move: stage.map { ShardMove(stage: $0, from: n1, to: n2, operation: id) }))
    }

    private func operation(_ state: OperationRecord.State = .running, kind: OperationRecord.Kind = .rebalance)
        -> OperationRecord
    {
        OperationRecord(
            id: id, kind: kind, state: state,
            moves: (0..<8).map { PlannedMove(shard: ShardID($0), from: n1, to: n2) }, created: .zero)
    }

    private func progress(_ done: UInt64, of total: UInt64, rate: UInt64, needs: UInt64? = nil) -> MoveProgress {
        MoveProgress(
            operation: id, bytesDone: done, bytesTotal: total, bytesPerSecond: rate, neededBytesPerSecond: needs)
    }

    @Test func everyStage() throws {
        var store = store()
        for (shard, stage) in ShardMove.Stage.allCases.enumerated() { set(&store, UInt32(shard), stage) }
        set(&store, 5, nil)
        let view = OperationView(operation(), in: try store.map())
        #expect(view.moves.map(\.state) == [.learner, .copy, .catchUp, .handover, .retire, .done, .waiting, .waiting])
        #expect(view.done == 1 && view.total == 8)
        #expect(view.moves[6].waitsFor == "n2 takes in 2 shards already")
        #expect(view.waitsFor == ["n2 takes in 2 shards already"])
        #expect(view.etaSeconds == nil && view.bytesTotal == 0)
    }

    @Test func bytesRateAndTime() throws {
        var store = store()
        set(&store, 0, nil)
        set(&store, 1, .copy)
        set(&store, 2, .catchUp)
        let reports: [ShardID: MoveProgress] = [
            ShardID(1): progress(50, of: 100, rate: 10), ShardID(2): progress(300, of: 300, rate: 5),
            ShardID(7): progress(1, of: 1, rate: 1000),
        ]
        let sizes: [ShardID: UInt64] = [ShardID(0): 200, ShardID(3): 100, ShardID(4): 100]
        let view = OperationView(operation(), in: try store.map(), progress: reports, shardBytes: sizes)
        // The three of unknown size count 160 each.
        #expect(view.bytesTotal == 200 + 100 + 300 + 100 + 100 + 3 * 160)
        #expect(view.bytesDone == 200 + 50 + 300)
        #expect(view.bytesPerSecond == 15)
        #expect(view.etaSeconds == (1280 - 550 + 14) / 15)
        #expect(view.moves[7].progress == nil, "it is not under way")
    }

    @Test func whatItWaitsFor() throws {
        var store = store()
        set(&store, 0, .copy)
        let slow = [ShardID(0): progress(5, of: 10, rate: 1, needs: 77)]
        var view = OperationView(operation(), in: try store.map(), progress: slow)
        #expect(view.waitsFor == ["shard 0 does not converge: it needs 77 bytes/s"])
        store.setAlive(n2, false)
        view = OperationView(operation(), in: try store.map(), progress: slow)
        #expect(view.waitsFor == ["n2 is not alive"])
        store.put(.node(n2), NodeRecord.named("n2", .cordoned))
        view = OperationView(operation(), in: try store.map())
        #expect(view.waitsFor == ["n2 is not alive", "n2 is cordoned"])
        view = OperationView(operation(.paused), in: try store.map())
        #expect(view.waitsFor == ["op-1 is paused", "n2 is not alive"])
        store.run(MetadataTransaction(then: [.delete(.controller)]))
        view = OperationView(operation(), in: try store.map())
        #expect(view.waitsFor.first == "no node is the controller")
    }

    @Test func whatHasEndedWaitsForNothing() throws {
        let store = store()
        let done = OperationView(operation(.done), in: try store.map(), shardBytes: [ShardID(0): 10])
        #expect(done.done == 8 && done.waitsFor == [] && done.etaSeconds == nil)
        #expect(done.bytesDone == 80 && done.bytesTotal == 80)
        let cancelled = OperationView(operation(.cancelled), in: try store.map())
        #expect(cancelled.done == 0 && cancelled.waitsFor == [])
        #expect(cancelled.moves.allSatisfy { $0.state == .waiting && $0.waitsFor == nil })
    }
}
