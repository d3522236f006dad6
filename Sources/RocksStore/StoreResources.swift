internal import CRocksDB
internal import Primitives
internal import Synchronization

/// What all shards of one process share: one block cache, one pool of background threads, one rate limiter for what
/// flushes and compactions write, and one memory budget. Make one a process; every ``ShardStore`` keeps it alive.
///
/// SAFETY (`@unchecked Sendable`): the handles are set once in `init`. A `rocksdb::Cache`, a `rocksdb::RateLimiter` and
/// the default `rocksdb::Env` "are safe for concurrent access from multiple threads without any external
/// synchronization" (their headers); read and write options are only read after `init`.
public final class StoreResources: @unchecked Sendable {
    public struct Configuration: Sendable {
        /// `--memory`.
        public var memoryBytes = Limits.memoryBytesDefault
        /// Tables that each store keeps open.
        public var tablesOpenPerStore = Limits.tablesOpenMax
        /// What flushes and compactions of all shards may write a second, so that the log's fdatasync is not starved.
        public var backgroundBytesPerSecondMax = 256 << 20
        /// Threads for flushes, and as many for compactions.
        public var backgroundThreads = 2

        public init() {}
    }

    /// File descriptors of a store beside those of its tables: lock, manifest and RocksDB's own log.
    public static let descriptorsPerIdleStore = 3
    /// File descriptors that the flushes, compactions and scrubs of all stores may have beside those.
    public static let descriptorsOfBackgroundWork = 24

    public let budget: StoreBudget
    let tablesOpenPerStore: Int
    let cache: OpaquePointer
    let environment: OpaquePointer
    let rateLimiter: OpaquePointer
    /// Bytes in the memtables of all stores, by the count of what was applied.
    private let memtables = Atomic<Int>(0)
    let readFromDisk: OpaquePointer
    let readFromCache: OpaquePointer
    let writeOptions: OpaquePointer
    /// For what RocksDB's own log keeps: a mark and nothing else.
    let syncedWriteOptions: OpaquePointer

    public init(_ configuration: Configuration = Configuration()) {
        precondition(configuration.tablesOpenPerStore > 0, "a store may open a table")
        precondition(configuration.backgroundThreads > 0, "there is a background thread")
        precondition(configuration.backgroundBytesPerSecondMax > 0, "the background may write")
        budget = StoreBudget(memoryBytes: configuration.memoryBytes)
        tablesOpenPerStore = configuration.tablesOpenPerStore
        cache = rocksdb_cache_create_lru(budget.blockCacheBytes)
        environment = rocksdb_create_default_env()
        rocksdb_env_set_background_threads(environment, Int32(configuration.backgroundThreads))
        rocksdb_env_set_high_priority_background_threads(environment, Int32(configuration.backgroundThreads))
        rateLimiter = rocksdb_ratelimiter_create(
            Int64(configuration.backgroundBytesPerSecondMax), Self.rateRefillMicroseconds, Self.rateFairness)

        readFromDisk = rocksdb_readoptions_create()
        readFromCache = rocksdb_readoptions_create()
        rocksdb_readoptions_set_read_tier(readFromCache, Self.blockCacheTier)
        writeOptions = rocksdb_writeoptions_create()
        rocksdb_writeoptions_disable_WAL(writeOptions, 1)
        syncedWriteOptions = rocksdb_writeoptions_create()
        rocksdb_writeoptions_set_sync(syncedWriteOptions, 1)
    }

    deinit {
        rocksdb_writeoptions_destroy(syncedWriteOptions)
        rocksdb_writeoptions_destroy(writeOptions)
        rocksdb_readoptions_destroy(readFromCache)
        rocksdb_readoptions_destroy(readFromDisk)
        rocksdb_ratelimiter_destroy(rateLimiter)
        rocksdb_cache_destroy(cache)
        rocksdb_env_destroy(environment)
    }

    /// Bytes in the block cache now. Any thread.
    public var blockCacheBytes: Int { Int(rocksdb_cache_get_usage(cache)) }

    /// Bytes in the memtables of all stores, those being flushed included. One atomic load; any thread.
    public var memtableBytes: Int { memtables.load(ordering: .relaxed) }

    /// False while memtables have taken their whole budget: refuse writes until a flush has ended. One atomic load.
    public var hasRoomForWrites: Bool { memtableBytes < budget.memtableBytes }

    func countMemtables(_ change: Int) { memtables.add(change, ordering: .relaxed) }

    /// `rocksdb::ReadTier::kBlockCacheTier`.
    private static let blockCacheTier: Int32 = 1
    private static let rateRefillMicroseconds: Int64 = 20_000
    /// One request in this many of the low-priority class goes before the high one.
    private static let rateFairness: Int32 = 10
}
