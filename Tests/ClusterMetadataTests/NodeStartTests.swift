import ClusterCore
import ClusterMetadata
import HashRing
import Primitives
import Testing

/// The first start and later ones, over the embedded store.
@Suite struct NodeStartTests {
    let temporary: TemporaryDirectory
    let store: EmbeddedMetadata
    let cluster = UniqueID(high: 1, low: 2)
    let data = UniqueID(high: 3, low: 4)
    let node: NodeID
    let addresses = NodeAddresses(listen: "127.0.0.1:7070")

    init() throws {
        temporary = try TemporaryDirectory()
        store = try EmbeddedMetadata(path: temporary.path + "/metadata", create: true)
        node = try #require(NodeID("n1"))
    }

    private func found() throws -> TransactionOutcome {
        let config = ClusterConfig(
            name: "orders", clusterID: cluster, shardCount: 64, hash: RingHash(seed: 9), created: .zero)
        let record = NodeRecord(
            id: node, storeID: data, bootCount: 1, state: .active, zone: "", weight: .one, addresses: addresses)
        return try store.transaction(NewCluster(config, founder: record).transaction)
    }

    private func map() throws -> ClusterMap? { try ClusterMap(store.range(prefix: MetadataKey(""))) }

    private func identity(
        cluster: UniqueID? = nil, node: NodeID? = nil, data: UniqueID? = nil, boots: UInt64, announced: UInt64? = nil
    ) -> NodeIdentity {
        NodeIdentity(
            cluster: cluster ?? self.cluster, node: node ?? self.node, store: data ?? self.data, bootCount: boots,
            announcedBootCount: announced ?? boots)
    }

    private func startAgain(_ identity: NodeIdentity, name: String = "orders") throws -> NodeRecord {
        let map = try #require(try map())
        let entry = try store.get(.node(identity.node)).value
        let start = try NodeStart.again(identity, clusterName: name, addresses: addresses, map: map, entry: entry)
        #expect(try store.transaction(start.transaction) == .committed(map.revision.next))
        return start.node
    }

    @Test func foundingMakesAWholeCluster() throws {
        #expect(try map() == nil)
        #expect(try found() == .committed(MetadataRevision(1)))
        let map = try #require(try map())
        #expect(map.config.hash.seed == 9)
        #expect(map.nodes.map(\.id) == [node])
        #expect(map.shards.count == 64)
        #expect(map.shards.allSatisfy { $0.primary == node && $0.epoch == Epoch(1) && $0.inSync == [node] })
        #expect(map.mapRevision == MapRevision(1))
        #expect(try found() == .conflict(MetadataRevision(1)), "a cluster is founded once")
    }

    @Test func everyStartIsCounted() throws {
        _ = try found()
        #expect(try startAgain(identity(boots: 1)).bootCount == 2)
        #expect(try startAgain(identity(boots: 2)).bootCount == 3)
        // Ended after the count was taken and before the disk confirmed it.
        #expect(try startAgain(identity(boots: 2, announced: 3)).bootCount == 4)
        // Ended after the announcement and before the count was taken.
        #expect(try startAgain(identity(boots: 4, announced: 5)).bootCount == 5)
    }

    @Test func strangersAreRefused() throws {
        _ = try found()
        _ = try startAgain(identity(boots: 1))
        let other = UniqueID(high: 9, low: 9)
        let stranger = try #require(NodeID("n2"))
        let cases: [(NodeIdentity, String, StartRefusal)] = [
            (identity(boots: 2), "payments", .otherCluster(asked: "payments", found: "orders")),
            (identity(cluster: other, boots: 2), "orders", .foreignDirectory(directory: other, cluster: cluster)),
            (identity(node: stranger, boots: 2), "orders", .unknownNode(stranger)),
            (identity(data: other, boots: 2), "orders", .otherStore(node, registered: data, found: other)),
            (identity(boots: 1), "orders", .bootCount(node, registered: 2, found: 1)),
            (identity(boots: 3), "orders", .bootCount(node, registered: 2, found: 3)),
        ]
        for (identity, name, refusal) in cases {
            #expect(throws: refusal) { try startAgain(identity, name: name) }
        }
        #expect(try map()?.node(node)?.bootCount == 2, "nothing was counted")
    }

    @Test func twoStartsAtOnceCountOnce() throws {
        _ = try found()
        let map = try #require(try map())
        let entry = try store.get(.node(node)).value
        let start = try NodeStart.again(
            identity(boots: 1), clusterName: "orders", addresses: addresses, map: map, entry: entry)
        #expect(try store.transaction(start.transaction) == .committed(MetadataRevision(2)))
        #expect(try store.transaction(start.transaction) == .conflict(MetadataRevision(2)))
    }

    @Test func missingShardIsNamed() throws {
        _ = try found()
        _ = try store.transaction(MetadataTransaction(then: [.delete(.shard(ShardID(17)))]))
        #expect(throws: RecordError.malformed(key: .shard(ShardID(17)), detail: "the shard is missing")) {
            try map()
        }
    }
}
