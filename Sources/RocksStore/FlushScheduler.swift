internal import Glibc
public import Primitives

/// Flushes the stores of a process, on threads of its own, as ``FlushPlan`` says.
///
/// It looks at the stores twenty times a second; writers see how full memory is at once by
/// ``StoreResources/hasRoomForWrites``. Every method may be called from any thread; those that wait say so.
public final class FlushScheduler: Sendable {
    /// The outcome of one flush, on a flush thread, with no lock held. After an error that passes the store is tried
    /// again and again; after any other it is not: the shard steps down (W9), which removes it.
    public typealias Observer = @Sendable (_ shard: ShardID, _ outcome: Result<AppliedState, StoreError>) -> Void

    private struct Entry {
        let store: ShardStore
        var dirtySince: MonotonicTime?
        var isFlushing = false
        var hasFailed = false
        /// Its last flush waits for space or descriptors: not before this.
        var retryAt: MonotonicTime?

        /// Nothing is left to do, or nothing can be done now.
        var isAtRest: Bool { hasFailed || (!isFlushing && (retryAt != nil || store.pinnedLSN == nil)) }
    }

    private struct State {
        var entries: [ShardID: Entry] = [:]
        var recycleBelow: LSN?
        var drains = 0
        var isStopping = false
        var threads: [pthread_t] = []
    }

    private let budget: StoreBudget
    private let observer: Observer
    private let state = Monitor(State())

    private static let pollNanoseconds = 50_000_000

    /// Starts the threads; `stop` ends them.
    public init(resources: StoreResources, observer: @escaping Observer) {
        budget = resources.budget
        self.observer = observer
        state.withLock { state in
            for _ in 0..<FlushPlan.concurrentMax { state.value.threads.append(startThread()) }
        }
    }

    public func add(_ store: ShardStore, for shard: ShardID) {
        state.withLock { state in
            precondition(state.value.entries[shard] == nil, "shard \(shard) is scheduled once")
            state.value.entries[shard] = Entry(store: store)
        }
    }

    /// Waits until no flush of the shard is under way; afterwards its store may be closed. Nothing happens to a shard
    /// that is not there.
    public func remove(_ shard: ShardID) {
        state.withLock { state in
            state.wait { $0.entries[shard]?.isFlushing != true }
            state.value.entries[shard] = nil
        }
    }

    /// The log wants to recycle every record below `lsn`: shards that pin one are flushed, the oldest first.
    public func recycle(below lsn: LSN) {
        state.withLock { state in
            state.value.recycleBelow = max(lsn, state.value.recycleBelow ?? .zero)
            state.signal()
        }
    }

    /// Flushes every store that has rows only in memory and waits until that is done or has failed. Stores that wait
    /// for space or descriptors are left as they are: the log has what they have not.
    public func drain() {
        state.withLock { state in
            state.value.drains += 1
            state.signal()
            state.wait { state in
                state.isStopping || state.entries.values.allSatisfy(\.isAtRest)
            }
            state.value.drains -= 1
        }
    }

    /// Ends the threads and waits for the flushes under way. Nothing is flushed afterwards.
    public func stop() {
        let threads = state.withLock { state in
            state.value.isStopping = true
            state.signal()
            defer { state.value.threads = [] }
            return state.value.threads
        }
        for thread in threads { pthread_join(thread, nil) }
    }

    private func startThread() -> pthread_t {
        var thread = pthread_t()
        // SAFETY: the thread takes over the retain that it is given, exactly once.
        let context = Unmanaged.passRetained(self).toOpaque()
        let created = pthread_create(
            &thread, nil,
            { context in
                guard let context else { return nil }
                // SAFETY: as above.
                Unmanaged<FlushScheduler>.fromOpaque(context).takeRetainedValue().run()
                return nil
            }, context)
        precondition(created == 0, "a flush thread starts")
        return thread
    }

    /// The life of a flush thread: take the first shard of the plan, flush it, tell, look again.
    private func run() {
        while true {
            let job: (shard: ShardID, store: ShardStore)? = state.withLock { state in
                while !state.value.isStopping {
                    if let shard = choose(&state.value), let store = state.value.entries[shard]?.store {
                        state.value.entries[shard]?.isFlushing = true
                        return (shard, store)
                    }
                    state.wait(nanoseconds: Self.pollNanoseconds)
                }
                return nil
            }
            guard let job else { return }
            let outcome = Result { () throws(StoreError) in try job.store.flush() }
            state.withLock { state in
                state.value.entries[job.shard]?.isFlushing = false
                state.value.entries[job.shard]?.dirtySince = nil
                state.value.entries[job.shard]?.retryAt = nil
                if case .failure(let error) = outcome {
                    state.value.entries[job.shard]?.hasFailed = !error.passes
                    let retryAt = Self.now.adding(nanoseconds: Self.retryNanoseconds)
                    state.value.entries[job.shard]?.retryAt = error.passes ? retryAt : nil
                }
                state.signal()
            }
            observer(job.shard, outcome)
        }
    }

    private func choose(_ state: inout State) -> ShardID? {
        let now = Self.now
        if let stopped = stoppedShard(in: state, now) { return stopped }
        var candidates: [FlushCandidate] = []
        for shard in state.entries.keys.sorted() {
            guard var entry = state.entries[shard], !entry.hasFailed, entry.retryAt.map({ $0 <= now }) ?? true
            else { continue }
            let pinned = entry.store.pinnedLSN
            if pinned == nil { entry.dirtySince = nil } else if entry.dirtySince == nil { entry.dirtySince = now }
            state.entries[shard] = entry
            candidates.append(
                FlushCandidate(
                    shard: shard, memoryBytes: entry.store.unflushedBytes, pinnedLSN: pinned,
                    dirtyNanoseconds: entry.dirtySince.map { now.nanoseconds(since: $0) } ?? 0,
                    isFlushing: entry.isFlushing))
        }
        let recycleBelow = state.drains > 0 ? LSN(.max) : state.recycleBelow
        return FlushPlan.next(among: candidates, budget: budget, recycleBelow: recycleBelow).first
    }

    /// A store that an error has stopped which may have passed by now: it comes first, since its writers wait.
    private func stoppedShard(in state: State, _ now: MonotonicTime) -> ShardID? {
        guard state.entries.values.count(where: \.isFlushing) < FlushPlan.concurrentMax else { return nil }
        return state.entries.first { _, entry in
            !entry.hasFailed && !entry.isFlushing && entry.store.trouble.passes
                && entry.retryAt.map { $0 <= now } ?? true
        }?.key
    }

    private static let retryNanoseconds = UInt64(Limits.storeRetryMilliseconds) * 1_000_000

    private static var now: MonotonicTime {
        var now = timespec()
        clock_gettime(CLOCK_BOOTTIME, &now)
        return MonotonicTime(nanoseconds: UInt64(now.tv_sec) * 1_000_000_000 + UInt64(now.tv_nsec))
    }
}
