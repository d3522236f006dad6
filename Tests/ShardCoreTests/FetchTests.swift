import Entities
import Primitives
import ShardCore
import Testing

@Suite struct FetchTests {
    private func benchWithUncached(_ name: String) -> Bench {
        var bench = Bench()
        bench.write(put(name, "old"))
        bench.commit()
        _ = bench.answers()
        bench.rows.uncached.insert(StoreRows.entity(key(name)))
        return bench
    }

    @Test func onlyTheEntityWaitsForItsRow() {
        var bench = benchWithUncached("a/1")
        let waiting = bench.write(put("a/1", if: Preconditions(ifMatch: .any)))
        let other = bench.write(put("b/1", if: Preconditions(ifNoneMatch: .any)))
        bench.commit()
        let answers = bench.answers()
        #expect(answers[waiting] == nil)
        #expect(answers[other]?.version == 2)
    }

    @Test func operationsBehindAFetchKeepTheirOrder() {
        var bench = benchWithUncached("a/1")
        let first = bench.write(put("a/1", "one", if: Preconditions(ifMatch: .any)))
        let blind = bench.write(put("a/1", "two"))
        let read = bench.read(key("a/1"))
        let row = bench.rows.rows[StoreRows.entity(key("a/1"))]
        let fetched = bench.fetch(record: row)
        let another = bench.machine.nextFetch()
        #expect(fetched != nil && another == nil)
        bench.commit()
        let answers = bench.answers()
        #expect(answers[first]?.version == 2)
        #expect(answers[blind]?.version == 3)
        #expect(answers[read]?.state == "two")
    }

    @Test func aBlindPutAsksForNothing() {
        var bench = benchWithUncached("a/1")
        let ticket = bench.write(put("a/1", "new"))
        let asked = bench.machine.nextFetch()
        #expect(asked == nil)
        bench.commit()
        let told1 = bench.answers()
        #expect(told1[ticket]?.version == 2)
    }

    @Test func bothRowsAreAskedForAtOnce() throws {
        var bench = benchWithUncached("a/1")
        bench.rows.uncached.insert(StoreRows.idempotency(key("a/1"), Array("k".utf8)))
        let ticket = bench.write(put("a/1", if: Preconditions(ifMatch: .any), once: "k"))
        let row = bench.rows.rows[StoreRows.entity(key("a/1"))]
        let taken = bench.fetch(record: row)
        let fetch = try #require(taken)
        #expect(fetch.recordRow != nil && fetch.idempotencyRow != nil)
        bench.commit()
        let told2 = bench.answers()
        #expect(told2[ticket]?.version == 2)
    }

    @Test func anUnreadableRowRefusesAndDecidesNothing() {
        var bench = Bench()
        bench.rows.unreadable.insert(StoreRows.entity(key("a/1")))
        let ticket = bench.write(delete("a/1"))
        let told3 = bench.answers()
        #expect(told3[ticket]?.refusal == .shardUnavailable)
        #expect(bench.machine.appended == .zero && bench.machine.isIdle)
    }

    @Test func aFailedFetchRefusesItsOperationAndTheNextTriesForItself() throws {
        var bench = benchWithUncached("a/1")
        let first = bench.write(put("a/1", if: Preconditions(ifMatch: .any)))
        let second = bench.write(put("a/1", if: Preconditions(ifMatch: .any)))
        let taken = bench.machine.nextFetch()
        let fetch = try #require(taken)
        bench.machine.fetchFailed(fetch, reason: "read error", now: bench.now, rows: bench.rows)
        let told4 = bench.answers()
        #expect(told4[first]?.refusal == .shardUnavailable)
        let fetched = bench.fetch(record: bench.rows.rows[StoreRows.entity(key("a/1"))])
        #expect(fetched != nil)
        bench.commit()
        let told5 = bench.answers()
        #expect(told5[second]?.version == 2)
    }

    /// A cache so small that each row pushes the other one out.
    @Test func twoRowsThatPushEachOtherOutAreFetchedTogether() throws {
        var bench = benchWithUncached("a/1")
        let recordRow = StoreRows.entity(key("a/1"))
        let keyRow = StoreRows.idempotency(key("a/1"), Array("k".utf8))
        bench.rows.uncached = [keyRow]
        let ticket = bench.write(put("a/1", if: Preconditions(ifMatch: .any), once: "k"))
        bench.rows.uncached = [recordRow]
        let first = bench.fetch()
        #expect(first?.idempotencyRow == keyRow && first?.recordRow == nil)
        bench.rows.uncached = [keyRow]
        let second = bench.fetch(record: bench.rows.rows[recordRow])
        #expect(second?.idempotencyRow == keyRow && second?.recordRow == recordRow)
        bench.commit()
        let answers = bench.answers()
        #expect(answers[ticket]?.version == 2)
    }
}
