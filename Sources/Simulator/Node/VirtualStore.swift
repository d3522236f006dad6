import Entities
import Primitives
import ShardCore

/// One shard's rows with RocksDB's crash semantics, its own log off: what is applied lies in a memtable until a flush
/// has ended, and a crash leaves what was flushed, with the applied position of the same batch.
final class VirtualStore: CommittedRows {
    /// What a crash leaves.
    private(set) var flushedRows = SortedRows()
    private(set) var flushed = Position.zero
    /// The newest time in the rows flushed.
    private(set) var flushedTime = Timestamp.zero

    private(set) var applied = Position.zero
    private(set) var latestTime = Timestamp.zero
    private var memtable = SortedRows()
    /// The memtable being flushed, with what it brings.
    private var flushing: (rows: SortedRows, applied: Position, time: Timestamp)?
    private var cache: RowCache
    private let mutants: Mutants

    init(cacheRows: Int, mutants: Mutants) {
        cache = RowCache(capacity: cacheRows)
        self.mutants = mutants
    }

    var memtableRows: Int { memtable.count }
    var isFlushing: Bool { flushing != nil }

    /// Applies effects as one batch, `through` and all.
    func apply(_ effects: [EntityEffect], through: Position) {
        for effect in effects {
            effect.forEachRow { row in memtable.set(Array(row.key), row.value.map { Array($0) }) }
            if let record = effect.record { latestTime = max(latestTime, record.updatedAt) }
        }
        applied = through
        if mutants.has(.appliedPositionOutsideBatch) { flushed = through }
    }

    /// Begins a flush of everything applied. ``finishFlush()`` or ``failFlush()`` ends it.
    func beginFlush() {
        precondition(flushing == nil, "one flush of a shard at a time")
        flushing = (memtable, applied, latestTime)
        memtable = SortedRows()
    }

    func finishFlush() {
        guard let done = flushing else { return }
        flushedRows.merge(done.rows)
        flushed = max(flushed, done.applied)
        flushedTime = max(flushedTime, done.time)
        flushing = nil
    }

    /// The process has died: a flush under way has ended, or not.
    func crash(flushCompletes: Bool) {
        if flushCompletes { finishFlush() }
        flushing = nil
        memtable = SortedRows()
        applied = flushed
        latestTime = flushedTime
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
