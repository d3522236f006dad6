import NIOCore
import Primitives

/// The accounts of a node's event loops with its one budget.
// SAFETY: the array never changes, and each account is used on its own event loop only.
final class LoopMemory: @unchecked Sendable {
    let budget: MemoryBudget
    private let accounts: [(loop: any EventLoop, account: MemoryAccount)]

    /// One account for each loop of `group`.
    init(_ group: any EventLoopGroup, bytes: Int) {
        let loops = Array(group.makeIterator())
        let budget = MemoryBudget(bytes: bytes, loops: loops.count)
        self.budget = budget
        accounts = loops.map { ($0, MemoryAccount(budget)) }
    }

    /// The account of one of the loops.
    func account(of eventLoop: any EventLoop) -> MemoryAccount {
        for (loop, account) in accounts where loop === eventLoop { return account }
        preconditionFailure("an account belongs to a loop of the group")
    }

    /// What is charged now, by use, each loop asked on itself; the rest of what is lent is charged by threads.
    func chargedBytes() async -> [(use: MemoryUse, bytes: Int)] {
        var sums = [Int](repeating: 0, count: MemoryUse.allCases.count)
        for (loop, account) in accounts {
            let one = try? await loop.submit { MemoryUse.allCases.map { account.chargedBytes(for: $0) } }.get()
            for (index, bytes) in (one ?? []).enumerated() { sums[index] += bytes }
        }
        return MemoryUse.allCases.map { ($0, sums[$0.rawValue]) }
    }
}
