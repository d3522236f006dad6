import Logging
import NIOConcurrencyHelpers
import NIOCore
import Primitives
import RocksStore

/// Reads the tables of one shard after the other again, sum by sum, so that rot is found before somebody needs the row,
/// and while there may still be another copy of it (rule W12). A hit is named in the log and in the shard's state; the
/// shard serves on, and reads of the row itself are refused.
///
/// What is not in tables yet, and the log, is read whole by the next start. Any thread.
final class Scrubber: Sendable {
    private struct Round {
        var next = 0
        var isUnderWay = false
        var isStopped = false
    }

    private let table: ShardTable
    private let pool: MovePool
    private let logger: Logger
    private let round = NIOLockedValueBox(Round())

    private static let period = TimeAmount.seconds(Int64(Limits.scrubSeconds))

    /// - Parameter pool: its threads yield to those that callers wait for.
    init(table: ShardTable, pool: MovePool, logger: Logger) {
        self.table = table
        self.pool = pool
        self.logger = logger
    }

    func start(on loop: any EventLoop) -> RepeatedTask {
        loop.scheduleRepeatedTask(initialDelay: Self.period, delay: Self.period) { _ in self.begin() }
    }

    /// What is under way ends soon, and nothing begins any more.
    func stop() { round.withLockedValue { $0.isStopped = true } }

    private var isStopped: Bool { round.withLockedValue { $0.isStopped } }

    /// One at a time: a large shard may take longer than a period.
    private func begin() {
        guard let host = nextHost() else { return }
        pool.submit {
            self.scrub(host)
            self.round.withLockedValue { $0.isUnderWay = false }
        }
    }

    private func nextHost() -> ShardHost? {
        let hosts = table.hosts.filter(\.isServing)
        return round.withLockedValue { round in
            guard !round.isUnderWay, !round.isStopped, !hosts.isEmpty else { return nil }
            let host = hosts[round.next % hosts.count]
            round.next = round.next % hosts.count + 1
            round.isUnderWay = true
            return host
        }
    }

    /// Blocks on the disk.
    func scrub(_ host: ShardHost) {
        do throws(StoreError) {
            try host.store.verifyChecksums { host.isServing && !isStopped }
        } catch .corruption(let file, let detail) {
            // The file that was read is a link beside the store's own of that name, and is gone by now.
            let name = file?.split(separator: "/").last.map { "/\($0)" } ?? ""
            let reason = "a scrub of shard \(host.shard) found damage in \(host.store.directory)\(name)"
            host.noteDamage(reason)
            logger.error(
                "a table is damaged",
                metadata: ["shard": "\(host.shard)", "reason": "\(reason)", "detail": "\(detail)"])
        } catch {
            // The shard has gone meanwhile, or the disk is full: the next round sees.
            logger.debug("a scrub did not end", metadata: ["shard": "\(host.shard)", "reason": "\(error)"])
        }
    }
}
