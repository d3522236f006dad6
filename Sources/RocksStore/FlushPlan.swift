public import Primitives

/// One shard as the flush planner sees it.
public struct FlushCandidate: Sendable, Equatable {
    public let shard: ShardID
    /// Bytes in memory, those being flushed included.
    public let memoryBytes: Int
    /// The first log record that the shard needs; `nil` where everything is flushed.
    public let pinnedLSN: LSN?
    /// How long the shard has had rows only in memory.
    public let dirtyNanoseconds: UInt64
    public let isFlushing: Bool

    public init(shard: ShardID, memoryBytes: Int, pinnedLSN: LSN?, dirtyNanoseconds: UInt64, isFlushing: Bool) {
        self.shard = shard
        self.memoryBytes = memoryBytes
        self.pinnedLSN = pinnedLSN
        self.dirtyNanoseconds = dirtyNanoseconds
        self.isFlushing = isFlushing
    }
}

/// Which shards to flush next, in order. A pure function: the same candidates give the same plan.
///
/// Three reasons to flush, each with its own order:
/// 1. memory: the largest first, for one large flush costs less than many small ones, until what is not being flushed
///    is below the trigger;
/// 2. the log wants to recycle segments: the shard that pins the oldest record first;
/// 3. age: rows that have been in memory only for long, oldest first, so that quiet shards end up clean.
///
/// Memory over its whole budget goes before the log, for then writes are being refused; otherwise the log goes first.
public enum FlushPlan {
    /// Flushes at once: more would only contend for the disk that the log is syncing to.
    public static let concurrentMax = 2
    public static let dirtyNanosecondsMax: UInt64 = 30 * 60 * 1_000_000_000

    /// - Parameter recycleBelow: the log would like to recycle every record below this.
    /// - Returns: shards to start now; with those already flushing at most `concurrentMax`.
    public static func next(
        among candidates: [FlushCandidate], budget: StoreBudget, recycleBelow: LSN?
    ) -> [ShardID] {
        let free = concurrentMax - candidates.count { $0.isFlushing }
        guard free > 0 else { return [] }
        let dirty = candidates.filter { !$0.isFlushing && $0.pinnedLSN != nil }
        let total = candidates.reduce(0) { $0 + $1.memoryBytes }
        let flushing = candidates.reduce(0) { $0 + ($1.isFlushing ? $1.memoryBytes : 0) }

        let byMemory = largest(of: dirty, downTo: budget.flushTriggerBytes, from: total - flushing)
        let byLog = oldestFirst(dirty).prefix { candidate in
            guard let recycleBelow, let pinned = candidate.pinnedLSN else { return false }
            return pinned < recycleBelow
        }.map(\.shard)
        let byAge = dirty.filter { $0.dirtyNanoseconds > dirtyNanosecondsMax }
            .sorted { ($1.dirtyNanoseconds, $0.shard) < ($0.dirtyNanoseconds, $1.shard) }
            .map(\.shard)

        let wanted = total > budget.memtableBytes ? byMemory + byLog + byAge : byLog + byMemory + byAge
        var chosen: [ShardID] = []
        for shard in wanted where chosen.count < free && !chosen.contains(shard) { chosen.append(shard) }
        return chosen
    }

    private static func largest(of dirty: [FlushCandidate], downTo trigger: Int, from bytes: Int) -> [ShardID] {
        var remaining = bytes
        var chosen: [ShardID] = []
        for candidate in dirty.sorted(by: { ($1.memoryBytes, $0.shard) < ($0.memoryBytes, $1.shard) }) {
            guard remaining > trigger else { break }
            chosen.append(candidate.shard)
            remaining -= candidate.memoryBytes
        }
        return chosen
    }

    private static func oldestFirst(_ dirty: [FlushCandidate]) -> [FlushCandidate] {
        dirty.sorted { ($0.pinnedLSN ?? .zero, $0.shard) < ($1.pinnedLSN ?? .zero, $1.shard) }
    }
}
