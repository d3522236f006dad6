import DequeModule
import Entities
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
    /// What the driver is to do. Each says what has happened before it is given.
    public enum Effect: Sendable {
        /// First of every round, before anything of an earlier copy is thrown away: put stage `copy` into the shard's
        /// record, whatever stage it has, so that its revision changes; on condition that it names this move and
        /// another node as the primary, as read after this effect was given. Ends in
        /// ``MoveTarget/stageEntered(_:now:)``, or in ``MoveTarget/stageFailed(now:)`` (unreachable, outcome unknown)
        /// and it comes again. Where the record says otherwise: ``MoveTarget/ownerRead(_:now:)`` or
        /// ``MoveTarget/cancelled(now:)``.
        case enterCopy
        /// After the record has stage `copy`, and the log has reported all that it was given for the store: close and
        /// delete the shard's store, if there is one, and release the shard in the node's log. Ends in
        /// ``MoveTarget/storeDiscarded(now:)``.
        case discardStore
        /// After the store is gone: ask the source for a checkpoint. Ends in ``MoveTarget/opened(_:_:now:)``.
        case requestOpen(request: UInt64, MoveSession)
        /// After the manifest has come, before any file is asked for: delete the incomplete files in `incoming`, and
        /// list the complete ones with their sizes and checksums, as read from the disk. Off the loop; ends in
        /// ``MoveTarget/examined(local:now:)``.
        case examineFiles
        /// Before any file is written: delete these from `incoming`. Ends in nothing, unless it fails.
        case removeFiles([String])
        /// Ask the source for a piece of the file of that index. Ends in ``MoveTarget/fetched(_:bytes:crc:now:)``.
        case requestChunk(request: UInt64, MoveSession, file: Int, offset: UInt64, length: Int)
        /// After the piece has come with its checksum: write to the file's incomplete copy, which is made where it is
        /// not there. Off the loop; ends in ``MoveTarget/chunkWritten(_:now:)``.
        case writeChunk(request: UInt64, name: String, offset: UInt64, bytes: [UInt8])
        /// After every piece is written (an empty file has none): compare the incomplete copy's size and checksum, as
        /// read back. Where they are right, give it its name; else delete it. It need not be durable: what a crash
        /// leaves in `incoming` is compared again. Off the loop; ends in ``MoveTarget/fileFinished(_:isSound:now:)``.
        case finishFile(MoveFile)
        /// After `incoming` has every file, and the last piece is paid for: link them into the shard's store, sync them
        /// and the directories, and open it; then tell the node's log of the shard at the store's applied mark,
        /// flushed. Ends in ``MoveTarget/installed(applied:now:)``.
        case installStore([MoveFile])
        /// After the store is open: put stage `catch-up`, on condition that the record has stage `copy`. Ends as
        /// ``enterCopy`` does, or, where the record has stage `learner`, in ``MoveTarget/begunAgain(now:)``.
        case enterCatchUp
        /// After the log has reported everything up to `durable`, for the source hands over on that word, and has
        /// taken everything up to `after`: ask for what comes next. Ends in ``MoveTarget/pulled(_:_:now:)``.
        case requestPull(
            request: UInt64, MoveSession, after: Position, durable: Position, bytesMax: Int, waitMilliseconds: UInt64)
        /// After the log has taken everything before it: give it these updates. Ends, before any other call, in
        /// ``MoveTarget/appendAccepted()`` or ``MoveTarget/appendRefused(now:)``; later in
        /// ``MoveTarget/logDurable(upTo:)``.
        case append(AppendGroup)
        /// After the log has reported these updates, and the store has applied those before: write them into the store,
        /// with their position, as one batch. Ends in ``MoveTarget/applied(upTo:)``.
        case apply(CommitGroup)
        /// The source says that it has given the shard up: read the record now.
        case readOwner
        /// After the record was read and names this node at that epoch, and the store has applied everything: serve the
        /// shard, with a ``ShardMachine`` at this epoch and position. `incoming` may be deleted. The machine is done.
        case serve(Epoch, applied: Position)
        /// After the record was read and names this node, which has no complete copy: the shard must not be served. The
        /// machine is done.
        case lacking(Epoch)
        /// After the record was read and no longer has this move, and the log has reported all that it was given: close
        /// and delete the shard's store and `incoming`, and release the shard in the log. The machine is done.
        case discardAll
    }

    private enum State {
        /// Nothing here could be served, and it is to go. The log has yet to report the updates up to `unreported` that
        /// it was given for it.
        case clearing(Clearing, Step, unreported: Position?)
        /// The source is to be asked for a checkpoint.
        case opening(Step, inNewSession: Bool)
        case asking(Request)
        /// What is in `incoming` is to be compared with the manifest.
        case examining(Step, Manifest)
        case fetching(Fetching)
        /// Every file is there.
        case installing(Step, Manifest)
        /// The store is open.
        case whole(Follow, Standing)
        /// The last effect is given. `isOwner`: the record names this node.
        case done(isOwner: Bool)
    }

    private enum Clearing {
        /// First the record is to have stage `copy`.
        case record
        /// Then the store of an earlier round is to be deleted.
        case store
        /// The move is gone: everything is to be deleted.
        case all
    }

    private enum Standing {
        case following
        /// To be given up once the record has stage `copy`. Where it names this node after all, the copy is the shard.
        case doubted(Step)
        /// The record names this node at that epoch. It serves as soon as the store has applied everything.
        case owner(Epoch)
    }

    /// An effect that is given once in a state, and again where it fails.
    private enum Step {
        /// `after`: the end of a pause.
        case due(after: MonotonicTime?)
        case given

        static let now = Step.due(after: nil)

        func isDue(_ now: MonotonicTime) -> Bool { if case .due(let time) = self { time ?? now <= now } else { false } }
    }

    /// A request to the source, and when it counts as lost.
    private struct Request {
        let number: UInt64
        let lostAt: MonotonicTime
    }

    /// What the source's checkpoint consists of.
    private struct Manifest {
        /// Of the source.
        let epoch: Epoch
        let files: [MoveFile]
    }

    public let shard: ShardID
    private let settings: Settings
    private let mutants: Mutants

    private var state = State.clearing(.record, .now, unreported: nil)
    private var effects = Deque<Effect>()
    private var session: MoveSession
    private var lastRequest: UInt64 = 0
    private var backOff = BackOff(
        firstMilliseconds: Limits.moveBackOffMilliseconds, longestMilliseconds: Limits.moveBackOffMillisecondsMax)
    private var budget: FetchBudget
    private var meter = RateMeter()
    private var rounds = Rounds()
    /// Of this round's files.
    private var bytesTotal: UInt64 = 0
    private var bytesDone: UInt64 = 0
    /// Why the last attempt of something failed; `nil` once it has succeeded.
    private var trouble: String?

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
    public var isDone: Bool { if case .done = state { true } else { false } }

    /// Whether the record has named this node as the primary: nothing that the source says matters any more.
    public var isOwner: Bool {
        switch state {
        case .whole(_, .owner): true
        case .done(let isOwner): isOwner
        case .clearing, .opening, .asking, .examining, .fetching, .installing, .whole: false
        }
    }

    public var progress: MoveProgress {
        var progress = MoveProgress()
        progress.bytesDone = bytesDone
        progress.bytesTotal = bytesTotal
        progress.bytesPerSecond = meter.bytesPerSecond
        progress.rounds = rounds.count
        progress.lagPositions = follow?.lag ?? 0
        progress.isNotConverging = rounds.fruitless >= settings.roundsMax
        progress.neededBytesPerSecond = rounds.neededBytesPerSecond
        progress.trouble = trouble
        return progress
    }

    /// Changes what fetching may take, from now on.
    public mutating func throttle(bytesPerSecond: UInt64, now: MonotonicTime) {
        budget.change(bytesPerSecond: bytesPerSecond, now: now)
        if case .installing(.due, let manifest) = state {
            state = .installing(.due(after: budget.nextTime), manifest)
        }
    }

    // MARK: Steps

    /// The next thing to do, in order.
    public mutating func nextEffect(now: MonotonicTime) -> Effect? {
        if let effect = effects.popFirst() { return effect }
        advance(now: now)
        return effects.popFirst()
    }

    /// Takes the steps that are due.
    private mutating func advance(now: MonotonicTime) {
        switch state {
        case .clearing(let clearing, let step, let unreported):
            if step.isDue(now) { clear(clearing, unreported: unreported) }
        case .opening(let step, let inNewSession):
            guard step.isDue(now) else { return }
            if inNewSession { session = session.next }
            let request = newRequest(now: now)
            state = .asking(request)
            effects.append(.requestOpen(request: request.number, session))
        case .examining(let step, let manifest):
            guard step.isDue(now) else { return }
            state = .examining(.given, manifest)
            effects.append(.examineFiles)
        case .fetching: fetchMore(now: now)
        case .installing(let step, let manifest):
            guard step.isDue(now) else { return }
            // The last piece is paid for first: the next move's budget knows nothing of it.
            let paidAt = budget.nextTime
            guard paidAt <= now else { return state = .installing(.due(after: paidAt), manifest) }
            state = .installing(.given, manifest)
            effects.append(.installStore(manifest.files))
        case .whole(let follow, .doubted(let step)):
            guard step.isDue(now) else { return }
            state = .whole(follow, .doubted(.given))
            effects.append(.enterCopy)
        case .whole: followMore(now: now)
        case .asking, .done: return
        }
    }

    private mutating func clear(_ clearing: Clearing, unreported: Position?) {
        guard clearing == .record || unreported == nil else {
            return state = .clearing(clearing, .now, unreported: unreported)
        }
        state = .clearing(clearing, .given, unreported: unreported)
        switch clearing {
        case .record: effects.append(.enterCopy)
        case .store: effects.append(.discardStore)
        case .all:
            state = .done(isOwner: false)
            effects.append(.discardAll)
        }
    }

    private mutating func newRequest(now: MonotonicTime, waits: UInt64 = 0) -> Request {
        lastRequest += 1
        return Request(number: lastRequest, lostAt: now.adding(milliseconds: settings.answerMilliseconds + waits))
    }

    private mutating func succeeded() {
        backOff.succeeded()
        trouble = nil
    }

    private mutating func pauseEnd(_ now: MonotonicTime) -> MonotonicTime {
        now.adding(nanoseconds: backOff.nextPause())
    }

    private mutating func failed(_ reason: String, now: MonotonicTime) -> Step {
        trouble = reason
        return .due(after: pauseEnd(now))
    }

    /// Another round, after a pause, for rounds that end at once must not follow each other at once: what this node has
    /// acknowledged is withdrawn, and only then its store thrown away.
    private mutating func beginAnew(_ reason: String, now: MonotonicTime) {
        precondition(!isOwner, "an owner's copy is the shard")
        rounds.end(now: now)
        let again = failed(reason, now: now)
        if !mutants.has(.restartWithoutReadingOwner), case .whole(var follow, _) = state {
            follow.pull = .due(after: nil)
            state = .whole(follow, .doubted(again))
        } else {
            state = .clearing(.record, again, unreported: leaveStore())
        }
    }

    /// Nothing of the copy is used any more, and what was to be done with it is left.
    ///
    /// - Returns: the last of the updates that the log was given for the store, where it has not reported it yet. What
    ///   it says of them must not be taken for a word on the updates of the next round.
    private mutating func leaveStore() -> Position? {
        bytesDone = 0
        bytesTotal = 0
        effects.removeAll()
        if case .clearing(_, _, let unreported) = state { return unreported }
        return follow?.unreported
    }

    // MARK: The record

    public mutating func stageEntered(_ stage: MoveStage, now: MonotonicTime) {
        switch (stage, state) {
        case (.copy, .clearing(.record, _, _)), (.copy, .whole(_, .doubted)):
            succeeded()
            state = .clearing(.store, .now, unreported: leaveStore())
        case (.catchUp, .whole(let follow, _)) where follow.stage == .writing:
            changeFollow { $0.stage = .written }
            trouble = nil
        case (_, _): return
        }
    }

    public mutating func stageFailed(now: MonotonicTime) {
        let reason = "the cluster's metadata cannot be written"
        if case .clearing(.record, _, let unreported) = state {
            state = .clearing(.record, failed(reason, now: now), unreported: unreported)
        } else if case .whole(let follow, .doubted) = state {
            state = .whole(follow, .doubted(failed(reason, now: now)))
        } else if follow?.stage == .writing {
            let again = pauseEnd(now)
            changeFollow { $0.stage = .due(again) }
        }
    }

    /// The record, as read for ``Effect/enterCatchUp``, has this move at stage `learner`: it was ended and begun again,
    /// unseen, and in between the source may have been another process. The copy belongs to none of its stages, so it
    /// is made anew.
    public mutating func begunAgain(now: MonotonicTime) {
        guard !isOwner, follow?.stage == .writing else { return }
        beginAnew("the move was begun again", now: now)
    }

    /// The record has been read, and names this node as the primary at `epoch`.
    public mutating func ownerRead(_ epoch: Epoch, now: MonotonicTime) {
        switch state {
        case .whole(_, .owner), .done: return
        case .whole(var follow, .following), .whole(var follow, .doubted):
            follow.pull = .due(after: nil)
            state = .whole(follow, .owner(epoch))
            trouble = nil
        case .clearing, .opening, .asking, .examining, .fetching, .installing: lack(epoch)
        }
    }

    private mutating func lack(_ epoch: Epoch) {
        state = .done(isOwner: true)
        effects.removeAll()
        effects.append(.lacking(epoch))
    }

    /// The record has been read; it names another node as the primary, and this move no longer.
    public mutating func cancelled(now: MonotonicTime) {
        // A record that takes back what it gave was put back to an older state: the copy is the shard, and stays.
        if isOwner || isDone { return }
        state = .clearing(.all, .now, unreported: leaveStore())
    }

    // MARK: The store

    public mutating func storeDiscarded(now: MonotonicTime) {
        guard case .clearing(.store, _, _) = state else { return }
        succeeded()
        state = .opening(.now, inNewSession: true)
    }

    /// A step on this node's own disk failed: it is tried again, or the copy begins anew where pieces of it are lost.
    public mutating func localFailed(_ reason: String, now: MonotonicTime) {
        switch state {
        case .clearing(.record, _, _), .opening, .asking, .done: return
        case .clearing(let clearing, _, let unreported):
            state = .clearing(clearing, failed(reason, now: now), unreported: unreported)
        case .examining(_, let manifest): state = .examining(failed(reason, now: now), manifest)
        case .fetching, .installing, .whole(_, .following):
            let unreported = leaveStore()
            beginAnew(reason, now: now)
            // What a disk has refused is left alone for longer than what a network has lost.
            state = .clearing(.record, failed(reason, now: now), unreported: unreported)
        // A copy that was kept until the record is known is sound no longer.
        case .whole(let follow, .doubted(let step)):
            state = .clearing(.record, step, unreported: follow.unreported)
        case .whole(_, .owner(let epoch)): lack(epoch)
        }
    }

    /// The store is open, and stands at `applied`.
    public mutating func installed(applied: Position, now: MonotonicTime) {
        guard case .installing(_, let manifest) = state else { return }
        succeeded()
        state = .whole(Follow(epoch: manifest.epoch, applied: applied, now: now), .following)
    }

    // MARK: Requests and time

    /// A request to the source was lost, or refused for the moment.
    public mutating func requestFailed(_ request: UInt64, now: MonotonicTime) {
        if case .asking(let asked) = state, asked.number == request {
            state = .opening(failed("the source cannot be reached", now: now), inNewSession: false)
        } else if isPulling(request) {
            let again = pauseEnd(now)
            changeFollow { $0.pull = .due(after: again) }
        } else {
            loseChunk(request, now: now)
        }
    }

    /// The source says that it does not know the session (any request): the session is over, or the move is, in one of
    /// two ways. What there is of the copy stays until the record has told which.
    public mutating func restartAsked(_ request: UInt64, now: MonotonicTime) {
        let isOurs =
            switch state {
            case .asking(let asked): asked.number == request
            case .fetching(let fetching): fetching.inFlight[request] != nil
            case .whole: isPulling(request)
            case .clearing, .opening, .examining, .installing, .done: false
            }
        if isOurs { beginAnew("the source does not know the session", now: now) }
    }

    /// When ``tick(now:)`` is wanted, or `nil`.
    public var deadline: MonotonicTime? {
        switch state {
        case .clearing(_, .due(let time), _), .opening(.due(let time), _), .examining(.due(let time), _),
            .installing(.due(let time), _), .whole(_, .doubted(.due(let time))):
            time
        case .asking(let request): request.lostAt
        case .fetching(let fetching): [nextFetchTime(fetching), fetching.firstLoss].compactMap { $0 }.min()
        case .whole(let follow, .following): [follow.deadline, follow.stage.dueTime].compactMap { $0 }.min()
        case .whole(let follow, .owner): follow.deadline
        case .clearing, .opening, .examining, .installing, .whole, .done: nil
        }
    }

    /// Time has passed: answers that are overdue count as lost.
    public mutating func tick(now: MonotonicTime) {
        var lost: [UInt64] = []
        switch state {
        case .asking(let request): if request.lostAt <= now { lost = [request.number] }
        case .fetching(let fetching): lost = fetching.lost(at: now)
        case .whole(let follow, .following):
            switch follow.pull {
            case .asked(let request): if request.lostAt <= now { lost = [request.number] }
            case .due(let time?): if time <= now { changeFollow { $0.pull = .due(after: nil) } }
            case .due(nil): return
            }
        case .clearing, .opening, .examining, .installing, .whole, .done: return
        }
        for request in lost { requestFailed(request, now: now) }
    }
}

// MARK: - The files of one session

extension MoveTarget {
    private struct Fetching {
        struct File {
            /// Bytes not yet written.
            var missing: UInt64
            let attempts: Int
        }

        struct Chunk {
            let file: Int
            let offset: UInt64
            let length: Int
            /// `nil` once the bytes have come and are being written.
            var request: Request?
        }

        let manifest: Manifest
        /// By index in the manifest's files, for those that are not complete.
        var files: [Int: File] = [:]
        /// Files to be fetched, in order, and how far the first of them was asked for.
        var queue = Deque<Int>()
        var offset: UInt64 = 0
        /// Pieces whose request was lost.
        var again = Deque<Chunk>()
        var notBefore = MonotonicTime.zero
        /// By request. Never iterated where the order would matter.
        var inFlight: [UInt64: Chunk] = [:]

        init(_ manifest: Manifest) { self.manifest = manifest }

        /// Begins a file from its start.
        ///
        /// - Returns: the file where it is empty, and to be finished at once.
        mutating func want(_ index: Int, attempt: Int) -> MoveFile? {
            let file = manifest.files[index]
            files[index] = File(missing: file.byteCount, attempts: attempt)
            guard file.byteCount > 0 else { return file }
            queue.append(index)
            return nil
        }

        mutating func nextChunk(for request: Request, bytesMax: Int) -> Chunk {
            var chunk = again.popFirst() ?? newChunk(bytesMax: bytesMax)
            chunk.request = request
            inFlight[request.number] = chunk
            return chunk
        }

        private mutating func newChunk(bytesMax: Int) -> Chunk {
            guard let index = queue.first else { preconditionFailure("a file is queued") }
            let left = manifest.files[index].byteCount - offset
            let length = min(left, UInt64(bytesMax))
            defer { offset = length == left ? 0 : offset + length }
            if length == left { queue.removeFirst() }
            return Chunk(file: index, offset: offset, length: Int(length))
        }

        /// Whether the answer is awaited.
        func isAsked(_ request: UInt64) -> Bool { inFlight[request]?.request != nil }

        mutating func lose(_ request: UInt64, notBefore time: MonotonicTime) {
            guard var chunk = inFlight.removeValue(forKey: request) else { preconditionFailure("it was asked for") }
            chunk.request = nil
            again.append(chunk)
            notBefore = time
        }

        /// - Returns: the piece's file where it was the last one.
        mutating func written(_ chunk: Chunk) -> MoveFile? {
            guard var file = files[chunk.file] else { preconditionFailure("a complete file is written to") }
            file.missing -= UInt64(chunk.length)
            files[chunk.file] = file
            return file.missing == 0 ? manifest.files[chunk.file] : nil
        }

        var firstLoss: MonotonicTime? { inFlight.values.compactMap { $0.request?.lostAt }.min() }

        func lost(at now: MonotonicTime) -> [UInt64] {
            inFlight.values.compactMap(\.request).filter { $0.lostAt <= now }.map(\.number).sorted()
        }
    }

    /// Stands in for a state whose payload is taken out to be changed, so that nothing is copied.
    private static let changing = State.done(isOwner: false)

    // MARK: The manifest

    /// What the source said to ``Effect/requestOpen(request:_:)``.
    public mutating func opened(_ request: UInt64, _ answer: MoveOpenAnswer, now: MonotonicTime) {
        guard case .asking(let asked) = state, asked.number == request else { return }
        let reason: String
        switch answer {
        case .manifest(let epoch, let files):
            guard files.count <= Limits.moveFilesMax, Self.areNames(files.map(\.name)) else {
                reason = "the source's list of files is not one"
                break
            }
            succeeded()
            state = .examining(.now, Manifest(epoch: epoch, files: files))
            return
        case .failed(let cause): reason = "the source made no checkpoint: \(cause)"
        case .restart: reason = "the source knows of a newer attempt"
        case .superseded: reason = "the source answered another request"
        }
        state = .opening(failed(reason, now: now), inNewSession: answer != .superseded)
    }

    /// Names of files within one directory, each once.
    private static func areNames(_ names: [String]) -> Bool {
        Set(names).count == names.count
            && names.allSatisfy { name in
                !name.isEmpty && name != "." && name != ".."
                    && !name.utf8.contains { $0 == UInt8(ascii: "/") || $0 == 0 }
            }
    }

    /// What is in `incoming`: of that, files with the name, size and checksum of one of the manifest's are kept.
    public mutating func examined(local: [MoveFile], now: MonotonicTime) {
        guard case .examining(_, let manifest) = state else { return }
        succeeded()
        var wanted: [String: MoveFile] = [:]
        for file in manifest.files { wanted[file.name] = file }
        let goesByName = mutants.has(.resumeWithoutChecking)
        let isSame = { (file: MoveFile) in
            goesByName ? wanted[file.name] != nil : wanted[file.name] == file
        }
        let kept = Set(local.filter(isSame).map(\.name))
        let stale = local.filter { !isSame($0) }.map(\.name).sorted()
        if !stale.isEmpty { effects.append(.removeFiles(stale)) }
        var fetching = Fetching(manifest)
        for (index, file) in manifest.files.enumerated() {
            bytesTotal += file.byteCount
            if kept.contains(file.name) {
                bytesDone += file.byteCount
            } else if let empty = fetching.want(index, attempt: 1) {
                effects.append(.finishFile(empty))
            }
        }
        rounds.begin(bytes: bytesTotal - bytesDone, now: now)
        state = fetching.files.isEmpty ? .installing(.now, manifest) : .fetching(fetching)
    }

    // MARK: Chunks

    /// When the next piece may be asked for; `nil` where none is to be.
    private func nextFetchTime(_ fetching: Fetching) -> MonotonicTime? {
        guard fetching.inFlight.count < settings.chunksInFlightMax, !fetching.queue.isEmpty || !fetching.again.isEmpty
        else { return nil }
        return max(budget.nextTime, fetching.notBefore)
    }

    private mutating func fetchMore(now: MonotonicTime) {
        guard case .fetching(var fetching) = state else { return }
        state = Self.changing
        while let time = nextFetchTime(fetching), time <= now {
            let request = newRequest(now: now)
            let chunk = fetching.nextChunk(for: request, bytesMax: settings.chunkBytesMax)
            budget.take(UInt64(chunk.length), now: now)
            effects.append(
                .requestChunk(
                    request: request.number, session, file: chunk.file, offset: chunk.offset, length: chunk.length))
        }
        state = .fetching(fetching)
    }

    /// A piece of a file came.
    ///
    /// - Parameter crc: the CRC32C of `bytes`, as the source computed it.
    public mutating func fetched(_ request: UInt64, bytes: [UInt8], crc: UInt32, now: MonotonicTime) {
        guard case .fetching(var fetching) = state, fetching.isAsked(request), let chunk = fetching.inFlight[request]
        else { return }
        guard bytes.count == chunk.length, CRC32C.checksum(bytes) == crc else { return loseChunk(request, now: now) }
        succeeded()
        meter.count(UInt64(bytes.count), now: now)
        let name = fetching.manifest.files[chunk.file].name
        effects.append(.writeChunk(request: request, name: name, offset: chunk.offset, bytes: bytes))
        state = Self.changing
        fetching.inFlight[request]?.request = nil
        state = .fetching(fetching)
    }

    private mutating func loseChunk(_ request: UInt64, now: MonotonicTime) {
        guard case .fetching(var fetching) = state, fetching.isAsked(request) else { return }
        trouble = "pieces of files do not arrive"
        state = Self.changing
        fetching.lose(request, notBefore: pauseEnd(now))
        state = .fetching(fetching)
    }

    public mutating func chunkWritten(_ request: UInt64, now: MonotonicTime) {
        guard case .fetching(var fetching) = state, !fetching.isAsked(request) else { return }
        state = Self.changing
        if let chunk = fetching.inFlight.removeValue(forKey: request) {
            bytesDone += UInt64(chunk.length)
            if let file = fetching.written(chunk) { effects.append(.finishFile(file)) }
        }
        state = .fetching(fetching)
    }

    /// - Parameters:
    ///   - name: the file's.
    ///   - isSound: whether it has its size and checksum, is synced and has its name.
    public mutating func fileFinished(_ name: String, isSound: Bool, now: MonotonicTime) {
        guard case .fetching(var fetching) = state,
            let index = fetching.manifest.files.firstIndex(where: { $0.name == name }),
            let file = fetching.files[index]
        else { return }
        guard isSound || file.attempts < Limits.moveFileAttemptsMax else {
            return beginAnew("the file \(name) does not arrive as it is at the source", now: now)
        }
        state = Self.changing
        if isSound {
            fetching.files[index] = nil
        } else {
            bytesDone -= fetching.manifest.files[index].byteCount
            if let empty = fetching.want(index, attempt: file.attempts + 1) { effects.append(.finishFile(empty)) }
        }
        state = fetching.files.isEmpty ? .installing(.now, fetching.manifest) : .fetching(fetching)
    }
}

// MARK: - The updates after the checkpoint

extension MoveTarget {
    /// Invariant: `applied <= durable <= submitted <= last`.
    private struct Follow {
        enum Stage: Equatable {
            case due(MonotonicTime)
            case writing
            case written

            var dueTime: MonotonicTime? { if case .due(let time) = self { time } else { nil } }
        }

        enum Pull {
            case due(after: MonotonicTime?)
            case asked(Request)
        }

        /// Updates that were received and that the log has not yet taken.
        enum Append {
            case nothing
            case due(MonotonicTime, AppendGroup)
            /// The log has it to decide.
            case given(AppendGroup)
        }

        /// Of the source.
        let epoch: Epoch
        var stage: Stage
        var pull = Pull.due(after: nil)
        var append = Append.nothing
        /// The last update received.
        var last: Position
        /// The last one that the log has taken.
        var submitted: Position
        var durable: Position
        var applied: Position
        /// Those after `applied`.
        var effects = Deque<EntityEffect>()
        var bytes = 0
        var isApplying = false
        /// What the newest pull has said.
        var acknowledged = Position.zero
        var frozenThrough: Position?
        var sourceApplied: Position

        init(epoch: Epoch, applied: Position, now: MonotonicTime) {
            self.epoch = epoch
            stage = .due(now)
            last = applied
            submitted = applied
            durable = applied
            self.applied = applied
            sourceApplied = applied
        }

        /// The last update that the log has taken, where it has not reported it yet.
        var unreported: Position? { durable < submitted ? submitted : nil }

        var lag: UInt64 { sourceApplied > durable ? sourceApplied.rawValue - durable.rawValue : 0 }

        /// But for that of the stage.
        var deadline: MonotonicTime? {
            let pullTime: MonotonicTime? =
                switch pull {
                case .due(let time): time
                case .asked(let request): request.lostAt
                }
            guard case .due(let time, _) = append else { return pullTime }
            return min(pullTime ?? time, time)
        }

        mutating func receive(_ group: AppendGroup, _ decoded: [EntityEffect], now: MonotonicTime) {
            effects.append(contentsOf: decoded)
            bytes += group.payloads.reduce(0) { $0 + $1.count }
            last = Position(last.rawValue + UInt64(group.payloads.count))
            append = .due(now, group)
        }

        mutating func nextAppend(now: MonotonicTime) -> AppendGroup? {
            guard case .due(let time, let group) = append, time <= now else { return nil }
            append = .given(group)
            return group
        }

        /// What is durable, to be applied next.
        mutating func nextApply(_ shard: ShardID) -> CommitGroup? {
            guard !isApplying, applied < durable else { return nil }
            isApplying = true
            let count = Int(durable.rawValue - applied.rawValue)
            return CommitGroup(shard: shard, epoch: epoch, through: durable, effects: Array(effects.prefix(count)))
        }

        mutating func apply(upTo position: Position) {
            guard isApplying else { return }
            precondition(position <= durable, "only committed effects enter the store")
            isApplying = false
            while applied < position {
                guard let effect = effects.popFirst() else { preconditionFailure("what was applied was received") }
                bytes -= effect.encoded.count
                applied = applied.next
            }
        }

        /// Whether a pull is to be sent now.
        func mustPull(bytesMax: Int, now: MonotonicTime) -> Bool {
            guard case .nothing = append, bytes < 2 * bytesMax else { return false }
            let isOut: Bool
            switch pull {
            case .due(let time):
                if let time, time > now { return false }
                isOut = false
            case .asked: isOut = true
            }
            guard let frozenThrough, last >= frozenThrough else { return !isOut }
            // The source waits for nothing but this node's word, which is worth a pull of its own.
            return durable > acknowledged || !isOut && durable >= frozenThrough
        }
    }

    /// The whole copy, where there is one.
    private var follow: Follow? { if case .whole(let follow, _) = state { follow } else { nil } }

    private mutating func changeFollow(_ body: (inout Follow) -> Void) {
        guard case .whole(var follow, let standing) = state else { return }
        state = Self.changing
        body(&follow)
        state = .whole(follow, standing)
    }

    private mutating func followMore(now: MonotonicTime) {
        guard case .whole(var follow, let standing) = state else { return }
        state = Self.changing
        if case .following = standing, let time = follow.stage.dueTime, time <= now {
            follow.stage = .writing
            effects.append(.enterCatchUp)
        }
        if let group = follow.nextAppend(now: now) { effects.append(.append(group)) }
        if let group = follow.nextApply(shard) { effects.append(.apply(group)) }
        if case .owner(let epoch) = standing, follow.applied == follow.last {
            effects.append(.serve(epoch, applied: follow.applied))
            return state = .done(isOwner: true)
        }
        if case .following = standing, follow.mustPull(bytesMax: settings.pullBytesMax, now: now) {
            pull(&follow, now: now)
        }
        state = .whole(follow, standing)
    }

    private mutating func pull(_ follow: inout Follow, now: MonotonicTime) {
        let request = newRequest(now: now, waits: settings.pullMilliseconds)
        follow.pull = .asked(request)
        follow.acknowledged = follow.durable
        effects.append(
            .requestPull(
                request: request.number, session, after: follow.last, durable: follow.durable,
                bytesMax: settings.pullBytesMax, waitMilliseconds: settings.pullMilliseconds))
    }

    private func isPulling(_ request: UInt64) -> Bool {
        if case .asked(let asked)? = follow?.pull { asked.number == request } else { false }
    }

    // MARK: Updates

    /// What the source said to ``Effect/requestPull(request:_:after:durable:bytesMax:waitMilliseconds:)``.
    public mutating func pulled(_ request: UInt64, _ answer: MovePullAnswer, now: MonotonicTime) {
        guard isPulling(request) else { return }
        var frozenThrough: Position?
        var again: MonotonicTime?
        switch answer.phase {
        case .restart, .streaming: break
        case .frozen(let through): frozenThrough = through
        case .handedOver: again = pauseEnd(now)
        }
        guard let (epoch, last) = follow.map({ ($0.epoch, $0.last) }) else { preconditionFailure("a store follows") }
        changeFollow { follow in
            follow.pull = .due(after: again)
            follow.frozenThrough = frozenThrough
        }
        if answer.phase == .restart {
            let reason = "the source has dropped updates that this node still lacks, or was started again"
            return beginAnew(reason, now: now)
        }
        if case .handedOver = answer.phase { return effects.append(.readOwner) }
        guard answer.epoch == epoch else {
            return beginAnew("the source owns the shard at epoch \(answer.epoch) now", now: now)
        }
        changeFollow { $0.sourceApplied = answer.applied }
        backOff.succeeded()
        receive(answer, after: last, at: epoch, now: now)
    }

    private mutating func receive(
        _ answer: MovePullAnswer, after last: Position, at epoch: Epoch, now: MonotonicTime
    ) {
        var payloads = answer.payloads
        if answer.first > last.next {
            guard mutants.has(.teeGapIgnored), let first = payloads.first else {
                if payloads.isEmpty { return }
                return beginAnew("the source left out updates after position \(last)", now: now)
            }
            let lacking = Int(answer.first.rawValue - last.next.rawValue)
            payloads.insert(contentsOf: repeatElement(first, count: lacking), at: 0)
        } else {
            payloads.removeFirst(min(payloads.count, Int(last.next.rawValue - answer.first.rawValue)))
        }
        guard !payloads.isEmpty else { return }
        var decoded: [EntityEffect] = []
        for payload in payloads {
            guard let effect = EntityEffect(decoding: payload) else {
                let reason = "an update after position \(last) is in no format that this version knows"
                return beginAnew(reason, now: now)
            }
            decoded.append(effect)
        }
        let group = AppendGroup(shard: shard, epoch: epoch, first: last.next, payloads: payloads)
        changeFollow { $0.receive(group, decoded, now: now) }
    }

    /// The log has taken the group.
    public mutating func appendAccepted() {
        changeFollow { follow in
            if case .nothing = follow.append { return }
            follow.append = .nothing
            follow.submitted = follow.last
        }
    }

    /// The log takes nothing now.
    public mutating func appendRefused(now: MonotonicTime) {
        switch follow?.append {
        case .due(_, let group)?, .given(let group)?:
            let again = pauseEnd(now)
            changeFollow { $0.append = .due(again, group) }
        case .nothing?, nil: return
        }
    }

    /// The shard's updates up to `position` are on this node's stable storage.
    public mutating func logDurable(upTo position: Position) {
        if case .clearing(let clearing, let step, let awaited?) = state, position >= awaited {
            state = .clearing(clearing, step, unreported: nil)
        }
        changeFollow { follow in
            precondition(position <= follow.submitted, "the log cannot have what it was not given")
            follow.durable = max(follow.durable, position)
        }
    }

    /// The store reads back everything up to `position`.
    public mutating func applied(upTo position: Position) {
        changeFollow { $0.apply(upTo: position) }
    }
}
