internal import CRocksDB

/// Rows to put and delete, applied whole or not at all by ``ShardStore/apply(_:applied:firstLSN:)``. Made once and used
/// again: its buffer stays. Confined to the thread that applies it.
public struct StoreBatch: ~Copyable {
    /// A batch that has grown beyond this gives its buffer back when it is cleared.
    public static let bytesKeptMax = 1 << 20

    let handle: OpaquePointer
    /// Bytes of keys and values so far.
    public private(set) var byteCount = 0
    public private(set) var rowCount = 0

    public init() { handle = rocksdb_writebatch_create() }

    deinit { rocksdb_writebatch_destroy(handle) }

    public mutating func put(row: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer) {
        count(row.count + value.count)
        rocksdb_writebatch_put(handle, row.characters, row.count, value.characters, value.count)
    }

    public mutating func put(row: [UInt8], value: [UInt8]) {
        row.withUnsafeBytes { row in value.withUnsafeBytes { value in put(row: row, value: value) } }
    }

    public mutating func put(row: [UInt8], value: ArraySlice<UInt8>) {
        row.withUnsafeBytes { row in value.withUnsafeBytes { value in put(row: row, value: value) } }
    }

    public mutating func delete(row: UnsafeRawBufferPointer) {
        count(row.count)
        rocksdb_writebatch_delete(handle, row.characters, row.count)
    }

    public mutating func delete(row: [UInt8]) { row.withUnsafeBytes { delete(row: $0) } }

    /// Forgets the rows and keeps the buffer.
    public mutating func clear() {
        rocksdb_writebatch_clear(handle)
        if byteCount > Self.bytesKeptMax { self = StoreBatch() }
        byteCount = 0
        rowCount = 0
    }

    private mutating func count(_ bytes: Int) {
        byteCount += bytes
        rowCount += 1
    }
}

extension UnsafeRawBufferPointer {
    /// The start as the C API wants it; never null, even where there are no bytes.
    var characters: UnsafePointer<CChar> {
        // SAFETY: any byte is a character to C.
        baseAddress.map { $0.assumingMemoryBound(to: CChar.self) } ?? StoreBatch.noBytes
    }
}

extension StoreBatch {
    static let nothing: StaticString = ""
    static var noBytes: UnsafePointer<CChar> {
        // SAFETY: a static string, which is there for ever.
        UnsafeRawPointer(nothing.utf8Start).assumingMemoryBound(to: CChar.self)
    }
}
