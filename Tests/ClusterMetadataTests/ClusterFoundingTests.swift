import ClusterCore
import ClusterMetadata
import Foundation
import HashRing
import Primitives
import Synchronization
import Testing

/// A store that does what the real one does and then loses some answers, or something happens before a transaction.
private struct TroubledStore: MetadataStore {
    enum Trouble: Sendable {
        case none
        /// The transaction happened, and nobody heard.
        case answerLost
        /// It did not, and nobody heard of that either.
        case requestLost
        case first(@Sendable () async throws -> Void)
    }

    let store: any MetadataStore
    /// By the number of the transaction.
    let trouble: @Sendable (Int) -> Trouble
    private let count = Counter()

    private final class Counter: Sendable {
        let value = Atomic(0)
    }

    init(_ store: any MetadataStore, trouble: @escaping @Sendable (Int) -> Trouble) {
        self.store = store
        self.trouble = trouble
    }

    func get(_ key: MetadataKey) async throws(MetadataError) -> MetadataRead<MetadataEntry?> {
        try await store.get(key)
    }

    func range(prefix: MetadataKey) async throws(MetadataError) -> MetadataRead<[MetadataEntry]> {
        try await store.range(prefix: prefix)
    }

    func transaction(_ transaction: MetadataTransaction) async throws(MetadataError) -> TransactionOutcome {
        let number = count.value.wrappingAdd(1, ordering: .relaxed).oldValue
        switch trouble(number) {
        case .none: break
        case .requestLost: throw .outcomeUnknown(detail: "request \(number) is lost")
        case .answerLost:
            _ = try await store.transaction(transaction)
            throw .outcomeUnknown(detail: "answer \(number) is lost")
        case .first(let body):
            do { try await body() } catch { throw .io(detail: "\(error)") }
        }
        return try await store.transaction(transaction)
    }

    func watch(prefix: MetadataKey, after revision: MetadataRevision) -> AsyncThrowingStream<MetadataChange, any Error>
    {
        store.watch(prefix: prefix, after: revision)
    }

    func openSession(timeToLiveSeconds: UInt64) async throws(MetadataError) -> any MetadataSession {
        try await store.openSession(timeToLiveSeconds: timeToLiveSeconds)
    }
}

/// Founding and joining, over both stores.
@Suite struct ClusterFoundingTests {
    enum Kind: CaseIterable { case embedded, etcd }

    let temporary: TemporaryDirectory

    init() async throws {
        try await waitForQuiet()
        temporary = try TemporaryDirectory()
    }

    private func store(_ kind: Kind) throws -> any MetadataStore {
        switch kind {
        case .embedded: try EmbeddedMetadata(path: temporary.path + "/metadata", create: true)
        case .etcd: try EtcdCluster.shared.get().store()
        }
    }

    private func config(_ low: UInt64, shards: Int = 256) -> ClusterConfig {
        ClusterConfig(
            name: "orders", clusterID: UniqueID(high: 1, low: low), shardCount: shards, hash: RingHash(seed: 9),
            created: .zero)
    }

    private func node(_ name: String, store: UInt64 = 1) throws -> NodeRecord {
        NodeRecord(
            id: try #require(NodeID(name)), storeID: UniqueID(high: 3, low: store), bootCount: 1, state: .joining,
            zone: "", weight: .one, addresses: NodeAddresses(listen: "127.0.0.1:7070"))
    }

    private func map(_ store: any MetadataStore) async throws -> ClusterMap {
        try #require(try ClusterMap(await store.range(prefix: MetadataKey(""))))
    }

    /// One founder's cluster, whole, and nothing beside it.
    private func expectWhole(
        _ store: any MetadataStore, founder: NodeRecord, shards: Int = 256,
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        let map = try await map(store)
        #expect(map.nodes == [founder], sourceLocation: sourceLocation)
        #expect(map.shards.count == shards, sourceLocation: sourceLocation)
        #expect(map.shards.allSatisfy { $0.primary == founder.id }, sourceLocation: sourceLocation)
        #expect(map.mapRevision == MapRevision(1), sourceLocation: sourceLocation)
        let count = try await store.range(prefix: MetadataKey("")).value.count
        #expect(count == shards + 3, "no lock, no stray shard", sourceLocation: sourceLocation)
    }

    @Test(arguments: Kind.allCases, [16, 4096])
    func foundsAClusterOfAnySize(kind: Kind, shards: Int) async throws {
        let store = try store(kind)
        let node = try node("n1")
        #expect(try await isFounded(config(1, shards: shards), node, store))
        try await expectWhole(store, founder: node, shards: shards)
        #expect(try await !isFounded(config(2, shards: shards), try self.node("n2"), store))
        #expect(try await isFounded(config(1, shards: shards), node, store), "one's own cluster is recognised")
        try await expectWhole(store, founder: node, shards: shards)
    }

    private func isFounded(_ config: ClusterConfig, _ node: NodeRecord, _ store: any MetadataStore) async throws -> Bool
    {
        try await ClusterFounding(NewCluster(config, founder: node), in: store).run() == .founded
    }

    @Test(arguments: Kind.allCases)
    func ofTwoFoundersOneWins(kind: Kind) async throws {
        let store = try store(kind)
        let nodes = try (1...4).map { try node("n\($0)") }
        let winners = try await withThrowingTaskGroup(of: (NodeRecord, Bool).self) { group in
            for (number, node) in nodes.enumerated() {
                let config = config(UInt64(number))
                group.addTask { (node, try await isFounded(config, node, store)) }
            }
            return try await group.reduce(into: [NodeRecord]()) { if $1.1 { $0.append($1.0) } }
        }
        #expect(winners.count == 1)
        try await expectWhole(store, founder: try #require(winners.first))
    }

    /// A founder that died half way holds the lock until its session ends; what it has put is put over or removed.
    @Test(arguments: Kind.allCases)
    func deadFounderIsFollowed(kind: Kind) async throws {
        let store = try store(kind)
        let (dead, node) = (try node("dead"), try node("n1"))
        let session = try await store.openSession(timeToLiveSeconds: 10)
        let record = ShardRecord(epoch: Epoch(1), primary: dead.id, replicas: [dead.id], inSync: [dead.id]).encoded()
        _ = try await store.commit(
            operations: [.put(.founding, Array("dead".utf8), session: session.id)]
                + [0, 7, 300, 4095].map { .put(.shard(ShardID($0)), record) })
        async let outcome = isFounded(config(1), node, store)
        try await Task.sleep(for: .milliseconds(500))
        #expect(try await store.get(.config).value == nil, "the second waits")
        try await session.end()
        #expect(try await outcome)
        try await expectWhole(store, founder: node)
    }

    /// A founder sleeps past its session before its n-th transaction, and another founds meanwhile: it changes nothing.
    @Test(arguments: Kind.allCases, [1, 2, 3])
    func sleeperIsTooLate(kind: Kind, number: Int) async throws {
        let store = try store(kind)
        let (sleeper, winner) = (try node("sleeper"), try node("n1"))
        let theirs = config(2)
        let troubled = TroubledStore(store) { transaction in
            guard transaction == number else { return .none }
            return .first {
                _ = try await store.commit(.delete(.founding))
                #expect(try await isFounded(theirs, winner, store))
            }
        }
        #expect(try await !isFounded(config(1), sleeper, troubled))
        try await expectWhole(store, founder: winner)
    }

    /// Whichever answers and requests are lost on the way, the founder finds out and ends with a whole cluster.
    @Test(arguments: Array(UInt64(0)..<20))
    func lostAnswersAreResolved(seed: UInt64) async throws {
        let store = try store(.embedded)
        let node = try node("n1")
        let troubled = TroubledStore(store) { number in
            var random = SplitMix64(seed: seed &* 1000 &+ UInt64(number))
            switch random.next() % 3 {
            case 0: return .answerLost
            case 1: return .requestLost
            default: return .none
            }
        }
        #expect(try await isFounded(config(1), node, troubled))
        try await expectWhole(store, founder: node)
    }

    // MARK: Joining

    /// Each companion comes to its share with the stores it was told to make; afterwards its directory is all it has.
    @Test(arguments: Kind.allCases)
    func companionsHoldTheirShareFromTheStart(kind: Kind) async throws {
        let store = try store(kind)
        let first = try node("n1")
        let others = try ["n2", "n3"].map { NodeRecord.awaited(try node($0).id, zone: "", weight: .one) }
        let cluster = NewCluster(config(1), founder: first, companions: others)
        #expect(try await ClusterFounding(cluster, in: store).run() == .founded)
        let founded = try await map(store)
        let held = Dictionary(grouping: founded.shards.indices) { founded.shards[$0].primary }
        #expect(held.values.map(\.count).sorted() == [85, 85, 86])
        #expect(held[first.id]?.map { UInt32($0) } == cluster.shardsOfFounder.map(\.rawValue))
        for other in others {
            #expect(founded.shardsToMake(by: other.id).map(\.rawValue) == held[other.id]?.map { UInt32($0) })
            let joined = try await ClusterJoining.join(
                try node(other.id.text, store: 9), clusterName: "orders", in: store)
            #expect(joined.node(other.id)?.bootCount == 1 && joined.shards == founded.shards)
            #expect(joined.shardsToMake(by: other.id).isEmpty)
            await #expect(throws: StartRefusal.self, "its directory was emptied") {
                try await ClusterJoining.join(try node(other.id.text, store: 10), clusterName: "orders", in: store)
            }
        }
    }

    @Test(arguments: Kind.allCases)
    func newNodeRegisters(kind: Kind) async throws {
        let store = try store(kind)
        let (first, second) = (try node("n1"), try node("n2", store: 2))
        #expect(try await isFounded(config(1), first, store))
        let map = try await ClusterJoining.join(second, clusterName: "orders", in: store)
        #expect(map.nodes == [first, second])
        #expect(map.shards.allSatisfy { $0.primary == first.id })
        let entry = try await store.get(.node(second.id)).value
        #expect(try await ClusterJoining.join(second, clusterName: "orders", in: store).nodes == map.nodes)
        #expect(try await store.get(.node(second.id)).value == entry, "the second time changes nothing")
    }

    @Test(arguments: Kind.allCases)
    func strangersAreRefused(kind: Kind) async throws {
        let store = try store(kind)
        await #expect(throws: MetadataError.self) {
            try await ClusterJoining.join(try node("n2"), clusterName: "orders", in: store)
        }
        let first = try node("n1")
        #expect(try await isFounded(config(1), first, store))
        let impostor = try node("n1", store: 2)
        await #expect(throws: StartRefusal.otherStore(first.id, registered: first.storeID, found: impostor.storeID)) {
            try await ClusterJoining.join(impostor, clusterName: "orders", in: store)
        }
        await #expect(throws: StartRefusal.otherCluster(asked: "payments", found: "orders")) {
            try await ClusterJoining.join(try node("n2"), clusterName: "payments", in: store)
        }
        var gone = try node("n3")
        gone.state = .removed
        _ = try await store.commit(.put(.node(gone.id), gone.encoded()))
        await #expect(throws: StartRefusal.removedNode(gone.id)) {
            try await ClusterJoining.join(try node("n3"), clusterName: "orders", in: store)
        }
        var old = try node("n4")
        old.bootCount = 2
        _ = try await store.commit(.put(.node(old.id), old.encoded()))
        await #expect(throws: StartRefusal.bootCount(old.id, registered: 2, found: 1)) {
            try await ClusterJoining.join(try node("n4"), clusterName: "orders", in: store)
        }
    }

    /// Of two machines that were given one name, one gets in.
    @Test(arguments: Kind.allCases)
    func oneNameIsOneNode(kind: Kind) async throws {
        let store = try store(kind)
        #expect(try await isFounded(config(1), try node("n1"), store))
        let twins = try (1...4).map { try node("n2", store: UInt64($0)) }
        let joined = try await withThrowingTaskGroup(of: NodeRecord?.self) { group in
            for twin in twins {
                group.addTask {
                    do {
                        _ = try await ClusterJoining.join(twin, clusterName: "orders", in: store)
                        return twin
                    } catch is StartRefusal {
                        return nil
                    }
                }
            }
            return try await group.reduce(into: [NodeRecord]()) { if let twin = $1 { $0.append(twin) } }
        }
        #expect(joined.count == 1)
        #expect(try await map(store).nodes.last == joined.first)
    }

    @Test func lostAnswerOfJoining() async throws {
        let store = try store(.embedded)
        #expect(try await isFounded(config(1), try node("n1"), store))
        let second = try node("n2")
        let troubled = TroubledStore(store) { [.requestLost, .answerLost][min($0, 1)] }
        #expect(try await ClusterJoining.join(second, clusterName: "orders", in: troubled).node(second.id) == second)
    }
}
