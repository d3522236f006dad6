import Primitives
import Testing

@Suite struct MemoryTests {
    /// A budget without threads: its loops take turns.
    final class PlainLender: MemoryLender {
        // SAFETY: a test uses it on one thread.
        nonisolated(unsafe) private(set) var lent = 0
        let bounds: MemoryBounds

        init(capacity: Int, loops: Int) { bounds = MemoryBounds(capacityBytes: capacity, loops: loops) }

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

    @Test(arguments: [128 << 20, 200 << 20, 1 << 30, 1 << 36]) func sharesAddUp(memory: Int) {
        let shares = MemoryShares(memoryBytes: memory)
        let parts = [
            shares.callerBytes, shares.logBytes, shares.memtableBytes, shares.setAsideBytes, shares.blockCacheBytes,
        ]
        #expect(parts.reduce(0, +) == memory)
        #expect(shares.blockCacheBytes >= memory / 16 * 3)
        #expect(shares.logQueueBytes <= shares.callerBytes)
        #expect(shares.shardQueueBytes <= shares.logQueueBytes)
        let bounds = MemoryBounds(capacityBytes: shares.callerBytes, loops: 8)
        let page = shares.pageWorstBytes(entityBytesMax: Limits.entityBytesDefault)
        #expect(2 * page <= bounds.bytesMax(for: .large), "two lists at once have room")
        #expect(2 * Limits.entityBytesDefault <= bounds.bytesMax(for: .large))
    }

    @Test func laterRanksMayUseMore() {
        let bounds = MemoryBounds(capacityBytes: 40 << 20, loops: 2)
        #expect(bounds.bytesMax(for: .large) < bounds.bytesMax(for: .small))
        #expect(bounds.bytesMax(for: .small) < bounds.bytesMax(for: .read))
        #expect(bounds.bytesMax(for: .read) == bounds.capacityBytes)
        #expect(bounds.clamped(1 << 30) < bounds.bytesMax(for: .large), "the largest charge is possible")
        #expect(bounds.clamped(7) == 7)
        #expect(MemoryRank(bytes: Limits.memorySmallBytesMax, isRead: true) == .read)
        #expect(MemoryRank(bytes: Limits.memorySmallBytesMax, isRead: false) == .small)
        #expect(MemoryRank(bytes: Limits.memorySmallBytesMax + 1, isRead: true) == .large)
    }

    @Test func smallChargesBorrowOnce() {
        let lender = PlainLender(capacity: 40 << 20, loops: 2)
        let account = MemoryAccount(lender)
        #expect(account.charge(100, for: .requests, as: .read))
        let lump = lender.lent
        #expect(lump == lender.bounds.lumpBytes)
        for _ in 0..<1000 {
            #expect(account.charge(1000, for: .requests, as: .read))
            account.refund(1000, of: .requests)
        }
        #expect(lender.lent == lump)
        account.refund(100, of: .requests)
        #expect(account.chargedBytes == 0)
    }

    @Test func largeChargesAreGivenBack() {
        let lender = PlainLender(capacity: 40 << 20, loops: 2)
        let account = MemoryAccount(lender)
        #expect(account.charge(20 << 20, for: .pages, as: .large))
        #expect(lender.lent >= 20 << 20)
        account.refund(20 << 20, of: .pages)
        #expect(lender.lent <= 3 * lender.bounds.lumpBytes)
    }

    @Test func refusesByRank() {
        let lender = PlainLender(capacity: 40 << 20, loops: 1)
        let account = MemoryAccount(lender)
        var large = 0
        while account.charge(1 << 20, for: .requests, as: .large) { large += 1 }
        #expect(large == 30, "three quarters")
        var small = 0
        while account.charge(8 << 10, for: .requests, as: .small) { small += 1 }
        #expect(small > 1000)
        #expect(account.charge(8 << 10, for: .requests, as: .read), "small reads have what is left")
        #expect(!account.charge(1 << 20, for: .requests, as: .large))
        account.chargeAnyway(50 << 20, for: .effects)
        #expect(lender.lent > lender.bounds.capacityBytes, "what is there is counted")
        #expect(!account.charge(4 << 20, for: .requests, as: .read))
    }

    /// Any order of charges and refunds by several loops: what is lent is what they hold, give or take their lumps.
    @Test func accountsAgreeWithTheLender() {
        var generator = SplitMix64(seed: 11)
        for _ in 0..<50 {
            let lender = PlainLender(capacity: 8 << 20, loops: 3)
            let accounts = (0..<3).map { _ in MemoryAccount(lender) }
            var charges: [(account: Int, use: MemoryUse, bytes: Int)] = []
            for _ in 0..<400 {
                if generator.below(5) < 3 {
                    let use = MemoryUse.allCases[generator.below(MemoryUse.allCases.count)]
                    let account = generator.below(3)
                    let bytes = generator.below(2) == 0 ? generator.below(4096) : generator.below(1 << 20)
                    if accounts[account].charge(bytes, for: use, as: MemoryRank.allCases[generator.below(3)]) {
                        charges.append((account, use, bytes))
                    }
                } else if !charges.isEmpty {
                    let one = charges.remove(at: generator.below(charges.count))
                    accounts[one.account].refund(one.bytes, of: one.use)
                }
                let held = charges.reduce(0) { $0 + $1.bytes }
                #expect(accounts.reduce(0) { $0 + $1.chargedBytes } == held)
                #expect(lender.lent >= held)
                #expect(lender.lent <= held + 9 * lender.bounds.lumpBytes)
                #expect(lender.lent <= lender.bounds.capacityBytes)
            }
            for one in charges { accounts[one.account].refund(one.bytes, of: one.use) }
            for account in accounts {
                #expect(MemoryUse.allCases.allSatisfy { account.chargedBytes(for: $0) == 0 })
            }
        }
    }

    @Test func aHoldShrinksAndIsGivenBack() throws {
        let lender = PlainLender(capacity: 8 << 20, loops: 1)
        var hold = try #require(MemoryHold(4 << 20, of: lender, as: .large))
        #expect(MemoryHold(4 << 20, of: lender, as: .large) == nil)
        hold.shrink(to: 1 << 20)
        hold.shrink(to: 2 << 20)
        #expect(lender.lent == 1 << 20)
        hold.giveBack()
        #expect(lender.lent == 0)
    }
}
