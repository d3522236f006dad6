import LogFormat
import Primitives

/// What the running log knows of each shard of the node.
struct ShardBook: Sendable {
    struct Shard: Sendable {
        /// The last record that was accepted; the next batch must follow it.
        var enqueued: Position
        var enqueuedEpoch: Epoch
        /// The last record built into a group.
        var last: DurableMark
        /// The store needs nothing of the log up to here.
        var flushed: Position
        var isQuarantined: Bool
        /// Where its entry stands in the open segment's entries.
        var segmentEntry: Int?
        /// Where its mark stands among the marks of the group being built.
        var groupMark: Int?
    }

    private var slots = ShardSlots()
    /// By slot; the slot of a released shard is `nil` and free.
    private var shards: [Shard?] = []
    /// Slots in ascending order of shard.
    private var order: [Int] = []

    init(_ starts: [ShardStart]) {
        for start in starts {
            insert(start.last, flushed: start.flushedPosition, isQuarantined: start.isQuarantined)
        }
    }

    var count: Int { order.count }

    func slot(of shard: ShardID) -> Int? { slots[shard] }

    subscript(slot: Int) -> Shard {
        get {
            guard let shard = shards[slot] else { preconditionFailure("slot \(slot) holds a shard") }
            return shard
        }
        _modify {
            precondition(shards[slot] != nil, "slot \(slot) holds a shard")
            yield &shards[slot]!
        }
    }

    /// Takes the shard in, anew where it was known.
    mutating func insert(_ last: DurableMark, flushed: Position, isQuarantined: Bool) {
        let shard = Shard(
            enqueued: last.position, enqueuedEpoch: last.epoch, last: last, flushed: flushed,
            isQuarantined: isQuarantined)
        if let slot = slots[last.shard] {
            shards[slot] = shard
            return
        }
        let slot = shards.firstIndex { $0 == nil } ?? shards.count
        if slot == shards.count { shards.append(shard) } else { shards[slot] = shard }
        slots[last.shard] = slot
        let place = order.firstIndex { self[$0].last.shard > last.shard } ?? order.count
        order.insert(slot, at: place)
    }

    mutating func remove(_ shard: ShardID) {
        guard let slot = slots[shard] else { return }
        slots[shard] = nil
        shards[slot] = nil
        order.removeAll { $0 == slot }
    }

    /// A new segment or group begins: no shard has an entry or mark in it.
    mutating func forgetSegmentEntries() {
        for slot in order { self[slot].segmentEntry = nil }
    }

    mutating func forgetGroupMarks() {
        for slot in order { self[slot].groupMark = nil }
    }

    /// Every shard's last built record.
    var table: PositionTable {
        PositionTable(
            entries: order.map { slot in
                let shard = self[slot]
                return PositionTable.Entry(last: shard.last, isQuarantined: shard.isQuarantined)
            })
    }

    /// Whether the shard's store may still need this entry's records. A released shard needs nothing; a quarantined one
    /// cannot use them (its segments are kept as evidence instead).
    func needs(_ entry: SegmentEntry, mutants: Mutants) -> Bool {
        guard let slot = slots[entry.shard] else { return false }
        let shard = self[slot]
        if shard.isQuarantined { return false }
        if mutants.has(.recycleByAppliedNotFlushed) { return shard.last.position < entry.lastPosition }
        return shard.flushed < entry.lastPosition
    }
}
