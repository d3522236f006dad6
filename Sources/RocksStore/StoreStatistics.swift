internal import CRocksDB

/// A store in numbers. Reading them takes RocksDB's lock for moments: for seconds-wise sampling, not for requests.
public struct StoreStatistics: Sendable, Equatable {
    /// Table files in use.
    public let tableBytes: Int
    /// Rows, by RocksDB's estimate: overwritten and deleted ones count until compaction meets them.
    public let estimatedRows: Int
    /// Memtables, those being flushed included.
    public let memtableBytes: Int
    /// What open tables hold outside the block cache.
    public let tableReaderBytes: Int
    /// Files that a read may have to look into one after the other. Above ``sortedRunsMax`` compaction has fallen
    /// behind.
    public let sortedRuns: Int
    public let compactionDebtBytes: Int
    /// Flushes and compactions that failed since the store was opened. Not zero: step down, close, reopen, replay.
    public let backgroundErrors: Int

    /// RocksDB is told never to stall a writer, so whoever feeds the store refuses writes above this.
    public static let sortedRunsMax = 40
}

extension ShardStore {
    /// Any thread.
    public func statistics() throws(StoreError) -> StoreStatistics {
        guard gate.enter() else { throw .closed }
        defer { gate.leave() }
        return StoreStatistics(
            tableBytes: number("rocksdb.live-sst-files-size"),
            estimatedRows: number("rocksdb.estimate-num-keys"),
            memtableBytes: number("rocksdb.size-all-mem-tables"),
            tableReaderBytes: number("rocksdb.estimate-table-readers-mem"),
            sortedRuns: text("rocksdb.num-files-at-level0").flatMap { Int($0) } ?? 0,
            compactionDebtBytes: number("rocksdb.estimate-pending-compaction-bytes"),
            backgroundErrors: backgroundErrors)
    }

    /// Bytes that the rows of `[lower, upper)` take in table files, by RocksDB's estimate; what is not flushed does not
    /// count. Any thread.
    public func approximateTableBytes(from lower: [UInt8], below upper: [UInt8]) throws(StoreError) -> Int {
        guard gate.enter() else { throw .closed }
        defer { gate.leave() }
        var size: UInt64 = 0
        var message: UnsafeMutablePointer<CChar>?
        lower.withUnsafeBytes { lower in
            upper.withUnsafeBytes { upper in
                var start: UnsafePointer<CChar>? = lower.characters
                var end: UnsafePointer<CChar>? = upper.characters
                var (startCount, endCount) = (lower.count, upper.count)
                rocksdb_approximate_sizes(database, 1, &start, &startCount, &end, &endCount, &size, &message)
            }
        }
        if let message {
            defer { rocksdb_free(message) }
            throw StoreError(status: String(cString: message), directory: directory)
        }
        return Int(clamping: size)
    }

    /// Bytes of all memtables, those being flushed included, by RocksDB's count; 0 when closed. Any thread.
    public var memtableBytes: Int {
        guard gate.enter() else { return 0 }
        defer { gate.leave() }
        return number("rocksdb.size-all-mem-tables")
    }

    var backgroundErrors: Int { number("rocksdb.background-errors") }

    func number(_ property: String) -> Int {
        var value: UInt64 = 0
        return rocksdb_property_int(database, property, &value) == 0 ? Int(clamping: value) : 0
    }

    private func text(_ property: String) -> String? {
        guard let value = rocksdb_property_value(database, property) else { return nil }
        defer { rocksdb_free(value) }
        return String(cString: value)
    }
}
