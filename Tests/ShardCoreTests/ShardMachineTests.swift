import Entities
import Primitives
import ShardCore
import Testing

@Suite struct ShardMachineTests {
    @Test func aWriteIsAnsweredOnlyOnceItIsApplied() throws {
        var bench = Bench()
        let ticket = bench.write(put("a/1"))
        let told1 = bench.answers()
        #expect(told1.isEmpty)
        let taken = bench.machine.takeGroup()
        let group = try #require(taken)
        #expect(group.first == Position(1) && group.payloads.count == 1)
        bench.machine.logDurable(upTo: Position(1))
        let told2 = bench.answers()
        #expect(told2.isEmpty)
        let committed = bench.machine.takeCommit()
        let commit = try #require(committed)
        #expect(commit.through == Position(1))
        bench.machine.applied(upTo: commit.through)
        let told3 = bench.answers()
        #expect(told3[ticket]?.version == 1)
        #expect(bench.machine.isIdle && bench.machine.queuedBytes == 0)
    }

    @Test func updatesOfOneGroupEachSeeTheOneBefore() {
        var bench = Bench()
        for _ in 0..<5 { bench.write(increment("c/1")) }
        bench.commit()
        let ticket = bench.read(key("c/1"))
        let told4 = bench.answers()
        #expect(told4[ticket]?.state == #"{"n":5}"#)
    }

    @Test func positionsGoOnFromTheStore() {
        var bench = Bench(applied: Position(41))
        let ticket = bench.write(put("a/1"))
        bench.commit()
        let told5 = bench.answers()
        #expect(told5[ticket]?.version == 42)
    }

    @Test func aVersionIsNeverUsedAgainAfterADelete() {
        var bench = Bench()
        bench.write(put("a/1"))
        bench.write(delete("a/1"))
        let again = bench.write(put("a/1"))
        bench.commit()
        let told6 = bench.answers()
        #expect(told6[again]?.version == 3)
    }

    @Test func payloadsAreEffectsThatDecode() throws {
        var bench = Bench()
        bench.write(put("a/1", "x", once: "k"))
        let taken = bench.machine.takeGroup()
        let group = try #require(taken)
        let effect = try #require(EntityEffect(decoding: group.payloads[0]))
        #expect(effect.key == key("a/1") && effect.record?.version == Position(1))
        #expect(effect.idempotencyRow?.version == Position(1))
    }

    @Test func whatWasSubmittedIsNotTakenTwice() throws {
        var bench = Bench()
        bench.write(put("a/1"))
        _ = bench.machine.takeGroup()
        let twice = bench.machine.takeGroup()
        #expect(twice == nil)
        bench.write(put("a/2"))
        bench.write(put("a/3"))
        let taken = bench.machine.takeGroup()
        let group = try #require(taken)
        #expect(group.first == Position(2) && group.payloads.count == 2)
    }

    // MARK: What rests on positions that are not applied

    @Test func aRefusalSeenThroughTheOverlayWaits() {
        var bench = Bench()
        let first = bench.write(put("a/1"))
        let second = bench.write(put("a/1", if: Preconditions(ifNoneMatch: .any)))
        let told7 = bench.answers()
        #expect(told7.isEmpty)
        bench.commit()
        let answers = bench.answers()
        #expect(answers[first]?.version == 1)
        #expect(answers[second]?.refusal == .preconditionFailed)
        #expect((answers[second]?.position ?? 0) >= 1)
    }

    @Test func aRefusalFromCommittedStateGoesAtOnce() {
        var bench = Bench()
        bench.write(put("b/1"))
        let ticket = bench.write(delete("a/1"))
        let told8 = bench.answers()
        #expect(told8[ticket]?.refusal == .notFound)
    }

    @Test func aReadInTheQueueSeesTheWritesBeforeIt() {
        var bench = Bench()
        bench.write(put("a/1", "one"))
        let read = bench.read(key("a/1"))
        bench.write(put("a/1", "two"))
        let told9 = bench.answers()
        #expect(told9.isEmpty)
        bench.commit()
        let told10 = bench.answers()
        #expect(told10[read]?.state == "one")
    }

    // MARK: Idempotency

    @Test func aRepeatOfAPendingWriteIsAnsweredWithIt() {
        var bench = Bench()
        let first = bench.write(put("a/1", once: "k"))
        let second = bench.write(put("a/1", once: "k"))
        bench.commit()
        let answers = bench.answers()
        #expect(answers[first]?.version == 1 && answers[first]?.isReplay == false)
        #expect(answers[second]?.version == 1 && answers[second]?.isReplay == true)
        #expect(bench.machine.applied == Position(1))
    }

    @Test func aRepeatIsLookedUpBeforeThePrecondition() {
        var bench = Bench()
        let create = Preconditions(ifNoneMatch: .any)
        bench.write(put("a/1", if: create, once: "k"))
        bench.commit()
        _ = bench.answers()
        let again = bench.write(put("a/1", if: create, once: "k"))
        let told11 = bench.answers()
        #expect(told11[again]?.isReplay == true)
    }

    @Test func anotherRequestUnderTheSameKeyIsRefused() {
        var bench = Bench()
        bench.write(put("a/1", "one", once: "k"))
        let other = bench.write(put("a/1", "two", once: "k"))
        bench.commit()
        let told12 = bench.answers()
        #expect(told12[other]?.refusal == .idempotencyMismatch)
    }

    @Test func theSameKeyOnAnotherEntityIsAnotherKey() {
        var bench = Bench()
        bench.write(put("a/1", once: "k"))
        let other = bench.write(put("a/2", once: "k"))
        bench.commit()
        let told13 = bench.answers()
        #expect(told13[other]?.isReplay == false)
    }

    // MARK: Bounds

    @Test(arguments: [1, 3, 10])
    func noMoreThanTheLimitIsQueued(items: Int) {
        var settings = ShardMachine.Settings()
        settings.queueItemsMax = items
        var bench = Bench(settings)
        let tickets = (0...items).map { bench.write(put("a/\($0)")) }
        #expect(bench.machine.queuedItems == items)
        let told14 = bench.answers()
        #expect(told14[tickets[items]]?.refusal == .overloaded)
        bench.commit()
        let told15 = bench.answers()
        #expect(told15.count == items)
        let later = bench.write(put("a/x"))
        bench.commit()
        let told16 = bench.answers()
        #expect(told16[later]?.refusal == nil)
    }

    @Test func bytesAreLimitedButOneOperationAlwaysFits() {
        var settings = ShardMachine.Settings()
        settings.queueBytesMax = 100
        var bench = Bench(settings)
        let large = String(repeating: "x", count: 500)
        bench.write(put("a/1", large))
        let second = bench.write(put("a/2"))
        let told17 = bench.answers()
        #expect(told17[second]?.refusal == .overloaded)
        bench.commit()
        #expect(bench.machine.queuedBytes == 0)
    }

    @Test func anOldQueueTakesNothingMore() {
        var settings = ShardMachine.Settings()
        settings.queueAgeMillisecondsMax = 10
        var bench = Bench(settings)
        bench.write(put("a/1"))
        bench.arrival = MonotonicTime(nanoseconds: 11_000_000)
        let late = bench.write(put("a/2"))
        let told18 = bench.answers()
        #expect(told18[late]?.refusal == .overloaded)
    }
}
