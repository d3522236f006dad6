internal import CRocksDB
internal import Glibc

/// Where a read may look.
public enum ReadSource: Sendable {
    /// Memtables and block cache only: never waits for the disk, so an event loop may ask.
    case cacheOnly
    /// Everywhere: may block on the disk.
    case disk
}

/// What a read found.
public enum Lookup<Value> {
    case found(Value)
    case absent
    /// The answer is on the disk (only from `cacheOnly`).
    case notCached
}

extension Lookup: Sendable where Value: Sendable {}
extension Lookup: Equatable where Value: Equatable {}

public typealias ReadResult = Lookup<[UInt8]>

/// How a scan goes on after a row.
public enum ScanStep: Sendable {
    case next
    case stop
}

extension ShardStore {
    /// The value of a row, copied. Any thread.
    public func read(row: [UInt8], from source: ReadSource) throws(StoreError) -> ReadResult {
        try withValue(of: row, from: source) { Array($0) }
    }

    /// Gives the bytes of a row's value to `body` without copying them out of the block cache; they are gone when it
    /// returns. Keep `body` short: it holds the block. Any thread.
    public func withValue<R>(
        of row: [UInt8], from source: ReadSource, _ body: (UnsafeRawBufferPointer) -> R
    ) throws(StoreError) -> Lookup<R> {
        guard gate.enter() else { throw .closed }
        defer { gate.leave() }
        let options = source == .disk ? resources.readFromDisk : resources.readFromCache
        var message: UnsafeMutablePointer<CChar>?
        let slice = row.withUnsafeBytes {
            rocksdb_get_pinned(database, options, $0.characters, $0.count, &message)
        }
        if let slice {
            let value = PinnedValue(slice)
            return .found(body(value.bytes))
        }
        guard let message else { return .absent }
        defer { rocksdb_free(message) }
        // `Status::Incomplete`: not an error but the answer of a read that may not touch the disk.
        if source == .cacheOnly, strncmp(message, "Result incomplete", 17) == 0 { return .notCached }
        throw StoreError(status: String(cString: message), directory: directory)
    }

    /// Gives the rows of `[lower, upper)` to `body` in the order of their keys' bytes, as they were when the scan
    /// began, until it stops. Blocks on the disk; read-ahead starts by itself after two blocks in a row and grows to
    /// 256 KiB.
    ///
    /// - Parameters:
    ///   - fillsCache: whether blocks read stay in the cache; a long scan would push out what is in use.
    ///   - body: sees bytes that are gone when it returns. It may read from the store but not close it.
    /// - Throws: an error met on the way; `body` has seen the rows before it, each sound.
    public func scan(
        from lower: [UInt8], below upper: [UInt8], fillsCache: Bool = false,
        _ body: (_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> ScanStep
    ) throws(StoreError) {
        guard gate.enter() else { throw .closed }
        defer { gate.leave() }
        try scan(database, from: lower, below: upper, fillsCache: fillsCache, body)
    }

    func scan(
        _ database: OpaquePointer, from lower: [UInt8], below upper: [UInt8], fillsCache: Bool,
        _ body: (_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> ScanStep
    ) throws(StoreError) {
        var failure: StoreError?
        lower.withUnsafeBytes { lower in
            upper.withUnsafeBytes { upper in
                let iterator = RowIterator(database, lower: lower, upper: upper, fillsCache: fillsCache)
                while iterator.isValid {
                    let row = iterator.row
                    guard body(row.key, row.value) == .next else { return }
                    iterator.next()
                }
                do throws(StoreError) { try iterator.checkError(in: directory) } catch { failure = error }
            }
        }
        if let failure { throw failure }
    }
}
