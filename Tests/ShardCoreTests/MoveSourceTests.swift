import Entities
import Primitives
import ShardCore
import Testing

/// A source with a session that has followed up to where the shard stands.
private struct Bed {
    var source: MoveSource
    var now = MonotonicTime(nanoseconds: 1_000_000_000)
    var session = MoveSession(1)

    init(teeBytesMax: Int = 1 << 20, handoverLagBytes: Int = 1 << 20) {
        var settings = MoveSource.Settings()
        settings.teeBytesMax = teeBytesMax
        settings.handoverLagBytes = handoverLagBytes
        source = MoveSource(shard: ShardID(3), epoch: Epoch(4), applied: Position(10), settings: settings)
    }

    mutating func effects() -> [MoveSource.Effect] {
        var all: [MoveSource.Effect] = []
        while let effect = source.nextEffect() { all.append(effect) }
        return all
    }

    mutating func commit(_ count: Int) {
        let first = source.applied.rawValue + 1
        let effects = (0..<count).map { index in
            EntityEffect(
                key: key("a/\(first + UInt64(index))"), record: nil, idempotencyKey: nil, idempotencyRow: nil)
        }
        source.committed(
            CommitGroup.made(through: Position(first + UInt64(count) - 1), effects: effects))
    }

    mutating func pull(_ after: UInt64, _ durable: UInt64, waits: UInt64 = 0, ticket: Ticket = 1) {
        source.pull(
            session, after: Position(after), durable: Position(durable), bytesMax: 1 << 20, waitMilliseconds: waits,
            ticket: ticket, now: now)
    }

    mutating func wait(_ milliseconds: UInt64) {
        now = now.adding(nanoseconds: milliseconds * 1_000_000)
        source.tick(now: now)
    }

    mutating func open() {
        source.open(session, ticket: 9, now: now)
        source.checkpointMade(session, files: [MoveFile(name: "f", byteCount: 1, crc: 1)], now: now)
        _ = effects()
    }

    /// Up to the freeze, at revision 7, with the target durable up to `durable`.
    mutating func freeze(durable: UInt64) {
        open()
        source.stageRead(.catchUp, revision: 6, now: now)
        pull(durable, durable)
        source.stageRead(.handover, revision: 7, now: now)
    }

    mutating func lastPull() -> MovePullAnswer? {
        effects().compactMap { if case .answerPull(_, let answer) = $0 { answer } else { nil } }.last
    }
}

extension CommitGroup {
    /// A group as a machine gives it.
    fileprivate static func made(through: Position, effects: [EntityEffect]) -> CommitGroup {
        var machine = ShardMachine(
            shard: ShardID(3), epoch: Epoch(4), applied: Position(through.rawValue - UInt64(effects.count)))
        for effect in effects {
            let operation = WriteOperation(
                key: effect.key, action: .put(state: [1, 2, 3], contentType: [], ttlSeconds: nil))
            machine.write(
                operation, ticket: 0, now: .zero, arrival: MonotonicTime(nanoseconds: 0), rows: Rows())
        }
        _ = machine.takeGroup()
        machine.logDurable(upTo: machine.submitted)
        guard let group = machine.takeCommit() else { fatalError("nothing was committed") }
        return group
    }
}

@Suite struct MoveSourceTests {
    @Test func whatIsCommittedFromTheOpenOnIsGiven() {
        var bed = Bed()
        bed.commit(2)
        bed.source.open(bed.session, ticket: 5, now: bed.now)
        let opened = bed.effects()
        #expect(opened == [.makeCheckpoint(bed.session)])
        bed.commit(3)
        let files = [MoveFile(name: "f", byteCount: 1, crc: 1)]
        bed.source.checkpointMade(bed.session, files: files, now: bed.now)
        let made = bed.effects()
        #expect(made == [.answerOpen(5, .manifest(epoch: Epoch(4), files: files))])
        #expect(bed.source.file(0, of: bed.session) == files[0] && bed.source.file(1, of: bed.session) == nil)
        bed.pull(13, 13)
        let effects = bed.effects()
        #expect(effects.first == .dropCheckpoint(bed.session))
        guard case .answerPull(1, let answer) = effects.last else {
            Issue.record("the pull is not answered")
            return
        }
        #expect(answer.first == Position(14) && answer.payloads.count == 2 && answer.applied == Position(15))
    }

    @Test func anOpenIsRepeatableAndAnOldSessionIsNot() {
        var bed = Bed()
        bed.source.open(MoveSession(2), ticket: 1, now: bed.now)
        bed.source.open(MoveSession(2), ticket: 2, now: bed.now)
        bed.source.open(MoveSession(1), ticket: 3, now: bed.now)
        let effects = bed.effects()
        #expect(effects == [.makeCheckpoint(MoveSession(2)), .answerOpen(1, .superseded), .answerOpen(3, .restart)])
        bed.source.open(MoveSession(3), ticket: 4, now: bed.now)
        let next = bed.effects()
        #expect(
            next == [.answerOpen(2, .restart), .dropCheckpoint(MoveSession(2)), .makeCheckpoint(MoveSession(3))])
        bed.source.checkpointMade(MoveSession(2), files: [], now: bed.now)
        let late = bed.effects()
        #expect(late == [.dropCheckpoint(MoveSession(2))])
    }

    /// As many small updates as the bytes of a pull would take are more than a message may have.
    @Test func anAnswerHasNoMoreUpdatesThanAMessage() {
        var bed = Bed(teeBytesMax: 64 << 20)
        bed.open()
        for _ in 0...(Limits.peerRecordsMax / 4000) { bed.commit(4000) }
        bed.source.pull(
            bed.session, after: Position(10), durable: Position(10), bytesMax: 64 << 20, waitMilliseconds: 0,
            ticket: 1, now: bed.now)
        #expect(bed.lastPull()?.payloads.count == Limits.peerRecordsMax)
    }

    @Test func anOverflowOfTheTeeEndsInARestart() {
        var bed = Bed(teeBytesMax: 100)
        bed.open()
        bed.commit(1)
        #expect(bed.source.teeBytes > 0)
        bed.commit(3)
        #expect(bed.source.teeBytes == 0 && bed.source.file(0, of: bed.session) != nil)
        bed.pull(12, 12)
        let answer = bed.lastPull()
        #expect(answer?.phase == .restart && bed.source.file(0, of: bed.session) == nil)
    }

    @Test func aPullWaitsForSomethingToBeGivenAndNoLonger() {
        var bed = Bed()
        bed.open()
        bed.pull(10, 10, waits: 500)
        let early = bed.lastPull()
        #expect(early == nil)
        bed.commit(1)
        let given = bed.lastPull()
        #expect(given?.payloads.count == 1)
        bed.pull(11, 11, waits: 500, ticket: 2)
        bed.wait(499)
        let before = bed.lastPull()
        #expect(before == nil)
        bed.wait(1)
        let after = bed.lastPull()
        #expect(after?.payloads.isEmpty == true && after?.phase == .streaming)
    }

    @Test func whatTheTargetHasOnStableStorageIsKeptNoLonger() {
        var bed = Bed()
        bed.open()
        bed.commit(4)
        let all = bed.source.teeBytes
        bed.pull(14, 12)
        #expect(bed.source.teeBytes == all / 2)
        // Sent before, come after: no reason to begin anew.
        bed.pull(11, 10)
        let answer = bed.lastPull()
        #expect(answer?.phase == .streaming && answer?.payloads.isEmpty == true)
    }

    // MARK: Handover

    @Test func itHandsOverOnlyWhatIsNear() {
        var bed = Bed(handoverLagBytes: 60)
        bed.open()
        bed.commit(4)
        bed.pull(14, 11)
        bed.source.stageRead(.catchUp, revision: 6, now: bed.now)
        let far = bed.effects()
        #expect(!far.contains(.enterHandover))
        bed.pull(14, 14)
        let near = bed.effects()
        #expect(near.contains(.enterHandover))
    }

    @Test func itCommitsOnceTheTargetIsDurableThroughTheLastPosition() {
        var bed = Bed()
        bed.freeze(durable: 10)
        let frozen = bed.effects()
        #expect(frozen.contains(.enterHandover) && frozen.last == .freeze)
        bed.commit(1)
        bed.source.drained(through: Position(11), now: bed.now)
        bed.pull(11, 10, waits: 500)
        let received = bed.effects()
        #expect(!received.contains(.stopReads))
        bed.pull(11, 11, waits: 500, ticket: 2)
        let durable = bed.effects()
        #expect(durable.contains(.stopReads))
        #expect(durable.last == .commitHandover(through: Position(11), revision: 7))
        bed.source.handoverCommitted(Epoch(5))
        let lost = bed.effects()
        #expect(lost.last == .lost(Epoch(5)) && bed.source.isLost)
        bed.pull(11, 11)
        let answer = bed.lastPull()
        #expect(answer?.phase == .handedOver(Epoch(5)))
    }

    @Test func aPullThatWaitsIsToldOfTheFreeze() {
        var bed = Bed()
        bed.open()
        bed.source.stageRead(.catchUp, revision: 6, now: bed.now)
        bed.pull(10, 9, waits: 500)
        bed.source.stageRead(.handover, revision: 7, now: bed.now)
        _ = bed.effects()
        bed.source.drained(through: Position(10), now: bed.now)
        let answer = bed.lastPull()
        #expect(answer?.phase == .frozen(through: Position(10)))
    }

    @Test func aFreezeIsGivenUpAtItsBoundAndTriedAgainLaterAndLater() {
        var bed = Bed()
        bed.freeze(durable: 10)
        bed.wait(199)
        let within = bed.effects()
        #expect(!within.contains(.thaw) && bed.source.isFrozen)
        bed.wait(1)
        let beyond = bed.effects()
        #expect(beyond.contains(.thaw) && !bed.source.isFrozen)
        for pause: UInt64 in [1000, 2000, 4000, 8000, 8000] {
            bed.wait(pause - 1)
            let early = bed.effects()
            #expect(early.isEmpty)
            bed.wait(1)
            let again = bed.effects()
            #expect(again == [.enterHandover])
            bed.source.stageRead(.handover, revision: 7, now: bed.now)
            bed.wait(200)
            _ = bed.effects()
        }
    }

    @Test func afterTheTransactionWasSentNoTimeThaws() {
        var bed = Bed()
        bed.freeze(durable: 10)
        bed.source.drained(through: Position(10), now: bed.now)
        _ = bed.effects()
        bed.wait(60_000)
        bed.source.stageRead(.handover, revision: 7, now: bed.now)
        let quiet = bed.effects()
        #expect(quiet.isEmpty && bed.source.isFrozen)
        bed.source.handoverUnknown(now: bed.now)
        bed.wait(100)
        let again = bed.effects()
        #expect(again == [.commitHandover(through: Position(10), revision: 7)])
    }

    @Test func aLaterRevisionSettlesThatTheTransactionFailed() {
        var bed = Bed()
        bed.freeze(durable: 10)
        bed.source.drained(through: Position(10), now: bed.now)
        _ = bed.effects()
        bed.source.stageRead(.copy, revision: 8, now: bed.now)
        let settled = bed.effects()
        #expect(settled == [.thaw])
        // What was acknowledged before counts for nothing now.
        bed.source.stageRead(.catchUp, revision: 9, now: bed.now)
        bed.wait(1000)
        let later = bed.effects()
        #expect(later.isEmpty)
    }

    @Test func aTargetThatBeginsAnewIsNotHandedOverTo() {
        var bed = Bed()
        bed.freeze(durable: 10)
        _ = bed.effects()
        bed.source.open(MoveSession(2), ticket: 3, now: bed.now)
        let effects = bed.effects()
        #expect(effects.contains(.thaw) && effects.last == .makeCheckpoint(MoveSession(2)))
        bed.pull(10, 10)
        let answer = bed.lastPull()
        #expect(answer?.phase == .restart)
    }

    @Test func cancellingLeavesTheOwnerUntouched() {
        var bed = Bed()
        bed.freeze(durable: 10)
        _ = bed.effects()
        bed.source.cancelled(now: bed.now)
        let effects = bed.effects()
        #expect(effects.contains(.thaw) && bed.source.isCancelled)
        bed.commit(1)
        #expect(bed.source.teeBytes == 0)
        bed.source.open(MoveSession(2), ticket: 3, now: bed.now)
        let late = bed.effects()
        guard case .answerOpen(3, .failed) = late.last else {
            Issue.record("a cancelled move is opened")
            return
        }
    }

    @Test func anEarlierReadingOfTheRecordIsIgnored() {
        var bed = Bed()
        bed.freeze(durable: 10)
        _ = bed.effects()
        bed.source.stageRead(.copy, revision: 5, now: bed.now)
        #expect(bed.source.isFrozen)
    }
}
