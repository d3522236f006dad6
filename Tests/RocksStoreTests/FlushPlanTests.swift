import Primitives
import RocksStore
import Testing

@Suite struct FlushPlanTests {
    /// Memtables 320 MiB, trigger 240 MiB.
    static let budget = StoreBudget(memoryBytes: 1 << 30)
    static let mebibyte = 1 << 20

    private func candidate(
        _ shard: UInt32, mebibytes: Int, pinned: UInt64? = 1000, dirtyMinutes: UInt64 = 0, flushing: Bool = false
    ) -> FlushCandidate {
        FlushCandidate(
            shard: ShardID(shard), memoryBytes: mebibytes * Self.mebibyte, pinnedLSN: pinned.map { LSN($0) },
            dirtyNanoseconds: dirtyMinutes * 60_000_000_000, isFlushing: flushing)
    }

    private func plan(_ candidates: [FlushCandidate], recycleBelow: UInt64? = nil) -> [UInt32] {
        FlushPlan.next(among: candidates, budget: Self.budget, recycleBelow: recycleBelow.map { LSN($0) })
            .map(\.rawValue)
    }

    @Test func budgetAddsUp() {
        for mebibytes in [128, 256, 1024, 65_536] {
            let budget = StoreBudget(memoryBytes: mebibytes * Self.mebibyte)
            let callerBytes = MemoryShares(memoryBytes: budget.memoryBytes).callerBytes
            #expect(
                budget.logBytes + budget.memtableBytes + budget.blockCacheBytes + callerBytes < budget.memoryBytes)
            #expect(budget.flushTriggerBytes < budget.memtableBytes)
            #expect(budget.blockCacheBytes > budget.memtableBytes / 2)
        }
        #expect(Self.budget.flushTriggerBytes == 240 * Self.mebibyte)
    }

    @Test func belowTheTriggerNothingIsFlushed() {
        #expect(plan([candidate(0, mebibytes: 100), candidate(1, mebibytes: 140)]) == [])
        #expect(plan([]) == [])
    }

    @Test func theLargestGoesFirstAndNoMoreThanNeeded() {
        let three = [candidate(0, mebibytes: 60), candidate(1, mebibytes: 120), candidate(2, mebibytes: 80)]
        #expect(plan(three) == [1])
        #expect(plan(three + [candidate(3, mebibytes: 110)]) == [1, 3])
        #expect(plan((0..<8).map { candidate($0, mebibytes: 50) }) == [0, 1], "two at a time, the lower shard first")
    }

    @Test func whatIsBeingFlushedCounts() {
        let one = candidate(0, mebibytes: 100, flushing: true)
        #expect(plan([one, candidate(1, mebibytes: 150)]) == [], "the flush under way suffices")
        #expect(plan([one, candidate(1, mebibytes: 150), candidate(2, mebibytes: 100)]) == [1])
        #expect(plan([one, candidate(3, mebibytes: 1, flushing: true), candidate(1, mebibytes: 300)]) == [])
    }

    @Test func theOldestPinGoesFirst() {
        let three = [
            candidate(0, mebibytes: 9, pinned: 70), candidate(1, mebibytes: 1, pinned: 30),
            candidate(2, mebibytes: 5, pinned: 50), candidate(3, mebibytes: 0, pinned: nil),
        ]
        #expect(plan(three, recycleBelow: 60) == [1, 2])
        #expect(plan(three, recycleBelow: 31) == [1])
        #expect(plan(three, recycleBelow: 30) == [])
    }

    @Test func theLogGoesBeforeMemoryUnlessWritesAreRefused() {
        let pinning = candidate(0, mebibytes: 1, pinned: 5)
        let more = [candidate(1, mebibytes: 130), candidate(2, mebibytes: 120)]
        #expect(plan([pinning] + more, recycleBelow: 10) == [0, 1])
        #expect(plan([pinning] + more + [candidate(3, mebibytes: 125)], recycleBelow: 10) == [1, 3])
    }

    @Test func oldRowsAreFlushedLast() {
        let aged = [candidate(0, mebibytes: 1, dirtyMinutes: 31), candidate(1, mebibytes: 1, dirtyMinutes: 50)]
        #expect(plan(aged) == [1, 0])
        #expect(plan(aged + [candidate(2, mebibytes: 250)]) == [2, 1])
        #expect(plan([candidate(0, mebibytes: 1, dirtyMinutes: 29)]) == [])
    }

    /// Whatever the state: at most two at once, nothing twice, nothing clean, nothing already under way, and over the
    /// trigger something is always under way.
    @Test func lawsOverRandomStates() {
        var random = SplitMix64(seed: 3)
        for _ in 0..<2000 {
            let candidates = (0..<UInt32(random.below(20))).map { shard in
                let pinned = random.chance(1, in: 4) ? nil : UInt64(random.below(100))
                return candidate(
                    shard, mebibytes: random.below(80), pinned: pinned, dirtyMinutes: UInt64(random.below(40)),
                    flushing: random.chance(1, in: 10))
            }
            let recycleBelow = random.chance(1, in: 2) ? UInt64(random.below(100)) : nil
            let chosen = plan(candidates, recycleBelow: recycleBelow)
            let running = candidates.filter(\.isFlushing).count
            #expect(chosen.count <= max(0, 2 - running))
            #expect(Set(chosen).count == chosen.count)
            for shard in chosen {
                #expect(!candidates[Int(shard)].isFlushing)
                #expect(candidates[Int(shard)].pinnedLSN != nil)
            }
            let waiting = candidates.filter { !$0.isFlushing && $0.pinnedLSN != nil }
            let bytes = candidates.reduce(0) { $0 + ($1.isFlushing ? 0 : $1.memoryBytes) }
            if bytes > Self.budget.flushTriggerBytes, !waiting.isEmpty { #expect(running + chosen.count > 0) }
        }
    }
}
