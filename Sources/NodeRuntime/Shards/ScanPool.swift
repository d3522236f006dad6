import CPosixShims
import Entities
import Glibc
import NIOPosix
import Primitives
import Serving

/// The threads that look for the entities of lists, and read and write long texts. They are their own, so that no read
/// of an entity waits behind a list, and yield to the threads that callers of entities wait for. Any thread may call.
///
/// A scan runs in short turns, and queues behind the others after each, so that a list of a rare kind holds up none.
final class ScanPool: Sendable {
    private let threads: NIOThreadPool
    private let lister: Lister

    /// Scans are bounded by the processor or by one device: more threads only take both from others.
    private static let threadCount = 2
    /// Beside a thread of ordinary priority that is busy, such a one gets a tenth.
    private static let niceness: Int32 = 10

    enum Outcome: Sendable {
        case page(ListPage)
        /// Some shard is not this node's, or is just being given away, and nothing was listed.
        case notHere
        case refused(ListDesk.Refusal)
    }

    /// Of the records of a page, before its last one, and of its text.
    var pageBytesMax: Int { lister.pageBytesMax }

    init(lister: Lister) {
        self.lister = lister
        threads = NIOThreadPool(numberOfThreads: Self.threadCount)
        threads.start()
    }

    /// Makes the page that `scan` describes, or what of it can be found in `Limits.listScanSecondsMax`.
    ///
    /// - Parameter done: called once, on a thread of the pool, which it must not hold.
    func run(_ scan: RangeScan, of life: ListLife, done: @escaping @Sendable (Outcome) -> Void) {
        let end = NodeTime.monotonic().adding(nanoseconds: Limits.listScanSecondsMax * 1_000_000_000)
        run(scan, of: life, until: end, done)
    }

    private func run(
        _ scan: RangeScan, of life: ListLife, until end: MonotonicTime, _ done: @escaping @Sendable (Outcome) -> Void
    ) {
        threads.submit { state in
            guard state == .active else { return done(.refused(.shuttingDown)) }
            if let refusal = life.refusal { return done(.refused(refusal)) }
            ks_set_niceness(Self.niceness)
            var scan = scan
            let turnEnd = NodeTime.monotonic().adding(nanoseconds: Limits.listTurnNanosecondsMax)
            let progress = self.lister.advance(&scan) {
                // Whoever has become ready meanwhile goes first: low priority alone lets a turn run on for a while.
                sched_yield()
                return life.refusal != nil || NodeTime.monotonic() >= turnEnd
            }
            if let refusal = life.refusal { return done(.refused(refusal)) }
            switch progress {
            case .complete: done(.page(scan.page(of: self.lister.table.ring)))
            case .notHere: done(.notHere)
            case .paused:
                guard NodeTime.monotonic() < end else {
                    return done(.page(scan.page(of: self.lister.table.ring)))
                }
                self.run(scan, of: life, until: end, done)
            }
        }
    }

    /// As ``run(_:of:done:)``.
    func run(_ scan: RangeScan, of life: ListLife) async -> Outcome {
        await withCheckedContinuation { continuation in
            run(scan, of: life) { continuation.resume(returning: $0) }
        }
    }

    /// Makes the text of a page, behind the turns of other lists. A page without one is as good.
    func withText(_ page: ListPage, by renderer: any PageRenderer) async -> ListPage {
        await withCheckedContinuation { continuation in
            threads.submit { state in
                guard state == .active else { return continuation.resume(returning: page) }
                ks_set_niceness(Self.niceness)
                var page = page
                renderer.render(&page, textBytesMax: self.pageBytesMax, now: self.lister.time.now()) { sched_yield() }
                continuation.resume(returning: page)
            }
        }
    }

    /// Runs `work`, behind the turns of lists; at once where the pool is shut down.
    func run(_ work: @escaping @Sendable () -> Void) {
        threads.submit { _ in
            ks_set_niceness(Self.niceness)
            work()
        }
    }

    /// Scans that have not ended are refused.
    func shutdown() async throws { try await threads.shutdownGracefully() }
}
