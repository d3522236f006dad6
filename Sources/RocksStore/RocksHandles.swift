internal import CRocksDB

// Owners of the short-lived handles of the C API. Each frees its handle once, and must not outlive the database that
// the handle came from: they live inside one call, between the gate's `enter` and `leave`.

/// A value pinned in the block cache or copied out of a memtable: its bytes stay as long as this does.
struct PinnedValue: ~Copyable {
    private let handle: OpaquePointer

    init(_ handle: OpaquePointer) { self.handle = handle }

    deinit { rocksdb_pinnableslice_destroy(handle) }

    var bytes: UnsafeRawBufferPointer {
        var count = 0
        let start = rocksdb_pinnableslice_value(handle, &count)
        return UnsafeRawBufferPointer(start: start, count: count)
    }
}

/// An iterator over `[lower, upper)`. The bounds' bytes must outlive it: RocksDB keeps pointers to them.
struct RowIterator: ~Copyable {
    private let options: OpaquePointer
    private let handle: OpaquePointer

    init(_ database: OpaquePointer, lower: UnsafeRawBufferPointer, upper: UnsafeRawBufferPointer, fillsCache: Bool) {
        options = rocksdb_readoptions_create()
        rocksdb_readoptions_set_iterate_lower_bound(options, lower.characters, lower.count)
        rocksdb_readoptions_set_iterate_upper_bound(options, upper.characters, upper.count)
        rocksdb_readoptions_set_fill_cache(options, fillsCache ? 1 : 0)
        // Files that a compaction drops while the iterator lives are deleted by a background thread, not by this one.
        rocksdb_readoptions_set_background_purge_on_iterator_cleanup(options, 1)
        handle = rocksdb_create_iterator(database, options)
        rocksdb_iter_seek(handle, lower.characters, lower.count)
    }

    deinit {
        rocksdb_iter_destroy(handle)
        rocksdb_readoptions_destroy(options)
    }

    var isValid: Bool { rocksdb_iter_valid(handle) != 0 }

    func next() { rocksdb_iter_next(handle) }

    /// The row under the iterator; its bytes stay until it moves.
    var row: (key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer) {
        var keyCount = 0
        var valueCount = 0
        let key = rocksdb_iter_key(handle, &keyCount)
        let value = rocksdb_iter_value(handle, &valueCount)
        return (
            UnsafeRawBufferPointer(start: key, count: keyCount),
            UnsafeRawBufferPointer(start: value, count: valueCount)
        )
    }

    /// An iterator ends at the end of its range and at the first error alike; only this tells them apart.
    func checkError(in directory: String) throws(StoreError) {
        try rocksCall(in: directory) { rocksdb_iter_get_error(handle, $0) }
    }
}
