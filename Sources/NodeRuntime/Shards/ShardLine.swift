import Entities
import HTTPFront
import LogFormat
import Primitives
import RocksStore
import ShardCore

/// One shard's machine and what goes with it, on its event loop. A class, so that the machine is changed in place.
final class ShardLine {
    let host: ShardHost
    let rows: CachedRows
    var machine: ShardMachine
    var tickets = TicketTable()
    var isDirty = false
    private var batch = StoreBatch()

    init(host: ShardHost, settings: ShardMachine.Settings) {
        self.host = host
        rows = CachedRows(store: host.store)
        machine = ShardMachine(
            shard: host.shard, epoch: host.epoch, applied: host.appliedPosition, settings: settings)
    }

    /// Writes committed effects and the position they bring the shard to, as one batch.
    func write(_ group: CommitGroup, lsn: LSN, now: Timestamp) throws(StoreError) {
        batch.clear()
        for effect in group.effects { batch.put(effect) }
        batch.put(clock: now)
        try host.store.apply(
            &batch, applied: AppliedState(epoch: group.epoch, position: group.through, lsn: lsn))
    }
}

/// Where the answers of a shard's operations go, by ticket. Slots are used again, so it stays as small as the queue.
struct TicketTable {
    private var targets: [ReplyTarget?] = []
    private var free: [Int] = []

    mutating func insert(_ target: ReplyTarget) -> Ticket {
        if let slot = free.popLast() {
            targets[slot] = target
            return Ticket(slot)
        }
        targets.append(target)
        return Ticket(targets.count - 1)
    }

    mutating func remove(_ ticket: Ticket) -> ReplyTarget {
        guard let target = targets[Int(ticket)] else {
            preconditionFailure("ticket \(ticket) is answered twice")
        }
        targets[Int(ticket)] = nil
        free.append(Int(ticket))
        return target
    }
}
