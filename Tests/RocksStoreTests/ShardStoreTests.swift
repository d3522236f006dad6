import Glibc
import Primitives
import RocksStore
import Testing

@Suite struct ShardStoreTests {
    let temporary = TemporaryDirectory()
    var directory: String { temporary.child("shard") }

    @Test func roundTrip() throws {
        let store = try ShardStore.new(directory)
        #expect(store.appliedAtOpen == .none)
        var batch = StoreBatch()
        batch.put(row: row(1), value: bytes("one"))
        batch.put(row: row(2), value: bytes("xtwox")[1...3])
        batch.put(row: row(3), value: [])
        batch.put(row: row(4), value: bytes("gone"))
        try store.apply(&batch, applied: mark(1))
        #expect(batch.rowCount == 0)
        #expect(batch.byteCount == 0)
        batch.delete(row: row(4))
        try store.apply(&batch, applied: mark(2))

        #expect(try store.read(row: row(1), from: .disk) == .found(bytes("one")))
        #expect(try store.read(row: row(2), from: .disk) == .found(bytes("two")))
        #expect(try store.read(row: row(3), from: .disk) == .found([]))
        #expect(try store.read(row: row(4), from: .disk) == .absent)
        #expect(try store.read(row: [], from: .disk) == .absent)
        #expect(try store.withValue(of: row(1), from: .disk) { $0.count } == .found(3))
        #expect(store.applied == mark(2))
    }

    @Test func largeValuesAndManyRowsSurviveReopening() throws {
        var random = SplitMix64(seed: 11)
        let large = (0..<3_000_000).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        do {
            let store = try ShardStore.new(directory)
            try store.put([(row(0), large)] + (1..<5000).map { (row($0), bytes("value \($0)")) }, mark(1))
            #expect(try store.flush() == mark(1))
            store.close()
        }
        let store = try ShardStore.open(directory: directory, resources: .small(), create: false)
        #expect(store.appliedAtOpen == mark(1))
        #expect(try store.read(row: row(0), from: .disk) == .found(large))
        #expect(try store.read(row: row(4999), from: .disk) == .found(bytes("value 4999")))
        #expect(try store.allRows().count == 5000)
    }

    @Test func missingOrEmptyDirectoryIsRefusedAndLeftAlone() throws {
        let missing = StoreError.missing(directory: directory)
        #expect(throws: missing) {
            _ = try ShardStore.open(directory: directory, resources: .small(), create: false)
        }
        #expect(names(in: temporary.path) == [])
        mkdir(directory, 0o700)
        #expect(throws: missing) {
            _ = try ShardStore.open(directory: directory, resources: .small(), create: false)
        }
        #expect(names(in: directory) == [])
    }

    /// A directory that lost its manifest must not be taken for a new one: its tables would be deleted.
    @Test func creatingOverRemainsIsRefused() throws {
        do {
            let store = try ShardStore.new(directory)
            try store.put([(row(1), bytes("kept"))], mark(1))
            try store.flush()
            store.close()
        }
        let before = names(in: directory)
        unlink(directory + "/CURRENT")
        #expect(throws: StoreError.remains(directory: directory)) { _ = try ShardStore.new(directory) }
        #expect(names(in: directory) == before.filter { $0 != "CURRENT" })
    }

    @Test func secondOpenIsRefused() throws {
        let store = try ShardStore.new(directory)
        #expect(throws: StoreError.lockHeld(directory: directory)) { _ = try ShardStore.new(directory) }
        store.close()
        _ = try ShardStore.new(directory)
    }

    @Test func closedStoreRefusesEverything() throws {
        let store = try ShardStore.new(directory)
        try store.put([(row(1), bytes("one"))], mark(1))
        store.close()
        store.close()
        #expect(throws: StoreError.closed) { _ = try store.read(row: row(1), from: .disk) }
        #expect(throws: StoreError.closed) { try store.put([], mark(2)) }
        #expect(throws: StoreError.closed) { try store.flush() }
        #expect(throws: StoreError.closed) { try store.scan(from: [], below: [255]) { _, _ in .next } }
        #expect(throws: StoreError.closed) { try store.checkpoint(to: temporary.child("copy")) }
        #expect(throws: StoreError.closed) { _ = try store.statistics() }
    }

    @Test func positionsNeverGoBack() async {
        let path = directory
        await #expect(processExitsWith: .failure) { [path = path as String] in
            let store = try ShardStore.new(path)
            try store.put([], mark(5))
            try store.put([], mark(4))
        }
    }

    @Test func scanKeepsBoundsAndOrder() throws {
        let store = try ShardStore.new(directory)
        try store.put((0..<100).map { (row($0), bytes("\($0)")) }, mark(1))
        try store.flush()
        try store.put((100..<200).map { (row($0), bytes("\($0)")) }, mark(2))
        var seen: [String] = []
        try store.scan(from: row(90), below: row(110)) { key, value in
            #expect(key.count == 9)
            seen.append(String(decoding: value, as: UTF8.self))
            return .next
        }
        #expect(seen == (90..<110).map(String.init))

        seen = []
        try store.scan(from: row(0), below: row(200)) { _, value in
            seen.append(String(decoding: value, as: UTF8.self))
            return seen.count == 3 ? .stop : .next
        }
        #expect(seen == ["0", "1", "2"])
        try store.scan(from: row(200), below: row(300)) { _, _ in
            Issue.record("nothing lies there")
            return .next
        }
    }

    /// Rows written after a scan began are not in it.
    @Test func scanSeesTheStoreAsItWasAtItsStart() throws {
        let store = try ShardStore.new(directory)
        try store.put((0..<10).map { (row($0), bytes("old")) }, mark(1))
        var values: [[UInt8]] = []
        try store.scan(from: row(0), below: row(100)) { _, value in
            values.append(Array(value))
            let next = mark(store.applied.position.next.rawValue)
            try? store.put([(row(5), bytes("new")), (row(50), bytes("new"))], next)
            return .next
        }
        #expect(values == Array(repeating: bytes("old"), count: 10))
    }

    @Test func cacheOnlyNeverReadsTheDisk() throws {
        do {
            let store = try ShardStore.new(directory)
            try store.put((0..<1000).map { (row($0 * 2), bytes("v\($0)")) }, mark(1))
            #expect(try store.read(row: row(0), from: .cacheOnly) == .found(bytes("v0")), "it is in the memtable")
            try store.flush()
            store.close()
        }
        let store = try ShardStore.open(directory: directory, resources: .small(), create: false)
        #expect(try store.read(row: row(0), from: .cacheOnly) == .notCached)
        #expect(try store.read(row: row(0), from: .disk) == .found(bytes("v0")))
        #expect(try store.read(row: row(0), from: .cacheOnly) == .found(bytes("v0")))
        // The filter is in the cache now, so most absent rows are known to be absent without the disk.
        let absent = try (0..<100).filter { try store.read(row: row($0 * 2 + 1), from: .cacheOnly) == .absent }
        #expect(absent.count > 80)
        #expect(try store.read(row: row(1000), from: .cacheOnly) == .notCached, "its block was never read")
    }

    @Test func scanLeavesTheCacheAlone() throws {
        do {
            let store = try ShardStore.new(directory)
            try store.put((0..<1000).map { (row($0), bytes("v\($0)")) }, mark(1))
            try store.flush()
            store.close()
        }
        let store = try ShardStore.open(directory: directory, resources: .small(), create: false)
        _ = try store.allRows()
        #expect(try store.read(row: row(500), from: .cacheOnly) == .notCached)
        try store.scan(from: row(0), below: row(1000), fillsCache: true) { _, _ in .next }
        #expect(try store.read(row: row(500), from: .cacheOnly) == .found(bytes("v500")))
    }

    @Test func checkpointOpensAndIsExact() throws {
        let store = try ShardStore.new(directory)
        try store.put((0..<100).map { (row($0), bytes("\($0)")) }, mark(7, epoch: 3, lsn: 99))
        let copy = temporary.child("copy")
        try store.checkpoint(to: copy)
        try store.put([(row(0), bytes("later"))], mark(8, epoch: 3, lsn: 100))

        let opened = try ShardStore.open(directory: copy, resources: .small(), create: false)
        #expect(opened.appliedAtOpen == mark(7, epoch: 3, lsn: 99))
        #expect(try opened.allRows().count == 100)
        #expect(try opened.read(row: row(0), from: .disk) == .found(bytes("0")))
        try opened.put([], mark(7, epoch: 3, lsn: 0))
        #expect(opened.applied.lsn == .zero, "the other node's LSN is forgotten by an empty batch")
        #expect(throws: StoreError.self) { try store.checkpoint(to: copy) }
    }

    @Test func expiredRowsAreDroppedByCompaction() throws {
        let store = try ShardStore.new(directory) { _, value in value.first == UInt8(ascii: "x") }
        try store.put((0..<1000).map { (row($0), bytes($0 % 2 == 0 ? "x" : "y")) }, mark(1))
        try store.flush()
        #expect(try store.allRows().count == 1000, "a flush drops nothing")
        try store.compact()
        #expect(try store.allRows().count == 500)
        #expect(try store.read(row: row(0), from: .disk) == .absent)
        #expect(try store.read(row: row(1), from: .disk) == .found(bytes("y")))
        store.close()
        let opened = try ShardStore.open(directory: directory, resources: .small(), create: false) { _, _ in true }
        try opened.compact()
        #expect(try opened.allRows().isEmpty)
        #expect(opened.appliedAtOpen == mark(1))
        opened.close()
        let last = try ShardStore.open(directory: directory, resources: .small(), create: false)
        #expect(last.appliedAtOpen == mark(1), "no filter can drop the mark")
    }

    @Test func statisticsCount() throws {
        let store = try ShardStore.new(directory)
        #expect(try store.statistics().backgroundErrors == 0)
        #expect(store.unflushedBytes == 0)
        try store.put((0..<1000).map { (row($0), [UInt8](repeating: 7, count: 1000)) }, mark(1))
        #expect(store.unflushedBytes > 1_000_000)
        #expect(store.memtableBytes > 1_000_000)
        try store.flush()
        #expect(store.unflushedBytes == 0)
        #expect(store.memtableBytes < 200_000)
        let statistics = try store.statistics()
        #expect(statistics.tableBytes > 1000)
        #expect((1000...1001).contains(statistics.estimatedRows))
        #expect(statistics.sortedRuns == 1)
    }
}
