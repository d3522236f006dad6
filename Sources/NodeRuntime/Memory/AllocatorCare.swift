private import CPosixShims
import NIOCore
import NIOPosix
import Primitives
import Synchronization

/// Makes the C allocator give back what is not used any more. By itself it keeps what was freed: callers that have gone
/// would stay in the process' resident memory for ever.
final class AllocatorCare: Sendable {
    private let budget: MemoryBudget
    private let pool: NIOThreadPool
    private let flushCount: @Sendable () -> Int
    private let flushesSeen = Atomic<Int>(0)
    /// Looks that still ask the allocator: what is given back slowly is often below the threshold at its end.
    private let looksLeft = Atomic<Int>(0)

    /// - Parameters:
    ///   - pool: gives a thread that may wait for the allocator's locks.
    ///   - flushCount: of all stores: each flush frees a memtable.
    init(budget: MemoryBudget, pool: NIOThreadPool, flushCount: @escaping @Sendable () -> Int) {
        self.budget = budget
        self.pool = pool
        self.flushCount = flushCount
    }

    /// Sets the allocator's own bounds, once for the process, before threads are made.
    static func configure() {
        let arenas = min(max(arenasMin, 2 * System.coreCount), arenasMax)
        ks_allocator_configure(
            Int32(arenas), Limits.allocationMappedBytesMin, Int32(Limits.allocationsMappedMax),
            Limits.allocatorKeptBytesMax)
    }

    /// Few arenas: what one thread has freed another can use only within an arena.
    private static let arenasMin = 4
    private static let arenasMax = 64
    private static let looksAfterFall = 3

    /// Looks every second whether much has been given back since the last time.
    func start(on loop: any EventLoop) -> RepeatedTask {
        let interval = TimeAmount.milliseconds(Limits.allocatorTrimMilliseconds)
        return loop.scheduleRepeatedTask(initialDelay: interval, delay: interval) { _ in self.look() }
    }

    private func look() {
        let flushes = flushCount()
        let isFlushed = flushesSeen.exchange(flushes, ordering: .relaxed) != flushes
        let bytesMin = max(Limits.allocatorTrimBytesMin, budget.bounds.capacityBytes / 8)
        if budget.takeFall(ofAtLeast: bytesMin) || isFlushed {
            looksLeft.store(Self.looksAfterFall, ordering: .relaxed)
        }
        guard looksLeft.load(ordering: .relaxed) > 0 else { return }
        looksLeft.subtract(1, ordering: .relaxed)
        pool.submit { _ in ks_allocator_trim() }
    }
}
