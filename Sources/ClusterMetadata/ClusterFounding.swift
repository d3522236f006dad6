public import ClusterCore
internal import HashRing
internal import Primitives

/// Founds a cluster of any number of shards over any store, where one transaction cannot hold it all: etcd takes 128
/// operations, a cluster has up to 4,096 shards.
///
/// A founder holds the key `founding` under a session while it puts the shards, piece by piece. The last transaction
/// puts `config`, by which a cluster exists, and lets go of the key. Every transaction compares that this very holding
/// goes on and that there is no `config`: so two founders cannot mix, one that slept past its session can do nothing
/// more, and what a founder that died has left is put over by the next.
public struct ClusterFounding: Sendable {
    public enum Outcome: Sendable, Hashable {
        case founded
        /// There is a cluster, by somebody else: join it.
        case exists
    }

    private let store: any MetadataStore
    private let cluster: NewCluster
    private let clock = ContinuousClock()

    public init(_ cluster: NewCluster, in store: any MetadataStore) {
        self.store = store
        self.cluster = cluster
    }

    /// What became of one step under the lock.
    private enum Step {
        case done
        /// The lock is lost, or there is a cluster.
        case lost
    }

    /// Founds, or waits until another founder has.
    ///
    /// - Throws: `unavailable` when that takes longer than `Limits.foundingSecondsMax`, and whatever the store throws.
    ///   `outcomeUnknown` is resolved here, as long as the store can be read.
    public func run() async throws(MetadataError) -> Outcome {
        let deadline = clock.now + .seconds(Limits.foundingSecondsMax)
        while true {
            if let outcome = try await existing() { return outcome }
            let session = try await store.openSession(timeToLiveSeconds: Limits.foundingSessionSeconds)
            let outcome: Outcome?
            do throws(MetadataError) {
                outcome = try await attempt(under: session)
            } catch {
                try? await session.end()
                guard case .sessionEnded = error else { throw error }
                outcome = nil
            }
            try? await session.end()
            if let outcome { return outcome }
            guard clock.now < deadline, !Task.isCancelled else {
                throw .unavailable(detail: "another node has been founding the cluster for too long")
            }
            try? await Task.sleep(for: .milliseconds(Limits.foundingPauseMilliseconds), clock: .continuous)
        }
    }

    /// What there is: our own cluster where the answer to the last step was lost and its effect came late.
    private func existing() async throws(MetadataError) -> Outcome? {
        guard let entry = try await store.get(.config).value else { return nil }
        let found = try? ClusterConfig(decoding: entry.value, of: entry.key)
        return found?.clusterID == cluster.config.clusterID ? .founded : .exists
    }

    /// `nil` where somebody else is founding, or where this holder lost the lock.
    private func attempt(under session: any MetadataSession) async throws(MetadataError) -> Outcome? {
        guard let lock = try await lock(under: session) else { return try await existing() }
        for operations in try await pieces() {
            guard case .done = try await step(operations, under: lock, session) else { return try await existing() }
        }
        _ = try await step(cluster.lastPuts + [.delete(.founding)], under: lock, session)
        return try await existing()
    }

    /// - Returns: the revision at which the lock came into being.
    private func lock(under session: any MetadataSession) async throws(MetadataError) -> MetadataRevision? {
        let transaction = MetadataTransaction(
            if: [.absent(.config), .absent(.founding)],
            then: [.put(.founding, Array(cluster.founder.id.text.utf8), session: session.id)])
        do throws(MetadataError) {
            guard case .committed(let revision) = try await store.transaction(transaction) else { return nil }
            return revision
        } catch {
            guard case .outcomeUnknown = error else { throw error }
            let entry = try await store.get(.founding).value
            return entry?.session == session.id ? entry?.createRevision : nil
        }
    }

    /// All shards, and the removal of those that a founder of a larger cluster has left.
    private func pieces() async throws(MetadataError) -> [[MetadataTransaction.Operation]] {
        let known = Set(Ring(shardCount: cluster.config.shardCount).shards.map { MetadataKey.shard($0) })
        let strays = try await store.range(prefix: .shards).value.map(\.key).filter { !known.contains($0) }
        let operations = cluster.shardPuts + strays.map { .delete($0) }
        return stride(from: 0, to: operations.count, by: Limits.foundingOperationsMax).map {
            Array(operations[$0..<min($0 + Limits.foundingOperationsMax, operations.count)])
        }
    }

    /// One transaction under the lock, asked again while it is not known whether it happened: a second time it does the
    /// same, and once the lock is gone it does nothing.
    private func step(
        _ operations: [MetadataTransaction.Operation], under lock: MetadataRevision, _ session: any MetadataSession
    ) async throws(MetadataError) -> Step {
        let transaction = MetadataTransaction(
            if: [.created(.founding, at: lock), .absent(.config)], then: operations)
        while true {
            guard session.isAlive else { return .lost }
            do throws(MetadataError) {
                guard case .committed = try await store.transaction(transaction) else { return .lost }
                return .done
            } catch {
                guard case .outcomeUnknown = error else { throw error }
                // Throws where the store cannot be read, which ends this for the caller to try again.
                _ = try await store.get(.founding)
            }
        }
    }
}
