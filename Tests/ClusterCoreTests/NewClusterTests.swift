import ClusterCore
import HashRing
import Primitives
import Testing

@Suite struct NewClusterTests {
    private let n1 = NodeID.named("n1")
    private let n2 = NodeID.named("n2")
    private let n3 = NodeID.named("n3")

    private var config: ClusterConfig {
        ClusterConfig(
            name: "test", clusterID: UniqueID(high: 1, low: 2), shardCount: 16, hash: RingHash(seed: 0),
            created: .zero)
    }

    /// Founded by n1 for three nodes, of which n3 counts twice.
    private func founded() -> MemoryMetadata {
        var store = MemoryMetadata()
        let others = [
            NodeRecord.awaited(n2, zone: "a", weight: .one),
            NodeRecord.awaited(n3, zone: "b", weight: NodeWeight(thousandths: 2000)),
        ]
        store.run(NewCluster(config, founder: .named("n1", .joining), companions: others).transaction)
        return store
    }

    private func announce(_ node: NodeID, _ store: inout MemoryMetadata) throws {
        store.run(
            try #require(
                NodeSession.announcement(of: node, bootCount: 1, session: SessionID(7), in: try store.map())))
    }

    @Test func aLoneFounderHoldsEveryShard() throws {
        let cluster = NewCluster(config, founder: .named("n1", weight: 0))
        #expect(cluster.shardsOfFounder.count == 16)
        var store = MemoryMetadata()
        store.run(cluster.transaction)
        #expect(try store.map().shards.allSatisfy { $0.primary == n1 && $0.epoch == Epoch(1) })
    }

    @Test func companionsHoldTheirSharesByWeight() throws {
        let map = try founded().map()
        let counts = Dictionary(map.shards.map { ($0.primary, 1) }, uniquingKeysWith: +)
        #expect(counts == [n1: 4, n2: 4, n3: 8])
        #expect(map.nodes.map(\.id) == [n1, n2, n3] && map.mapRevision == MapRevision(1))
        #expect(map.nodes.allSatisfy { $0.state == .joining })
        #expect(RebalanceProposal.rebalance(map).moves.isEmpty, "whoever has not started keeps its share")
    }

    /// Only a node that has never started makes the stores of shards that it holds.
    @Test func storesAreMadeOnce() throws {
        var store = founded()
        let map = try store.map()
        #expect(map.shardsToMake(by: n1).isEmpty)
        #expect(map.shardsToMake(by: n2).count == 4)
        #expect(map.shardsToMake(by: .named("n4")).isEmpty)
        let changed = ShardRecord(epoch: Epoch(2), primary: n2, replicas: [n2], inSync: [n2])
        let shard = try #require(map.shardsToMake(by: n2).first)
        store.put(.shard(shard), changed)
        #expect(try store.map().shardsToMake(by: n2).count == 3, "it was somebody else's meanwhile")
        store.run(try #require(try NodeStart.joining(.named("n2"), clusterName: "test", map: try store.map())))
        #expect(try store.map().shardsToMake(by: n2).isEmpty)
        #expect(throws: StartRefusal.self) {
            var other = NodeRecord.named("n2")
            other = NodeRecord(
                id: other.id, storeID: UniqueID(high: 5, low: 5), bootCount: 1, state: .joining, zone: "",
                weight: .one, addresses: other.addresses)
            return try NodeStart.joining(other, clusterName: "test", map: try store.map())
        }
    }

    @Test func anAwaitedNodeIsTakenByOneStart() throws {
        var store = founded()
        store.put(
            .node(n2),
            {
                var weighed = NodeRecord.awaited(n2, zone: "a", weight: .one)
                weighed.weight = NodeWeight(thousandths: 500)
                return weighed
            }())
        let map = try store.map()
        let join = try #require(try NodeStart.joining(.named("n2"), clusterName: "test", map: map))
        guard case .committed = store.run(join), case .conflict = store.run(join) else {
            Issue.record("one place was taken twice")
            return
        }
        let joined = try #require(try store.map().node(n2))
        #expect(joined.bootCount == 1 && joined.weight == NodeWeight(thousandths: 500))
        #expect(joined.state == .joining && !joined.isAwaited)
    }

    /// Active and not alive means that it was alive before.
    @Test func aNodeBecomesActiveWithItsFirstSession() throws {
        var store = founded()
        #expect(AdminDecision.decide(.drain(n1), on: try store.map(), now: .zero).isRefusal)
        try announce(n1, &store)
        #expect(try store.map().node(n1)?.state == .active && store.map().isAlive(n1))
        #expect(try store.map().node(n2)?.state == .joining)
        // A change that comes between is not lost.
        store.run(try #require(try NodeStart.joining(.named("n2"), clusterName: "test", map: try store.map())))
        let late = try #require(
            NodeSession.announcement(of: n2, bootCount: 1, session: SessionID(8), in: try store.map()))
        store.run(
            try #require(
                {
                    guard
                        case .change(let change, _) = AdminDecision.decide(
                            .weight(n2, thousandths: 3000), on: try store.map(), now: .zero)
                    else { return nil }
                    return change
                }()))
        guard case .conflict = store.run(late) else {
            Issue.record("the weight was written over")
            return
        }
        try announce(n2, &store)
        let active = try #require(try store.map().node(n2))
        #expect(active.state == .active && active.weight == NodeWeight(thousandths: 3000))
    }
}

extension AdminDecision {
    fileprivate var isRefusal: Bool { if case .refused = self { true } else { false } }
}
