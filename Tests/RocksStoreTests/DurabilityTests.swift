import Glibc
import Primitives
import RocksStore
import Testing

@Suite struct DurabilityTests {
    let temporary = TemporaryDirectory()
    var directory: String { temporary.child("shard") }

    /// Rows of one family are told from those of another.
    @Test func rowsAreMeasuredByRange() throws {
        let folder = TemporaryDirectory()
        let store = try ShardStore.new(folder.child("s"))
        defer { store.close() }
        var generator = SplitMix64(seed: 3)
        let value = (0..<4000).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
        try store.put((0..<50).map { (row($0), value) }, mark(1))
        try store.flush()
        let bytes = try store.approximateTableBytes(from: [UInt8(ascii: "E")], below: [UInt8(ascii: "F")])
        #expect((100_000...400_000).contains(bytes))
        #expect(try store.approximateTableBytes(from: [UInt8(ascii: "I")], below: [UInt8(ascii: "J")]) < 10_000)
    }

    /// Closing flushes nothing, so what comes back is what the last flush made durable, rows and mark together.
    @Test func closingWithoutFlushLosesExactlyWhatWasNotFlushed() throws {
        do {
            let store = try ShardStore.new(directory)
            try store.put((0..<10).map { (row($0), bytes("first")) }, mark(10))
            #expect(try store.flush() == mark(10))
            try store.put((5..<20).map { (row($0), bytes("second")) }, mark(20))
            #expect(store.durable == mark(10))
            store.close()
        }
        let store = try ShardStore.open(directory: directory, resources: .small(), create: false)
        #expect(store.appliedAtOpen == mark(10))
        #expect(try store.allRows() == Dictionary(uniqueKeysWithValues: (0..<10).map { (row($0), bytes("first")) }))
    }

    /// A child writes and flushes and is killed in the middle; the parent finds a state that was whole at some mark:
    /// row i holds the position of the last batch that wrote it.
    @Test func killedProcessLeavesRowsAndMarkTogether() async throws {
        let path = directory
        await #expect(processExitsWith: .signal(SIGKILL)) { [path = path as String] in
            let store = try ShardStore.new(path)
            Worker { while true { try store.flush() } }.start()
            var batch = StoreBatch()
            for position in 1...UInt64.max {
                for slot in 0..<4 { batch.put(row: DurabilityTests.slot(position, slot), value: bytes("\(position)")) }
                try store.apply(&batch, applied: mark(position))
                if store.durable.position > Position(5000) { kill(getpid(), SIGKILL) }
            }
        }
        let store = try ShardStore.open(directory: path, resources: .small(), create: false)
        let last = store.appliedAtOpen.position.rawValue
        #expect(last > 0)
        var expected: [[UInt8]: [UInt8]] = [:]
        for position in 1...last {
            for slot in 0..<4 { expected[Self.slot(position, slot)] = bytes("\(position)") }
        }
        #expect(try store.allRows() == expected)
    }

    private static func slot(_ position: UInt64, _ slot: Int) -> [UInt8] {
        var random = SplitMix64(seed: position &* 4 &+ UInt64(slot))
        return row(random.below(5000))
    }

    /// As of a store that was copied from another node: rows in tables, and a mark that names a place in another log.
    @Test func adoptedMarkIsDurableAndMakesNoTable() throws {
        let rows = (0..<10).map { (row($0), bytes("first")) }
        do {
            let store = try ShardStore.new(directory)
            try store.put(rows, mark(10, lsn: 700))
            try store.flush()
            let tables = self.tables
            try store.adopt(mark(10, epoch: 2, lsn: 3))
            #expect(self.tables == tables)
            #expect(store.applied == mark(10, epoch: 2, lsn: 3) && store.durable == store.applied)
            #expect(store.pinnedLSN == nil)
            try store.verifyChecksums()
            try store.put([(row(3), bytes("lost"))], mark(11, epoch: 2, lsn: 4))
            store.close()
        }
        let store = try ShardStore.open(directory: directory, resources: .small(), create: false)
        #expect(store.appliedAtOpen == mark(10, epoch: 2, lsn: 3))
        #expect(try store.allRows() == Dictionary(uniqueKeysWithValues: rows))
    }

    @Test func whatIsFlushedAfterAnAdoptedMarkCounts() throws {
        let copy = temporary.child("copy")
        do {
            let store = try ShardStore.new(directory)
            try store.put([(row(1), bytes("first"))], mark(1, lsn: 700))
            try store.flush()
            try store.adopt(mark(1, lsn: 3))
            try store.put([(row(1), bytes("second"))], mark(2, lsn: 4))
            try store.checkpoint(to: copy)
            try store.flush()
            store.close()
        }
        for directory in [directory, copy] {
            let store = try ShardStore.open(directory: directory, resources: .small(), create: false)
            #expect(store.appliedAtOpen == mark(2, lsn: 4))
            #expect(try store.allRows() == [row(1): bytes("second")])
        }
    }

    private var tables: [String] { names(in: directory).filter { $0.hasSuffix(".sst") } }

    @Test func pinnedLogFollowsTheFlush() throws {
        let store = try ShardStore.new(directory)
        #expect(store.pinnedLSN == nil)
        #expect(try store.flush() == .none, "nothing to flush")
        var batch = StoreBatch()
        try store.apply(&batch, applied: mark(3, lsn: 40), firstLSN: LSN(37))
        try store.apply(&batch, applied: mark(4, lsn: 50), firstLSN: LSN(50))
        #expect(store.pinnedLSN == LSN(37))
        #expect(try store.flush() == mark(4, lsn: 50))
        #expect(store.pinnedLSN == nil)
        #expect(store.durable == mark(4, lsn: 50))
        try store.apply(&batch, applied: mark(5, lsn: 70))
        #expect(store.pinnedLSN == LSN(51), "not told, the store pins from its last mark on")
        #expect(try store.flush() == mark(5, lsn: 70))
    }

    /// Every byte position of a table is somebody's: whatever bit flips, no row reads as anything but itself.
    @Test func flippedBitIsFoundNamedAndNeverServed() throws {
        var random = SplitMix64(seed: 5)
        let rows = (0..<2000).map { number in
            (row(number), (0..<200).map { _ in UInt8(truncatingIfNeeded: random.next()) })
        }
        let expected = Dictionary(uniqueKeysWithValues: rows)
        do {
            let store = try ShardStore.new(directory)
            try store.put(rows, mark(1))
            try store.flush()
            try store.verifyChecksums()
            store.close()
        }
        let file = try #require(names(in: directory).first { $0.hasSuffix(".sst") })
        flipBit(in: directory + "/" + file, at: 100_000)
        let store = try ShardStore.open(directory: directory, resources: .small(), create: false)
        var refused = 0
        for (row, value) in rows {
            var found = ReadResult.absent
            if let error = failure({ () throws(StoreError) in found = try store.read(row: row, from: .disk) }) {
                #expect(isCorruption(error, of: file))
                refused += 1
            } else {
                #expect(found == .found(value))
            }
        }
        #expect(refused > 0)
        #expect(refused < 100, "one block is lost, not the table")
        let scanned = failure { () throws(StoreError) in
            try store.scan(from: row(0), below: row(2000)) { key, value in
                #expect(expected[Array(key)] == Array(value))
                return .next
            }
        }
        #expect(isCorruption(scanned, of: file))
        #expect(isCorruption(failure(store.verifyChecksums), of: file))
        #expect(!names(in: directory).contains("verify"), "what verification made is gone")
    }

    /// Blocks that are in the cache are read from the disk all the same.
    @Test func verificationGoesPastTheCache() throws {
        let store = try ShardStore.new(directory)
        try store.put((0..<1000).map { (row($0), bytes("value \($0)")) }, mark(1))
        try store.flush()
        for number in 0..<1000 { _ = try store.read(row: row(number), from: .disk) }
        let file = try #require(store.tableFiles().first)
        flipBit(in: directory + "/" + file, at: 1000)
        #expect(try store.read(row: row(0), from: .disk) == .found(bytes("value 0")), "from the cache")
        #expect(isCorruption(failure(store.verifyChecksums), of: file))
    }

    private func failure(_ body: () throws(StoreError) -> Void) -> StoreError? {
        do throws(StoreError) {
            try body()
            return nil
        } catch {
            return error
        }
    }

    private func isCorruption(_ error: StoreError?, of file: String) -> Bool {
        guard case .corruption(let named?, _) = error else { return false }
        return named.hasSuffix(file)
    }

    @Test func damagedManifestRefusesToOpen() throws {
        do {
            let store = try ShardStore.new(directory)
            try store.put([(row(1), bytes("one"))], mark(1))
            try store.flush()
            store.close()
        }
        let manifest = try #require(names(in: directory).first { $0.hasPrefix("MANIFEST-") })
        flipBit(in: directory + "/" + manifest, at: 40)
        #expect(throws: StoreError.self) {
            _ = try ShardStore.open(directory: directory, resources: .small(), create: false)
        }
        unlink(directory + "/" + manifest)
        #expect(throws: StoreError.self) {
            _ = try ShardStore.open(directory: directory, resources: .small(), create: false)
        }
    }
}
