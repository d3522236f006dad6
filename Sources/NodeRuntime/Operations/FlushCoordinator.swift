import LogFiles
import LogFormat
import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import Primitives
import RocksStore

/// Decides when shards flush their memtables, and tells the log what that lets it recycle.
///
/// RocksDB would flush each shard by its own rule; with one log and one memory budget for all of them, only the node
/// knows which flush helps: the largest memtable when the budget is used up, the shard that pins the oldest segment
/// when the log grows (DESIGN §6, §7). It looks every ``period`` and keeps at most ``flushesMax`` running.
final class FlushCoordinator: Sendable {
    static let period = TimeAmount.milliseconds(50)
    static let flushesMax = 2

    private let table: ShardTable
    private let resources: StoreResources
    private let log: NodeLog
    private let pool: NIOThreadPool
    private let logger: Logger
    private let state = NIOLockedValueBox(State())
    private let storeFailed: @Sendable (ShardID, String) -> Void

    private struct State {
        var running: Set<ShardID> = []
        var flushes = 0
    }

    init(
        table: ShardTable, resources: StoreResources, log: NodeLog, pool: NIOThreadPool, logger: Logger,
        storeFailed: @escaping @Sendable (ShardID, String) -> Void
    ) {
        self.table = table
        self.resources = resources
        self.log = log
        self.pool = pool
        self.logger = logger
        self.storeFailed = storeFailed
    }

    func start(on loop: any EventLoop) -> RepeatedTask {
        loop.scheduleRepeatedTask(initialDelay: Self.period, delay: Self.period) { _ in self.look() }
    }

    var flushCount: Int { state.withLockedValue { $0.flushes } }

    /// Bytes that would have to be replayed or are held in memtables, over all shards.
    var unflushedBytes: Int { table.hosts.reduce(0) { $0 + $1.store.unflushedBytes } }

    private func look() {
        let hosts = table.hosts
        let running = state.withLockedValue { $0.running }
        guard running.count < Self.flushesMax else { return }
        let candidates = hosts.filter { !running.contains($0.shard) }.map {
            FlushPlan.Candidate(shard: $0.shard, unflushedBytes: $0.store.unflushedBytes)
        }
        let wanted = FlushPlan.choose(
            candidates, budgetBytes: resources.budget.flushTriggerBytes, pinning: log.shardsPinningLog(),
            atMost: Self.flushesMax - running.count)
        for shard in wanted { flush(shard) }
    }

    private func flush(_ shard: ShardID) {
        guard case .served(let host) = table[shard] else { return }
        state.withLockedValue { _ = $0.running.insert(shard) }
        pool.submit { [self] state in
            if state == .active { flushNow(host) }
            self.state.withLockedValue {
                $0.running.remove(shard)
                $0.flushes += 1
            }
        }
    }

    /// Blocks until the shard's memtable is on disk, and says so to the log.
    @discardableResult
    func flushNow(_ host: ShardHost) -> Bool {
        do {
            let durable = try host.store.flush()
            log.flushed([
                DurableMark(shard: host.shard, epoch: durable.epoch, position: durable.position, lsn: durable.lsn)
            ])
            return true
        } catch {
            logger.error("a flush failed", metadata: ["shard": "\(host.shard)", "reason": "\(error)"])
            storeFailed(host.shard, "\(error)")
            return false
        }
    }
}
