internal import CRocksDB
internal import CStoreShims
internal import Glibc
public import Primitives
internal import Synchronization

extension ShardStore {
    /// Brings everything applied before the call onto the disk. Blocks; other flushes of this store wait. After an
    /// error that passes it goes on where the store was stopped.
    ///
    /// - Returns: a mark that is durable now: what had been applied when the flush began. The log before the position
    ///   after it is no longer needed for this shard.
    /// - Throws: the data is in memory still and the log still needed. See the type about what to do.
    @discardableResult
    public func flush() throws(StoreError) -> AppliedState {
        guard gate.enter() else { throw .closed }
        defer { gate.leave() }
        var failure: StoreError?
        let durable = flushing.withLock { _ in
            do throws(StoreError) { try resume() } catch { failure = error }
            let (started, before) = progress.withLock { (failure == nil ? $0.beginFlush() : nil, $0.durable) }
            guard let started else { return before }
            do throws(StoreError) {
                try flushMemtables()
                resources.countMemtables(-progress.withLock { $0.endFlush(durable: started) })
            } catch {
                progress.withLock { $0.failFlush() }
                failure = error
            }
            return started
        }
        if let failure { throw failure }
        return durable
    }

    /// Puts a mark into a store whose rows are all on the disk, and makes it durable. Blocks; beside no other writer.
    ///
    /// By RocksDB's own log, which nothing else is written to: a flush would make a table of the mark alone, and one
    /// table more is what a compaction of the whole store begins by.
    public func adopt(_ mark: AppliedState) throws(StoreError) {
        guard gate.enter() else { throw .closed }
        defer { gate.leave() }
        var batch = StoreBatch()
        Self.put(mark, after: applied, into: &batch)
        let handle = batch.handle
        try rocksCall(in: directory) { rocksdb_write(database, resources.syncedWriteOptions, handle, $0) }
        progress.withLock { $0.noteDurable(mark) }
    }

    /// The mark up to which everything is on the disk. Any thread.
    public var durable: AppliedState { progress.withLock { $0.durable } }

    /// The first update that is only in memory: the node's log is needed from here on. `nil` where all is flushed. Any
    /// thread.
    public var pinnedLSN: LSN? { progress.withLock { $0.pinnedLSN } }

    /// Bytes applied and not yet flushed, by the count of what was applied. Any thread; takes no lock of RocksDB's.
    public var unflushedBytes: Int { progress.withLock { $0.memoryBytes } }

    private func flushMemtables() throws(StoreError) {
        let options = rocksdb_flushoptions_create()
        defer { rocksdb_flushoptions_destroy(options) }
        rocksdb_flushoptions_set_wait(options, 1)
        try rocksCall(in: directory) { rocksdb_flush(database, options, $0) }
        try awaitManifest()
    }

    /// Waits until no memtable is being flushed. After it has once gone on after an error, RocksDB 7.8 answers a flush
    /// before the table is in the manifest: a crash would lose what was said to be durable.
    private func awaitManifest() throws(StoreError) {
        for _ in 0..<Self.manifestPollsMax {
            // A flush that failed before this one leaves RocksDB in an error state in which the newer one may still
            // say "ok".
            try checkTrouble()
            if number("rocksdb.num-immutable-mem-table") == 0 { return try checkTrouble() }
            usleep(Self.manifestPollMicroseconds)
        }
        throw .noSpace(detail: "the store in \(directory) has not written its manifest yet")
    }

    private static let manifestPollMicroseconds: UInt32 = 500
    /// Then the flush is asked for anew.
    private static let manifestPollsMax = 20_000

    /// Goes on after an error that passes. What a flush or compaction has half written is written anew, and the
    /// manifest too where that could not be written: no file is trusted whose write or sync has failed.
    private func resume() throws(StoreError) {
        guard trouble.passes else { return }
        ks_store_resume(database, watch.handle)
        try checkTrouble()
    }

    private func checkTrouble() throws(StoreError) {
        switch trouble {
        case .none: return
        case .noSpace: throw .noSpace(detail: "the store in \(directory) waits for space")
        case .noDescriptors: throw .noDescriptors(detail: "the store in \(directory) waits for a descriptor")
        case .failed: throw .backgroundError(count: backgroundErrors)
        }
    }

    /// Rewrites every table now, so that deleted, overwritten and expired rows give their space back. Blocks, for long.
    public func compact() throws(StoreError) {
        try flush()
        guard gate.enter() else { throw .closed }
        defer { gate.leave() }
        let options = rocksdb_compactoptions_create()
        defer { rocksdb_compactoptions_destroy(options) }
        rocksdb_compactoptions_set_bottommost_level_compaction(options, Self.forceBottommost)
        rocksdb_compact_range_opt(database, options, nil, 0, nil, 0)
        // The C call has no error text of its own.
        try checkTrouble()
    }

    /// Makes a copy of the store in `target`, which must not exist; files are hard links where it lies on the same file
    /// system. Blocks; flushes first, so the copy holds at least what had been applied before. The mark in the copy is
    /// exact: read it by opening it.
    public func checkpoint(to target: String) throws(StoreError) {
        try checkpoint(to: target, flushesFirst: true)
    }

    /// Reads every block of every table from the disk and checks its sum, past all caches. Blocks, for long; reads
    /// beside it go on. Throws the first corruption, with the file's name.
    ///
    /// RocksDB's C API cannot verify a store that is open, and an iterator of it would take blocks from the cache. So a
    /// checkpoint (hard links, no flush) is opened beside it with direct I/O and a cache of its own, and read through.
    public func verifyChecksums() throws(StoreError) { try verifyChecksums { true } }

    /// As ``verifyChecksums()``, and gives up once `isWanted`, asked at each row, says no.
    public func verifyChecksums(while isWanted: () -> Bool) throws(StoreError) {
        let copy = directory + "/" + Self.verificationName
        try Self.destroyCopy(copy)
        try checkpoint(to: copy, flushesFirst: false)
        let verified = Result<Void, StoreError> { () throws(StoreError) in
            do throws(StoreError) {
                try readThrough(copy, directly: true, while: isWanted)
            } catch StoreError.other {
                // A file system without O_DIRECT refuses the open as an invalid argument.
                try readThrough(copy, directly: false, while: isWanted)
            }
        }
        try Self.destroyCopy(copy)
        try verified.get()
    }

    private func checkpoint(to target: String, flushesFirst: Bool) throws(StoreError) {
        // RocksDB's own flush may answer too early; see ``awaitManifest()``.
        if flushesFirst { try flush() }
        guard gate.enter() else { throw .closed }
        defer { gate.leave() }
        let maker = try rocksCall(in: directory) { rocksdb_checkpoint_object_create(database, $0) }
        defer { rocksdb_checkpoint_object_destroy(maker) }
        let logBytesForFlush: UInt64 = flushesFirst ? 0 : .max
        try rocksCall(in: directory) { rocksdb_checkpoint_create(maker, target, logBytesForFlush, $0) }
    }

    private func readThrough(
        _ copy: String, directly: Bool, while isWanted: () -> Bool
    ) throws(StoreError) {
        let options = rocksdb_options_create()
        defer { rocksdb_options_destroy(options) }
        let tables = rocksdb_block_based_options_create()
        rocksdb_block_based_options_set_no_block_cache(tables, 1)
        rocksdb_options_set_block_based_table_factory(options, tables)
        rocksdb_block_based_options_destroy(tables)
        rocksdb_options_set_use_direct_reads(options, directly ? 1 : 0)
        rocksdb_options_set_max_open_files(options, Int32(StoreOptions.tablesOpenMin + StoreOptions.filesBesideTables))
        let opened = try rocksCall(in: copy) { rocksdb_open_for_read_only(options, copy, 0, $0) }
        guard let opened else { throw .other(detail: "RocksDB opened nothing and gave no reason") }
        defer { rocksdb_close(opened) }
        try scan(opened, from: [], below: Self.beyondAllRows, fillsCache: false) { _, _ in isWanted() ? .next : .stop }
    }

    private static func destroyCopy(_ copy: String) throws(StoreError) {
        guard access(copy, F_OK) == 0 else { return }
        let options = rocksdb_options_create()
        defer { rocksdb_options_destroy(options) }
        try rocksCall(in: copy) { rocksdb_destroy_db(options, copy, $0) }
    }

    /// `rocksdb::BottommostLevelCompaction::kForce`: or else tables that are at the bottom already are left as they
    /// are.
    private static let forceBottommost: UInt8 = 2
    private static let verificationName = "verify"
    /// Row families are ASCII letters.
    private static let beyondAllRows: [UInt8] = [0xFF]
}
