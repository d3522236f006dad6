import Primitives

/// Shard → small index, by array: shard ids are dense and small, and this is looked up for every batch.
struct ShardSlots: Sendable {
    private var slots: [Int32] = []

    subscript(shard: ShardID) -> Int? {
        get {
            let index = Int(shard.rawValue)
            guard index < slots.count, slots[index] >= 0 else { return nil }
            return Int(slots[index])
        }
        set {
            let index = Int(shard.rawValue)
            precondition(index < Limits.shardsMax, "shard \(shard) is within the ring")
            if index >= slots.count { slots.append(contentsOf: repeatElement(-1, count: index + 1 - slots.count)) }
            slots[index] = newValue.map { Int32($0) } ?? -1
        }
    }
}
