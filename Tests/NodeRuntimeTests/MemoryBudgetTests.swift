import Primitives
import Testing

@testable import NodeRuntime

@Suite struct MemoryBudgetTests {
    @Test func lendsWhatThereIs() {
        let budget = MemoryBudget(bytes: 8 << 20, loops: 1)
        #expect(budget.lend((least: 1, better: 1 << 20), as: .large) == 1 << 20)
        #expect(budget.lend((least: 4 << 20, better: 6 << 20), as: .large) == 4 << 20)
        #expect(budget.lend((least: 2 << 20, better: 3 << 20), as: .large) == 0)
        #expect(budget.refusalCount == 1)
        #expect(budget.lend((least: 2 << 20, better: 3 << 20), as: .read) == 3 << 20)
        budget.chargeAnyway(1 << 20)
        #expect(budget.lentBytes == 9 << 20)
        budget.giveBack(9 << 20)
        #expect(budget.lentBytes == 0)
    }

    @Test func saysOnceThatMuchWasGivenBack() {
        let budget = MemoryBudget(bytes: 8 << 20, loops: 1)
        #expect(budget.charge(6 << 20, as: .large))
        #expect(!budget.takeFall(ofAtLeast: 4 << 20))
        budget.giveBack(5 << 20)
        #expect(budget.takeFall(ofAtLeast: 4 << 20))
        #expect(!budget.takeFall(ofAtLeast: 4 << 20))
        budget.chargeAnyway(6 << 20)
        budget.giveBack(7 << 20)
        #expect(budget.takeFall(ofAtLeast: 4 << 20))
    }

    /// Threads and loops at the same time: never more than the capacity, and nothing is left in the end.
    @Test func manyThreadsNeverPassTheBound() async {
        let budget = MemoryBudget(bytes: 4 << 20, loops: 4)
        await withTaskGroup(of: Bool.self) { group in
            for seed in 0..<8 {
                group.addTask {
                    var generator = SplitMix64(seed: UInt64(seed))
                    let account = MemoryAccount(budget)
                    var isBounded = true
                    for _ in 0..<2000 {
                        let bytes = 1 + generator.below(1 << 20)
                        if generator.below(2) == 0 {
                            guard let hold = MemoryHold(bytes, of: budget, as: .large) else { continue }
                            // Attempts that are about to fail are in the number for a moment.
                            isBounded = isBounded && budget.lentBytes <= budget.bounds.capacityBytes + (8 << 20)
                            hold.giveBack()
                        } else if account.charge(bytes, for: .requests, as: .read) {
                            account.refund(bytes, of: .requests)
                        }
                    }
                    return isBounded && account.chargedBytes == 0
                }
            }
            for await isBounded in group { #expect(isBounded) }
        }
        #expect(budget.lentBytes <= 8 * 3 * budget.bounds.lumpBytes)
    }

    @Test func fetchesTakeTurns() {
        var slots = ErrandSlots(max: 2)
        slots.begin()
        slots.begin()
        #expect(slots.isFull)
        slots.wait(7)
        slots.wait(3)
        #expect(slots.next() == nil)
        slots.end()
        #expect(slots.next() == 7)
        slots.begin()
        #expect(slots.next() == nil)
        slots.end()
        #expect(slots.next() == 3)
        #expect(slots.next() == nil)
    }
}
