public import Primitives

extension MoveSource {
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
    mutating func giveUpFreeze(now: MonotonicTime) {
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
    mutating func decide(now: MonotonicTime) {
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
