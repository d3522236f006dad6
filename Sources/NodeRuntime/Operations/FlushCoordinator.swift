import LogFiles
import LogFormat
import Logging
import NIOConcurrencyHelpers
import NIOCore
import Primitives
import RocksStore

/// Stands between the log and the stores: what a flush makes durable lets the log recycle segments, and what pins the
/// log makes a store flush (Architecture §6, §7).
final class FlushCoordinator: Sendable {
    private static let period = TimeAmount.milliseconds(50)
    /// Between two looks at compaction, which costs more to ask for.
    private static let compactionPeriod = TimeAmount.seconds(1)

    private let table: ShardTable
    private let log: NodeLog
    private let scheduler: FlushScheduler
    private let flushes: NIOLockedValueBox<Int>
    private let resources: StoreResources
    private let compactionIsBehind = NIOLockedValueBox(false)
    private let waiting: WaitingStores

    /// - Parameter storeFailed: a store cannot make anything durable any more (rule W9).
    init(
        table: ShardTable, resources: StoreResources, log: NodeLog, logger: Logger,
        storeFailed: @escaping @Sendable (ShardID, String) -> Void
    ) {
        self.table = table
        self.log = log
        self.resources = resources
        let flushes = NIOLockedValueBox(0)
        self.flushes = flushes
        let waiting = WaitingStores(logger: logger)
        self.waiting = waiting
        scheduler = FlushScheduler(resources: resources) { shard, outcome in
            switch outcome {
            case .success(let mark):
                flushes.withLockedValue { $0 += 1 }
                waiting.goesOn(shard)
                log.flushed([DurableMark(shard: shard, epoch: mark.epoch, position: mark.position, lsn: mark.lsn)])
            case .failure(let error) where error.passes: waiting.waits(shard, error)
            case .failure(let error): storeFailed(shard, "\(error)")
            }
        }
        for host in table.hosts { scheduler.add(host.store, for: host.shard) }
    }

    /// A shard has come.
    func add(_ store: ShardStore, for shard: ShardID) { scheduler.add(store, for: shard) }

    /// A shard goes: blocks until no flush of it is under way; then its store may be closed.
    func remove(_ shard: ShardID) {
        scheduler.remove(shard)
        waiting.goesOn(shard)
    }

    /// A store has refused rows with an error that passes. Any thread.
    func noteWaiting(_ shard: ShardID, _ error: StoreError) { waiting.waits(shard, error) }

    /// Some store was stopped for lack of space, and has not gone on. One atomic load; any thread.
    var storesWaitForSpace: Bool { waiting.forSpace }

    /// The same for lack of file descriptors.
    var storesWaitForDescriptors: Bool { waiting.forDescriptors }

    var flushCount: Int { flushes.withLockedValue { $0 } }

    /// Bytes that only the log makes durable, over all shards.
    var unflushedBytes: Int { table.hosts.reduce(0) { $0 + $1.store.unflushedBytes } }

    /// False while memtables have taken their whole budget, or some store has more sorted runs than reads should look
    /// through: RocksDB never stalls a writer here, so the node must refuse.
    var hasRoomForWrites: Bool { resources.hasRoomForWrites && !compactionIsBehind.withLockedValue { $0 } }

    func start(on loop: any EventLoop) -> [RepeatedTask] {
        [
            loop.scheduleRepeatedTask(initialDelay: Self.period, delay: Self.period) { _ in
                self.flushWhatPinsTheLog()
            },
            loop.scheduleRepeatedTask(initialDelay: Self.compactionPeriod, delay: Self.compactionPeriod) { _ in
                self.lookAtCompaction()
            },
        ]
    }

    /// Flushes, in the background, whatever came from records up to `lsn`: after a crash what was replayed goes to
    /// disk, so that crash after crash does not pile up segments.
    func flushReplayed(through lsn: LSN) { scheduler.recycle(below: lsn.next) }

    private func lookAtCompaction() {
        let isBehind = table.hosts.contains { host in
            ((try? host.store.statistics().sortedRuns) ?? 0) > StoreStatistics.sortedRunsMax
        }
        compactionIsBehind.withLockedValue { $0 = isBehind }
    }

    private func flushWhatPinsTheLog() {
        let pins = log.shardsPinningLog().compactMap { shard -> LSN? in
            guard case .served(let host) = table[shard] else { return nil }
            return host.store.pinnedLSN
        }
        if let newest = pins.max() { scheduler.recycle(below: newest.next) }
    }

    /// Waits until every store has everything on disk, and ends the threads. Blocks.
    func drainAndStop() {
        scheduler.drain()
        scheduler.stop()
    }
}
