public import Primitives

extension MoveSource {
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
    mutating func answerWaitingPull(always: Bool = false) {
        guard let pull = waiting, let tee = session?.tee else { return }
        let records = tee.records(after: pull.after, bytesMax: pull.bytesMax)
        guard always || !records.isEmpty else { return }
        waiting = nil
        answer(pull.ticket, nil, after: pull.after, records)
    }

    mutating func takeWaitingPull() -> WaitingPull? {
        defer { waiting = nil }
        return waiting
    }

    /// - Parameter phase: `nil` where it is the shard's own.
    mutating func answer(
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
    mutating func endSession() {
        guard let ended = session else { return }
        session = nil
        if let ticket = ended.openTicket { reply(ticket, .restart) }
        if let pull = takeWaitingPull() { answer(pull.ticket, .restart, after: pull.after) }
        if ended.hasCheckpoint { effects.append(.dropCheckpoint(ended.id)) }
    }

    mutating func endSession(now: MonotonicTime) {
        endSession()
        giveUpFreeze(now: now)
    }

    var isCommitting: Bool { if case .committing = state { true } else { false } }
}
