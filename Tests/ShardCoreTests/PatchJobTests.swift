import Entities
import Primitives
import ShardCore
import Testing

/// Patches that may take long are evaluated off the loop, and only their entity's queue waits for them.
@Suite struct PatchJobTests {
    /// Every patch counts as long.
    private static func bench(queueAgeMillisecondsMax: UInt64 = 1_000, entityQueueBytesMax: Int = 64 << 20) -> Bench {
        Bench(
            ShardMachine.Settings(
                queueAgeMillisecondsMax: queueAgeMillisecondsMax, loopPatchWorkBytesMax: 0,
                entityQueueBytesMax: entityQueueBytesMax))
    }

    private static func benchWithState() -> Bench {
        var bench = Self.bench()
        bench.write(put("a/1", #"{"pad":"x"}"#))
        bench.commit()
        _ = bench.answers()
        return bench
    }

    private func merge(_ document: String, once: String? = nil) -> WriteOperation {
        WriteOperation(
            key: key("a/1"), action: .patch(.merge, document: Array(document.utf8)),
            idempotencyKey: once.map { Array($0.utf8) })
    }

    @Test func onlyItsEntityWaits() {
        var bench = Self.benchWithState()
        let patch = bench.write(merge(#"{"a":1}"#))
        let behind = bench.write(put("a/1", "later"))
        let other = bench.write(put("b/1"))
        bench.commit()
        let early = bench.answers()
        #expect(early[patch] == nil && early[behind] == nil && early[other]?.version == 2)
        bench.work()
        bench.commit()
        let answers = bench.answers()
        #expect(answers[patch]?.version == 3 && answers[behind]?.version == 4)
        #expect(bench.machine.isIdle && !bench.machine.wantsJob)
    }

    /// The version is the position that the effect gets when the job has been given back.
    @Test func theRecordHasItsOwnVersion() {
        var bench = Self.benchWithState()
        bench.write(merge(#"{"a":1}"#))
        let taken = bench.machine.nextJob()
        for number in 0..<5 { bench.write(put("b/\(number)")) }
        bench.commit()
        if let taken { bench.machine.finished(taken.run(), now: bench.now, at: bench.arrival, rows: bench.rows) }
        bench.commit()
        let read = bench.read(key("a/1"))
        let answers = bench.answers()
        #expect(answers[read]?.state == #"{"pad":"x","a":1}"#)
        let record = bench.rows.rows[StoreRows.entity(key("a/1"))].flatMap { StoredRecord(decoding: $0) }
        #expect(record?.version == Position(7))
    }

    /// Its size tells nothing of its work: twelve copies make the state a thousand times as large.
    @Test func aShortPatchThatTakesLongGoesOffTheLoop() {
        func doubled(_ times: Int) -> WriteOperation {
            let copies = (0..<times).map { _ in #"{"op":"copy","from":"/a","path":"/a/-"}"# }.joined(separator: ",")
            return WriteOperation(
                key: key("a/1"), action: .patch(.jsonPatch, document: Array("[\(copies)]".utf8)))
        }
        var bench = Bench()
        let state = "{\"a\":[\"\(String(repeating: "x", count: 60))\"]}"
        bench.write(put("a/1", state))
        bench.commit()
        bench.write(doubled(1))
        #expect(!bench.machine.wantsJob)
        bench.write(put("a/1", state))
        bench.commit()
        let long = bench.write(doubled(12))
        let other = bench.write(put("b/1"))
        #expect(bench.machine.wantsJob)
        bench.commit()
        #expect(bench.answers()[other]?.version == 4)
        let job = bench.machine.nextJob()
        #expect(job?.byteCount == Limits.entityBytesDefault)
        if let job { bench.machine.finished(job.run(), now: bench.now, at: bench.arrival, rows: bench.rows) }
        bench.commit()
        let read = bench.read(key("a/1"))
        let answers = bench.answers()
        #expect(answers[long]?.version == 5 && (answers[read]?.state?.utf8.count ?? 0) > 250_000)
    }

    @Test func patchesOfOneEntityFollowEachOther() {
        var bench = Self.bench()
        bench.write(put("a/1", TurnTests.wide))
        bench.commit()
        _ = bench.answers()
        let tickets = (0..<10).map { bench.write(merge("{\"m\($0)\":\($0)}")) }
        var jobs = 0
        while bench.work() { jobs += 1 }
        #expect(jobs == 10 && bench.machine.statesRead == 1)
        bench.commit()
        let answers = bench.answers()
        #expect(tickets.map { answers[$0]?.version } == (2...11).map { UInt64($0) })
    }

    @Test func aRefusedPatchHasNoEffect() {
        var bench = Self.benchWithState()
        let bad = bench.write(
            WriteOperation(
                key: key("a/1"),
                action: .patch(.jsonPatch, document: Array(#"[{"op":"remove","path":"/none"}]"#.utf8))))
        let good = bench.write(merge(#"{"a":1}"#))
        while bench.work() {}
        bench.commit()
        let answers = bench.answers()
        #expect(answers[bad]?.refusal == .patchFailed && answers[good]?.version == 2)
    }

    @Test func aRetryOfAJobIsAnsweredFromItsRow() {
        var bench = Self.benchWithState()
        let first = bench.write(merge(#"{"a":1}"#, once: "k"))
        let second = bench.write(merge(#"{"a":1}"#, once: "k"))
        while bench.work() {}
        bench.commit()
        let answers = bench.answers()
        #expect(answers[first]?.version == 2 && answers[second]?.version == 2)
    }

    /// The state that was patched never came to be: the patch is evaluated anew, on what is there.
    @Test func aResultOnAStateThatWasTakenBackIsVoid() {
        var bench = Self.benchWithState()
        bench.write(put("a/1", #"{"pad":"taken back"}"#))
        _ = bench.machine.takeGroup()
        let patch = bench.write(merge(#"{"a":1}"#))
        let job = bench.machine.nextJob()
        bench.refuse(from: 2)
        if let job { bench.machine.finished(job.run(), now: bench.now, at: bench.arrival, rows: bench.rows) }
        let worked = bench.work()
        #expect(worked)
        bench.commit()
        let read = bench.read(key("a/1"))
        let answers = bench.answers()
        #expect(answers[patch]?.version == 2 && answers[read]?.state == #"{"pad":"x","a":1}"#)
    }

    /// A job whose operation is evaluated anew behind others finds nobody waiting.
    @Test func aJobThatNobodyWaitsForIsIgnored() {
        var bench = Self.benchWithState()
        bench.write(put("a/1", #"{"n":1}"#))
        let guarded = bench.write(put("a/1", "never", if: Preconditions(ifNoneMatch: .any)))
        let patch = bench.write(merge(#"{"a":1}"#))
        let job = bench.machine.nextJob()
        bench.refuse(from: 2)
        if let job { bench.machine.finished(job.run(), now: bench.now, at: bench.arrival, rows: bench.rows) }
        while bench.work() {}
        bench.commit()
        let answers = bench.answers()
        #expect(answers[guarded]?.refusal == .preconditionFailed && answers[patch]?.version == 2)
        #expect(bench.machine.isIdle)
    }

    @Test func whatExpiredMeanwhileIsNotPatched() {
        var bench = Self.bench()
        bench.write(
            WriteOperation(
                key: key("a/1"), action: .put(state: Array("{}".utf8), contentType: [], ttlSeconds: 1)))
        bench.commit()
        let patch = bench.write(merge(#"{"a":1}"#))
        let job = bench.machine.nextJob()
        bench.now = Timestamp(milliseconds: 10_000)
        if let job { bench.machine.finished(job.run(), now: bench.now, at: bench.arrival, rows: bench.rows) }
        while bench.work() {}
        let answers = bench.answers()
        #expect(answers[patch]?.refusal == .notFound)
    }

    @Test func theRowsThatWereFetchedAreKeptForTheTimeAfterTheJob() {
        var bench = Self.benchWithState()
        let row = bench.rows.rows[StoreRows.entity(key("a/1"))]
        bench.rows.uncached.insert(StoreRows.entity(key("a/1")))
        let patch = bench.write(merge(#"{"a":1}"#))
        _ = bench.fetch(record: row)
        let worked = bench.work()
        #expect(worked)
        let asked = bench.machine.nextFetch()
        #expect(asked == nil)
        bench.commit()
        let answers = bench.answers()
        #expect(answers[patch]?.version == 2)
    }

    /// The shard went away and came back while a job was under way: it is no answer to what waits now.
    @Test func aJobOfAnEarlierEpochIsIgnored() {
        var bench = Self.benchWithState()
        bench.write(merge(#"{"old":1}"#))
        let old = bench.machine.nextJob()
        bench.machine = ShardMachine(
            shard: ShardID(3), epoch: Epoch(2), applied: Position(1),
            settings: ShardMachine.Settings(loopPatchWorkBytesMax: 0))
        bench.write(merge(#"{"new":1}"#))
        if let old { bench.machine.finished(old.run(), now: bench.now, at: bench.arrival, rows: bench.rows) }
        #expect(bench.machine.appended == Position(1))
        bench.work()
        bench.commit()
        let read = bench.read(key("a/1"))
        let answers = bench.answers()
        #expect(answers[read]?.state == #"{"pad":"x","new":1}"#)
    }

    // MARK: What waits is bounded

    /// How long a patch waited for its turn says nothing of the log: others of the shard are not refused for it.
    @Test func theAgeOfAJobRefusesItsEntityAlone() {
        var bench = Self.bench(queueAgeMillisecondsMax: 100)
        bench.write(put("a/1", "{}"))
        bench.commit()
        bench.write(merge(#"{"a":1}"#))
        bench.arrival = MonotonicTime(nanoseconds: 500 * 1_000_000)
        let same = bench.write(merge(#"{"b":1}"#))
        bench.work()
        let other = bench.write(put("b/1"))
        bench.commit()
        let answers = bench.answers()
        #expect(answers[same]?.refusal == .overloaded && answers[other]?.version == 3)
    }

    @Test func patchesOfALargeStateAreFew() {
        var bench = Self.bench(entityQueueBytesMax: 1_000)
        bench.write(put("a/1", "{\"pad\":\"" + String(repeating: "x", count: 300) + "\"}"))
        bench.commit()
        let tickets = (0..<10).map { bench.write(merge("{\"m\($0)\":1}")) }
        let answers = bench.answers()
        #expect(tickets.count { answers[$0]?.refusal == .overloaded } == 6)
        #expect(bench.machine.queuedItems == 4)
    }

    @Test func aJobWithoutRoomIsRefusedAndTheNextTriesForItself() {
        var bench = Self.benchWithState()
        let first = bench.write(merge(#"{"a":1}"#))
        let second = bench.write(merge(#"{"b":1}"#))
        if let job = bench.machine.nextJob() {
            bench.machine.refuse(job, Problem(.overloaded, "no room"), now: bench.now, rows: bench.rows)
        }
        bench.work()
        bench.commit()
        let answers = bench.answers()
        #expect(answers[first]?.refusal == .overloaded && answers[second]?.version == 2)
        #expect(bench.machine.isIdle)
    }

    // MARK: Ends

    @Test func aFrozenShardFinishesItsJobs() {
        var bench = Self.benchWithState()
        bench.write(merge(#"{"a":1}"#))
        bench.machine.hold()
        bench.write(put("b/1"))
        #expect(!bench.machine.isDrained)
        bench.work()
        bench.commit()
        _ = bench.answers()
        #expect(bench.machine.isDrained && bench.machine.queuedItems == 1)
    }

    @Test func steppingDownRefusesWhatWaitsForAJob() {
        var bench = Self.benchWithState()
        let patch = bench.write(merge(#"{"a":1}"#))
        bench.machine.stepDown(Problem(.shardUnavailable, "moved"))
        let answers = bench.answers()
        #expect(answers[patch]?.refusal == .shardUnavailable && bench.machine.isIdle)
    }

    // MARK: Groups that the log does not take yet

    @Test func aKeptGroupIsGivenAgainWithWhatCameMeanwhile() {
        var bench = Bench()
        bench.write(put("a/1"))
        let first = bench.machine.takeGroup()
        bench.machine.groupKept(from: Position(1))
        bench.write(put("a/2"))
        let again = bench.machine.takeGroup()
        #expect(first?.payloads.count == 1 && again?.first == Position(1) && again?.payloads.count == 2)
        bench.machine.logDurable(upTo: bench.machine.submitted)
        #expect(bench.machine.durable == Position(2))
    }
}
