import Entities
import Primitives
import ShardCore

/// One shard's rows with RocksDB's crash semantics, its own log off: what is applied lies in a memtable until a flush
/// has ended, and a crash leaves what was flushed, with the applied position of the same batch.
final class VirtualStore: CommittedRows {
    /// How far a set of rows goes; it stands in the same batch as they do.
    struct Mark {
        var position = Position.zero
        var epoch = Epoch(1)
        var lsn = LSN.zero
        /// The newest time that an effect carried.
        var time = Timestamp.zero
    }

    private var flushedRows = SortedRows()
    /// What is on the platter.
    private(set) var flushedMark = Mark()
    private(set) var appliedMark = Mark()
    private var memtable = SortedRows()
    /// The memtable being flushed, and how far it goes.
    private var flushing: (rows: SortedRows, mark: Mark)?
    /// What the store says that it has flushed: the same, but for a planted bug.
    private var claimedMark = Mark()
    private var cache: RowCache
    let mutants: Mutants

    init(cacheRows: Int, mutants: Mutants) {
        cache = RowCache(capacity: cacheRows)
        self.mutants = mutants
    }

    /// Takes the rows of a checkpoint, flushed, into a store that has none.
    func install(_ rows: SortedRows, _ mark: Mark) {
        flushedRows = rows
        flushedMark = mark
        appliedMark = mark
        claimedMark = mark
    }

    var memtableRows: Int { memtable.count }
    var isFlushing: Bool { flushing != nil }

    /// The store's word on how far a restart of it would be.
    var flushed: Mark { mutants.has(.appliedPositionOutsideBatch) ? claimedMark : flushedMark }
    var applied: Position { appliedMark.position }

    /// Applies effects as one batch, the mark and all.
    func apply(_ effects: [EntityEffect], through position: Position, epoch: Epoch, lsn: LSN, time: Timestamp) {
        for effect in effects {
            effect.forEachRow { row in memtable.set(Array(row.key), row.value.map { Array($0) }) }
        }
        appliedMark = Mark(position: position, epoch: epoch, lsn: lsn, time: max(appliedMark.time, time))
        if mutants.has(.appliedPositionOutsideBatch) { claimedMark = appliedMark }
    }

    /// Begins a flush of everything applied. ``finishFlush()`` ends it.
    func beginFlush() {
        precondition(flushing == nil, "one flush of a shard at a time")
        flushing = (memtable, appliedMark)
        memtable = SortedRows()
    }

    func finishFlush() {
        guard let done = flushing else { return }
        flushedRows.merge(done.rows)
        flushedMark = done.mark
        flushing = nil
    }

    /// What compaction does to rows that have expired before `time`: they are gone for good.
    ///
    /// - Returns: how many there were.
    func removeExpired(before time: Timestamp) -> Int {
        flushedRows.remove(where: { key, value in
            key.withUnsafeBytes { key in
                value.withUnsafeBytes { RowExpiry.isExpired(key: key, value: $0, now: time) }
            }
        })
    }

    /// The process has died: a flush under way has ended, or not.
    func crash(flushCompletes: Bool) {
        if flushCompletes { finishFlush() }
        flushing = nil
        memtable = SortedRows()
        appliedMark = flushed
        cache.removeAll()
    }

    // MARK: Reading

    func lookup(_ row: [UInt8]) -> RowLookup {
        if let known = inMemory(row) { return known.map { .found($0) } ?? .absent }
        guard cache.contains(row) else { return .notCached }
        return flushedRows[row].map { .found($0) } ?? .absent
    }

    /// What a read of the disk brings; from then on the row is cached.
    func fetch(_ row: [UInt8]) -> [UInt8]? {
        cache.insert(row)
        return inMemory(row) ?? flushedRows[row]
    }

    /// The newest value in memory: outer `nil`, none there; inner, removed.
    private func inMemory(_ row: [UInt8]) -> [UInt8]?? {
        memtable.value(row) ?? flushing?.rows.value(row)
    }

    /// Rows whose key has `prefix` and stands after `after`, in key order.
    func scan(prefix: [UInt8], after: [UInt8], limit: Int) -> [(key: [UInt8], value: [UInt8])] {
        var merged = flushedRows
        if let flushing { merged.merge(flushing.rows) }
        merged.merge(memtable)
        return merged.scan(prefix: prefix, after: after, limit: limit)
    }
}

/// Which rows the block cache holds: first in, first out.
private struct RowCache {
    let capacity: Int
    private var rows: Set<[UInt8]> = []
    private var order: [[UInt8]] = []
    private var oldest = 0

    init(capacity: Int) { self.capacity = capacity }

    func contains(_ row: [UInt8]) -> Bool { rows.contains(row) }

    mutating func insert(_ row: [UInt8]) {
        guard rows.insert(row).inserted else { return }
        if order.count < capacity {
            order.append(row)
        } else {
            rows.remove(order[oldest])
            order[oldest] = row
            oldest = (oldest + 1) % capacity
        }
    }

    mutating func removeAll() {
        rows.removeAll()
        order.removeAll()
        oldest = 0
    }
}
