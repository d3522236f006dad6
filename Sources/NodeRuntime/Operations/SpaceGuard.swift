import Glibc
import LogFiles
import Logging
import NIOConcurrencyHelpers
import NIOCore
import Primitives

/// Stops writes before the disk is full, and lets them go on by itself when there is space again.
///
/// What has been acknowledged must still be flushed and compacted, so writes stop while there is room for that: the
/// memtables and a reserve. Reads are not touched.
final class SpaceGuard: Sendable {
    static let period = TimeAmount.milliseconds(500)
    /// Kept free for compaction and for the files of the log.
    static let reserveBytes = 32 << 20

    private let path: String
    private let unflushedBytes: @Sendable () -> Int
    private let logger: Logger
    private let full = NIOLockedValueBox(false)

    init(path: String, logger: Logger, unflushedBytes: @escaping @Sendable () -> Int) {
        self.path = path
        self.logger = logger
        self.unflushedBytes = unflushedBytes
    }

    /// Writes are refused with 507.
    var isFull: Bool { full.withLockedValue { $0 } }

    func start(on loop: any EventLoop) -> RepeatedTask {
        loop.scheduleRepeatedTask(initialDelay: .zero, delay: Self.period) { _ in self.look() }
    }

    /// Bytes that this process could still write to the data directory's file system.
    static func freeBytes(of path: String) -> Int? {
        var facts = statvfs()
        guard statvfs(path, &facts) == 0 else { return nil }
        return Int(facts.f_bavail) * Int(facts.f_frsize)
    }

    private func look() {
        guard let free = Self.freeBytes(of: path) else { return }
        let needed = Self.reserveBytes + unflushedBytes()
        let wasFull = isFull
        // Twice the reserve to go on again, so that it does not flap at the edge.
        let isFull = wasFull ? free < needed + Self.reserveBytes : free < needed
        guard isFull != wasFull else { return }
        full.withLockedValue { $0 = isFull }
        if isFull {
            logger.error(
                "the disk is full: writes are refused until there is space",
                metadata: ["free-bytes": "\(free)", "needed-bytes": "\(needed)"])
        } else {
            logger.notice("there is space again: writes go on", metadata: ["free-bytes": "\(free)"])
        }
    }
}
