import Primitives

/// Which shards to flush now. Pure.
enum FlushPlan {
    struct Candidate: Sendable {
        let shard: ShardID
        let unflushedBytes: Int
    }

    /// The shards that pin the log come first, oldest first; then, while the sum is over the budget, the largest.
    ///
    /// - Parameters:
    ///   - candidates: shards that no flush is running for.
    ///   - pinning: shards whose unflushed records hold the log's oldest segments, oldest first.
    static func choose(
        _ candidates: [Candidate], budgetBytes: Int, pinning: [ShardID], atMost count: Int
    ) -> [ShardID] {
        var chosen: [ShardID] = []
        for shard in pinning where chosen.count < count {
            if candidates.contains(where: { $0.shard == shard && $0.unflushedBytes > 0 }) { chosen.append(shard) }
        }
        var total = candidates.reduce(0) { $0 + $1.unflushedBytes }
        let largestFirst = candidates.sorted {
            ($0.unflushedBytes, $1.shard) > ($1.unflushedBytes, $0.shard)
        }
        for candidate in largestFirst where chosen.count < count && total > budgetBytes {
            total -= candidate.unflushedBytes
            if candidate.unflushedBytes > 0, !chosen.contains(candidate.shard) { chosen.append(candidate.shard) }
        }
        return chosen
    }
}
