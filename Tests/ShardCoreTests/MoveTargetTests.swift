import Entities
import Primitives
import ShardCore
import Testing

private struct Bed {
    var target: MoveTarget
    var now = MonotonicTime(nanoseconds: 1_000_000_000)
    let files = [
        MoveFile(name: "a", byteCount: 25, crc: CRC32C.checksum([UInt8](repeating: 1, count: 25))),
        MoveFile(name: "b", byteCount: 0, crc: 0),
    ]

    init(bytesPerSecond: UInt64 = 0) {
        var settings = MoveTarget.Settings()
        settings.chunkBytesMax = 10
        settings.chunksInFlightMax = 2
        target = MoveTarget(
            shard: ShardID(3), after: .before(bootCount: 1), bytesPerSecond: bytesPerSecond, settings: settings)
    }

    mutating func effects() -> [MoveTarget.Effect] {
        var all: [MoveTarget.Effect] = []
        while let effect = target.nextEffect(now: now) { all.append(effect) }
        return all
    }

    mutating func wait(_ milliseconds: UInt64) {
        now = now.adding(nanoseconds: milliseconds * 1_000_000)
        target.tick(now: now)
    }

    /// Up to the question for a checkpoint; its number.
    mutating func begin() -> UInt64 {
        _ = effects()
        target.stageEntered(.copy, now: now)
        _ = effects()
        target.storeDiscarded(now: now)
        return effects().requests.first ?? 0
    }

    mutating func examine(_ local: [MoveFile], files: [MoveFile]? = nil) -> [MoveTarget.Effect] {
        let request = begin()
        target.opened(request, .manifest(epoch: Epoch(4), files: files ?? self.files), now: now)
        _ = effects()
        target.examined(local: local, now: now)
        return effects()
    }

    /// Up to the first pull, from a checkpoint at 10; the pull's number.
    mutating func follow() -> UInt64 {
        _ = examine(files)
        target.installed(applied: Position(10), now: now)
        let pulls = effects().requests
        target.stageEntered(.catchUp, now: now)
        return pulls.last ?? 0
    }

    mutating func answer(
        _ request: UInt64, first: UInt64, count: Int, phase: MovePullAnswer.Phase = .streaming
    ) -> [MoveTarget.Effect] {
        let payloads = (0..<count).map { index in
            EntityEffect(key: key("a/\(index)"), record: nil, idempotencyKey: nil, idempotencyRow: nil).encoded
        }
        target.pulled(
            request,
            MovePullAnswer(
                epoch: Epoch(4), first: Position(first), payloads: payloads,
                applied: Position(first + UInt64(count) - 1), phase: phase), now: now)
        return effects()
    }
}

extension [MoveTarget.Effect] {
    fileprivate var requests: [UInt64] {
        compactMap {
            switch $0 {
            case .requestOpen(let request, _), .requestChunk(let request, _, _, _, _),
                .requestPull(let request, _, _, _, _, _):
                request
            default: nil
            }
        }
    }

    /// The effects' names, without what they carry.
    fileprivate var names: [String] { map { String("\($0)".prefix { $0 != "(" }) } }

    fileprivate var append: AppendGroup? {
        for case .append(let group) in self { return group }
        return nil
    }
}

@Suite struct MoveTargetTests {
    @Test func theRecordIsChangedBeforeAnythingIsThrownAway() {
        var bed = Bed()
        let first = bed.effects()
        #expect(first.names == ["enterCopy"])
        bed.target.stageFailed(now: bed.now)
        let paused = bed.effects()
        #expect(paused.isEmpty)
        bed.wait(100)
        let again = bed.effects()
        #expect(again.names == ["enterCopy"])
        bed.target.stageEntered(.copy, now: bed.now)
        let next = bed.effects()
        #expect(next.names == ["discardStore"])
        bed.target.storeDiscarded(now: bed.now)
        let opens = bed.effects()
        #expect(opens.names == ["requestOpen"] && bed.target.lastSession > .before(bootCount: 1))
    }

    @Test func aLostQuestionIsAskedAgainInTheSameSession() {
        var bed = Bed()
        _ = bed.begin()
        let session = bed.target.lastSession
        bed.wait(10_000)
        bed.wait(100)
        let again = bed.effects()
        #expect(again.names == ["requestOpen"] && bed.target.lastSession == session)
        bed.target.opened(again.requests[0], .failed("no space"), now: bed.now)
        #expect(bed.target.progress.trouble?.contains("no space") == true)
        bed.wait(1_000)
        let anew = bed.effects()
        #expect(anew.names == ["requestOpen"] && bed.target.lastSession > session)
    }

    // MARK: Files

    @Test func onlyFilesOfTheSameSizeAndSumAreKept() {
        var bed = Bed()
        let other = MoveFile(name: "a", byteCount: 25, crc: 7)
        let gone = MoveFile(name: "z", byteCount: 1, crc: 7)
        let effects = bed.examine([other, gone, bed.files[1]])
        guard case .removeFiles(let names) = effects.first else {
            Issue.record("stale files stay")
            return
        }
        #expect(names == ["a", "z"] && effects.names.dropFirst() == ["requestChunk", "requestChunk"])
        var resumed = Bed()
        let whole = resumed.examine(resumed.files)
        #expect(whole.names == ["installStore"])
    }

    @Test func piecesAreFetchedCheckedWrittenAndTheFileFinished() {
        var bed = Bed()
        let first = bed.examine([])
        #expect(first.names == ["finishFile", "requestChunk", "requestChunk"])
        bed.target.fileFinished("b", isSound: true, now: bed.now)
        let bytes = [UInt8](repeating: 1, count: 10)
        let requests = first.requests
        bed.target.fetched(requests[0], bytes: bytes, crc: 1, now: bed.now)
        let wrong = bed.effects()
        #expect(wrong.isEmpty)
        bed.target.fetched(requests[1], bytes: bytes, crc: CRC32C.checksum(bytes), now: bed.now)
        let right = bed.effects()
        #expect(right.names == ["writeChunk"])
        bed.target.chunkWritten(requests[1], now: bed.now)
        #expect(bed.target.progress.bytesDone == 10 && bed.target.progress.bytesTotal == 25)
        bed.wait(100)
        let more = bed.effects()
        #expect(more.names == ["requestChunk", "requestChunk"])
        for (request, count) in zip(more.requests, [10, 5]) {
            let bytes = [UInt8](repeating: 1, count: count)
            bed.target.fetched(request, bytes: bytes, crc: CRC32C.checksum(bytes), now: bed.now)
            bed.target.chunkWritten(request, now: bed.now)
        }
        let done = bed.effects()
        #expect(done.names == ["writeChunk", "writeChunk", "finishFile"])
        bed.target.fileFinished("a", isSound: false, now: bed.now)
        let again = bed.effects()
        #expect(again.names == ["requestChunk", "requestChunk"] && bed.target.progress.bytesDone == 0)
    }

    @Test func namesThatLeadElsewhereAreRefused() {
        for name in ["../x", "a/b", "", "."] {
            var bed = Bed()
            let request = bed.begin()
            let files = [MoveFile(name: name, byteCount: 1, crc: 1)]
            bed.target.opened(request, .manifest(epoch: Epoch(4), files: files), now: bed.now)
            let effects = bed.effects()
            #expect(effects.isEmpty && bed.target.progress.trouble != nil)
        }
    }

    @Test func fetchingKeepsToItsRate() {
        var bed = Bed(bytesPerSecond: 100)
        let first = bed.examine([])
        #expect(first.names == ["finishFile", "requestChunk"])
        #expect(bed.target.deadline == bed.now.adding(nanoseconds: 100_000_000))
        bed.wait(99)
        let early = bed.effects()
        #expect(early.isEmpty)
        bed.wait(1)
        let due = bed.effects()
        #expect(due.names == ["requestChunk"])
    }

    /// The limit is told again and again while nothing changes; that forgives nothing.
    @Test func theSameLimitAgainForgivesNothing() {
        var bed = Bed(bytesPerSecond: 100)
        _ = bed.examine([])
        let due = bed.target.deadline
        bed.wait(50)
        bed.target.throttle(bytesPerSecond: 100, now: bed.now)
        #expect(bed.target.deadline == due)
        bed.target.throttle(bytesPerSecond: 50, now: bed.now)
        #expect(bed.target.deadline == bed.now.adding(nanoseconds: 100_000_000), "50 ms owed are twice that now")
        bed.target.throttle(bytesPerSecond: 0, now: bed.now)
        #expect(bed.target.deadline.map { $0 <= bed.now } == true)
    }

    @Test func roundsThatGetNowhereAreNoticed() {
        var bed = Bed()
        for round in 1...4 {
            let chunks = bed.examine([])
            #expect(bed.target.progress.rounds == round)
            #expect(bed.target.progress.isNotConverging == (round == 4))
            bed.wait(500)
            bed.target.restartAsked(chunks.requests[0], now: bed.now)
            bed.wait(10_000)
        }
        #expect(bed.target.progress.neededBytesPerSecond == 50)
    }

    // MARK: Updates

    @Test func updatesAreAppendedThenAppliedOnceDurable() {
        var bed = Bed()
        let pull = bed.follow()
        let received = bed.answer(pull, first: 11, count: 3)
        #expect(received.names == ["append"] && received.append?.first == Position(11))
        bed.target.appendRefused(now: bed.now)
        bed.wait(100)
        let again = bed.effects()
        #expect(again.append?.payloads.count == 3)
        bed.target.appendAccepted()
        let next = bed.effects()
        #expect(next.names == ["requestPull"])
        bed.target.logDurable(upTo: Position(12))
        let durable = bed.effects()
        guard case .apply(let group) = durable.first else {
            Issue.record("nothing is applied")
            return
        }
        #expect(group.through == Position(12) && group.effects.count == 2)
        bed.target.applied(upTo: Position(12))
        #expect(bed.target.progress.lagPositions == 1)
    }

    @Test func whatItHasIsSkippedAndAGapIsARestart() {
        var bed = Bed()
        var pull = bed.follow()
        let overlapping = bed.answer(pull, first: 9, count: 3)
        #expect(overlapping.append?.first == Position(11) && overlapping.append?.payloads.count == 1)
        bed.target.appendAccepted()
        pull = bed.effects().requests[0]
        let gap = bed.answer(pull, first: 13, count: 1)
        #expect(gap.isEmpty)
        bed.wait(100)
        let anew = bed.effects()
        #expect(anew.names == ["enterCopy"])
    }

    @Test func theLogReportsAllBeforeAStoreIsThrownAway() {
        var bed = Bed()
        let pull = bed.follow()
        _ = bed.answer(pull, first: 11, count: 2)
        bed.target.appendAccepted()
        bed.target.restartAsked(bed.effects().requests[0], now: bed.now)
        bed.wait(100)
        _ = bed.effects()
        bed.target.stageEntered(.copy, now: bed.now)
        let waits = bed.effects()
        #expect(waits.isEmpty)
        bed.target.logDurable(upTo: Position(12))
        let goes = bed.effects()
        #expect(goes.names == ["discardStore"])
    }

    @Test func inAFreezeDurabilityIsToldAtOnce() {
        var bed = Bed()
        let pull = bed.follow()
        _ = bed.answer(pull, first: 11, count: 1, phase: .frozen(through: Position(11)))
        bed.target.appendAccepted()
        let quiet = bed.effects()
        #expect(quiet.isEmpty)
        bed.target.logDurable(upTo: Position(11))
        let told = bed.effects()
        guard case .requestPull(_, _, let after, let durable, _, _) = told.last else {
            Issue.record("the source is not told")
            return
        }
        #expect(after == Position(11) && durable == Position(11))
    }

    @Test func aMoveThatWasBegunAgainIsCopiedAnew() {
        var bed = Bed()
        _ = bed.examine(bed.files)
        bed.target.installed(applied: Position(10), now: bed.now)
        let follows = bed.effects()
        #expect(follows.names == ["enterCatchUp", "requestPull"])
        bed.target.begunAgain(now: bed.now)
        bed.wait(100)
        let anew = bed.effects()
        #expect(anew.names == ["enterCopy"])
        bed.target.stageEntered(.copy, now: bed.now)
        let goes = bed.effects()
        #expect(goes.names == ["discardStore"])
    }

    // MARK: A source that knows nothing

    /// Up to a copy that lacks nothing, and is told that the source does not know its session.
    private func forgotten(applied: Bool) -> Bed {
        var bed = Bed()
        let pull = bed.follow()
        _ = bed.answer(pull, first: 11, count: 1, phase: .frozen(through: Position(11)))
        bed.target.appendAccepted()
        bed.target.logDurable(upTo: Position(11))
        let asks = bed.effects()
        #expect(asks.names == ["apply", "requestPull"])
        if applied { bed.target.applied(upTo: Position(11)) }
        bed.target.restartAsked(asks.requests[0], now: bed.now)
        return bed
    }

    @Test func aCopyIsKeptUntilTheRecordHasBeenChanged() {
        var bed = forgotten(applied: true)
        let quiet = bed.effects()
        #expect(quiet.isEmpty && bed.target.deadline.map { $0 > bed.now } == true)
        bed.wait(100)
        let asks = bed.effects()
        #expect(asks.names == ["enterCopy"])
        bed.target.stageFailed(now: bed.now)
        bed.wait(1_000)
        let again = bed.effects()
        #expect(again.names == ["enterCopy"])
        bed.target.stageEntered(.copy, now: bed.now)
        let goes = bed.effects()
        #expect(goes.names == ["discardStore"])
    }

    @Test func anOwnerThatTheSourceHasForgottenServesItsCopy() {
        for isAsked in [false, true] {
            var bed = forgotten(applied: true)
            if isAsked { bed.wait(100) }
            let before = bed.effects()
            #expect(before.names == (isAsked ? ["enterCopy"] : []))
            bed.target.ownerRead(Epoch(5), now: bed.now)
            let serves = bed.effects()
            #expect(serves.names == ["serve"] && bed.target.isDone)
        }
    }

    @Test func aForgottenOwnerFirstAppliesWhatItHas() {
        var bed = forgotten(applied: false)
        bed.target.ownerRead(Epoch(5), now: bed.now)
        let early = bed.effects()
        #expect(early.isEmpty)
        bed.target.applied(upTo: Position(11))
        let serves = bed.effects()
        #expect(serves.names == ["serve"])
    }

    @Test func aForgottenCopyThatIsCancelledGoes() {
        var bed = forgotten(applied: true)
        bed.target.cancelled(now: bed.now)
        let goes = bed.effects()
        #expect(goes.names == ["discardAll"] && bed.target.isDone)
    }

    @Test func aForgottenCopyWhoseStoreFailsIsNotServed() {
        var bed = forgotten(applied: true)
        bed.target.localFailed("i/o error", now: bed.now)
        bed.wait(100)
        let asks = bed.effects()
        #expect(asks.names == ["enterCopy"])
        bed.target.ownerRead(Epoch(5), now: bed.now)
        let lacks = bed.effects()
        #expect(lacks.names == ["lacking"])
    }

    // MARK: The end

    @Test func itServesOnlyOnWhatItHasReadAndApplied() {
        var bed = Bed()
        let pull = bed.follow()
        _ = bed.answer(pull, first: 11, count: 1, phase: .frozen(through: Position(11)))
        bed.target.appendAccepted()
        bed.target.logDurable(upTo: Position(11))
        let asks = bed.effects()
        let hinted = bed.answer(asks.requests[0], first: 12, count: 0, phase: .handedOver(Epoch(5)))
        #expect(hinted.names == ["readOwner"])
        bed.target.ownerRead(Epoch(5), now: bed.now)
        let early = bed.effects()
        #expect(early.isEmpty)
        bed.target.applied(upTo: Position(11))
        let ready = bed.effects()
        guard case .serve(let epoch, let applied) = ready.first else {
            Issue.record("it does not serve")
            return
        }
        #expect(epoch == Epoch(5) && applied == Position(11) && bed.target.isDone)
        #expect(bed.target.deadline == nil)
    }

    @Test func aShardThatItDoesNotHaveIsNotServed() {
        var bed = Bed()
        _ = bed.examine([])
        bed.target.ownerRead(Epoch(5), now: bed.now)
        let effects = bed.effects()
        #expect(effects.names == ["lacking"])
    }

    @Test func aMoveThatIsGoneLeavesNothing() {
        var bed = Bed()
        _ = bed.examine([])
        bed.target.cancelled(now: bed.now)
        let effects = bed.effects()
        #expect(effects.names == ["discardAll"] && bed.target.isDone)
    }
}
