import Entities
import LogFormat
import Primitives
import RocksStore
import Serving
import ShardCore

/// One shard's machine and what goes with it, on its event loop. A class, so that the machine is changed in place.
final class ShardLine {
    let host: ShardHost
    let rows: CachedRows
    var machine: ShardMachine
    var tickets = TicketTable()
    var isDirty = false
    /// It is among the lines that wait for the loop's next turn.
    var isUnfinished = false
    /// Its machine wants rows and waits for its turn to fetch them.
    var waitsToFetch = false
    /// Its machine has a patch to evaluate off the loop, and waits for its turn.
    var waitsForJob = false
    /// Its effects wait until the log has less to write, or the memtables have room.
    var waitsForLog = false
    /// When its first effects came that find no room in the memtables.
    var waitsForStoresSince: MonotonicTime?
    /// What of its loop's account its effects are charged.
    private var effectCharge = 0
    /// Follows the shard's commits while it moves away.
    var outbound: OutboundMove?
    /// The log has what the store does not take now, up to this record: it is tried again.
    var heldCommit: LSN?
    private var batch = StoreBatch()
    /// What the row of the shard's clock says.
    private var clockWritten = Timestamp.zero

    /// The row may be this far behind: the log's records know the time between, and a row more in each small batch
    /// costs as much as the entity's own.
    private static let clockLagMillisecondsMax: UInt64 = 1000

    init(host: ShardHost, settings: ShardMachine.Settings) {
        self.host = host
        rows = CachedRows(store: host.store)
        machine = ShardMachine(
            shard: host.shard, epoch: host.epoch, applied: host.appliedPosition, settings: settings)
    }

    /// Charges an operation that is about to be evaluated; false where there is no room. What a patch makes of its
    /// entity is known only then: it is charged as it is made, and the next one finds less room.
    ///
    /// Whatever its size it goes before what is only beginning: else bodies that are still coming would take the room
    /// that those need which are there. A patch, whose size is not known, leaves alone what large charges do.
    func charge(_ work: ShardMachine.Work, to memory: MemoryAccount) -> Bool {
        guard case .write(let operation) = work else { return true }
        let bytes = memory.budget.bounds.clamped(operation.byteCount + Self.effectOverheadBytes)
        var rank = MemoryRank.small
        if case .patch = operation.action { rank = .large }
        guard memory.charge(bytes, for: .effects, as: rank) else { return false }
        effectCharge += bytes
        return true
    }

    /// Brings the charge to what the machine's effects really hold.
    func settleCharge(with memory: MemoryAccount) {
        let change = machine.effectBytes - effectCharge
        if change > 0 {
            memory.chargeAnyway(change, for: .effects)
        } else if change < 0 {
            memory.refund(-change, of: .effects)
        }
        effectCharge = machine.effectBytes
    }

    private static let effectOverheadBytes = 512

    /// Effects have found no room in the memtables: whether they may wait on, since the first that found none.
    func mayWaitForStores() -> Bool {
        let now = NodeTime.monotonic()
        let since = waitsForStoresSince ?? now
        waitsForStoresSince = since
        return now < since.adding(nanoseconds: Limits.queueAgeMillisecondsMax * 1_000_000)
    }

    /// Writes committed effects and the position they bring the shard to, as one batch.
    func write(_ group: CommitGroup, lsn: LSN, now: Timestamp) throws(StoreError) {
        batch.clear()
        for effect in group.effects { batch.put(effect) }
        let writesClock = now.milliseconds >= clockWritten.milliseconds + Self.clockLagMillisecondsMax
        if writesClock { batch.put(clock: now) }
        try host.store.apply(
            &batch, applied: AppliedState(epoch: group.epoch, position: group.through, lsn: lsn))
        if writesClock { clockWritten = now }
    }
}

/// Where the answers of a shard's operations go, by ticket. Slots are used again, so it stays as small as the queue.
struct TicketTable {
    struct Entry {
        let target: ReplyTarget
        let time: MonotonicTime
        let origin: Arrival.Origin
        /// Of a large answer that is to be expected.
        var hold: MemoryHold?

        /// The request as it arrived, to go to another owner.
        func arrival(_ shard: ShardID, _ work: ShardMachine.Work) -> Arrival {
            Arrival(shard: shard, work: work, target: target, time: time, origin: origin)
        }
    }

    private var entries: [Entry?] = []
    private var free: [Int] = []

    mutating func insert(_ entry: Entry) -> Ticket {
        if let slot = free.popLast() {
            entries[slot] = entry
            return Ticket(slot)
        }
        entries.append(entry)
        return Ticket(entries.count - 1)
    }

    mutating func remove(_ ticket: Ticket) -> Entry {
        guard let entry = entries[Int(ticket)] else {
            preconditionFailure("ticket \(ticket) is answered twice")
        }
        entries[Int(ticket)] = nil
        free.append(Int(ticket))
        return entry
    }
}
