import DequeModule
public import Primitives

/// The target's side of a shard's move: copies the source's checkpoint, follows its updates, and becomes the owner.
///
/// Pure: no clock, file, socket or thread. One owner drives it on one thread, from the moment the shard's record names
/// a move to this node, in this cycle:
///
/// 1. Call what happened: an answer of the source, an effect that is done, what the node's log has made durable, what
///    the shard's record says.
/// 2. ``tick(now:)`` at ``deadline`` or a little later.
/// 3. ``nextEffect(now:)`` until it gives nothing, carrying each effect out.
///
/// Requests to the source carry a number, and each ends in exactly one call with that number: the answer, or
/// ``requestFailed(_:now:)`` or ``restartAsked(_:now:)``. Answers to requests that the machine has given up itself are
/// ignored. Effects on the disk are carried out, and said to be done, one after the other in the order in which they
/// were given; each ends in its own call or in ``localFailed(_:now:)``.
///
/// Files on the disk: `incoming` holds the source's files as they are, complete ones under their own names, so that
/// another round need not fetch them again; the shard's store is made of them by links, and is no part of the cluster
/// before this node has read that it owns the shard. A start of the node before that begins a new machine; after that
/// the node opens the store and replays its log, and needs none.
///
/// **What makes the handover safe.** The source hands over on the word that this node is durable. So before that is
/// undone the record is changed (``Effect/enterCopy``), and only then ``Effect/discardStore`` follows: a handover that
/// relied on it fails. A record that names this node as primary is not a conflict to be retried but the end of the move
/// (``ownerRead(_:now:)``).
///
/// Nothing the source says makes the machine give its copy up before that change has been made: a source that does not
/// know the session may have handed the shard over and forgotten it, and then the copy is the shard. So the copy stands
/// until the record is known, and the machine serves from it where this node has become the owner.
public struct MoveTarget {
    public enum Effect: Sendable {
        /// Put stage `copy` into the shard's record, whatever stage it has, so that its revision changes; on condition
        /// that it names this move and another node as the primary, as read after this effect was given. Ends in
        /// ``MoveTarget/stageEntered(_:now:)``, or in ``MoveTarget/stageFailed(now:)`` (unreachable, outcome unknown)
        /// and it comes again. Where the record says otherwise: ``MoveTarget/ownerRead(_:now:)`` or
        /// ``MoveTarget/cancelled(now:)``.
        case enterCopy
        /// Put stage `catch-up`, on condition that the record has stage `copy`. Ends as ``enterCopy`` does, or, where
        /// the record has stage `learner`, in ``MoveTarget/begunAgain(now:)``.
        case enterCatchUp
        /// Close and delete the shard's store, if there is one, and release the shard in the node's log. Ends in
        /// ``MoveTarget/storeDiscarded(now:)``.
        case discardStore
        /// Ask the source for a checkpoint. Ends in ``MoveTarget/opened(_:_:now:)``.
        case requestOpen(request: UInt64, MoveSession)
        /// Delete the incomplete files in `incoming`, and list the complete ones with their sizes and checksums, as
        /// read from the disk. Off the loop; ends in ``MoveTarget/examined(local:now:)``.
        case examineFiles
        /// Delete these from `incoming`. Ends in nothing, unless it fails.
        case removeFiles([String])
        /// Ask the source for a piece of the file of that index. Ends in ``MoveTarget/fetched(_:bytes:crc:now:)``.
        case requestChunk(request: UInt64, MoveSession, file: Int, offset: UInt64, length: Int)
        /// Write to the file's incomplete copy, which is made where it is not there. Off the loop; ends in
        /// ``MoveTarget/chunkWritten(_:now:)``.
        case writeChunk(request: UInt64, name: String, offset: UInt64, bytes: [UInt8])
        /// Every piece is written (an empty file has none): compare the incomplete copy's size and checksum, as read
        /// back. Where they are right, give it its name; else delete it. It need not be durable: what a crash leaves in
        /// `incoming` is compared again. Off the loop; ends in ``MoveTarget/fileFinished(_:isSound:now:)``.
        case finishFile(MoveFile)
        /// `incoming` has every file: link them into the shard's store, sync them and the directories, and open it;
        /// then tell the node's log of the shard at the store's applied mark, flushed. Ends in
        /// ``MoveTarget/installed(applied:now:)``.
        case installStore([MoveFile])
        /// Ask for what comes after a position. Ends in ``MoveTarget/pulled(_:_:now:)``.
        case requestPull(
            request: UInt64, MoveSession, after: Position, durable: Position, bytesMax: Int, waitMilliseconds: UInt64)
        /// Give the log these updates. Ends, before any other call, in ``MoveTarget/appendAccepted()`` or
        /// ``MoveTarget/appendRefused(now:)``; later in ``MoveTarget/logDurable(upTo:)``.
        case append(AppendGroup)
        /// Write these updates into the store, with their position, as one batch. Ends in
        /// ``MoveTarget/applied(upTo:)``.
        case apply(CommitGroup)
        /// The source says that it has given the shard up: read the record now.
        case readOwner
        /// This node owns the shard at that epoch, and its store has applied everything: serve it, with a
        /// ``ShardMachine`` at this epoch and position. `incoming` may be deleted. The machine is done.
        case serve(Epoch, applied: Position)
        /// The record names this node as primary, and it has no complete copy: the shard must not be served. The
        /// machine is done.
        case lacking(Epoch)
        /// The move is gone, and the log has reported all that it was given: close and delete the shard's store and
        /// `incoming`, and release the shard in the log. The machine is done.
        case discardAll
    }

    enum Phase: Equatable {
        case entering
        case discarding
        case opening
        case examining
        case fetching
        case installing
        case following
        case done
    }

    public let shard: ShardID
    let settings: Settings
    let mutants: Mutants

    var phase = Phase.entering
    /// The step of the phase is to be taken, once its pause is over.
    var mustStep = true
    var notBefore: MonotonicTime?
    var needsSession = true
    var isCancelled = false
    /// Updates given to the log for a store that is to be discarded, and not yet reported durable. What the log says of
    /// them must not be taken for a word on the updates of the next round.
    var unreported: Position?
    var backOff = BackOff(
        firstMilliseconds: Limits.moveBackOffMilliseconds, longestMilliseconds: Limits.moveBackOffMillisecondsMax)
    var session: MoveSession
    var lastRequest: UInt64 = 0
    var effects = Deque<Effect>()
    var copy = Copy()
    var rounds = Rounds()
    var budget: FetchBudget
    var meter = RateMeter()
    var follow: Follow?
    /// The epoch of the source.
    var epoch = Epoch(0)
    var owned: Epoch?
    /// Why the last attempt of something failed; `nil` once it has succeeded.
    public internal(set) var trouble: String?

    public struct Settings: Sendable {
        public var chunkBytesMax = Limits.moveChunkBytesMax
        public var chunksInFlightMax = Limits.moveChunksInFlightMax
        public var pullBytesMax = Limits.movePullBytesMax
        public var pullMilliseconds = Limits.movePullMilliseconds
        public var answerMilliseconds = Limits.moveAnswerMilliseconds
        public var roundsMax = Limits.moveRoundsMax

        public init() {}
    }

    /// - Parameters:
    ///   - after: sessions begin after this one; above all that this node has used: ``MoveSession/before(bootCount:)``,
    ///     or ``lastSession`` of an earlier machine of this start.
    ///   - bytesPerSecond: what fetching files may take; 0 for no limit. Updates are not limited, or else the target
    ///     would never catch up.
    public init(
        shard: ShardID, after: MoveSession, bytesPerSecond: UInt64, settings: Settings = Settings(),
        mutants: Mutants = .none
    ) {
        self.shard = shard
        self.settings = settings
        self.mutants = mutants
        session = after
        budget = FetchBudget(bytesPerSecond: bytesPerSecond)
    }

    /// The session in use.
    public var lastSession: MoveSession { session }

    /// Whether the machine has given its last effect, or will.
    public var isDone: Bool { phase == .done }

    /// The next thing to do, in order.
    public mutating func nextEffect(now: MonotonicTime) -> Effect? {
        if let effect = effects.popFirst() { return effect }
        advance(now: now)
        return effects.popFirst()
    }

    /// Changes what fetching may take, from now on.
    public mutating func throttle(bytesPerSecond: UInt64, now: MonotonicTime) {
        budget.change(bytesPerSecond: bytesPerSecond, now: now)
        if phase == .installing, mustStep { notBefore = budget.nextTime }
    }

    // MARK: The record

    public mutating func stageEntered(_ stage: MoveStage, now: MonotonicTime) {
        if stage == .copy, phase == .entering {
            succeeded()
            leaveStore()
            enter(.discarding)
        } else if stage == .catchUp, follow?.stage == .writing {
            follow?.stage = .written
            trouble = nil
        }
    }

    public mutating func stageFailed(now: MonotonicTime) {
        if phase == .entering {
            failed("the cluster's metadata cannot be written", now: now)
        } else if follow?.stage == .writing {
            follow?.stage = .due(now.adding(nanoseconds: backOff.nextPause()))
        }
    }

    /// The record, as read for ``Effect/enterCatchUp``, has this move at stage `learner`: it was ended and begun again,
    /// unseen, and in between the source may have been another process. The copy belongs to none of its stages, so it
    /// is made anew.
    public mutating func begunAgain(now: MonotonicTime) {
        guard follow?.stage == .writing else { return }
        beginAnew(now: now)
        trouble = "the move was begun again"
    }

    /// The record has been read, and names this node as the primary at `epoch`.
    public mutating func ownerRead(_ epoch: Epoch, now: MonotonicTime) {
        guard owned == nil, phase != .done else { return }
        owned = epoch
        guard follow != nil else { return lack(epoch) }
        stopPulling()
        // The copy that was to be given up is the shard.
        enter(.following)
        trouble = nil
    }

    private mutating func lack(_ epoch: Epoch) {
        phase = .done
        effects.removeAll()
        effects.append(.lacking(epoch))
    }

    /// The record has been read; it names another node as the primary, and this move no longer.
    public mutating func cancelled(now: MonotonicTime) {
        // A record that takes back what it gave was put back to an older state: the copy is the shard, and stays.
        guard phase != .done, owned == nil else { return }
        leaveStore()
        isCancelled = true
        enter(.discarding)
    }

    // MARK: Steps

    public mutating func storeDiscarded(now: MonotonicTime) {
        guard phase == .discarding, !isCancelled else { return }
        succeeded()
        needsSession = true
        enter(.opening)
    }

    /// A step on this node's own disk failed: it is tried again, or the copy begins anew where pieces of it are lost.
    public mutating func localFailed(_ reason: String, now: MonotonicTime) {
        if let owned, phase != .done { return lack(owned) }
        switch phase {
        case .opening, .done: return
        // A copy that was kept until the record is known is sound no longer.
        case .entering: leaveFollowing()
        case .discarding, .examining: failed(reason, now: now)
        case .fetching, .installing, .following:
            leaveStore()
            beginAnew(now: now)
            failed(reason, now: now)
        }
    }

    /// A request to the source was lost, or refused for the moment.
    public mutating func requestFailed(_ request: UInt64, now: MonotonicTime) {
        if phase == .opening, copy.openRequest?.number == request {
            copy.openRequest = nil
            failed("the source cannot be reached", now: now)
        } else if copy.inFlight[request] != nil {
            loseChunk(request, now: now)
        } else if follow?.pull?.request.number == request {
            follow?.pull = nil
            follow?.nextPull = now.adding(nanoseconds: backOff.nextPause())
        }
    }

    /// The source says that it does not know the session (any request): the session is over, or the move is, in one of
    /// two ways. What there is of the copy stays until the record has told which.
    public mutating func restartAsked(_ request: UInt64, now: MonotonicTime) {
        let isOurs =
            copy.openRequest?.number == request || copy.inFlight[request] != nil
            || follow?.pull?.request.number == request
        guard isOurs else { return }
        beginAnew(now: now)
        trouble = "the source does not know the session"
    }

    mutating func enter(_ next: Phase) {
        phase = next
        mustStep = true
        notBefore = nil
    }

    mutating func succeeded() {
        backOff.succeeded()
        trouble = nil
    }

    mutating func failed(_ reason: String, now: MonotonicTime) {
        trouble = reason
        mustStep = true
        notBefore = now.adding(nanoseconds: backOff.nextPause())
    }

    /// Another round: what this node has acknowledged is withdrawn, and only then its store thrown away.
    mutating func beginAnew(now: MonotonicTime) {
        guard phase != .done, owned == nil, !isCancelled else { return }
        rounds.end(now: now)
        if follow == nil || mutants.has(.restartWithoutReadingOwner) { leaveStore() } else { stopPulling() }
        enter(.entering)
        // Rounds that end at once must not follow each other at once.
        notBefore = now.adding(nanoseconds: backOff.nextPause())
    }

    private mutating func stopPulling() {
        follow?.pull = nil
        follow?.nextPull = nil
    }

    private mutating func leaveStore() {
        leaveFollowing()
        copy = Copy()
        effects.removeAll()
    }

    private mutating func leaveFollowing() {
        if let follow, follow.durable < follow.submitted { unreported = follow.submitted }
        follow = nil
    }

    mutating func newRequest(now: MonotonicTime, waits: UInt64 = 0) -> Request {
        lastRequest += 1
        return Request(number: lastRequest, lostAt: now.adding(milliseconds: settings.answerMilliseconds + waits))
    }

    /// Takes the steps that are due.
    private mutating func advance(now: MonotonicTime) {
        if mustStep, notBefore.map({ $0 <= now }) ?? true {
            mustStep = false
            notBefore = nil
            step(now: now)
        }
        if phase == .fetching { fetchMore(now: now) }
        if phase == .following { followMore(now: now) }
    }

    private mutating func step(now: MonotonicTime) {
        switch phase {
        case .entering: effects.append(.enterCopy)
        case .discarding:
            guard unreported == nil else { return mustStep = true }
            effects.append(isCancelled ? .discardAll : .discardStore)
            if isCancelled { phase = .done }
        case .opening:
            if needsSession { session = session.next }
            needsSession = false
            let request = newRequest(now: now)
            copy.openRequest = request
            effects.append(.requestOpen(request: request.number, session))
        case .examining: effects.append(.examineFiles)
        case .installing:
            // The last piece is paid for first: the next move's budget knows nothing of it.
            guard budget.nextTime <= now else {
                mustStep = true
                return notBefore = budget.nextTime
            }
            effects.append(.installStore(copy.files))
        case .fetching, .following, .done: break
        }
    }

    // MARK: Time

    /// When ``tick(now:)`` is wanted, or `nil`.
    public var deadline: MonotonicTime? {
        var earliest: MonotonicTime?
        func note(_ time: MonotonicTime?) {
            if let time { earliest = min(earliest ?? time, time) }
        }
        if mustStep { note(notBefore) }
        note(copy.openRequest?.lostAt)
        note(nextFetchTime)
        for chunk in copy.inFlight.values { note(chunk.request?.lostAt) }
        if let follow, phase == .following {
            note(follow.pull?.request.lostAt)
            note(follow.nextPull)
            note(follow.appendAt)
            if case .due(let time) = follow.stage, owned == nil { note(time) }
        }
        return phase == .done ? nil : earliest
    }

    /// Time has passed: answers that are overdue count as lost.
    public mutating func tick(now: MonotonicTime) {
        var lost: [UInt64] = []
        func note(_ request: Request?) {
            if let request, request.lostAt <= now { lost.append(request.number) }
        }
        note(copy.openRequest)
        for chunk in copy.inFlight.values { note(chunk.request) }
        note(follow?.pull?.request)
        for request in lost.sorted() { requestFailed(request, now: now) }
        if let time = follow?.nextPull, time <= now { follow?.nextPull = nil }
    }
}

/// A request to the source, and when it counts as lost.
struct Request: Equatable {
    let number: UInt64
    let lostAt: MonotonicTime
}
