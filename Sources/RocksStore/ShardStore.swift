internal import CRocksDB
internal import CStoreShims
internal import Glibc
public import Primitives
internal import Synchronization

/// The rows of one shard: one RocksDB in its own directory, written past RocksDB's write-ahead log. What is applied and
/// not yet flushed comes back from the node's log, from ``appliedAtOpen`` on.
///
/// Threads: reads and scans from any thread; ``apply(_:applied:firstLSN:)`` from one thread at a time; ``flush()``,
/// ``checkpoint(to:)``, ``verifyChecksums()`` and ``close()`` block on the disk and belong on threads that may.
///
/// After an error that passes (``StoreError/passes``) of `apply` or `flush`, the store reads on, and `flush` brings it
/// back once there is space, or a descriptor, again; until then `apply` may be refused. After any other error it makes
/// nothing durable any more: close it, open it again and replay the log (rule W9).
///
/// SAFETY (`@unchecked Sendable`): "All operations on a DB are thread-safe" (rocksdb/db.h); the handles are set once in
/// `init`, used only between `gate.enter` and `gate.leave`, and freed after the gate has drained. What changes stands
/// in the mutex.
public final class ShardStore: @unchecked Sendable {
    public let directory: String
    /// The mark found in the store when it was opened; ``AppliedState/none`` in a new one. Replay starts after it.
    public let appliedAtOpen: AppliedState

    let resources: StoreResources
    let database: OpaquePointer
    let gate = AccessGate()
    let progress: Mutex<FlushProgress>
    /// Held through a flush, so that one at a time runs.
    let flushing = Mutex<Void>(())
    /// RocksDB holds a bare pointer to it: freed by `deinit`, after the database.
    private let filter: CompactionFilter
    /// As the filter.
    let watch: StoreWatch

    /// Opens the store of a shard. Blocks on the disk.
    ///
    /// - Parameters:
    ///   - create: make the store where there is none; the parent of `directory` exists. Without it a missing or empty
    ///     directory is refused (`missing`), never filled.
    ///   - expiredRow: lets compaction drop rows; see ``RowExpiryFilter``.
    public static func open(
        directory: String, resources: StoreResources, create: Bool, expiredRow: RowExpiryFilter? = nil
    ) throws(StoreError) -> ShardStore {
        if create {
            try StoreDirectory.prepareCreation(directory)
        } else if !StoreDirectory.hasStore(directory) {
            throw .missing(directory: directory)
        }
        return try ShardStore(directory: directory, resources: resources, create: create, expiredRow: expiredRow)
    }

    private init(
        directory: String, resources: StoreResources, create: Bool, expiredRow: RowExpiryFilter?
    ) throws(StoreError) {
        let filter = CompactionFilter(expiredRow)
        let watch = StoreWatch()
        let options = try StoreOptions(
            resources: resources, filter: filter.handle, watch: watch, create: create, directory: directory)
        let opened = try rocksCall(in: directory) { rocksdb_open(options.handle, directory, $0) }
        guard let opened else { throw .other(detail: "RocksDB opened nothing and gave no reason") }
        if resources.tablesOpenPerStore < StoreOptions.tablesOpenMin {
            ks_store_keep_tables(opened, Int32(resources.tablesOpenPerStore))
        }
        let applied: AppliedState
        do throws(StoreError) {
            applied = try Self.readApplied(opened, resources.readFromDisk, directory)
        } catch {
            rocksdb_close(opened)
            throw error
        }
        self.directory = directory
        self.resources = resources
        self.filter = filter
        self.watch = watch
        database = opened
        appliedAtOpen = applied
        progress = Mutex(FlushProgress(at: applied))
    }

    deinit { close() }

    /// Waits for the calls inside to end and frees the store and its directory's lock. Rows not flushed are left to the
    /// log. Later calls throw `closed`; a second `close` does nothing.
    public func close() {
        guard gate.close() else { return }
        while !gate.isDrained { usleep(Self.drainPollMicroseconds) }
        rocksdb_close(database)
        resources.countMemtables(-progress.withLock { $0.memoryBytes })
    }

    private static let drainPollMicroseconds: UInt32 = 200

    /// What stands between the store and its next flush. One atomic load; any thread.
    public var trouble: StoreTrouble { watch.trouble }

    /// The last applied update. Any thread.
    public var applied: AppliedState { progress.withLock { $0.applied } }

    /// Writes the rows and the mark, whole or not at all, into memory; they are visible to readers when it returns.
    /// Never blocks on the disk. The batch is empty afterwards.
    ///
    /// - Parameters:
    ///   - applied: the last update in the batch; neither its epoch nor its position is below the mark now.
    ///   - firstLSN: the first log record in the batch, from which the log is needed until a flush. Without it, the one
    ///     after the mark now: never too late, but an idle shard's first batch then pins more of the log than it needs.
    /// - Throws: whatever RocksDB says; nothing of the batch was applied then.
    public func apply(
        _ batch: inout StoreBatch, applied: AppliedState, firstLSN: LSN? = nil
    ) throws(StoreError) {
        guard gate.enter() else { throw .closed }
        defer { gate.leave() }
        let previous = self.applied
        Self.put(applied, after: previous, into: &batch)
        let bytes = batch.byteCount + batch.rowCount * FlushProgress.rowOverheadBytes
        defer { batch.clear() }
        let handle = batch.handle
        try rocksCall(in: directory) { rocksdb_write(database, resources.writeOptions, handle, $0) }
        let first = min(firstLSN ?? previous.lsn.next, applied.lsn)
        progress.withLock { $0.noteApplied(applied, first: first, bytes: bytes) }
        resources.countMemtables(bytes)
    }

    static func put(_ mark: AppliedState, after previous: AppliedState, into batch: inout StoreBatch) {
        precondition(mark.epoch >= previous.epoch, "an epoch never goes back")
        precondition(mark.position >= previous.position, "a position never goes back")
        AppliedState.row.withUnsafeBytes { row in
            mark.withEncodedBytes { value in batch.put(row: row, value: value) }
        }
    }

    private static func readApplied(
        _ database: OpaquePointer, _ options: OpaquePointer, _ directory: String
    ) throws(StoreError) -> AppliedState {
        let row = AppliedState.row
        let slice = try rocksCall(in: directory) { error in
            row.withUnsafeBytes { rocksdb_get_pinned(database, options, $0.characters, $0.count, error) }
        }
        guard let slice else { return .none }
        let value = PinnedValue(slice)
        return try AppliedState(decoding: Array(value.bytes), file: directory)
    }
}
