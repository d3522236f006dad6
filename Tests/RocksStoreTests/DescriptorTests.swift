import Glibc
import Primitives
import RocksStore
import Synchronization
import Testing

/// What this process has open in a directory.
private func openFiles(in directory: String) -> [String] {
    names(in: "/proc/self/fd").compactMap { name in
        var target = [CChar](repeating: 0, count: 4096)
        let count = readlink("/proc/self/fd/" + name, &target, target.count - 1)
        guard count > 0 else { return nil }
        let path = String(decoding: target[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return path.hasPrefix(directory + "/") || path == directory ? path : nil
    }
}

@Suite struct DescriptorTests {
    let temporary = TemporaryDirectory()

    @Test func anIdleStoreHoldsNoMoreThanItSays() throws {
        let store = try ShardStore.new(temporary.child("a"))
        #expect(openFiles(in: temporary.path).count == StoreResources.descriptorsPerIdleStore)
        #expect(names(in: temporary.child("a")).filter { $0.hasPrefix("LOG") }.isEmpty)
        store.close()
        #expect(openFiles(in: temporary.path).isEmpty)
    }

    /// Few tables stay open, however many there are.
    @Test(arguments: [Limits.tablesOpenMin, 12]) func tablesStayWithinTheirNumber(limit: Int) throws {
        var configuration = StoreResources.Configuration()
        configuration.memoryBytes = Limits.memoryBytesMin
        configuration.tablesOpenPerStore = limit
        let resources = StoreResources(configuration)
        let store = try ShardStore.open(directory: temporary.child("a"), resources: resources, create: true)
        for number in 0..<40 {
            try store.put([(row(number), bytes("\(number)"))], mark(UInt64(number) + 1))
            try store.flush()
        }
        #expect(try store.allRows().count == 40)
        // What a compaction has open while it runs comes on top.
        var open = 0
        for _ in 0..<200 {
            open = openFiles(in: temporary.path).count
            if open <= limit + StoreResources.descriptorsPerIdleStore { break }
            usleep(10_000)
        }
        #expect(open <= limit + StoreResources.descriptorsPerIdleStore)
        store.close()
    }

    /// A flush without a descriptor fails, keeps everything in memory, and is made good later; rows that could not be
    /// written meanwhile can be written then. In a process of its own, since the limit is the process's.
    @Test func aFlushWithoutDescriptorsIsMadeGoodLater() async {
        await #expect(processExitsWith: .success) {
            let temporary = TemporaryDirectory()
            let store = try ShardStore.new(temporary.child("a"))
            try store.put([(row(1), bytes("one"))], mark(1))
            var limit = rlimit(rlim_cur: 64, rlim_max: 64)
            setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
            var taken: [Int32] = []
            while true {
                let descriptor = open("/dev/null", O_RDONLY)
                if descriptor < 0 { break }
                taken.append(descriptor)
            }
            do {
                try store.flush()
                exit(10)
            } catch StoreError.noDescriptors {
                guard store.trouble == .noDescriptors, store.pinnedLSN == LSN(1) else { exit(11) }
            }
            guard try store.read(row: row(1), from: .disk) == .found(bytes("one")) else { exit(12) }
            do {
                try store.put([(row(2), bytes("two"))], mark(2))
                exit(13)
            } catch let error as StoreError {
                guard error.passes, store.applied == mark(1) else { exit(14) }
            }
            for descriptor in taken { close(descriptor) }
            guard try store.flush() == mark(1), store.trouble == .none else { exit(15) }
            try store.put([(row(2), bytes("two"))], mark(2))
            try store.flush()
            store.close()
            let again = try ShardStore.open(directory: temporary.child("a"), resources: .small(), create: false)
            guard again.appliedAtOpen == mark(2), try again.allRows().count == 2 else { exit(16) }
        }
    }

    /// The scheduler tries again by itself, tells of each try, and a drain does not wait for what cannot be done.
    @Test func theSchedulerTriesAgain() async {
        await #expect(processExitsWith: .success) {
            let temporary = TemporaryDirectory()
            let resources = StoreResources.small()
            let outcomes = Outcomes()
            let scheduler = FlushScheduler(resources: resources) { _, outcome in outcomes.note(outcome) }
            let store = try ShardStore.open(directory: temporary.child("a"), resources: resources, create: true)
            scheduler.add(store, for: ShardID(0))
            try store.put([(row(1), bytes("one"))], mark(1))
            var limit = rlimit(rlim_cur: 64, rlim_max: 64)
            setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
            var taken: [Int32] = []
            while true {
                let descriptor = open("/dev/null", O_RDONLY)
                if descriptor < 0 { break }
                taken.append(descriptor)
            }
            scheduler.drain()
            // The observer hears of it after the drain may have ended.
            for _ in 0..<1000 where outcomes.failures == 0 { usleep(10_000) }
            guard store.pinnedLSN != nil, outcomes.failures > 0 else { exit(10) }
            for descriptor in taken { close(descriptor) }
            for _ in 0..<1000 where store.pinnedLSN != nil { usleep(10_000) }
            guard store.pinnedLSN == nil, store.trouble == .none, outcomes.successes == 1 else { exit(11) }
            scheduler.stop()
        }
    }
}

private final class Outcomes: Sendable {
    private let counts = Mutex((successes: 0, failures: 0))

    var successes: Int { counts.withLock { $0.successes } }
    var failures: Int { counts.withLock { $0.failures } }

    func note(_ outcome: Result<AppliedState, StoreError>) {
        counts.withLock { counts in
            switch outcome {
            case .success: counts.successes += 1
            case .failure: counts.failures += 1
            }
        }
    }
}
