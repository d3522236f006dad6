/// How `--memory` is divided. The five parts add up to it.
///
/// | part | share | at 128 MiB | at 1 GiB |
/// | --- | --- | --- | --- |
/// | callers and peers: connections, requests, effects, answers | 1/8 and 24 MiB, at most 5/16 | 40 MiB | 152 MiB |
/// | log: the groups being built and written | 1/16, at most two groups and the largest record | 8 MiB | 24 MiB |
/// | memtables of all shards, those being flushed included | 5/16 | 40 MiB | 320 MiB |
/// | set aside: copies that live for a moment | 1/8, at most 24 MiB | 16 MiB | 24 MiB |
/// | block cache (data, index and filter blocks) | the rest | 24 MiB | 504 MiB |
///
/// What waits in the log's queue belongs to callers and is charged to them. Beside the shares stand the process itself,
/// about 0.3 MiB an open shard, and what the allocator cannot give back.
public struct MemoryShares: Sendable, Equatable {
    public let memoryBytes: Int
    /// The budget that callers and peers are charged to.
    public let callerBytes: Int
    public let logBytes: Int
    public let memtableBytes: Int
    public let setAsideBytes: Int
    public let blockCacheBytes: Int

    public init(memoryBytes: Int) {
        precondition(memoryBytes >= Limits.memoryBytesMin, "the memory budget is at least Limits.memoryBytesMin")
        self.memoryBytes = memoryBytes
        callerBytes = min(memoryBytes / 16 * 5, memoryBytes / 8 + (24 << 20))
        logBytes = min(memoryBytes / 16, 2 * Limits.groupBytesMax + Limits.entityBytesCeiling)
        memtableBytes = memoryBytes / 16 * 5
        setAsideBytes = min(memoryBytes / 8, 24 << 20)
        blockCacheBytes = memoryBytes - callerBytes - logBytes - memtableBytes - setAsideBytes
    }

    /// Bytes of writes that may wait for the log: charged to callers already, so a part of their share.
    public var logQueueBytes: Int { min(Limits.logQueueBytesMax, callerBytes / 2) }

    /// Bytes of one shard's queue; one shard leaves room for others.
    public var shardQueueBytes: Int { min(Limits.queueBytesMax, callerBytes / 4) }

    /// Records of one page of a list, before its last: a page and its text must leave room for others.
    public var listPageBytes: Int { min(Limits.listBytesMax, max(Limits.listBytesMin, callerBytes / 20)) }

    /// What a page is charged before it is made: its records, which may be of two nodes' pages, and their text beside
    /// them.
    ///
    /// - Parameter entityBytesMax: `limits.entity-bytes`.
    public func pageWorstBytes(entityBytesMax: Int) -> Int { 3 * listPageBytes + 2 * entityBytesMax }
}
