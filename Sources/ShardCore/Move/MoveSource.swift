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
/// (stage
/// `copy`), before it throws away what it has acknowledged. So one of the two fails.
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

    enum State {
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

    struct Session {
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

    struct WaitingPull {
        let ticket: Ticket
        let after: Position
        let bytesMax: Int
        let until: MonotonicTime
    }

    public let shard: ShardID
    public let epoch: Epoch
    /// The last position given to ``committed(_:)``.
    public private(set) var applied: Position

    let settings: Settings
    let mutants: Mutants

    var state = State.streaming
    var session: Session?
    /// No session up to this one is begun (again).
    var lastSession = MoveSession(0)
    var waiting: WaitingPull?
    var effects = Deque<Effect>()
    var stage = MoveStage.learner
    var revision: UInt64 = 0
    /// The shard's last position, known while it is frozen and drained.
    var frozenThrough: Position?
    var nextAttempt: MonotonicTime?
    /// A handover transaction was sent whose outcome is not known.
    var isOutcomeOpen = false
    var pauses: BackOff
    var retries = BackOff(
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
}
