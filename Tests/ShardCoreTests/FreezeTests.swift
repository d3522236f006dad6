import Entities
import Primitives
import ShardCore
import Testing

@Suite struct FreezeTests {
    private func outcome(_ name: String, _ once: String) -> ReadRequest {
        ReadRequest(key: key(name), kind: .outcome(idempotencyKey: Array(once.utf8)), inQueueOrder: false)
    }

    @Test func whatComesDuringAFreezeIsNotEvaluated() {
        var bench = Bench()
        let before = bench.write(put("a/1", "before"))
        bench.machine.hold()
        #expect(!bench.machine.isDrained)
        let write = bench.write(put("a/1", "held"))
        let read = bench.read(key("a/1"))
        bench.commit()
        let told = bench.answers()
        #expect(told.count == 1 && told[before]?.version == 1)
        #expect(bench.machine.isDrained && !bench.machine.isIdle && bench.machine.queuedItems == 2)
        #expect(bench.machine.applied == Position(1) && bench.machine.appended == Position(1))
        bench.thaw()
        bench.commit()
        let answers = bench.answers()
        #expect(answers[write]?.version == 2)
        #expect(answers[read]?.state == "held")
        #expect(bench.machine.isIdle && bench.machine.queuedItems == 0 && bench.machine.queuedBytes == 0)
    }

    /// What a freeze has held makes the queue behind it no older.
    @Test func whatWasHeldIsYoungAgain() {
        var bench = Bench()
        bench.machine.hold()
        let held = bench.write(put("a/1", "held"))
        bench.arrival = MonotonicTime(nanoseconds: 20_000_000_000)
        bench.thaw()
        let next = bench.write(put("a/1", "next"))
        bench.commit()
        let answers = bench.answers()
        #expect(answers[held]?.version == 1 && answers[next]?.version == 2)
    }

    /// Nobody waits any more for what was held for longer than a request may take.
    @Test func whatWasHeldForTooLongIsNotDone() {
        var bench = Bench()
        bench.machine.hold()
        let old = bench.write(put("a/1", "old"))
        bench.arrival = MonotonicTime(nanoseconds: 900_000_000)
        let young = bench.write(put("a/1", "young"))
        bench.arrival = MonotonicTime(nanoseconds: 30_500_000_000)
        bench.thaw()
        bench.commit()
        let answers = bench.answers()
        #expect(answers[old]?.refusal == .shardUnavailable && answers[young]?.version == 1)
        #expect(bench.machine.isIdle && bench.machine.queuedItems == 0 && bench.machine.queuedBytes == 0)
    }

    @Test func anOperationThatWaitsForARowIsNotDrained() {
        var bench = Bench()
        bench.rows.uncached.insert(StoreRows.entity(key("a/1")))
        let waits = bench.write(put("a/1", if: Preconditions(ifNoneMatch: .any)))
        bench.machine.hold()
        #expect(!bench.machine.isDrained)
        _ = bench.fetch()
        #expect(!bench.machine.isDrained)
        bench.commit()
        let told = bench.answers()
        #expect(bench.machine.isDrained && told[waits]?.version == 1)
    }

    @Test func aRefusedGroupIsDrainedToo() {
        var bench = Bench()
        bench.write(put("a/1"))
        bench.write(put("a/1", if: Preconditions(ifNoneMatch: .any)))
        _ = bench.machine.takeGroup()
        bench.machine.hold()
        bench.refuse(from: 1)
        #expect(!bench.machine.isDrained)
        bench.commit()
        #expect(bench.machine.isDrained && bench.machine.applied == Position(1))
    }

    @Test func aLostShardGivesBackWhatItHeldInOrder() throws {
        var bench = Bench()
        bench.machine.hold()
        let first = bench.write(put("a/1"))
        let second = bench.read(key("a/2"))
        let third = bench.write(delete("a/3"))
        let given = bench.machine.surrender()
        #expect(given.map(\.ticket) == [first, second, third])
        guard case .write(let operation) = given[0].work, case .read(let request) = given[1].work else {
            Issue.record("the work is not what came in")
            return
        }
        #expect(operation.key == key("a/1") && request.key == key("a/2"))
        #expect(bench.machine.isIdle && bench.machine.queuedBytes == 0)
        let again = bench.machine.surrender()
        #expect(again.isEmpty)
    }

    @Test func heldOperationsCountTowardsTheLimits() {
        var settings = ShardMachine.Settings()
        settings.queueItemsMax = 2
        var bench = Bench(settings)
        bench.machine.hold()
        bench.write(put("a/1"))
        bench.write(put("a/2"))
        let third = bench.write(put("a/3"))
        let told = bench.answers()
        #expect(told[third]?.refusal == .overloaded)
    }

    @Test func onlyALongFreezeRefusesForItsAge() {
        var settings = ShardMachine.Settings()
        settings.queueAgeMillisecondsMax = 1000
        var bench = Bench(settings)
        bench.machine.hold()
        bench.write(put("a/1"))
        bench.arrival = MonotonicTime(nanoseconds: 1_000_000_000)
        let within = bench.write(put("a/2"))
        bench.arrival = MonotonicTime(nanoseconds: 1_001_000_000)
        let beyond = bench.write(put("a/3"))
        let told = bench.answers()
        #expect(told[within] == nil && told[beyond]?.refusal == .overloaded)
    }

    @Test func steppingDownRefusesWhatIsHeld() {
        var bench = Bench()
        bench.machine.hold()
        let held = bench.write(put("a/1"))
        bench.machine.stepDown(Problem(.shardUnavailable, "failed"))
        let told = bench.answers()
        #expect(told[held]?.refusal == .shardUnavailable && bench.machine.isIdle)
    }

    // MARK: Outcomes through the queue

    @Test func anOutcomeReadDuringAFreezeIsAnsweredAfterIt() {
        var bench = Bench()
        bench.write(put("a/1", once: "k"))
        bench.machine.hold()
        let read = bench.read(outcome("a/1", "k"))
        bench.commit()
        let early = bench.answers()
        #expect(early[read] == nil)
        bench.thaw()
        let told = bench.answers()
        #expect(told[read]?.outcomeVersion == 1)
    }

    @Test func anOutcomeReadWaitsForTheWriteThatItSees() {
        var bench = Bench()
        bench.write(put("a/1", once: "k"))
        bench.write(put("a/1", "later"))
        let read = bench.read(outcome("a/1", "k"))
        let none = bench.read(outcome("a/1", "other"))
        let early = bench.answers()
        #expect(early.isEmpty)
        bench.commit()
        let told = bench.answers()
        #expect(told[read]?.outcomeVersion == 1)
        #expect(told[none]?.refusal == .notFound)
    }

    @Test func anOutcomeReadFetchesTheRowThatOnlyTheDiskKnows() {
        var bench = Bench()
        let row = StoreRows.idempotency(key("a/1"), Array("k".utf8))
        bench.write(put("a/1", once: "k"))
        bench.commit()
        _ = bench.answers()
        bench.rows.uncached.insert(row)
        let read = bench.read(outcome("a/1", "k"))
        let fetch = bench.fetch(idempotencyRow: bench.rows.rows[row])
        #expect(fetch?.recordRow == nil && fetch?.idempotencyRow == row)
        let told = bench.answers()
        #expect(told[read]?.outcomeVersion == 1)
    }
}

extension Answer {
    fileprivate var outcomeVersion: UInt64? {
        if case .outcome(_, let version, _) = self { version.rawValue } else { nil }
    }
}
