internal import CRocksDB

/// Says whether a row has expired for good and may be dropped when compaction meets it.
///
/// Called on RocksDB's background threads, several at once, for every row that a compaction rewrites: it must be quick
/// and must not call the store. The key is never one of the meta family. It may only say yes to rows that every reader
/// already takes for absent, now and under any clock this node will have later; a dropped row needs no log record, for
/// nobody can tell it from an expired one.
public typealias RowExpiryFilter =
    @Sendable (_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Bool

/// A `rocksdb_compactionfilter_t`, or none. RocksDB keeps a bare pointer to it, so it must outlive the database; the
/// owner destroys it after closing.
struct CompactionFilter: ~Copyable {
    private final class Box: Sendable {
        let isExpired: RowExpiryFilter
        init(_ isExpired: @escaping RowExpiryFilter) { self.isExpired = isExpired }
    }

    private static let metaFamily = UInt8(ascii: "M")
    private static let name: StaticString = "keystead.expiry"

    let handle: OpaquePointer?

    init(_ isExpired: RowExpiryFilter?) {
        guard let isExpired else {
            handle = nil
            return
        }
        // SAFETY: the retain is given back by the destructor callback, which rocksdb_compactionfilter_destroy calls once.
        let state = Unmanaged.passRetained(Box(isExpired)).toOpaque()
        handle = rocksdb_compactionfilter_create(
            state,
            // SAFETY: gives the retain back; RocksDB calls it once, when nothing uses the filter any more.
            { state in state.map { Unmanaged<Box>.fromOpaque($0).release() } },
            { state, _, key, keyLength, value, valueLength, _, _, valueChanged in
                valueChanged?.pointee = 0
                let row = UnsafeRawBufferPointer(start: key, count: keyLength)
                guard let state, row.first != CompactionFilter.metaFamily else { return 0 }
                // SAFETY: the filter holds its retain for as long as RocksDB calls it.
                let box = Unmanaged<Box>.fromOpaque(state).takeUnretainedValue()
                return box.isExpired(row, UnsafeRawBufferPointer(start: value, count: valueLength)) ? 1 : 0
            },
            // SAFETY: a static string of ASCII characters, with its closing zero.
            { _ in UnsafeRawPointer(CompactionFilter.name.utf8Start).assumingMemoryBound(to: CChar.self) })
    }

    deinit { if let handle { rocksdb_compactionfilter_destroy(handle) } }
}
