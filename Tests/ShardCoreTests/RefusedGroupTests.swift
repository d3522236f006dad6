import Entities
import Primitives
import ShardCore
import Testing

@Suite struct RefusedGroupTests {
    @Test func writesOfARefusedGroupDidNotHappen() {
        var bench = Bench()
        let first = bench.write(put("a/1"))
        bench.commit()
        let second = bench.write(put("a/1", "two"))
        let third = bench.write(put("b/1"))
        _ = bench.machine.takeGroup()
        bench.refuse(from: 2)
        let answers = bench.answers()
        #expect(answers[first]?.version == 1)
        #expect(answers[second]?.refusal == .storageFull)
        #expect(answers[third]?.refusal == .storageFull)
        #expect(bench.machine.appended == Position(1) && bench.machine.isIdle)
        let read = bench.read(key("a/1"))
        let told1 = bench.answers()
        #expect(told1[read]?.version == 1)
    }

    @Test func whatRestedOnARefusedWriteIsEvaluatedAnew() {
        var bench = Bench()
        bench.write(put("a/1", once: "k"))
        let create = bench.write(put("a/1", "mine", if: Preconditions(ifNoneMatch: .any)))
        let again = bench.write(put("a/1", once: "k"))
        _ = bench.machine.takeGroup()
        bench.refuse(from: 1)
        bench.commit()
        let answers = bench.answers()
        #expect(answers[create]?.version == 1)
        #expect(answers[again]?.version == 2 && answers[again]?.isReplay == false)
    }

    @Test func anEarlierGroupStandsWhenALaterOneIsRefused() {
        var bench = Bench()
        let first = bench.write(increment("c/1"))
        _ = bench.machine.takeGroup()
        let second = bench.write(increment("c/1"))
        _ = bench.machine.takeGroup()
        bench.refuse(from: 2)
        bench.commit()
        let answers = bench.answers()
        #expect(answers[first]?.version == 1)
        #expect(answers[second]?.refusal == .storageFull)
        let read = bench.read(key("c/1"))
        let told2 = bench.answers()
        #expect(told2[read]?.state == #"{"n":1}"#)
    }

    @Test func aReadEvaluatedAnewStaysBeforeTheWriteThatWaitsForARow() throws {
        var bench = Bench()
        bench.rows.uncached.insert(StoreRows.idempotency(key("a/1"), Array("k".utf8)))
        bench.write(put("a/1", "refused"))
        let read = bench.read(key("a/1"))
        let keyed = bench.write(put("a/1", "after", once: "k"))
        _ = bench.machine.takeGroup()
        bench.refuse(from: 1)
        while bench.fetch() != nil {}
        bench.commit()
        let answers = bench.answers()
        #expect(answers[read]?.refusal == .notFound)
        #expect(answers[keyed]?.version == 1)
    }

    @Test func steppingDownTellsUnknownOnlyOfWhatTheLogMayHave() {
        var bench = Bench()
        let sent = bench.write(put("a/1"))
        _ = bench.machine.takeGroup()
        let kept = bench.write(put("a/2"))
        bench.rows.uncached.insert(StoreRows.entity(key("b/1")))
        let parked = bench.write(put("b/1", if: Preconditions(ifMatch: .any)))
        bench.machine.stepDown(Problem(.shardUnavailable, "moved"))
        let answers = bench.answers()
        #expect(answers[sent]?.refusal == .outcomeUnknown)
        #expect(answers[kept]?.refusal == .shardUnavailable)
        #expect(answers[parked]?.refusal == .shardUnavailable)
        let asked = bench.machine.nextFetch()
        #expect(bench.machine.queuedItems == 0 && asked == nil)
    }
}
