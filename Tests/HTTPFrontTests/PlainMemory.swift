import Primitives

/// A budget of memory for one loop.
final class PlainMemory: MemoryLender {
    // SAFETY: it is used on one thread: that of a test's embedded loop, or the loop that it was made for.
    nonisolated(unsafe) private(set) var lent = 0
    let bounds: MemoryBounds

    init(capacity: Int = 1 << 30) { bounds = MemoryBounds(capacityBytes: capacity, loops: 1) }

    func charge(_ bytes: Int, as rank: MemoryRank) -> Bool {
        guard lent + bytes <= bounds.bytesMax(for: rank) else { return false }
        lent += bytes
        return true
    }

    func chargeAnyway(_ bytes: Int) { lent += bytes }
    func giveBack(_ bytes: Int) { lent -= bytes }

    func lend(_ shortfall: (least: Int, better: Int), as rank: MemoryRank) -> Int {
        if charge(shortfall.better, as: rank) { return shortfall.better }
        return charge(shortfall.least, as: rank) ? shortfall.least : 0
    }
}
