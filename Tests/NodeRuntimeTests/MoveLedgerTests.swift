import ClusterCore
import ClusterMetadata
import HashRing
import Primitives
import Synchronization
import Testing

@testable import NodeRuntime

/// Before each of the first transactions, as often as it is told, another shard's handover changes the map's revision.
private final class BusyMetadata: MetadataStore {
    let store: EmbeddedMetadata
    private let othersLeft = Mutex(0)
    private let fullness = Mutex(Fullness.none)

    /// As of an etcd that has come to its quota.
    enum Fullness {
        case none
        /// It applies what fills it, and says that it is full.
        case applies
        case refuses
    }

    func becomeFull(_ how: Fullness) { fullness.withLock { $0 = how } }

    init(_ store: EmbeddedMetadata) { self.store = store }

    func beBusy(times: Int) { othersLeft.withLock { $0 = times } }

    func get(_ key: MetadataKey) async throws(MetadataError) -> MetadataRead<MetadataEntry?> { try store.get(key) }

    func range(prefix: MetadataKey) async throws(MetadataError) -> MetadataRead<[MetadataEntry]> {
        try store.range(prefix: prefix)
    }

    func transaction(_ transaction: MetadataTransaction) async throws(MetadataError) -> TransactionOutcome {
        let isFirst = othersLeft.withLock { left in
            defer { left = max(0, left - 1) }
            return left > 0
        }
        if isFirst {
            let entry = try store.get(.mapRevision).value
            guard let entry, let now = try? MapRevision(decoding: entry.value, of: entry.key) else {
                throw .unavailable(detail: "there is a map revision")
            }
            _ = try store.transaction(MetadataTransaction(then: [.put(.mapRevision, now.next.encoded())]))
        }
        let how = fullness.withLock { $0 }
        if how != .refuses {
            let outcome = try store.transaction(transaction)
            if how == .none { return outcome }
        }
        throw .decidedUnread(detail: "the database is full")
    }

    func watch(prefix: MetadataKey, after revision: MetadataRevision) -> AsyncThrowingStream<MetadataChange, any Error>
    {
        store.watch(prefix: prefix, after: revision)
    }

    func openSession(timeToLiveSeconds: UInt64) async throws(MetadataError) -> any MetadataSession {
        try store.openSession(timeToLiveSeconds: timeToLiveSeconds)
    }
}

/// A handover among others: all of a cluster change the one revision of the map.
@Suite struct MoveLedgerTests {
    private let metadata: BusyMetadata
    private let ledger: MoveLedger
    private let source: NodeID
    private let target: NodeID
    private static let shard = ShardID(3)
    /// Far beyond what a test takes.
    private static let late = MonotonicTime(nanoseconds: .max)

    init() async throws {
        source = try #require(NodeID("n1"))
        target = try #require(NodeID("n2"))
        let folder = try makeTestFolder("ledger")
        metadata = BusyMetadata(try EmbeddedMetadata(path: folder + "/metadata", create: true))
        ledger = MoveLedger(metadata: metadata, shard: Self.shard, node: source)
        let config = ClusterConfig(
            name: "orders", clusterID: UniqueID(high: 1, low: 2), shardCount: Limits.shardsMin,
            hash: RingHash(seed: 9), created: .zero)
        let founder = NodeRecord(
            id: source, storeID: UniqueID(high: 3, low: 4), bootCount: 1, state: .active, zone: "", weight: .one,
            addresses: NodeAddresses(listen: "127.0.0.1:7070"))
        #expect(try await ClusterFounding(NewCluster(config, founder: founder), in: metadata).run() == .founded)
        let moving = ShardRecord(
            epoch: Epoch(1), primary: source, replicas: [source], inSync: [source],
            move: ShardMove(stage: .handover, from: source, to: target, operation: "op-1"))
        _ = try await metadata.transaction(
            MetadataTransaction(then: [.put(.shard(Self.shard), moving.encoded())]))
    }

    private func map() async throws -> ClusterMap {
        try #require(try ClusterMap(await metadata.range(prefix: MetadataKey(""))))
    }

    /// Hands over after `others` other handovers have come first, one before each attempt.
    private func handOver(others: Int, until deadline: MonotonicTime) async throws -> MoveLedger.Handover {
        let map = try await map()
        let revision = try #require(map.shard(Self.shard)).revision.rawValue
        metadata.beBusy(times: others)
        return await ledger.handOver(at: revision, knowing: map, until: deadline)
    }

    @Test(arguments: [0, 1, 2, 7])
    func othersThatComeFirstDelayItOnly(others: Int) async throws {
        let before = try await map().mapRevision
        guard case .committed(let epoch) = try await handOver(others: others, until: Self.late) else {
            Issue.record("it was not handed over")
            return
        }
        #expect(epoch == Epoch(2))
        #expect(try await map().shard(Self.shard)?.record.primary == target)
        #expect(try await map().mapRevision.rawValue == before.rawValue + UInt64(others) + 1)
    }

    /// Callers are held meanwhile, so it ends; nothing has happened then.
    @Test func itEndsAtItsDeadline() async throws {
        guard case .notSent = try await handOver(others: 100, until: .zero) else {
            Issue.record("it did not end, or says that it may have happened")
            return
        }
        #expect(try await map().shard(Self.shard)?.record.primary == source)
    }

    /// What a full store has done is read at once: the shard is neither served by two nodes nor by none.
    @Test(arguments: [true, false])
    func aFullStoreIsReadAgain(applies: Bool) async throws {
        metadata.becomeFull(applies ? .applies : .refuses)
        let outcome = try await handOver(others: 0, until: Self.late)
        switch outcome {
        case .conflict(let now): #expect(applies && now.record.primary == target && now.record.epoch == Epoch(2))
        case .notSent: #expect(!applies)
        case .committed, .unknown: Issue.record("\(outcome) was not read")
        }
    }

    @Test func aRecordThatHasChangedIsAConflict() async throws {
        let map = try await map()
        let entry = try #require(map.shard(Self.shard))
        _ = try await metadata.transaction(try #require(MoveStep.leaveHandover(entry, by: source)))
        let outcome = await ledger.handOver(at: entry.revision.rawValue, knowing: map, until: Self.late)
        guard case .conflict(let now) = outcome else {
            Issue.record("what was decided on an old record has happened")
            return
        }
        #expect(now.record.primary == source && now.record.move?.stage == .catchUp)
    }
}
