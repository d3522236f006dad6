import Entities
import Primitives
import ShardCore
import Testing

/// What one turn evaluates is bounded, and operations that wait for the next one keep their order.
@Suite struct TurnTests {
    static func merge(_ name: String, _ document: String) -> WriteOperation {
        WriteOperation(key: key(name), action: .patch(.merge, document: Array(document.utf8)))
    }

    static let wide = "{\"pad\":\"" + String(repeating: "x", count: 100_000) + "\"}"

    /// A machine whose turn is over after `work`.
    static func bench(work: Int) -> Bench {
        var bench = Bench()
        bench.machine.workLeft = work
        return bench
    }

    @Test func operationsBeyondATurnWaitForTheNext() {
        var bench = Self.bench(work: 1_500)
        let tickets = (0..<10).map { bench.write(put("a/\($0)")) }
        #expect(bench.machine.hasMore && bench.machine.appended == Position(3))
        #expect(bench.machine.queuedItems == 10)
        var turns = 1
        while bench.machine.hasMore {
            bench.commit()
            bench.machine.workLeft = 1_500
            bench.machine.carryOn(now: bench.now, rows: bench.rows)
            turns += 1
        }
        bench.commit()
        let answers = bench.answers()
        #expect(turns == 4 && tickets.map { answers[$0]?.version } == (1...10).map { UInt64($0) })
        #expect(bench.machine.isIdle)
    }

    @Test func whatComesLaterGoesBehindWhatWaits() {
        var bench = Self.bench(work: 600)
        bench.write(put("a/1", "one"))
        bench.write(put("a/1", "two"))
        bench.write(put("a/1", "three"))
        // Room again, and yet the ones before are first.
        bench.machine.workLeft = 5_000
        let read = bench.read(key("a/1"))
        #expect(bench.machine.appended == Position(2))
        bench.machine.carryOn(now: bench.now, rows: bench.rows)
        bench.commit()
        let answers = bench.answers()
        #expect(answers[read]?.state == "three")
    }

    @Test func theOperationThatPassesTheTurnIsFinished() {
        var bench = Self.bench(work: 1)
        let ticket = bench.write(put("a/1", Self.wide))
        #expect(!bench.machine.hasMore && bench.machine.workLeft < -100_000)
        bench.commit()
        let answers = bench.answers()
        #expect(answers[ticket]?.version == 1)
    }

    /// Operations that a fetch sets free are bounded, too.
    @Test func parkedOperationsTakeTurns() {
        var bench = Self.bench(work: 700)
        bench.rows.uncached.insert(StoreRows.entity(key("c/1")))
        let tickets = (0..<6).map { _ in bench.write(increment("c/1")) }
        #expect(bench.machine.appended == .zero)
        _ = bench.fetch(record: nil)
        #expect(bench.machine.appended == Position(1) && bench.machine.hasMore)
        let other = bench.write(put("b/1"))
        var turns = 0
        while bench.machine.hasMore {
            bench.machine.workLeft = 700
            bench.machine.carryOn(now: bench.now, rows: bench.rows)
            turns += 1
        }
        bench.commit()
        let answers = bench.answers()
        #expect(turns == 6)
        #expect(tickets.map { answers[$0]?.version } == (1...6).map { UInt64($0) } && answers[other]?.version == 7)
        let read = bench.read(key("c/1"))
        bench.rows.uncached = []
        while bench.fetch(record: bench.rows.rows[StoreRows.entity(key("c/1"))]) != nil {}
        let told = bench.answers()
        #expect(told[read]?.state == #"{"n":6}"#)
    }

    /// What a fetch brought is kept where the turn is over, and is not asked for again.
    @Test func aFetchThatComesAfterTheTurnIsKept() {
        var bench = Bench()
        bench.rows.uncached.insert(StoreRows.entity(key("c/1")))
        let ticket = bench.write(increment("c/1"))
        bench.machine.workLeft = 0
        _ = bench.fetch(record: nil)
        #expect(bench.machine.hasMore && bench.machine.appended == .zero)
        bench.machine.workLeft = 1_000
        bench.machine.carryOn(now: bench.now, rows: bench.rows)
        let asked = bench.machine.nextFetch()
        #expect(asked == nil)
        bench.commit()
        let answers = bench.answers()
        #expect(answers[ticket]?.version == 1)
    }

    @Test func aRefusedGroupIsEvaluatedAnewWithinTurns() {
        var bench = Bench()
        bench.write(put("a/1"))
        let again = (0..<4).map { _ in bench.write(put("a/1", if: Preconditions(ifNoneMatch: .any))) }
        _ = bench.machine.takeGroup()
        bench.machine.workLeft = 1
        bench.refuse(from: 1)
        #expect(bench.machine.hasMore)
        bench.machine.workLeft = 5_000
        bench.machine.carryOn(now: bench.now, rows: bench.rows)
        bench.commit()
        let answers = bench.answers()
        #expect(answers[again[0]]?.version == 1)
        #expect(again.dropFirst().allSatisfy { answers[$0]?.refusal == .preconditionFailed })
    }

    @Test func aFreezeKeepsWhatWaitsForATurn() {
        var bench = Self.bench(work: 600)
        let first = bench.write(put("a/1", "one"))
        let second = bench.write(put("a/1", "two"))
        bench.write(put("a/1", "three"))
        bench.machine.hold()
        #expect(!bench.machine.hasMore && bench.machine.isHeld)
        bench.commit()
        #expect(bench.machine.isDrained && bench.machine.queuedItems == 1)
        let told = bench.answers()
        #expect(told[first]?.version == 1 && told[second]?.version == 2)
        bench.machine.workLeft = 5_000
        bench.write(put("a/1", "four"))
        bench.thaw()
        bench.commit()
        let read = bench.read(key("a/1"))
        let answers = bench.answers()
        #expect(answers[read]?.state == "four")
    }

    @Test func aFrozenShardIsGivenUpWithWhatWaits() {
        var bench = Self.bench(work: 1)
        bench.write(put("a/1"))
        bench.write(put("a/2"))
        bench.machine.hold()
        bench.write(put("a/3"))
        bench.commit()
        let taken = bench.machine.surrender()
        #expect(taken.count == 2 && bench.machine.queuedItems == 0)
    }

    @Test func steppingDownRefusesWhatWaits() {
        var bench = Self.bench(work: 1)
        bench.write(put("a/1"))
        let waiting = bench.write(put("a/2"))
        bench.machine.stepDown(Problem(.shardUnavailable, "moved"))
        let answers = bench.answers()
        #expect(answers[waiting]?.refusal == .shardUnavailable)
        #expect(bench.machine.queuedItems == 0 && !bench.machine.hasMore)
    }

    @Test func theAgeOfWhatWaitsRefusesNewOnes() {
        var bench = Bench(ShardMachine.Settings(queueAgeMillisecondsMax: 100))
        bench.machine.workLeft = 0
        bench.write(put("a/1"))
        bench.arrival = MonotonicTime(nanoseconds: 101 * 1_000_000)
        let late = bench.write(put("a/2"))
        let answers = bench.answers()
        #expect(answers[late]?.refusal == .overloaded)
    }

    // MARK: States that are kept read

    @Test func aStateThatManyPatchIsReadOnceInAGroup() {
        var bench = Bench()
        bench.write(put("a/1", Self.wide))
        bench.commit()
        bench.machine.workLeft = .max
        let tickets = (0..<200).map { bench.write(Self.merge("a/1", "{\"m\($0 % 7)\":\($0)}")) }
        #expect(bench.machine.statesRead == 1)
        bench.commit()
        bench.machine.forgetReadStates()
        bench.write(Self.merge("a/1", "{\"x\":1}"))
        #expect(bench.machine.statesRead == 2)
        bench.commit()
        let answers = bench.answers()
        #expect(tickets.allSatisfy { answers[$0]?.version != nil })
    }

    /// A condition that does not hold changes nothing, so that the state stays read.
    @Test func refusedConditionsReadAStateOnce() {
        var bench = Bench()
        bench.write(put("a/1", Self.wide))
        bench.commit()
        bench.machine.workLeft = .max
        let document = Array(#"{"if":[{"at":"/pad","eq":1}],"do":[]}"#.utf8)
        for _ in 0..<50 { bench.write(WriteOperation(key: key("a/1"), action: .patch(.update, document: document))) }
        #expect(bench.machine.statesRead == 1)
    }

    @Test func aStateIsForgottenWithTheWriteThatMadeIt() {
        var bench = Bench()
        bench.write(put("a/1", Self.wide))
        bench.commit()
        bench.machine.workLeft = .max
        bench.write(Self.merge("a/1", "{\"first\":1}"))
        _ = bench.machine.takeGroup()
        bench.refuse(from: 2)
        bench.write(put("a/1", "{\"pad\":\"" + String(repeating: "y", count: 1_000) + "\"}"))
        bench.write(Self.merge("a/1", "{\"second\":2}"))
        bench.commit()
        let read = bench.read(key("a/1"))
        let answers = bench.answers()
        let state = answers[read]?.state ?? ""
        #expect(state.hasSuffix("y\",\"second\":2}") && !state.contains("first"))
    }
}
