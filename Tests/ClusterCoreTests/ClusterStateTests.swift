import ClusterCore
import HashRing
import Primitives
import Testing

@Suite struct ClusterStateTests {
    @Test func aMapHoldsEverythingOfItsRevision() throws {
        var store = MemoryMetadata.founded(["n1", "n2"])
        #expect(try store.map().throttle == .standard)
        store.put(.throttle, Throttle(bytesPerSecond: 7))
        store.put(.controller, ControllerSeat(node: .named("n2")))
        store.put(.operation("op-10"), OperationRecord(id: "op-10", kind: .move, created: .zero))
        store.put(.operation("op-9"), OperationRecord(id: "op-9", kind: .move, created: .zero))
        store.setAlive(.named("n1"), false)
        let map = try store.map()
        #expect(map.throttle.bytesPerSecond == 7)
        #expect(map.controller?.node == .named("n2"))
        #expect(map.operations.map(\.id) == ["op-9", "op-10"])
        #expect(map.operation("op-10")?.kind == .move)
        #expect(map.operation("op-11") == nil)
        #expect(map.nextOperation == "op-11")
        #expect(map.isAlive(.named("n2")) && !map.isAlive(.named("n1")))
        #expect(map.node(.named("n2"))?.id == .named("n2"))
        #expect(map.node(.named("n3")) == nil)
        #expect(map.shard(ShardID(16)) == nil)
        for entry in store.read.value {
            #expect(map.modRevision(of: entry.key) == entry.modRevision)
            #expect(map.createRevision(of: entry.key) == entry.createRevision)
        }
        #expect(map.modRevision(of: .session(.named("n1"))) == .zero)
    }

    /// Whatever happens in the store, following its changes gives what reading it whole gives.
    @Test(arguments: 0..<8) func followingEqualsReading(seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        var store = MemoryMetadata.founded(["n1", "n2", "n3"])
        var state = ClusterState(store.read)
        let names = ["n1", "n2", "n3", "n4"]
        for _ in 0..<80 {
            let node = NodeID.named(names[random.below(names.count)])
            let seen = store.changes.count
            switch random.below(7) {
            case 0: store.setAlive(node, random.chance(1, in: 2))
            case 1: store.put(.node(node), NodeRecord.named(node.text, random.chance(1, in: 2) ? .active : .cordoned))
            case 2:
                let shard = ShardID(UInt32(random.below(16)))
                store.put(.shard(shard), ShardRecord(epoch: Epoch(2), primary: node, replicas: [node], inSync: [node]))
            case 3:
                let id = OperationID(number: random.below(20) + 1)
                store.put(.operation(id), OperationRecord(id: id, kind: .weight, created: .zero))
            case 4: store.run(MetadataTransaction(then: [.delete(.operation(OperationID(number: random.below(20))))]))
            case 5: store.put(.mapRevision, MapRevision(random.below(1000)))
            default: store.skipRevision()
            }
            for change in store.changes[seen...] {
                let isNew = state.advance(by: change)
                let isNewAgain = state.advance(by: change)
                #expect(isNew && !isNewAgain)
            }
            let now = try state.map()
            let followed = try #require(now)
            let read = try store.map()
            #expect(followed.nodes == read.nodes && followed.shards == read.shards)
            #expect(followed.operations == read.operations && followed.sessions == read.sessions)
            #expect(followed.mapRevision == read.mapRevision)
            for entry in store.read.value { #expect(followed.modRevision(of: entry.key) == entry.modRevision) }
        }
    }

    @Test func anUnreadableRecordIsNamedUntilItIsReplaced() throws {
        var store = MemoryMetadata.founded(["n1"])
        var state = ClusterState(store.read)
        let before = store.changes.count
        store.run(MetadataTransaction(then: [.put(.shard(ShardID(3)), Array("{}".utf8))]))
        store.put(
            .shard(ShardID(3)),
            ShardRecord(epoch: Epoch(2), primary: .named("n1"), replicas: [.named("n1")], inSync: [.named("n1")]))
        state.advance(by: store.changes[before])
        let error = #expect(throws: RecordError.self) { try state.map() }
        guard case .malformed(.shard(ShardID(3)), _) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        state.advance(by: store.changes[before + 1])
        let map = try state.map()
        #expect(map?.shards[3].epoch == Epoch(2))
        store.run(MetadataTransaction(then: [.delete(.shard(ShardID(3)))]))
        state.advance(by: store.changes[before + 2])
        #expect(throws: RecordError.malformed(key: .shard(ShardID(3)), detail: "the shard is missing")) {
            try state.map()
        }
        #expect(try ClusterMap(MemoryMetadata().read) == nil)
    }
}
