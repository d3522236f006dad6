internal import CRocksDB
internal import CStoreShims

/// The RocksDB options of one shard. What the C API has no call for goes in as text, which RocksDB checks.
struct StoreOptions: ~Copyable {
    let handle: OpaquePointer

    init(
        resources: StoreResources, filter: OpaquePointer?, watch: StoreWatch, create: Bool, directory: String
    ) throws(StoreError) {
        let base = rocksdb_options_create()
        defer { rocksdb_options_destroy(base) }
        let handle: OpaquePointer = rocksdb_options_create()
        do throws(StoreError) {
            try rocksCall(in: directory) { rocksdb_get_options_from_string(base, Self.text, handle, $0) }
        } catch {
            rocksdb_options_destroy(handle)
            throw error
        }
        self.handle = handle
        rocksdb_options_set_create_if_missing(handle, create ? 1 : 0)
        rocksdb_options_set_ratelimiter(handle, resources.rateLimiter)
        rocksdb_options_set_max_open_files(
            handle, Int32(max(resources.tablesOpenPerStore, Self.tablesOpenMin) + Self.filesBesideTables))
        if resources.tablesOpenPerStore < Self.tableCacheParts {
            rocksdb_options_set_table_cache_numshardbits(handle, 0)
        }
        rocksdb_options_set_write_buffer_size(handle, resources.budget.memtableBytes * Self.writeBufferFactor)
        rocksdb_options_set_compression(handle, Int32(rocksdb_lz4_compression))
        if let filter { rocksdb_options_set_compaction_filter(handle, filter) }
        setTables(cache: resources.cache)
        ks_store_options_prepare(handle, watch.handle)
    }

    /// RocksDB takes so many of `max_open_files` for other things than tables.
    static let filesBesideTables = 10
    /// Of the options; ``ks_store_keep_tables`` can ask for fewer.
    static let tablesOpenMin = 10
    /// RocksDB divides the tables that it keeps open; each part keeps one at least, so a smaller limit would not hold.
    private static let tableCacheParts = 64
    /// So far beyond the budget of all memtables that RocksDB never flushes by itself, not even in a replay onto a full
    /// disk, where a flush would fail and stop the store.
    private static let writeBufferFactor = 8

    deinit { rocksdb_options_destroy(handle) }

    /// - `avoid_flush_during_shutdown`: who wants rows kept calls `flush`; closing after an error must not write.
    /// - `max_bgerror_resume_count=0`: RocksDB tries nothing by itself. After an error that passes,
    ///   ``ShardStore/flush()`` goes on; after any other the shard is closed and replayed (W9).
    /// - `arena_block_size`: 64 idle shards hold 64 small blocks; the default would be an eighth of the write buffer.
    /// - `max_total_wal_size`: RocksDB's own log holds one mark at most (``ShardStore/adopt(_:)``); without the limit
    ///   it would take room on the disk for the whole write buffer.
    /// - `allow_concurrent_memtable_write=false`: a shard has one writer.
    /// - Universal compaction: loading unique random rows of 1 KiB (half compressible, 16 shards, 68 times as much data
    ///   as memtables) wrote 1.8 bytes a byte accepted, leveled compaction 2.2; our log adds 0.5. Its price is the room
    ///   that a full compaction takes for a moment, which here is that of one shard; overwritten rows never take more
    ///   than the live ones.
    /// - The write stall triggers are out of reach: a stall would block the event loop that applies. The node watches
    ///   ``StoreStatistics/sortedRuns`` and refuses writes by itself.
    /// - `periodic_compaction_seconds`: every file is rewritten once in three days, so expired rows do not stay.
    static let text = [
        "paranoid_checks=true",
        "avoid_flush_during_shutdown=true",
        "max_bgerror_resume_count=0",
        "verify_sst_unique_id_in_manifest=true",
        "allow_concurrent_memtable_write=false",
        "enable_write_thread_adaptive_yield=false",
        "arena_block_size=65536",
        "max_write_buffer_number=4",
        "max_background_jobs=2",
        "max_file_opening_threads=1",
        "skip_stats_update_on_db_open=true",
        "stats_dump_period_sec=0",
        "stats_persist_period_sec=0",
        "manifest_preallocation_size=4096",
        "max_manifest_file_size=4194304",
        "max_total_wal_size=65536",
        "bytes_per_sync=1048576",
        "compaction_style=kCompactionStyleUniversal",
        "compaction_options_universal={max_size_amplification_percent=100}",
        "level0_file_num_compaction_trigger=4",
        "level0_slowdown_writes_trigger=1000000",
        "level0_stop_writes_trigger=1000000",
        "soft_pending_compaction_bytes_limit=0",
        "hard_pending_compaction_bytes_limit=0",
        "target_file_size_base=67108864",
        "periodic_compaction_seconds=259200",
    ].joined(separator: ";")

    /// Small blocks, for rows lie in hash order: the neighbours of a row that was read are of no use. Index and filter
    /// blocks are charged to the cache, in its protected half, so that memory stays bounded however many rows there
    /// are.
    private func setTables(cache: OpaquePointer) {
        let tables = rocksdb_block_based_options_create()
        defer { rocksdb_block_based_options_destroy(tables) }
        rocksdb_block_based_options_set_block_cache(tables, cache)
        rocksdb_block_based_options_set_block_size(tables, Self.blockBytes)
        rocksdb_block_based_options_set_index_block_restart_interval(tables, Self.indexRestartInterval)
        rocksdb_block_based_options_set_cache_index_and_filter_blocks(tables, 1)
        rocksdb_block_based_options_set_cache_index_and_filter_blocks_with_high_priority(tables, 1)
        rocksdb_block_based_options_set_format_version(tables, Self.formatVersion)
        rocksdb_block_based_options_set_checksum(tables, Self.checksumXXH3)
        // The table options take the policy over.
        rocksdb_block_based_options_set_filter_policy(
            tables, rocksdb_filterpolicy_create_bloom_full(Self.bloomBitsPerKey))
        rocksdb_options_set_block_based_table_factory(handle, tables)
    }

    private static let blockBytes = 4096
    private static let indexRestartInterval: Int32 = 8
    private static let bloomBitsPerKey = 10.0
    /// The newest of RocksDB 7.8.
    private static let formatVersion: Int32 = 5
    private static let checksumXXH3: CChar = 4
}
