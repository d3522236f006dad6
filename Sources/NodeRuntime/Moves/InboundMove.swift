import ClusterCore
import DequeModule
import HashRing
import LogFiles
import LogFormat
import Logging
import NIOConcurrencyHelpers
import NIOCore
import PeerTransport
import Primitives
import RocksStore
import ShardCore

/// Drives the ``MoveTarget`` of one shard on the event loop that will serve it: files come in on the move pool, records
/// go through this node's log, and the store follows.
///
/// SAFETY (`@unchecked Sendable`): everything mutable is touched on the shard's loop only, which each entry goes to;
/// ``progress`` is behind its lock.
final class InboundMove: @unchecked Sendable {
    let shard: ShardID
    let move: ShardMove
    let progress = NIOLockedValueBox<ShardCore.MoveProgress?>(nil)
    let loop: ShardLoop
    let tools: MoveTools
    private let ledger: MoveLedger
    let view: ClusterView
    let peers: PeerClient
    private let logger: Logger
    /// How it ended; on the loop, once.
    private let whenEnded: @Sendable (_ lastSession: MoveSession) -> Void
    var machine: MoveTarget
    var store: ShardStore?
    var batch = StoreBatch()
    var durable: DurableMark?
    /// The last position given to the log.
    var appended: Position?
    /// Of the copy and of the updates that followed it. What comes here carries the source's time, not this node's.
    var newestTime = Timestamp.zero
    /// What waits until the log has all that it was given.
    var whenLogHasAll: (@Sendable (InboundMove) -> Void)?
    private var alarm: Scheduled<Void>?
    private var hasEnded = false
    /// The record as last read. Readings may overtake each other; older ones tell nothing.
    private var lastRead: ShardEntry
    /// Work on the disk keeps its order: what is removed is gone before it is written anew.
    private var waitingWork = Deque<@Sendable () -> Void>()
    private var isWorking = false

    init(
        _ entry: ShardEntry, move: ShardMove, after session: MoveSession, bytesPerSecond: UInt64,
        tools: MoveTools, ledger: MoveLedger, view: ClusterView, peers: PeerClient, logger: Logger,
        whenEnded: @escaping @Sendable (MoveSession) -> Void
    ) {
        shard = entry.shard
        self.move = move
        lastRead = entry
        self.tools = tools
        self.ledger = ledger
        self.view = view
        self.peers = peers
        self.logger = logger
        self.whenEnded = whenEnded
        loop = tools.loop(of: shard)
        machine = MoveTarget(shard: shard, after: session, bytesPerSecond: bytesPerSecond)
    }

    /// Any thread.
    func begin() {
        onLoop { move in
            move.loop.attach(move)
            move.carryOn()
        }
    }

    /// Any thread.
    func throttle(bytesPerSecond: UInt64) {
        onLoop { move in
            move.machine.throttle(bytesPerSecond: bytesPerSecond, now: NodeTime.monotonic())
            move.carryOn()
        }
    }

    /// What the shard's record says, as somebody has read it. Any thread.
    func recordRead(_ entry: ShardEntry) {
        onLoop { move in
            move.take(entry, entered: nil)
            move.carryOn()
        }
    }

    private func onLoop(_ body: @escaping @Sendable (InboundMove) -> Void) {
        loop.eventLoop.execute { body(self) }
    }

    /// Runs `work` on the move pool behind the work given before, and then `done` on the loop.
    func offLoop<Value: Sendable>(
        _ work: @escaping @Sendable () throws -> Value,
        done: @escaping @Sendable (InboundMove, Value) -> Void
    ) {
        waitingWork.append {
            let result = Result { try work() }
            self.onLoop { move in
                move.isWorking = false
                switch result {
                case .success(let value): done(move, value)
                case .failure where move.machine.isDone: move.giveUp()
                case .failure(let error): move.machine.localFailed("\(error)", now: NodeTime.monotonic())
                }
                move.startWork()
                move.carryOn()
            }
        }
        startWork()
    }

    private func startWork() {
        guard !isWorking, let work = waitingWork.popFirst() else { return }
        isWorking = true
        tools.pool.submit { work() }
    }

    // MARK: Effects

    func carryOn() {
        while !hasEnded, let effect = machine.nextEffect(now: NodeTime.monotonic()) { carryOut(effect) }
        let now = machine.progress
        progress.withLockedValue { $0 = now }
        setAlarm()
    }

    private func carryOut(_ effect: MoveTarget.Effect) {
        switch effect {
        case .enterCopy: enter(.copy)
        case .enterCatchUp: enter(.catchUp)
        case .discardStore: discardStore { $0.machine.storeDiscarded(now: NodeTime.monotonic()) }
        case .requestOpen(let request, let session): requestOpen(request, session)
        case .examineFiles: examineFiles()
        case .removeFiles(let names): removeFiles(names)
        case .requestChunk(let request, let session, let file, let offset, let length):
            requestChunk(request, session, file, offset, length)
        case .writeChunk(let request, let name, let offset, let bytes): writeChunk(request, name, offset, bytes)
        case .finishFile(let file): finishFile(file)
        case .installStore(let files): installStore(files)
        case .requestPull(let request, let session, let after, let durable, let bytesMax, let wait):
            requestPull(request, session, after, durable, bytesMax, wait)
        case .append(let append): self.append(append)
        case .apply(let group): apply(group)
        case .readOwner: readOwner()
        case .serve(let epoch, let applied): serve(epoch, applied)
        case .lacking(let epoch): lack(epoch)
        case .discardAll: discardAll()
        }
    }

    // MARK: The record

    private func enter(_ stage: MoveStage) {
        if stage == .copy, let reason = machine.progress.trouble {
            logger.warning(
                "a shard's copy begins anew",
                metadata: ["shard": "\(shard)", "from": "\(move.from)", "reason": "\(reason)"])
        }
        Task { [lastRead] in
            let entry = try? await ledger.take(
                stage == .copy ? MoveStep.beginCopy : MoveStep.catchUp, knowing: lastRead)
            self.onLoop { move in
                if let entry {
                    move.take(entry, entered: stage)
                } else {
                    move.machine.stageFailed(now: NodeTime.monotonic())
                }
                move.carryOn()
            }
        }
    }

    private func take(_ entry: ShardEntry, entered stage: MoveStage?) {
        let now = NodeTime.monotonic()
        guard entry.revision >= lastRead.revision else {
            if stage != nil { machine.stageFailed(now: now) }
            return
        }
        lastRead = entry
        let record = entry.record
        if record.primary == ledger.node {
            machine.ownerRead(record.epoch, now: now)
        } else if let current = record.move, current.isSameMove(as: move) {
            guard let stage else { return }
            if MoveStage(current.stage) == stage || (stage == .catchUp && current.stage == .handover) {
                machine.stageEntered(stage, now: now)
            } else if stage == .catchUp, current.stage == .learner {
                machine.begunAgain(now: now)
            } else {
                machine.stageFailed(now: now)
            }
        } else {
            machine.cancelled(now: now)
        }
    }

    private func readOwner() {
        Task {
            if let entry = try? await ledger.read() { self.recordRead(entry) }
        }
    }

    // MARK: The end

    private func serve(_ epoch: Epoch, _ applied: Position) {
        guard let store else { preconditionFailure("shard \(shard) is to be served without a store") }
        let host = ShardHost(shard: shard, epoch: epoch, store: store, applied: applied)
        loop.detach(self)
        loop.install(host)
        tools.counters.noteShardIn()
        tools.table.set(.served(host), of: shard)
        logger.notice(
            "a shard has moved here", metadata: ["shard": "\(shard)", "from": "\(move.from)", "epoch": "\(epoch)"])
        let folder = tools.folders.incoming(shard)
        tools.pool.submit { try? MoveFiles.remove(folder) }
        end()
    }

    private func lack(_ epoch: Epoch) {
        loop.detach(self)
        let reason = "this node owns it at epoch \(epoch) and has no complete copy of it"
        logger.error("a shard cannot be served", metadata: ["shard": "\(shard)", "reason": "\(reason)"])
        tools.table.set(.unavailable(epoch: epoch, reason: reason), of: shard)
        end()
    }

    private func discardAll() {
        let incoming = tools.folders.incoming(shard)
        discardStore { move in
            move.loop.detach(move)
            move.tools.pool.submit { try? MoveFiles.remove(incoming) }
            move.end()
        }
    }

    /// What is left of the copy cannot be deleted; the next move of the shard, or the next start, tries again.
    private func giveUp() {
        loop.detach(self)
        end()
    }

    private func end() {
        guard !hasEnded else { return }
        alarm?.cancel()
        hasEnded = true
        whenEnded(machine.lastSession)
    }

    private func setAlarm() {
        alarm?.cancel()
        guard !hasEnded, let deadline = machine.deadline else { return }
        let wait = max(deadline.nanoseconds(since: NodeTime.monotonic()), 1_000_000)
        alarm = loop.eventLoop.scheduleTask(in: .nanoseconds(Int64(clamping: wait))) {
            self.machine.tick(now: NodeTime.monotonic())
            self.carryOn()
        }
    }
}
