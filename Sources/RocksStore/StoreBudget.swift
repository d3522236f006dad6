internal import Primitives

/// What of `--memory` the stores and the log may use. ``Primitives/MemoryShares`` divides it.
public struct StoreBudget: Sendable, Equatable {
    public let memoryBytes: Int
    public let logBytes: Int
    /// Above this no more may be written until a flush has ended.
    public let memtableBytes: Int
    /// Above this the scheduler flushes: what remains is the room for writes while a flush runs.
    public let flushTriggerBytes: Int
    public let blockCacheBytes: Int

    public init(memoryBytes: Int) {
        let shares = MemoryShares(memoryBytes: memoryBytes)
        self.memoryBytes = memoryBytes
        logBytes = shares.logBytes
        memtableBytes = shares.memtableBytes
        flushTriggerBytes = memtableBytes / 4 * 3
        blockCacheBytes = shares.blockCacheBytes
    }
}
