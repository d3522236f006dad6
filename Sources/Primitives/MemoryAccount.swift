/// A budget of memory that loops borrow from and threads charge directly. Any thread.
public protocol MemoryLender: AnyObject, Sendable {
    var bounds: MemoryBounds { get }

    /// Charges `bytes`, all or nothing. What is charged must be given back by ``giveBack(_:)``, once.
    func charge(_ bytes: Int, as rank: MemoryRank) -> Bool

    /// Charges what is there already and cannot be refused any more.
    func chargeAnyway(_ bytes: Int)

    func giveBack(_ bytes: Int)

    /// Lends a loop the better number, or the least; zero where there is room for neither.
    func lend(_ shortfall: (least: Int, better: Int), as rank: MemoryRank) -> Int
}

/// One event loop's account with the process' budget: what the connections and shards of that loop hold, by use.
///
/// Charges are numbers that their holder must refund, once each. A charge or refund that the loop's own lump covers
/// touches no memory that other loops use.
// SAFETY: everything but `budget`, which never changes, is touched on the account's event loop only.
public final class MemoryAccount: @unchecked Sendable {
    public let budget: any MemoryLender
    private var ledger: MemoryLedger
    private var uses: [7 of Int] = .init(repeating: 0)

    public init(_ budget: any MemoryLender) {
        precondition(MemoryUse.allCases.count == 7, "each use has its number")
        self.budget = budget
        ledger = MemoryLedger(lumpBytes: budget.bounds.lumpBytes)
    }

    /// All that is charged, and for one use.
    public var chargedBytes: Int { ledger.charged }
    public func chargedBytes(for use: MemoryUse) -> Int { uses[use.rawValue] }

    /// Charges `bytes` before they are allocated; false where there is no room, and then nothing is charged.
    @inline(__always)
    public func charge(_ bytes: Int, for use: MemoryUse, as rank: MemoryRank) -> Bool {
        let shortfall = ledger.shortfall(of: bytes)
        if shortfall.least > 0 {
            let lent = budget.lend(shortfall, as: rank)
            guard lent > 0 else { return false }
            ledger.borrow(lent)
        }
        ledger.charge(bytes)
        uses[use.rawValue] += bytes
        return true
    }

    /// Charges what is there already and cannot be refused any more. What comes next is refused instead.
    @inline(__always)
    public func chargeAnyway(_ bytes: Int, for use: MemoryUse) {
        let shortfall = ledger.shortfall(of: bytes)
        if shortfall.least > 0 {
            budget.chargeAnyway(shortfall.least)
            ledger.borrow(shortfall.least)
        }
        ledger.charge(bytes)
        uses[use.rawValue] += bytes
    }

    @inline(__always)
    public func refund(_ bytes: Int, of use: MemoryUse) {
        precondition(bytes <= uses[use.rawValue], "a charge is refunded for the use that it was made for")
        uses[use.rawValue] -= bytes
        let back = ledger.refund(bytes)
        if back > 0 { budget.giveBack(back) }
    }

    /// A charge goes from one use to another.
    @inline(__always)
    public func move(_ bytes: Int, from old: MemoryUse, to new: MemoryUse) {
        precondition(bytes <= uses[old.rawValue], "a charge is moved from the use that it was made for")
        uses[old.rawValue] -= bytes
        uses[new.rawValue] += bytes
    }
}

/// A charge of a thread's own work on the budget, given back exactly once.
public struct MemoryHold: Sendable {
    private let budget: any MemoryLender
    public private(set) var bytes: Int

    /// `nil` where there is no room.
    public init?(_ bytes: Int, of budget: any MemoryLender, as rank: MemoryRank) {
        let counted = budget.bounds.clamped(bytes)
        guard budget.charge(counted, as: rank) else { return nil }
        self.budget = budget
        self.bytes = counted
    }

    /// It is known by now that no more than this is held.
    public mutating func shrink(to bytes: Int) {
        guard bytes < self.bytes else { return }
        budget.giveBack(self.bytes - bytes)
        self.bytes = bytes
    }

    public func giveBack() { budget.giveBack(bytes) }
}
