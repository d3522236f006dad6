import Primitives
import Synchronization

/// The one budget of memory for everything that callers and peers make the process hold. Any thread.
///
/// Event loops borrow from it in lumps through their ``Primitives/MemoryAccount``, so that small requests never touch
/// it. Threads that do large work by themselves charge it directly.
final class MemoryBudget: MemoryLender {
    let bounds: MemoryBounds
    private let lent = Atomic<Int>(0)
    /// The most that was lent since the allocator was last looked after.
    private let highest = Atomic<Int>(0)
    private let refused = Atomic<UInt64>(0)

    /// - Parameter loops: how many accounts will borrow from it.
    init(bytes: Int, loops: Int) { bounds = MemoryBounds(capacityBytes: bytes, loops: loops) }

    /// Bytes that are charged or lent to loops now; above the capacity where something had to be held.
    var lentBytes: Int { lent.load(ordering: .relaxed) }

    /// How often there was no room.
    var refusalCount: UInt64 { refused.load(ordering: .relaxed) }

    /// Charges `bytes`, all or nothing. What is charged must be given back by ``giveBack(_:)``, once.
    func charge(_ bytes: Int, as rank: MemoryRank) -> Bool {
        if take(bytes, as: rank) { return true }
        refused.add(1, ordering: .relaxed)
        return false
    }

    /// Charges what is there already and cannot be refused any more.
    func chargeAnyway(_ bytes: Int) { noteHighest(lent.add(bytes, ordering: .relaxed).newValue) }

    private func noteHighest(_ bytes: Int) {
        guard bytes > highest.load(ordering: .relaxed) else { return }
        highest.max(bytes, ordering: .relaxed)
    }

    /// Whether what is lent has fallen by so much from its highest since the last time that this was so.
    func takeFall(ofAtLeast bytes: Int) -> Bool {
        let lent = lentBytes
        guard highest.load(ordering: .relaxed) - lent >= bytes else { return false }
        highest.store(lent, ordering: .relaxed)
        return true
    }

    func giveBack(_ bytes: Int) {
        let left = lent.subtract(bytes, ordering: .relaxed).newValue
        precondition(left >= 0, "a charge is given back once")
    }

    private func take(_ bytes: Int, as rank: MemoryRank) -> Bool {
        let after = lent.add(bytes, ordering: .relaxed).newValue
        if after <= bounds.bytesMax(for: rank) {
            noteHighest(after)
            return true
        }
        lent.subtract(bytes, ordering: .relaxed)
        return false
    }

    /// Lends a loop the better number, or the least; zero where there is room for neither.
    func lend(_ shortfall: (least: Int, better: Int), as rank: MemoryRank) -> Int {
        if take(shortfall.better, as: rank) { return shortfall.better }
        if shortfall.least < shortfall.better, take(shortfall.least, as: rank) { return shortfall.least }
        refused.add(1, ordering: .relaxed)
        return 0
    }
}
