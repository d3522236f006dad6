import ClusterCore
import DequeModule
import Entities
import HashRing
import LogCore
import LogFiles
import LogFormat
import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import PeerTransport
import PeerWire
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
    private let loop: ShardLoop
    private let tools: MoveTools
    private let ledger: MoveLedger
    private let view: ClusterView
    private let peers: PeerClient
    private let logger: Logger
    /// How it ended; on the loop, once.
    private let whenEnded: @Sendable (_ lastSession: MoveSession) -> Void
    private var machine: MoveTarget
    private var store: ShardStore?
    private var batch = StoreBatch()
    /// Effects given to the log and not yet applied, from the one after the store's applied position on.
    private var pending: [(position: Position, effect: EntityEffect)] = []
    private var durable: DurableMark?
    /// The last position given to the log.
    private var appended: Position?
    /// What waits until the log has all that it was given.
    private var whenLogHasAll: (@Sendable (InboundMove) -> Void)?
    private var alarm: Scheduled<Void>?
    private var hasEnded = false
    /// The record as last read. Readings may overtake each other; older ones tell nothing.
    private var lastRead: ShardEntry
    /// Work on the disk keeps its order: what is removed is gone before it is written anew.
    private var waitingWork = Deque<@Sendable () -> Void>()
    private var isWorking = false

    /// A peer that asks for nothing for this long after an answer was due is given up by the transport.
    private static let answerSlack = TimeAmount.seconds(1)

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
    private func offLoop<Value: Sendable>(
        _ work: @escaping @Sendable () throws -> Value,
        done: @escaping @Sendable (InboundMove, Value) -> Void
    ) {
        waitingWork.append {
            let result = Result { try work() }
            self.onLoop { move in
                move.isWorking = false
                switch result {
                case .success(let value): done(move, value)
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

    private func carryOn() {
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
        case .apply: apply()
        case .readOwner: readOwner()
        case .serve(let epoch, let applied): serve(epoch, applied)
        case .lacking(let epoch): lack(epoch)
        case .discardAll: discardAll()
        }
    }

    // MARK: The record

    private func enter(_ stage: MoveStage) {
        if stage == .copy, let reason = machine.trouble {
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

    // MARK: Requests to the source

    private func ask(
        _ request: PeerRequest, waiting milliseconds: UInt64 = 0, lane: PeerLane, number: UInt64,
        done: @escaping @Sendable (InboundMove, PeerResponse) -> Void
    ) {
        guard let peer = view.address(of: move.from) else {
            return machine.requestFailed(number, now: NodeTime.monotonic())
        }
        let limit = TimeAmount.milliseconds(Int64(Limits.moveAnswerMilliseconds + milliseconds)) + Self.answerSlack
        peers.send(
            request, to: peer, lane: lane, deadline: .now() + limit, on: loop.eventLoop
        ) { outcome in
            switch outcome {
            case .response(.refused(let refusal)) where refusal.code == .unknownSession:
                self.machine.restartAsked(number, now: NodeTime.monotonic())
            case .response(.refused), .notSent, .lost, .timedOut:
                self.machine.requestFailed(number, now: NodeTime.monotonic())
            case .response(let response): done(self, response)
            }
            self.carryOn()
        }
    }

    private func requestOpen(_ number: UInt64, _ session: MoveSession) {
        ask(
            .moveOpen(shard: shard, operation: move.operation.description, session: session.rawValue), lane: .bulk,
            number: number
        ) { move, response in
            guard case .manifest(let manifest) = response, let files = manifest.moveFiles else {
                return move.machine.requestFailed(number, now: NodeTime.monotonic())
            }
            move.tools.gate.spare(milliseconds: UInt64(manifest.pauseMilliseconds))
            move.machine.opened(
                number, .manifest(epoch: manifest.epoch, files: files), now: NodeTime.monotonic())
        }
    }

    private func requestChunk(
        _ number: UInt64, _ session: MoveSession, _ file: Int, _ offset: UInt64, _ length: Int
    ) {
        ask(
            .moveFetch(
                shard: shard, session: session.rawValue, file: UInt32(file), offset: offset, length: UInt32(length)),
            lane: .bulk, number: number
        ) { move, response in
            guard case .chunk(let bytes, let crc) = response else {
                return move.machine.requestFailed(number, now: NodeTime.monotonic())
            }
            move.machine.fetched(number, bytes: bytes, crc: crc, now: NodeTime.monotonic())
        }
    }

    private func requestPull(
        _ number: UInt64, _ session: MoveSession, _ after: Position, _ durable: Position, _ bytesMax: Int,
        _ wait: UInt64
    ) {
        ask(
            .movePull(
                shard: shard, session: session.rawValue, after: after, durable: durable, bytesMax: UInt32(bytesMax),
                waitMilliseconds: UInt32(wait)), waiting: wait, lane: .requests, number: number
        ) { move, response in
            guard case .records(let records) = response else {
                return move.machine.requestFailed(number, now: NodeTime.monotonic())
            }
            move.machine.pulled(number, MovePullAnswer(records), now: NodeTime.monotonic())
        }
    }

    // MARK: Files

    /// An incomplete copy of a file has this after its name.
    private static let partSuffix = ".part"

    private func examineFiles() {
        let folder = tools.folders.incoming(shard)
        offLoop {
            try MoveFiles.makeDirectory(folder)
            return try MoveFiles.entries(of: folder).filter { !$0.hasSuffix(Self.partSuffix) }
                .map { try MoveFiles.describe(folder, $0) }
        } done: { move, files in
            move.machine.examined(local: files, now: NodeTime.monotonic())
        }
    }

    private func removeFiles(_ names: [String]) {
        let folder = tools.folders.incoming(shard)
        offLoop {
            for name in names { try MoveFiles.remove("\(folder)/\(name)") }
        } done: { _, _ in
        }
    }

    private func writeChunk(_ request: UInt64, _ name: String, _ offset: UInt64, _ bytes: [UInt8]) {
        let folder = tools.folders.incoming(shard)
        offLoop {
            try MoveFiles.write(bytes, to: name + Self.partSuffix, in: folder, offset: offset)
        } done: { move, _ in
            move.machine.chunkWritten(request, now: NodeTime.monotonic())
        }
    }

    private func finishFile(_ file: MoveFile) {
        let folder = tools.folders.incoming(shard)
        offLoop {
            let part = file.name + Self.partSuffix
            try MoveFiles.finish(part, in: folder, bytes: file.byteCount)
            let found = try MoveFiles.describe(folder, part)
            guard found.byteCount == file.byteCount, found.crc == file.crc else {
                try MoveFiles.remove("\(folder)/\(part)")
                return false
            }
            try MoveFiles.rename("\(folder)/\(part)", to: "\(folder)/\(file.name)")
            return true
        } done: { move, isSound in
            move.machine.fileFinished(file.name, isSound: isSound, now: NodeTime.monotonic())
        }
    }

    // MARK: The store

    private func installStore(_ files: [MoveFile]) {
        let (source, target) = (tools.folders.incoming(shard), tools.folders.store(shard))
        let (resources, expiry, log) = (tools.resources, tools.expiry, tools.log)
        offLoop { () throws -> (ShardStore, Timestamp) in
            try MoveFiles.install(files, from: source, to: target)
            let store = try ShardStore.open(
                directory: target, resources: resources, create: false, expiredRow: expiry.filter)
            // The mark names a place in the log of the source; in this node's log nothing of the shard is needed.
            var batch = StoreBatch()
            let mark = store.appliedAtOpen
            try store.apply(
                &batch, applied: AppliedState(epoch: mark.epoch, position: mark.position, lsn: log.durableLSN))
            try store.flush()
            return (store, try ShardClockRow.read(from: store))
        } done: { move, opened in
            move.install(opened.0, clock: opened.1)
        }
    }

    private func install(_ store: ShardStore, clock: Timestamp) {
        self.store = store
        tools.time.advance(atLeastTo: clock)
        let mark = store.applied
        pending = []
        durable = nil
        appended = nil
        tools.log.adopt(AppliedMark(shard: shard, epoch: mark.epoch, position: mark.position, lsn: mark.lsn))
        tools.flushes.add(store, for: shard)
        machine.installed(applied: mark.position, now: NodeTime.monotonic())
    }

    private func append(_ append: AppendGroup) {
        var effects: [(Position, EntityEffect)] = []
        var position = append.first
        for payload in append.payloads {
            guard let effect = EntityEffect(decoding: payload) else {
                return machine.localFailed("position \(position) is in no format known here", now: NodeTime.monotonic())
            }
            effects.append((position, effect))
            position = position.next
        }
        let batch = AppendBatch(
            lane: loop.index, shard: shard, epoch: append.epoch, firstPosition: append.first,
            payloads: append.payloads, time: tools.time.now())
        guard tools.flushes.hasRoomForWrites, tools.log.submit(batch) == .accepted else {
            return machine.appendRefused(now: NodeTime.monotonic())
        }
        pending += effects
        appended = batch.lastPosition
        machine.appendAccepted()
    }

    /// The node's log has made records of the shard durable. On the loop.
    func logDurable(_ mark: DurableMark) {
        durable = mark
        if let waiting = whenLogHasAll {
            guard hasLogAll else { return }
            whenLogHasAll = nil
            waiting(self)
        } else {
            machine.logDurable(upTo: mark.position)
        }
        carryOn()
    }

    private func apply() {
        guard let store, let durable else { return }
        let due = pending.prefix { $0.position <= durable.position }
        guard let last = due.last else { return }
        batch.clear()
        for (_, effect) in due { batch.put(effect) }
        batch.put(clock: tools.time.now())
        do {
            try store.apply(
                &batch, applied: AppliedState(epoch: durable.epoch, position: last.position, lsn: durable.lsn))
        } catch {
            return machine.localFailed("the store of shard \(shard) failed: \(error)", now: NodeTime.monotonic())
        }
        pending.removeFirst(due.count)
        machine.applied(upTo: last.position)
    }

    private var hasLogAll: Bool { appended.map { $0 <= durable?.position ?? .zero } ?? true }

    /// Closes and deletes the store, if there is one, and gives its records in the log up, once they are all written:
    /// the log does not take the shard anew while it still has some of it.
    private func discardStore(done: @escaping @Sendable (InboundMove) -> Void) {
        guard hasLogAll else {
            whenLogHasAll = { $0.discardStore(done: done) }
            return
        }
        // An installation that is under way opens a store first, which is then there to be closed.
        offLoop {
        } done: { move, _ in
            move.discardOpenStore(done: done)
        }
    }

    private func discardOpenStore(done: @escaping @Sendable (InboundMove) -> Void) {
        let old = store
        store = nil
        pending = []
        durable = nil
        appended = nil
        tools.log.release(shard)
        let (shard, flushes, folder) = (shard, tools.flushes, tools.folders.store(shard))
        offLoop {
            if let old {
                flushes.remove(shard)
                old.close()
            }
            try MoveFiles.remove(folder)
        } done: { move, _ in
            done(move)
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

    private func end() {
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

extension MoveManifest {
    /// `nil` where a name is no plain file name: it would lead out of its folder.
    fileprivate var moveFiles: [MoveFile]? {
        var result: [MoveFile] = []
        for file in files {
            guard !file.name.isEmpty, !file.name.contains("/"), file.name != ".", file.name != "..",
                !file.name.utf8.contains(0)
            else { return nil }
            result.append(MoveFile(name: file.name, byteCount: file.byteCount, crc: file.checksum))
        }
        return result
    }
}

extension MovePullAnswer {
    init(_ records: MoveRecords) {
        let phase: Phase =
            switch records.phase {
            case .streaming: .streaming
            case .frozen(let through): .frozen(through: through)
            case .handedOver(let epoch): .handedOver(epoch)
            case .restart: .restart
            }
        self.init(
            epoch: records.epoch, first: records.first, payloads: records.payloads, applied: records.applied,
            phase: phase)
    }
}
