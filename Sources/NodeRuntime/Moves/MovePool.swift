import CPosixShims
import NIOPosix

/// The threads that copy shards and put them away. They are their own, so that no read waits behind a copy, and yield
/// to the threads that callers wait for. Any thread may call.
struct MovePool: Sendable {
    private let threads = NIOThreadPool(numberOfThreads: threadCount)

    private static let threadCount = 3
    /// Beside a thread of ordinary priority that is busy, such a one gets a tenth.
    private static let niceness: Int32 = 10

    init() { threads.start() }

    /// Runs `work`, which may block.
    func submit(_ work: @escaping @Sendable () -> Void) {
        threads.submit { _ in
            ks_set_niceness(Self.niceness)
            work()
        }
    }

    /// Runs what has been submitted, and nothing after it.
    func shutdown() async throws { try await threads.shutdownGracefully() }
}
