import LogFormat
import Primitives

/// Follows every shard's positions through the log, in LSN order, and proves shard by shard that nothing is missing.
///
/// A stretch of unreadable records is a *gap*. A shard has lost nothing in it if what follows says so: its next record
/// has the next position, a position table names no later one, or its store has applied records beyond the gap. Where a
/// gap's records are all accounted for by the shards that have holes in their positions, the others lost nothing
/// either.
struct RecoveryLedger: Sendable {
    /// Records that cannot be read and whose shards are unknown.
    private struct Gap: Sendable {
        let damage: LogDamage
        /// Missing positions that shards were found to have across this gap and no other.
        var accounted: UInt64 = 0

        var missing: UInt64 { damage.lastLSN.rawValue - damage.firstLSN.rawValue + 1 }
    }

    struct Shard: Sendable {
        let applied: AppliedMark
        /// The first position that neither the store nor the log, so far, has.
        var next: Position
        var epoch: Epoch
        /// The shard's last record or table entry in the log.
        var lastSeen: DurableMark?
        /// Gaps before this one are settled for the shard.
        var settledGaps = 0
        /// The newest table says that the shard is quarantined.
        var isFlagged = false
        var quarantine: QuarantinedShard?

        /// The furthest record that is known to have existed.
        var last: DurableMark {
            let mark = DurableMark(
                shard: applied.shard, epoch: applied.epoch, position: applied.position, lsn: applied.lsn)
            guard let lastSeen, lastSeen.position > applied.position else { return mark }
            return lastSeen
        }
    }

    private var slots = ShardSlots()
    /// In ascending order of shard.
    private(set) var shards: [Shard] = []
    private var gaps: [Gap] = []
    private(set) var damage: [LogDamage] = []
    /// A read position for reports.
    private var place: (segment: UInt64, offset: Int) = (0, 0)

    init(applied: [AppliedMark]) {
        for mark in applied.sorted(by: { $0.shard < $1.shard }) {
            precondition(slots[mark.shard] == nil, "one mark a shard")
            slots[mark.shard] = shards.count
            shards.append(Shard(applied: mark, next: mark.position.next, epoch: mark.epoch))
        }
    }

    func slot(of shard: ShardID) -> Int? { slots[shard] }

    func isHealthy(_ slot: Int) -> Bool { shards[slot].quarantine == nil }

    // MARK: What the scan finds

    /// A valid record that takes a position.
    mutating func found(_ header: RecordHeader, segment: UInt64, offset: Int) {
        guard let slot = slots[header.shard] else { return }
        place = (segment, offset)
        settle(slot, holeBefore: header.position)
        let mark = DurableMark(
            shard: header.shard, epoch: header.epoch, position: header.position, lsn: header.lsn)
        defer { shards[slot].lastSeen = mark }
        guard header.position > shards[slot].applied.position else { return }
        guard header.position >= shards[slot].next, header.epoch >= shards[slot].epoch else {
            return quarantine(slot, .outOfOrder, found: header.position)
        }
        if header.position > shards[slot].next { quarantine(slot, .recordsLost, found: header.position) }
        shards[slot].next = header.position.next
        shards[slot].epoch = header.epoch
    }

    /// A valid opening or seal.
    mutating func found(_ table: PositionTable, segment: UInt64, offset: Int) {
        place = (segment, offset)
        for entry in table.entries {
            guard let slot = slots[entry.last.shard] else { continue }
            settle(slot, holeBefore: entry.last.position.next)
            shards[slot].isFlagged = entry.isQuarantined
            if entry.last.position >= shards[slot].next {
                quarantine(slot, .recordsLost, found: entry.last.position)
                shards[slot].next = entry.last.position.next
            }
            if entry.last.position > (shards[slot].lastSeen?.position ?? .zero) { shards[slot].lastSeen = entry.last }
        }
    }

    /// Durable records that cannot be read. `header` is the one record's, where it is whole: then only its shard is
    /// concerned.
    mutating func lost(_ damage: LogDamage, header: RecordHeader?) {
        self.damage.append(damage)
        guard let header else { return gaps.append(Gap(damage: damage)) }
        place = (damage.segment, damage.offset)
        guard header.type?.takesPosition ?? false, let slot = slots[header.shard] else { return }
        settle(slot, holeBefore: header.position)
        shards[slot].lastSeen = DurableMark(
            shard: header.shard, epoch: header.epoch, position: header.position, lsn: header.lsn)
        guard header.position >= shards[slot].next else { return }
        quarantine(slot, .recordsLost, found: nil)
        shards[slot].next = header.position.next
    }

    /// Settles the gaps so far for a shard whose next known position in the log is `position`: whatever it lost in them
    /// shows as a hole before it.
    private mutating func settle(_ slot: Int, holeBefore position: Position) {
        let open = shards[slot].settledGaps..<gaps.count
        shards[slot].settledGaps = gaps.count
        guard open.count == 1, let seen = shards[slot].lastSeen?.position, position > seen.next else { return }
        gaps[open.lowerBound].accounted += position.rawValue - seen.next.rawValue
    }

    mutating func quarantine(_ slot: Int, _ reason: QuarantinedShard.Reason, found: Position?) {
        guard shards[slot].quarantine == nil else { return }
        shards[slot].quarantine = QuarantinedShard(
            shard: shards[slot].applied.shard, reason: reason, segment: place.segment, offset: place.offset,
            expected: shards[slot].next, found: found)
    }

    // MARK: The end

    /// Nothing follows: what is not proven by now is not proven.
    mutating func conclude() {
        for slot in shards.indices {
            for gap in gaps[shards[slot].settledGaps...] {
                let isAccounted = gap.accounted >= gap.missing
                let isApplied = shards[slot].applied.lsn >= gap.damage.lastLSN
                if isAccounted || isApplied { continue }
                place = (gap.damage.segment, gap.damage.offset)
                quarantine(slot, .completenessUnproven, found: nil)
            }
            if shards[slot].isFlagged { quarantine(slot, .quarantinedBefore, found: nil) }
        }
    }

    /// Every shard's last record so far.
    var lastMarks: [DurableMark] { shards.map(\.last) }

    /// What the new segment's opening says, with `marks` of ``lastMarks``, taken at its place in the log.
    func table(_ marks: [DurableMark]) -> PositionTable {
        PositionTable(
            entries: zip(marks, shards).map { .init(last: $0, isQuarantined: $1.quarantine != nil) })
    }

    var quarantined: [QuarantinedShard] { shards.compactMap(\.quarantine) }
}
