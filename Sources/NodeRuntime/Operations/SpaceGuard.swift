import Glibc
import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import Primitives

/// Stops writes before the disk is full, and lets them go on by itself when there is space again. Reads are not
/// touched. Any thread.
final class SpaceGuard: Sendable {
    static let period = TimeAmount.milliseconds(250)

    private let path: String
    private let ballast: Ballast
    private let unflushedBytes: @Sendable () -> Int
    private let storesWait: @Sendable () -> Bool
    private let changed: @Sendable (_ isFull: Bool) -> Void
    private let logger: Logger
    private let full = NIOLockedValueBox(false)

    /// - Parameters:
    ///   - unflushedBytes: what the stores have in memory alone.
    ///   - storesWait: some store was stopped for lack of space.
    ///   - changed: the disk has become full, or is no more.
    init(
        path: String, ballast: Ballast, logger: Logger, unflushedBytes: @escaping @Sendable () -> Int,
        storesWait: @escaping @Sendable () -> Bool, changed: @escaping @Sendable (_ isFull: Bool) -> Void
    ) {
        self.path = path
        self.ballast = ballast
        self.logger = logger
        self.unflushedBytes = unflushedBytes
        self.storesWait = storesWait
        self.changed = changed
    }

    /// Writes are refused with 507.
    var isFull: Bool { full.withLockedValue { $0 } }

    /// - Parameter pool: for what may wait for the disk.
    func start(on loop: any EventLoop, pool: NIOThreadPool) -> RepeatedTask {
        loop.scheduleRepeatedTask(initialDelay: .zero, delay: Self.period) { _ in
            self.look()
            if !self.isFull, !self.ballast.isWhole { pool.submit { _ in self.ballast.keep() } }
        }
    }

    /// What this process could still write to the file system of `path`.
    static func free(of path: String) -> FreeSpace? {
        var facts = statvfs()
        guard statvfs(path, &facts) == 0 else { return nil }
        return FreeSpace(
            bytes: Int(clamping: facts.f_bavail) * Int(clamping: facts.f_frsize),
            files: facts.f_files == 0 ? nil : Int(clamping: facts.f_favail))
    }

    func look() {
        let free = Self.free(of: path)
        let (unflushed, waits) = (unflushedBytes(), storesWait())
        let (wasFull, isFull) = full.withLockedValue { full in
            let was = full
            full = SpaceDecision.isFull(wasFull: was, free: free, unflushedBytes: unflushed, storesWait: waits)
            return (was, full)
        }
        guard isFull != wasFull else { return }
        changed(isFull)
        let bytes = free.map { "\($0.bytes)" } ?? "unknown"
        if isFull {
            logger.error(
                "the disk is full: writes are refused until there is space",
                metadata: ["free-bytes": "\(bytes)", "needed-bytes": "\(SpaceDecision.neededBytes(unflushed))"])
        } else {
            logger.notice("there is space again: writes go on", metadata: ["free-bytes": "\(bytes)"])
        }
    }
}
