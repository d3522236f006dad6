import NIOConcurrencyHelpers
import NIOCore
import Primitives

/// A budget of memory for the loops of a group, and their accounts.
final class PlainMemory: MemoryLender {
    private let held = NIOLockedValueBox(0)
    private let accounts = NIOLockedValueBox<[ObjectIdentifier: MemoryAccount]>([:])
    let bounds: MemoryBounds

    init(capacity: Int = 1 << 30) { bounds = MemoryBounds(capacityBytes: capacity, loops: 1) }

    /// What is charged, each loop asked on itself.
    func charged(_ group: any EventLoopGroup) async throws -> Int {
        var sum = 0
        for loop in group.makeIterator() {
            sum += try await loop.submit { self.account(of: loop).chargedBytes }.get()
        }
        return sum
    }

    @Sendable func account(of loop: any EventLoop) -> MemoryAccount {
        accounts.withLockedValue { accounts in
            if let account = accounts[ObjectIdentifier(loop)] { return account }
            let account = MemoryAccount(self)
            accounts[ObjectIdentifier(loop)] = account
            return account
        }
    }

    func charge(_ bytes: Int, as rank: MemoryRank) -> Bool {
        held.withLockedValue { held in
            guard held + bytes <= bounds.bytesMax(for: rank) else { return false }
            held += bytes
            return true
        }
    }

    func chargeAnyway(_ bytes: Int) { held.withLockedValue { $0 += bytes } }
    func giveBack(_ bytes: Int) { held.withLockedValue { $0 -= bytes } }

    func lend(_ shortfall: (least: Int, better: Int), as rank: MemoryRank) -> Int {
        if charge(shortfall.better, as: rank) { return shortfall.better }
        return charge(shortfall.least, as: rank) ? shortfall.least : 0
    }
}
