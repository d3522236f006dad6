import ClusterCore
import HashRing
import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import PeerTransport
import PeerWire
import Primitives
import RocksStore
import ShardCore

/// Drives the ``MoveSource`` of one shard beside the shard's machine, on its event loop.
///
/// SAFETY (`@unchecked Sendable`): everything mutable is touched on the shard's loop only, which each entry goes to;
/// what the move pool needs of a checkpoint is passed to it by value.
final class OutboundMove: @unchecked Sendable {
    let shard: ShardID
    let move: ShardMove
    /// When the record was put that the move was begun for.
    let readAt: MetadataRevision
    private let view: ClusterView
    private let loop: ShardLoop
    private let tools: MoveTools
    private let ledger: MoveLedger
    private let logger: Logger
    /// The shard is another node's; on the loop, once.
    private let whenLost: @Sendable (ShardHost, Epoch) -> Void
    private var machine: MoveSource?
    /// What of the loop's account the updates kept for the target are charged.
    private var teeCharge = 0
    private var isGivenAway = false
    private var isCarryingOn = false
    private var replies: [Ticket: PeerReply] = [:]
    private var lastTicket: Ticket = 0
    private var alarm: Scheduled<Void>?
    private var alarmTime: MonotonicTime?
    private var frozenAt: MonotonicTime?
    /// The record as last read. Readings may overtake each other; older ones tell nothing.
    private var lastRead: ShardEntry

    init(
        _ entry: ShardEntry, move: ShardMove, tools: MoveTools, ledger: MoveLedger, view: ClusterView, logger: Logger,
        whenLost: @escaping @Sendable (ShardHost, Epoch) -> Void
    ) {
        shard = entry.shard
        self.move = move
        readAt = entry.revision
        lastRead = entry
        self.tools = tools
        self.ledger = ledger
        self.view = view
        self.logger = logger
        self.whenLost = whenLost
        loop = tools.loop(of: shard)
    }

    /// Begins to follow the shard's commits. Any thread.
    func begin() {
        onLoop { move in
            guard let line = move.loop.line(of: move.shard), line.outbound == nil else { return }
            move.machine = MoveSource(
                shard: move.shard, epoch: line.host.epoch, applied: line.machine.applied,
                settings: move.tools.moveSettings)
            line.outbound = move
        }
    }

    /// Ends it where the shard was not handed over: the target has nothing more to come for. Any thread.
    func end() {
        onLoop { move in
            move.machine?.cancelled(now: NodeTime.monotonic())
            move.carryOn()
            move.alarm?.cancel()
            move.loop.line(of: move.shard)?.outbound = nil
        }
    }

    private func onLoop(_ body: @escaping @Sendable (OutboundMove) -> Void) {
        loop.eventLoop.execute { body(self) }
    }

    /// What is kept has a bound of its own, and is never refused.
    private func chargeTee() {
        let bytes = isGivenAway ? 0 : machine?.teeBytes ?? 0
        let memory = tools.memory.loops.account(of: loop.eventLoop)
        if bytes > teeCharge { memory.chargeAnyway(bytes - teeCharge, for: .effects) }
        if bytes < teeCharge { memory.refund(teeCharge - bytes, of: .effects) }
        teeCharge = bytes
    }

    // MARK: Requests of the target; on any thread

    func open(_ session: MoveSession, reply: PeerReply) {
        onLoop { move in
            guard move.machine != nil else { return reply.send(.refused(Self.unknownSession)) }
            move.machine?.open(session, ticket: move.ticket(for: reply), now: NodeTime.monotonic())
            move.carryOn()
        }
    }

    func pull(
        _ session: MoveSession, after: Position, durable: Position, bytesMax: Int, waitMilliseconds: UInt64,
        reply: PeerReply
    ) {
        onLoop { move in
            guard move.machine != nil else { return reply.send(.refused(Self.unknownSession)) }
            move.machine?.pull(
                session, after: after, durable: durable, bytesMax: bytesMax, waitMilliseconds: waitMilliseconds,
                ticket: move.ticket(for: reply), now: NodeTime.monotonic())
            move.carryOn()
        }
    }

    func fetch(_ session: MoveSession, file: Int, offset: UInt64, length: Int, reply: PeerReply) {
        onLoop { move in
            guard let known = move.machine?.file(file, of: session) else {
                return reply.send(.refused(Self.unknownSession))
            }
            let folder = move.tools.folders.outgoing(move.shard, session: session.rawValue)
            move.tools.pool.submit {
                do {
                    let bytes = try MoveFiles.chunk(folder, known.name, offset: offset, length: length)
                    reply.send(.chunk(bytes: bytes, checksum: bytes.withUnsafeBytes { CRC32C.checksum(buffer: $0) }))
                } catch {
                    reply.send(.refused(PeerRefusal(.failed, "\(error)")))
                }
            }
        }
    }

    private static let unknownSession = PeerRefusal(.unknownSession, "the session is over; begin a new one")

    private func ticket(for reply: PeerReply) -> Ticket {
        lastTicket += 1
        replies[lastTicket] = reply
        return lastTicket
    }

    private func takeReply(_ ticket: Ticket) -> PeerReply {
        guard let reply = replies.removeValue(forKey: ticket) else {
            preconditionFailure("ticket \(ticket) is answered twice")
        }
        return reply
    }

    // MARK: What the shard tells; on its loop

    /// The store has applied a group.
    func committed(_ group: CommitGroup) {
        machine?.committed(group)
        carryOn()
    }

    /// Asks whether a freeze has come to rest. After each turn of the shard's line.
    func lookAtDrain(_ line: ShardLine) {
        guard line.machine.isDrained, machine?.isFrozen == true else { return }
        machine?.drained(through: line.machine.applied, now: NodeTime.monotonic())
        carryOn()
    }

    // MARK: Effects

    /// An effect may come back here by way of the loop's turn: whoever began takes what comes of that, too.
    private func carryOn() {
        guard !isCarryingOn else { return }
        isCarryingOn = true
        while let effect = machine?.nextEffect() { carryOut(effect) }
        isCarryingOn = false
        chargeTee()
        setAlarm()
    }

    private func carryOut(_ effect: MoveSource.Effect) {
        switch effect {
        case .makeCheckpoint(let session): makeCheckpoint(session)
        case .dropCheckpoint(let session): dropCheckpoint(session)
        case .answerOpen(let ticket, let answer):
            takeReply(ticket).send(PeerResponse(answer, pause: tools.gate.pause))
        case .answerPull(let ticket, let answer):
            takeReply(ticket).send(PeerResponse(answer, time: tools.time.now()))
        case .enterHandover: enterHandover()
        case .freeze: freeze()
        case .thaw: thaw()
        case .stopReads: loop.line(of: shard)?.host.stopReads()
        case .commitHandover(_, let revision): commitHandover(revision)
        case .lost(let epoch): lose(epoch)
        }
    }

    private func makeCheckpoint(_ session: MoveSession) {
        guard let store = loop.line(of: shard)?.host.store else { return }
        let folder = tools.folders.outgoing(shard, session: session.rawValue)
        tools.pool.submit {
            let made = Result { () throws -> [MoveFile] in
                try MoveFiles.remove(folder)
                try store.checkpoint(to: folder)
                return try MoveFiles.manifest(of: folder)
            }
            self.onLoop { move in
                switch made {
                case .success(let files): move.machine?.checkpointMade(session, files: files, now: NodeTime.monotonic())
                case .failure(let error):
                    move.machine?.checkpointFailed(session, reason: "\(error)", now: NodeTime.monotonic())
                }
                move.carryOn()
            }
        }
    }

    private func dropCheckpoint(_ session: MoveSession) {
        let folder = tools.folders.outgoing(shard, session: session.rawValue)
        tools.pool.submit { [logger] in
            do {
                try MoveFiles.remove(folder)
            } catch {
                logger.warning("a checkpoint could not be deleted", metadata: ["reason": "\(error)"])
            }
        }
    }

    private func freeze() {
        guard let line = loop.line(of: shard) else { return }
        frozenAt = NodeTime.monotonic()
        line.machine.hold()
        loop.carryOn(line)
    }

    private func thaw() {
        guard let line = loop.line(of: shard) else { return }
        noteFreeze()
        line.host.resumeReads()
        line.machine.thaw(now: tools.time.now(), at: NodeTime.monotonic(), rows: line.rows)
        loop.carryOn(line)
    }

    private func noteFreeze() {
        guard let began = frozenAt else { return }
        frozenAt = nil
        tools.counters.noteFreeze(nanoseconds: NodeTime.monotonic().nanoseconds(since: began))
    }

    // MARK: The record

    private func enterHandover() {
        Task { [lastRead] in
            if let entry = try? await ledger.take(MoveStep.enterHandover, knowing: lastRead) { self.recordRead(entry) }
        }
    }

    /// What the shard's record says, as somebody has read it. Any thread.
    func recordRead(_ entry: ShardEntry) {
        onLoop { move in
            move.take(entry)
            move.carryOn()
        }
    }

    private func take(_ entry: ShardEntry) {
        guard entry.revision >= lastRead.revision else { return }
        lastRead = entry
        let now = NodeTime.monotonic()
        let record = entry.record
        if record.primary != ledger.node {
            guard let epoch = machine?.epoch else { return }
            guard record.epoch > epoch else {
                return logger.error(
                    "the metadata store is behind this node: it was put back to an older state. The shard stays here",
                    metadata: ["shard": "\(shard)", "epoch in the metadata": "\(record.epoch)"])
            }
            machine?.handoverCommitted(record.epoch)
        } else if let current = record.move, current.isSameMove(as: move), let stage = MoveStage(current.stage) {
            machine?.stageRead(stage, revision: entry.revision.rawValue, now: now)
        } else {
            machine?.cancelled(now: now)
        }
    }

    private func commitHandover(_ revision: UInt64) {
        let deadline = (frozenAt ?? NodeTime.monotonic()).adding(
            nanoseconds: Limits.moveFreezeMilliseconds * 1_000_000)
        Task {
            let outcome = await ledger.handOver(at: revision, knowing: view.map, until: deadline)
            self.onLoop { move in
                switch outcome {
                case .committed(let epoch): move.machine?.handoverCommitted(epoch)
                case .conflict(let entry): move.take(entry)
                case .unknown: move.machine?.handoverUnknown(now: NodeTime.monotonic())
                case .notSent: move.machine?.handoverNotSent(now: NodeTime.monotonic())
                }
                move.carryOn()
            }
        }
    }

    private func lose(_ epoch: Epoch) {
        noteFreeze()
        isGivenAway = true
        guard let line = loop.line(of: shard) else { return }
        line.host.becomeLost()
        tools.counters.noteShardOut()
        tools.table.set(.elsewhere, of: shard)
        loop.remove(shard)
        logger.notice(
            "a shard has moved away", metadata: ["shard": "\(shard)", "to": "\(move.to)", "epoch": "\(epoch)"])
        whenLost(line.host, epoch)
    }

    // MARK: Time

    private func setAlarm() {
        guard let deadline = machine?.deadline else { return }
        if let alarmTime, alarmTime <= deadline, alarmTime > NodeTime.monotonic() { return }
        alarm?.cancel()
        alarmTime = deadline
        let wait = deadline.nanoseconds(since: NodeTime.monotonic())
        alarm = loop.eventLoop.scheduleTask(in: .nanoseconds(Int64(clamping: max(wait, 1_000_000)))) {
            self.alarmTime = nil
            self.machine?.tick(now: NodeTime.monotonic())
            self.carryOn()
        }
    }
}

extension PeerResponse {
    /// - Parameter pause: nanoseconds for which this node begins no other move.
    init(_ answer: MoveOpenAnswer, pause: UInt64) {
        switch answer {
        case .manifest(let epoch, let files):
            self = .manifest(
                MoveManifest(
                    epoch: epoch, pauseMilliseconds: UInt32(clamping: pause / 1_000_000),
                    files: files.map { .init(name: $0.name, byteCount: $0.byteCount, checksum: $0.crc) }))
        case .failed(let reason): self = .refused(PeerRefusal(.failed, reason))
        case .restart: self = .refused(PeerRefusal(.unknownSession, "the session is over; begin a new one"))
        case .superseded: self = .refused(PeerRefusal(.overloaded, "another request of the session is answered"))
        }
    }

    init(_ answer: MovePullAnswer, time: Timestamp) {
        let phase: MoveRecords.Phase =
            switch answer.phase {
            case .streaming: .streaming
            case .frozen(let through): .frozen(through: through)
            case .handedOver(let epoch): .handedOver(epoch)
            case .restart: .restart
            }
        self = .records(
            MoveRecords(
                epoch: answer.epoch, first: answer.first, payloads: answer.payloads, applied: answer.applied,
                phase: phase, time: time))
    }
}

extension MoveStage {
    /// `nil` for the stage after the handover, on which the machines do not act.
    init?(_ stage: ShardMove.Stage) {
        switch stage {
        case .learner: self = .learner
        case .copy: self = .copy
        case .catchUp: self = .catchUp
        case .handover: self = .handover
        case .retire: return nil
        }
    }
}
