import Glibc
import Primitives
import RocksStore
import Synchronization
import Testing

@Suite struct FlushSchedulerTests {
    let temporary = TemporaryDirectory()

    private func stores(_ count: Int, _ resources: StoreResources) throws -> [ShardStore] {
        try (0..<count).map { number in
            try ShardStore.open(directory: temporary.child("\(number)"), resources: resources, create: true)
        }
    }

    @Test func drainFlushesEverything() throws {
        let resources = StoreResources.small()
        let flushed = Mutex<[ShardID: AppliedState]>([:])
        let scheduler = FlushScheduler(resources: resources) { shard, outcome in
            flushed.withLock { $0[shard] = try? outcome.get() }
        }
        let stores = try stores(6, resources)
        for (number, store) in stores.enumerated() {
            scheduler.add(store, for: ShardID(UInt32(number)))
            try store.put([(row(1), bytes("one"))], mark(UInt64(number) + 1))
        }
        #expect(resources.memtableBytes > 0)
        scheduler.drain()
        for (number, store) in stores.enumerated() { #expect(store.durable == mark(UInt64(number) + 1)) }
        #expect(resources.memtableBytes == 0)
        scheduler.stop()
        #expect(flushed.withLock { $0.count } == 6)
    }

    /// Writers go on as long as there is room; the scheduler makes room; memory never passes the budget by more than
    /// one batch, and all rows are there at the end.
    @Test func memoryStaysInItsBudget() throws {
        let resources = StoreResources.small()
        let scheduler = FlushScheduler(resources: resources) { _, _ in }
        let stores = try stores(4, resources)
        for (number, store) in stores.enumerated() { scheduler.add(store, for: ShardID(UInt32(number))) }
        let value = [UInt8](repeating: 9, count: 100_000)
        var highest = 0
        for number in 0..<1600 {
            while !resources.hasRoomForWrites { usleep(1000) }
            let position = UInt64(number / 4) + 1
            try stores[number % 4].put([(row(number), value)], mark(position, lsn: UInt64(number) + 1))
            highest = max(highest, stores.reduce(0) { $0 + $1.memtableBytes })
        }
        #expect(highest <= resources.budget.memtableBytes + (1 << 20))
        #expect(stores.reduce(0) { $0 + ((try? $1.allRows().count) ?? 0) } == 1600)
        scheduler.stop()
    }

    @Test func logRequestFlushesWhatPinsIt() throws {
        let resources = StoreResources.small()
        let flushed = Mutex<[ShardID]>([])
        let scheduler = FlushScheduler(resources: resources) { shard, _ in flushed.withLock { $0.append(shard) } }
        let stores = try stores(3, resources)
        for (number, store) in stores.enumerated() {
            var batch = StoreBatch()
            let lsn = LSN(UInt64(number) * 10 + 10)
            try store.apply(&batch, applied: mark(1, lsn: lsn.rawValue), firstLSN: lsn)
            scheduler.add(store, for: ShardID(UInt32(number)))
        }
        scheduler.recycle(below: LSN(30))
        while flushed.withLock({ $0.count }) < 2 { usleep(1000) }
        #expect(flushed.withLock { $0.sorted() } == [ShardID(0), ShardID(1)])
        #expect(stores[2].pinnedLSN == LSN(30))
        scheduler.stop()
    }

    /// A store that can no longer flush is reported once and left alone; the others go on, and draining ends.
    @Test func failureIsReportedOnce() throws {
        let resources = StoreResources.small()
        let outcomes = Mutex<[ShardID: [Bool]]>([:])
        let scheduler = FlushScheduler(resources: resources) { shard, outcome in
            outcomes.withLock { $0[shard, default: []].append((try? outcome.get()) != nil) }
        }
        let stores = try stores(2, resources)
        for (number, store) in stores.enumerated() {
            try store.put([(row(1), [])], mark(1))
            scheduler.add(store, for: ShardID(UInt32(number)))
        }
        stores[0].close()
        scheduler.drain()
        scheduler.drain()
        scheduler.remove(ShardID(0))
        scheduler.remove(ShardID(0))
        scheduler.stop()
        #expect(outcomes.withLock { $0 } == [ShardID(0): [false], ShardID(1): [true]])
    }
}
