import DequeModule
import Entities
public import Primitives

/// The source's side of a shard's move: keeps what the target lacks, and decides when to hand the shard over.
///
/// Pure: no clock, file, socket or thread. The owner of the shard's ``ShardMachine`` drives it beside that machine, on
/// the same thread, from the moment the shard's record names a move away from this node, in this cycle:
///
/// 1. ``committed(_:)`` with every ``CommitGroup``, in order, once the store has applied it.
/// 2. ``open(_:ticket:now:)`` and ``pull(_:after:durable:bytesMax:waitMilliseconds:ticket:now:)`` as requests come from
///    the target that the record names. Requests of other nodes or operations are refused before they get here.
/// 3. ``drained(through:now:)`` when a freeze is on and ``ShardMachine/isDrained``.
/// 4. ``stageRead(_:revision:now:)`` whenever the shard's record was read and names this node and this move.
/// 5. ``tick(now:)`` at ``deadline`` or a little later.
/// 6. After any of these: ``nextEffect()`` until it gives nothing, carrying each effect out.
///
/// Chunks of files do not pass through here: the driver reads them from the session's checkpoint, while
/// ``file(_:of:)`` knows the file; else it tells the target to begin anew.
///
/// **What makes the handover safe.** The transaction of ``Effect/commitHandover(through:revision:)`` must be
/// conditional on the shard's record having exactly that revision, and change it. The target changes the record, too
/// (stage `copy`), before it throws away what it has acknowledged. So one of the two fails.
///
/// - The outcome of the transaction may be unknown. The machine then stays frozen, without any bound, until the driver
///   knows: it reads the record, or sends the same transaction again. A record at the *same* revision proves nothing,
///   since the first transaction may still come in.
/// - A node that starts and finds itself the primary of a shard whose record has stage `handover` must first put the
///   record back to `catch-up` (which changes its revision), and serve the shard only then: a transaction of its
///   former life may still be under way.
public struct MoveSource {
    public enum Effect: Sendable, Equatable {
        /// Make a checkpoint of the store, now, of all that is applied. Off the loop; ends in
        /// ``MoveSource/checkpointMade(_:files:now:)`` or ``MoveSource/checkpointFailed(_:reason:now:)``.
        case makeCheckpoint(MoveSession)
        /// Delete the session's checkpoint, where there is one. One that is being made is dropped once it is made.
        case dropCheckpoint(MoveSession)
        case answerOpen(Ticket, MoveOpenAnswer)
        case answerPull(Ticket, MovePullAnswer)
        /// Put stage `handover` into the shard's record where it has stage `catch-up`. Then, and where it has another
        /// stage or the transaction failed, read the record and call ``MoveSource/stageRead(_:revision:now:)``.
        case enterHandover
        /// ``ShardMachine/hold()``.
        case freeze
        /// ``ShardMachine/thaw(now:rows:)``, and reads beside the queue go on where they were stopped.
        case thaw
        /// From now on no read beside the queue may be answered, nor one that has begun: they go to the frozen queue.
        case stopReads
        /// Everything up to `through` is durable at the target: make it the primary at the next epoch, on condition
        /// that the record has this revision. Where that fails the record is read. Ends in
        /// ``MoveSource/handoverCommitted(_:)``, in ``MoveSource/stageRead(_:revision:now:)`` with a later revision, in
        /// ``MoveSource/cancelled(now:)``, where the outcome is unknown, in ``MoveSource/handoverUnknown(now:)``: then
        /// this effect comes again; or, where it surely did not take effect, in ``MoveSource/handoverNotSent(now:)``.
        case commitHandover(through: Position, revision: UInt64)
        /// The shard belongs to the target at this epoch. ``ShardMachine/surrender()``, forward what it gives, stop the
        /// rest by ``ShardMachine/stepDown(_:)``, and retire the store. This machine may go on answering pulls.
        case lost(Epoch)
    }

    private enum State {
        case streaming
        /// The stage is being written; asked for again at `retryAt`.
        case entering(retryAt: MonotonicTime)
        /// Frozen, at this revision of the record; given up at the deadline.
        case freezing(revision: UInt64, until: MonotonicTime)
        /// The transaction is under way, or its outcome unknown; then it is sent again at `retryAt`.
        case committing(through: Position, revision: UInt64, retryAt: MonotonicTime?)
        case lost(Epoch)
        case cancelled
    }

    private struct Session {
        let id: MoveSession
        var files: [MoveFile]?
        /// Whether the checkpoint is wanted, being made or there.
        var hasCheckpoint = true
        var openTicket: Ticket?
        /// `nil` once it has overflowed: the target may finish its copy, and must then begin anew.
        var tee: MoveTee?
        /// The target's copy is open, and durable through this.
        var acknowledged: Position?
        /// Whether the target was told where the shard is frozen.
        var knowsFreeze = false
    }

    private struct WaitingPull {
        let ticket: Ticket
        let after: Position
        let bytesMax: Int
        let until: MonotonicTime
    }

    public let shard: ShardID
    public let epoch: Epoch
    /// The last position given to ``committed(_:)``.
    public private(set) var applied: Position

    private let settings: Settings
    private let mutants: Mutants

    private var state = State.streaming
    private var session: Session?
    /// No session up to this one is begun (again).
    private var lastSession = MoveSession(0)
    private var waiting: WaitingPull?
    private var effects = Deque<Effect>()
    private var stage = MoveStage.learner
    private var revision: UInt64 = 0
    /// The shard's last position, known while it is frozen and drained.
    private var frozenThrough: Position?
    private var nextAttempt: MonotonicTime?
    /// A handover transaction was sent whose outcome is not known.
    private var isOutcomeOpen = false
    private var pauses: BackOff
    private var retries = BackOff(
        firstMilliseconds: Limits.moveBackOffMilliseconds, longestMilliseconds: Limits.moveBackOffMillisecondsMax)

    public struct Settings: Sendable {
        public var teeBytesMax = Limits.moveTeeBytesMax
        public var handoverLagBytes = Limits.moveHandoverLagBytes
        public var handoverLagPositionsMax = Limits.moveHandoverLagPositionsMax
        public var freezeMilliseconds = Limits.moveFreezeMilliseconds
        public var freezePauseMilliseconds = Limits.moveFreezePauseMilliseconds
        public var freezePauseMillisecondsMax = Limits.moveFreezePauseMillisecondsMax

        public init() {}
    }

    /// - Parameters:
    ///   - epoch: the one at which this node owns the shard.
    ///   - applied: what the shard's store has applied.
    public init(
        shard: ShardID, epoch: Epoch, applied: Position, settings: Settings = Settings(), mutants: Mutants = .none
    ) {
        self.shard = shard
        self.epoch = epoch
        self.applied = applied
        self.settings = settings
        self.mutants = mutants
        pauses = BackOff(
            firstMilliseconds: settings.freezePauseMilliseconds,
            longestMilliseconds: settings.freezePauseMillisecondsMax)
    }

    /// The next thing to do, in order.
    public mutating func nextEffect() -> Effect? { effects.popFirst() }

    /// Whether the shard was given to the target.
    public var isLost: Bool { if case .lost = state { true } else { false } }

    /// Whether the move was cancelled.
    public var isCancelled: Bool { if case .cancelled = state { true } else { false } }

    /// Whether the machine has asked for the shard to be frozen and not to be thawed.
    public var isFrozen: Bool {
        switch state {
        case .freezing, .committing: true
        case .streaming, .entering, .lost, .cancelled: false
        }
    }

    /// Bytes kept for the target.
    public var teeBytes: Int { session?.tee?.byteCount ?? 0 }

    /// The file of that index in the session's checkpoint; `nil` where the session has none, and the target must begin
    /// anew.
    public func file(_ index: Int, of id: MoveSession) -> MoveFile? {
        guard let session, session.id == id, session.hasCheckpoint, let files = session.files,
            files.indices.contains(index)
        else { return nil }
        return files[index]
    }

    /// Whether the checkpoint is one that the session still wants; others may be deleted.
    public func wantsCheckpoint(of id: MoveSession) -> Bool { session?.id == id && session?.hasCheckpoint == true }

    // MARK: Committed updates

    /// The store has applied the group.
    public mutating func committed(_ group: CommitGroup) {
        precondition(
            group.shard == shard && group.through.rawValue == applied.rawValue + UInt64(group.effects.count),
            "shard \(shard) is given the updates through \(group.through) after \(applied)")
        precondition(frozenThrough == nil, "a drained shard commits nothing")
        applied = group.through
        guard session?.tee != nil else { return }
        for effect in group.effects where !keep(effect.encoded) { return overflow() }
        answerWaitingPull()
    }

    private mutating func keep(_ payload: [UInt8]) -> Bool {
        if session?.tee?.append(payload) == true { return true }
        guard mutants.has(.teeGapIgnored), (session?.tee?.byteCount ?? 0) > 0 else { return false }
        session?.tee?.dropFirst()
        return keep(payload)
    }

    /// The target is too far behind. What it has of the checkpoint helps it in the next round, so that stays.
    private mutating func overflow() {
        session?.tee = nil
        session?.acknowledged = nil
        if let pull = takeWaitingPull() { answer(pull.ticket, .restart, after: pull.after) }
    }

    // MARK: The checkpoint

    /// The target asks for a checkpoint. From here on what is committed is kept for it.
    ///
    /// - Parameter ticket: comes back in one ``Effect/answerOpen(_:_:)``.
    public mutating func open(_ id: MoveSession, ticket: Ticket, now: MonotonicTime) {
        switch state {
        case .committing: return reply(ticket, .failed("the shard is being handed over"))
        case .lost: return reply(ticket, .failed("the shard has been handed over"))
        case .cancelled: return reply(ticket, .failed("the move was cancelled"))
        case .streaming, .entering, .freezing: break
        }
        if var current = session, current.id == id, current.hasCheckpoint {
            if let files = current.files { return reply(ticket, .manifest(epoch: epoch, files: files)) }
            if let earlier = current.openTicket { reply(earlier, .superseded) }
            current.openTicket = ticket
            session = current
            return
        }
        guard id > lastSession else { return reply(ticket, .restart) }
        endSession()
        giveUpFreeze(now: now)
        lastSession = id
        session = Session(id: id, openTicket: ticket, tee: MoveTee(after: applied, bytesMax: settings.teeBytesMax))
        effects.append(.makeCheckpoint(id))
    }

    /// The checkpoint is on the disk. One of a session that is over is dropped.
    public mutating func checkpointMade(_ id: MoveSession, files: [MoveFile], now: MonotonicTime) {
        guard wantsCheckpoint(of: id) else { return effects.append(.dropCheckpoint(id)) }
        precondition(session?.files == nil, "one checkpoint is made for a session")
        guard files.count <= Limits.moveFilesMax else {
            return checkpointFailed(id, reason: "the checkpoint has \(files.count) files", now: now)
        }
        session?.files = files
        guard let ticket = session?.openTicket else { return }
        session?.openTicket = nil
        reply(ticket, .manifest(epoch: epoch, files: files))
    }

    public mutating func checkpointFailed(_ id: MoveSession, reason: String, now: MonotonicTime) {
        guard wantsCheckpoint(of: id) else { return effects.append(.dropCheckpoint(id)) }
        if let ticket = session?.openTicket {
            session?.openTicket = nil
            reply(ticket, .failed(reason))
        }
        endSession()
    }

    // MARK: Pulls

    /// The target asks for what comes after a position, and says up to where it is durable. A pull that comes while
    /// another waits takes its place.
    ///
    /// - Parameters:
    ///   - after: the last position that the target has.
    ///   - durable: the last position on the target's stable storage; `durable <= after`.
    ///   - waitMilliseconds: how long to wait for something to be given, at most ``Limits/movePullMilliseconds``.
    ///   - ticket: comes back in one ``Effect/answerPull(_:_:)``.
    public mutating func pull(
        _ id: MoveSession, after: Position, durable: Position, bytesMax: Int, waitMilliseconds: UInt64,
        ticket: Ticket, now: MonotonicTime
    ) {
        if case .lost(let epoch) = state { return answer(ticket, .handedOver(epoch), after: after) }
        guard durable <= after, session?.id == id, session?.files != nil, let tee = session?.tee else {
            if session?.id == id, session?.files != nil, !isCommitting { endSession(now: now) }
            return answer(ticket, .restart, after: after)
        }
        if after < tee.trimmed {
            // Either it was sent before others that have come, or the checkpoint is older than what is kept.
            if let acknowledged = session?.acknowledged, after < acknowledged {
                return answer(ticket, nil, after: after)
            }
            guard mutants.has(.teeGapIgnored) else {
                if !isCommitting { endSession(now: now) }
                return answer(ticket, .restart, after: after)
            }
        }
        if let pull = takeWaitingPull() { answer(pull.ticket, nil, after: pull.after) }
        acknowledge(mutants.has(.handoverBeforeTargetDurable) ? after : durable, now: now)
        let wait = min(waitMilliseconds, Limits.movePullMilliseconds)
        waiting = WaitingPull(
            ticket: ticket, after: mutants.has(.teeGapIgnored) ? max(after, session?.tee?.trimmed ?? after) : after,
            bytesMax: min(bytesMax, Limits.movePullBytesMax), until: now.adding(milliseconds: wait))
        if wait == 0 || frozenThrough != nil && session?.knowsFreeze == false { return answerWaitingPull(always: true) }
        answerWaitingPull()
    }

    private mutating func acknowledge(_ durable: Position, now: MonotonicTime) {
        guard let id = session?.id else { return }
        if session?.acknowledged == nil, session?.hasCheckpoint == true {
            session?.hasCheckpoint = false
            effects.append(.dropCheckpoint(id))
        }
        let acknowledged = max(session?.acknowledged ?? .zero, durable)
        session?.acknowledged = acknowledged
        // A checkpoint may hold what has not yet come in here. In place: a copy would be of all that is kept.
        if let last = session?.tee?.last { session?.tee?.trim(through: min(durable, last)) }
        decide(now: now)
    }

    // MARK: Answers

    /// Answers the pull that waits, if there is anything to tell it.
    private mutating func answerWaitingPull(always: Bool = false) {
        guard let pull = waiting, let tee = session?.tee else { return }
        let records = tee.records(after: pull.after, bytesMax: pull.bytesMax)
        guard always || !records.isEmpty else { return }
        waiting = nil
        answer(pull.ticket, nil, after: pull.after, records)
    }

    private mutating func takeWaitingPull() -> WaitingPull? {
        defer { waiting = nil }
        return waiting
    }

    /// - Parameter phase: `nil` where it is the shard's own.
    private mutating func answer(
        _ ticket: Ticket, _ phase: MovePullAnswer.Phase?, after: Position, _ records: [[UInt8]] = []
    ) {
        var own = MovePullAnswer.Phase.streaming
        if let frozenThrough {
            own = .frozen(through: frozenThrough)
            if phase == nil { session?.knowsFreeze = true }
        }
        effects.append(
            .answerPull(
                ticket,
                MovePullAnswer(
                    epoch: epoch, first: after.next, payloads: records, applied: applied, phase: phase ?? own)))
    }

    private mutating func reply(_ ticket: Ticket, _ answer: MoveOpenAnswer) {
        effects.append(.answerOpen(ticket, answer))
    }

    // MARK: The end of a session

    /// The target must begin anew; what it has acknowledged counts for nothing any more.
    private mutating func endSession() {
        guard let ended = session else { return }
        session = nil
        if let ticket = ended.openTicket { reply(ticket, .restart) }
        if let pull = takeWaitingPull() { answer(pull.ticket, .restart, after: pull.after) }
        if ended.hasCheckpoint { effects.append(.dropCheckpoint(ended.id)) }
    }

    private mutating func endSession(now: MonotonicTime) {
        endSession()
        giveUpFreeze(now: now)
    }

    private var isCommitting: Bool { if case .committing = state { true } else { false } }

    // MARK: The metadata

    /// The shard's record was read; it names this node as the primary, and this move. An older reading than one before
    /// is ignored. While the outcome of a handover is open, a later revision than its condition settles that it failed,
    /// and the same one settles nothing.
    ///
    /// - Parameter revision: the record's own; it grows with every change.
    public mutating func stageRead(_ stage: MoveStage, revision: UInt64, now: MonotonicTime) {
        guard revision >= self.revision else { return }
        let isNews = revision > self.revision
        self.stage = stage
        self.revision = revision
        switch state {
        case .entering:
            if stage == .handover {
                beginFreeze(now: now)
            } else if isNews {
                giveUpFreeze(now: now)
            }
        case .freezing(let frozenAt, _):
            if revision != frozenAt { giveUpFreeze(now: now) }
        case .committing(_, let condition, _):
            // Only the target, beginning anew, changes the record at this stage: what it acknowledged is gone.
            if revision > condition { endSession(now: now) }
        case .streaming, .lost, .cancelled:
            break
        }
        // The target has no copy now, or is about to throw it away.
        let isWithdrawn = stage == .copy || stage == .learner
        if isWithdrawn, isNews, session?.acknowledged != nil { endSession(now: now) }
        decide(now: now)
    }

    /// The record has been read, and names the target as the primary at `epoch`.
    public mutating func handoverCommitted(_ epoch: Epoch) {
        precondition(epoch > self.epoch, "shard \(shard) is lost at an epoch after that of its owner")
        if isLost { return }
        if !isFrozen { effects.append(.freeze) }
        if !isCommitting { effects.append(.stopReads) }
        state = .lost(epoch)
        frozenThrough = nil
        if let pull = takeWaitingPull() { answer(pull.ticket, .handedOver(epoch), after: pull.after) }
        endSession()
        effects.append(.lost(epoch))
    }

    /// Whether the transaction took effect is not known. The shard stays frozen; the transaction is to be sent again.
    public mutating func handoverUnknown(now: MonotonicTime) {
        guard case .committing(let through, let revision, nil) = state else { return }
        isOutcomeOpen = true
        state = .committing(
            through: through, revision: revision, retryAt: now.adding(nanoseconds: retries.nextPause()))
    }

    /// The transaction did surely not take effect, and the record is as it was: the freeze is given up, so that the
    /// shard is served while the metadata store is away. Where an earlier one is still of unknown outcome, that one
    /// decides.
    public mutating func handoverNotSent(now: MonotonicTime) {
        guard case .committing(_, _, nil) = state else { return }
        guard !isOutcomeOpen else { return handoverUnknown(now: now) }
        giveUpFreeze(now: now)
    }

    /// The record has been read; it names this node as the primary and no longer has this move.
    public mutating func cancelled(now: MonotonicTime) {
        if isLost { return }
        endSession(now: now)
        state = .cancelled
    }

    // MARK: The freeze

    /// The frozen ``ShardMachine`` is drained: it will have no position after `through`.
    public mutating func drained(through: Position, now: MonotonicTime) {
        guard case .freezing = state, frozenThrough == nil else { return }
        precondition(through == applied, "shard \(shard) is drained at \(through), but was given up to \(applied)")
        frozenThrough = through
        session?.knowsFreeze = false
        answerWaitingPull(always: true)
        decide(now: now)
    }

    private mutating func beginFreeze(now: MonotonicTime) {
        state = .freezing(revision: revision, until: now.adding(milliseconds: settings.freezeMilliseconds))
        frozenThrough = nil
        effects.append(.freeze)
    }

    /// Where a handover has begun, it is given up, and tried again after a pause.
    private mutating func giveUpFreeze(now: MonotonicTime) {
        switch state {
        case .streaming, .lost, .cancelled: return
        case .entering: break
        case .freezing, .committing: effects.append(.thaw)
        }
        state = .streaming
        frozenThrough = nil
        nextAttempt = now.adding(nanoseconds: pauses.nextPause())
    }

    /// Takes the next step of the handover where its time has come.
    private mutating func decide(now: MonotonicTime) {
        switch state {
        case .streaming:
            guard isNear, nextAttempt.map({ $0 <= now }) ?? true else { return }
            state = .entering(retryAt: now.adding(nanoseconds: retries.nextPause()))
            effects.append(.enterHandover)
        case .freezing(let revision, let until):
            guard until > now else { return giveUpFreeze(now: now) }
            guard let through = frozenThrough, let acknowledged = session?.acknowledged, acknowledged >= through
            else { return }
            retries.succeeded()
            isOutcomeOpen = false
            state = .committing(through: through, revision: revision, retryAt: nil)
            if !mutants.has(.handoverWithoutStoppingReads) { effects.append(.stopReads) }
            effects.append(.commitHandover(through: through, revision: revision))
        case .entering, .committing, .lost, .cancelled:
            return
        }
    }

    /// The target lacks so little that a freeze can be short.
    private var isNear: Bool {
        guard stage == .catchUp || stage == .handover else { return false }
        guard let tee = session?.tee, let acknowledged = session?.acknowledged else { return false }
        let positions = applied > acknowledged ? applied.rawValue - acknowledged.rawValue : 0
        return tee.byteCount <= settings.handoverLagBytes && positions <= settings.handoverLagPositionsMax
    }

    // MARK: Time

    /// When ``tick(now:)`` is wanted, or `nil`.
    public var deadline: MonotonicTime? {
        var earliest = waiting?.until
        func note(_ time: MonotonicTime?) {
            if let time { earliest = min(earliest ?? time, time) }
        }
        switch state {
        case .streaming: note(nextAttempt)
        case .entering(let retryAt): note(retryAt)
        case .freezing(_, let until): note(until)
        case .committing(_, _, let retryAt): note(retryAt)
        case .lost, .cancelled: break
        }
        return earliest
    }

    /// Time has passed.
    public mutating func tick(now: MonotonicTime) {
        if let pull = waiting, pull.until <= now { answerWaitingPull(always: true) }
        switch state {
        case .streaming:
            if let attempt = nextAttempt, attempt <= now { nextAttempt = nil }
        case .entering(let retryAt) where retryAt <= now:
            state = .entering(retryAt: now.adding(nanoseconds: retries.nextPause()))
            effects.append(.enterHandover)
        case .committing(let through, let revision, let retryAt?) where retryAt <= now:
            state = .committing(through: through, revision: revision, retryAt: nil)
            effects.append(.commitHandover(through: through, revision: revision))
        case .freezing, .entering, .committing, .lost, .cancelled:
            break
        }
        decide(now: now)
    }
}
