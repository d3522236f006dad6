import CPosixShims
import NIOConcurrencyHelpers
import NIOPosix
import ShardCore

/// The threads that evaluate patches which may take long, so that no loop is held by one. They yield to the threads
/// that callers of other entities wait for. Any thread may call.
final class PatchPool: Sendable {
    private let threads: NIOThreadPool

    /// Beside a thread of ordinary priority that is busy, such a one gets a tenth.
    private static let niceness: Int32 = 10

    /// - Parameter threadCount: one for each event loop is enough, see `Limits.patchJobsMax`.
    init(threadCount: Int) {
        threads = NIOThreadPool(numberOfThreads: threadCount)
        threads.start()
    }

    /// Evaluates `job`.
    ///
    /// - Parameter done: called once, on a thread of the pool, unless the pool is shut down before.
    func run(_ job: consuming PatchJob, done: @escaping @Sendable (PatchResult) -> Void) {
        // Taken out where it runs, so that nobody else holds the state that it changes.
        let box = NIOLockedValueBox<PatchJob?>(job)
        threads.submit { state in
            let job = box.withLockedValue { job in job.take() }
            guard state == .active, let job else { return }
            ks_set_niceness(Self.niceness)
            done(job.run())
        }
    }

    /// Jobs that have not begun are dropped.
    func shutdown() async throws { try await threads.shutdownGracefully() }
}
