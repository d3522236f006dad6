import ArgumentParser
import CRocksDB
import Glibc
import Primitives

/// RocksDB alone, with a write-ahead log of its own that is synced once a group; and point reads, one after the other.
struct RocksAlone: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rocksdb", abstract: "Synced batches into one RocksDB, and point reads from it.")

    @OptionGroup var options: AloneOptions

    func run() throws {
        let scratch = try ScratchDirectory(below: options.directory, named: "rocksdb-alone")
        let database = try Database(scratch.path + "/db")
        var draw = Draw(options)
        try database.fill(options.records, &draw)
        for size in options.groups {
            let times = try GroupTimes.measure(size: size, seconds: options.seconds) {
                try database.put((0..<size).map { _ in draw.number() }, synced: true, &draw)
            }
            print(times.json("RocksDB alone, groups of \(size)"))
        }
        let reads = try GroupTimes.measure(size: Self.readsTimed, seconds: options.seconds) {
            for _ in 0..<Self.readsTimed { try database.get(draw.number(), bytes: options.valueBytes) }
        }
        print(reads.json("RocksDB alone, reads"))
    }

    /// Reads between two looks at the clock.
    private static let readsTimed = 16
}

private struct RocksError: Error, CustomStringConvertible {
    let description: String
}

private struct Database: ~Copyable {
    private let handle: OpaquePointer
    private let synced: OpaquePointer
    private let unsynced: OpaquePointer
    private let reading: OpaquePointer

    private static let cacheBytes = 512 << 20
    private static let bloomBitsPerKey = 10.0
    private static let fillBatch = 1000

    init(_ path: String) throws {
        let options = rocksdb_options_create()
        defer { rocksdb_options_destroy(options) }
        rocksdb_options_set_create_if_missing(options, 1)
        rocksdb_options_set_compression(options, Int32(rocksdb_lz4_compression))
        let tables = rocksdb_block_based_options_create()
        defer { rocksdb_block_based_options_destroy(tables) }
        let cache = rocksdb_cache_create_lru(Self.cacheBytes)
        defer { rocksdb_cache_destroy(cache) }
        rocksdb_block_based_options_set_block_cache(tables, cache)
        rocksdb_block_based_options_set_filter_policy(
            tables, rocksdb_filterpolicy_create_bloom_full(Self.bloomBitsPerKey))
        rocksdb_options_set_block_based_table_factory(options, tables)
        handle = try Self.checked { rocksdb_open(options, path, $0) }
        synced = rocksdb_writeoptions_create()
        rocksdb_writeoptions_set_sync(synced, 1)
        unsynced = rocksdb_writeoptions_create()
        reading = rocksdb_readoptions_create()
    }

    deinit {
        rocksdb_readoptions_destroy(reading)
        rocksdb_writeoptions_destroy(unsynced)
        rocksdb_writeoptions_destroy(synced)
        rocksdb_close(handle)
    }

    func fill(_ records: Int, _ draw: inout Draw) throws {
        for first in stride(from: 0, to: records, by: Self.fillBatch) {
            try put(Array(first..<min(first + Self.fillBatch, records)), synced: false, &draw)
        }
    }

    func put(_ numbers: [Int], synced isSynced: Bool, _ draw: inout Draw) throws {
        let batch = rocksdb_writebatch_create()
        defer { rocksdb_writebatch_destroy(batch) }
        for number in numbers {
            Draw.key(number).withUnsafeBytes { key in
                draw.value().withUnsafeBytes { value in
                    rocksdb_writebatch_put(
                        batch, Self.characters(key), key.count, Self.characters(value), value.count)
                }
            }
        }
        _ = try Self.checked { rocksdb_write(handle, isSynced ? synced : unsynced, batch, $0) }
    }

    func get(_ number: Int, bytes: Int) throws {
        let slice = try Self.checked { error in
            Draw.key(number).withUnsafeBytes {
                rocksdb_get_pinned(handle, reading, Self.characters($0), $0.count, error)
            }
        }
        defer { rocksdb_pinnableslice_destroy(slice) }
        var count = 0
        _ = rocksdb_pinnableslice_value(slice, &count)
        guard count == bytes else { throw RocksError(description: "a value of \(count) bytes, not \(bytes)") }
    }

    private static func characters(_ bytes: UnsafeRawBufferPointer) -> UnsafePointer<CChar>? {
        // SAFETY: any byte is a character to C, and RocksDB copies them within the call.
        bytes.baseAddress?.assumingMemoryBound(to: CChar.self)
    }

    private static func checked<R>(
        _ call: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> R
    ) throws -> R {
        var message: UnsafeMutablePointer<CChar>?
        let result = call(&message)
        guard let message else { return result }
        defer { rocksdb_free(message) }
        throw RocksError(description: String(cString: message))
    }
}
