internal import Primitives

/// How `--memory` is divided. The three parts add up to it.
///
/// | part | share | at 1 GiB |
/// | --- | --- | --- |
/// | log buffers | 1/8, at most the log's own bounds (its queue and two groups) | 72 MiB |
/// | memtables of all shards, those being flushed included | 5/16 | 320 MiB |
/// | block cache (data, index and filter blocks) | the rest | 632 MiB |
///
/// Beside the budget stand the process itself, about 0.3 MiB an open shard, and what the allocator cannot give back.
public struct StoreBudget: Sendable, Equatable {
    public let memoryBytes: Int
    public let logBytes: Int
    /// Above this no more may be written until a flush has ended.
    public let memtableBytes: Int
    /// Above this the scheduler flushes: what remains is the room for writes while a flush runs.
    public let flushTriggerBytes: Int
    public let blockCacheBytes: Int

    public init(memoryBytes: Int) {
        precondition(memoryBytes >= Limits.memoryBytesMin, "the memory budget is at least Limits.memoryBytesMin")
        self.memoryBytes = memoryBytes
        logBytes = min(memoryBytes / 8, Limits.logQueueBytesMax + 2 * Limits.groupBytesMax)
        memtableBytes = memoryBytes / 16 * 5
        flushTriggerBytes = memtableBytes / 4 * 3
        blockCacheBytes = memoryBytes - logBytes - memtableBytes
    }
}
