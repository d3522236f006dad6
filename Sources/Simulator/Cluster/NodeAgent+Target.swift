import ClusterCore
import Entities
import HashRing
import LogCore
import LogFormat
import Primitives
import ShardCore

/// The target's side of moves.
extension NodeAgent {
    func beginLearning(_ shard: ShardID, _ move: ShardMove) {
        let index = Int(shard.rawValue)
        guard !node.learners.isEmpty, node.learners[index] == nil else { return }
        let boot = MoveSession.before(bootCount: identity.bootCount)
        let target = MoveTarget(
            shard: shard, after: max(boot, lastSessions[shard] ?? boot), bytesPerSecond: 0,
            settings: node.options.moveTarget, mutants: node.mutants)
        let learner = Learner(shard: shard, move: move, target: target)
        node.learners[index] = learner
        drive(learner)
    }

    func observe(_ learner: Learner, _ role: ShardRole) {
        switch role {
        case .own(let epoch): learner.target.ownerRead(epoch, now: now)
        case .receive(let move) where move.isSame(as: learner.move): return
        case .receive, .retire, .none: learner.target.cancelled(now: now)
        }
        drive(learner)
    }

    func drive(_ learner: Learner) {
        guard node.learner(learner.shard) === learner else { return }
        while let effect = learner.target.nextEffect(now: now) {
            carry(effect, learner)
            if world.violation != nil { return }
        }
        lastSessions[learner.shard] = learner.target.lastSession
    }

    /// Tells the machine something, if it is still that machine, and lets it go on.
    private func later(_ learner: Learner, after delay: UInt64, _ body: @escaping (Learner) -> Void) {
        node.schedule(after: delay) { [self] in tell(learner, body) }
    }

    private func tell(_ learner: Learner, _ body: (Learner) -> Void) {
        guard node.learner(learner.shard) === learner else { return }
        body(learner)
        drive(learner)
        node.pump()
    }

    private func diskTime(_ bytes: Int = 0) -> UInt64 {
        50 * Span.microsecond + node.random.below(Span.millisecond) + UInt64(bytes)
    }

    private func carry(_ effect: MoveTarget.Effect, _ learner: Learner) {
        let shard = learner.shard
        let index = Int(shard.rawValue)
        world.trace.note(world.now, .move, UInt64(shard.rawValue)) { "shard \(shard): target: \(effect.summary)" }
        switch effect {
        case .enterCopy: enter(.copy, learner)
        case .enterCatchUp: enter(.catchUp, learner)
        case .discardStore:
            discard(learner)
            learner.settle { [self] in
                later(learner, after: diskTime()) { [self] in $0.target.storeDiscarded(now: now) }
            }
        case .requestOpen, .requestChunk, .requestPull: ask(effect, learner)
        case .examineFiles:
            later(learner, after: diskTime()) { [self] in
                $0.target.examined(local: node.incoming[index].files, now: now)
                if $0.target.progress.bytesDone > 0 { world.probes.reached(.copyResumed) }
            }
        case .removeFiles(let names): node.incoming[index].remove(names)
        case .writeChunk(let request, let name, let offset, let bytes):
            later(learner, after: diskTime(bytes.count)) { [self] in
                node.incoming[index].write(name, at: offset, bytes)
                $0.target.chunkWritten(request, now: now)
            }
        case .finishFile(let file):
            later(learner, after: diskTime()) { [self] in
                let isSound = node.incoming[index].finish(file)
                $0.target.fileFinished(file.name, isSound: isSound, now: now)
            }
        case .installStore: later(learner, after: diskTime()) { [self] in install($0) }
        case .append(let group): append(group, learner)
        case .apply(let group):
            later(learner, after: node.random.below(node.options.applyNanoseconds)) { [self] in apply(group, $0) }
        case .readOwner: refresh { _ in }
        case .serve(let epoch, let applied): serve(epoch, applied, learner)
        case .lacking(let epoch):
            world.fail(
                .acknowledgedWriteLost, "node \(name) owns shard \(shard) at \(epoch), and its copy is not whole")
        case .discardAll:
            discard(learner)
            node.incoming[index].removeAll()
            learner.settle { [self] in
                guard node.learner(shard) === learner else { return }
                node.learners[index] = nil
                refresh { _ in }
            }
        }
    }

    // MARK: The record

    private func enter(_ stage: MoveStage, _ learner: Learner) {
        readShard(learner.shard) { [self] entry in
            guard let entry, entry.record.primary != name, let move = entry.record.move,
                move.isSame(as: learner.move)
            else {
                tell(learner) { [self] in $0.target.stageFailed(now: now) }
                return refresh { _ in }
            }
            if stage == .catchUp, move.stage == .catchUp || move.stage == .handover {
                // An earlier try has come in after all.
                return tell(learner) { [self] in $0.target.stageEntered(stage, now: now) }
            }
            if stage == .catchUp, move.stage == .learner {
                world.probes.reached(.begunAgain)
                return tell(learner) { [self] in $0.target.begunAgain(now: now) }
            }
            let transaction =
                stage == .copy ? MoveStep.beginCopy(entry, by: name) : MoveStep.catchUp(entry, by: name)
            guard let transaction else { return tell(learner) { [self] in $0.target.stageFailed(now: now) } }
            metadata.transact(
                transaction,
                done: loop { [self] result in
                    if case .success(.committed) = result {
                        return tell(learner) { [self] in $0.target.stageEntered(stage, now: now) }
                    }
                    tell(learner) { [self] in $0.target.stageFailed(now: now) }
                    refresh { _ in }
                })
        }
    }

    // MARK: The copy

    private func discard(_ learner: Learner) {
        node.stores[Int(learner.shard.rawValue)] = nil
        learner.store = nil
        node.log?.release(learner.shard)
    }

    private func install(_ learner: Learner) {
        let index = Int(learner.shard.rawValue)
        var files: [String: [UInt8]] = [:]
        for (name, bytes) in node.incoming[index].complete { files[name] = bytes }
        guard let store = VirtualStore(files: files, cacheRows: node.options.cacheRows, mutants: node.mutants) else {
            return learner.target.localFailed("the files are no store", now: now)
        }
        let mark = store.appliedMark
        learner.store = store
        learner.newestTime = mark.time
        learner.appended = mark.position
        learner.durable = mark.position
        node.stores[index] = store
        node.advanceClock(to: mark.time)
        node.log?.adopt(
            AppliedMark(shard: learner.shard, epoch: mark.epoch, position: mark.position, lsn: .zero))
        world.probes.reached(.copyInstalled)
        learner.target.installed(applied: mark.position, now: now)
    }

    private func append(_ group: AppendGroup, _ learner: Learner) {
        for effect in group.payloads.compactMap({ EntityEffect(decoding: $0) }) {
            guard let time = effect.record?.updatedAt else { continue }
            learner.newestTime = max(learner.newestTime, time)
        }
        node.advanceClock(to: learner.newestTime)
        let batch = AppendBatch(
            lane: 0, shard: group.shard, epoch: group.epoch, firstPosition: group.first, payloads: group.payloads,
            time: learner.newestTime)
        guard node.log?.submit(batch) == .accepted else { return learner.target.appendRefused(now: now) }
        learner.appended = batch.lastPosition
        learner.payloads += group.payloads
        learner.target.appendAccepted()
        node.pump()
    }

    /// The log has made more of a shard durable that is not served here.
    func durable(_ mark: DurableMark) {
        guard let learner = node.learner(mark.shard) else { return }
        while learner.durable < mark.position, !learner.payloads.isEmpty {
            learner.durable = learner.durable.next
            node.audit.copied(mark.shard, learner.durable, payload: learner.payloads.removeFirst())
        }
        learner.durableLSN = mark.lsn
        learner.target.logDurable(upTo: mark.position)
        if learner.durable >= learner.appended, let settled = learner.whenSettled {
            learner.whenSettled = nil
            settled()
        }
    }

    private func apply(_ group: CommitGroup, _ learner: Learner) {
        guard let store = learner.store else { return }
        store.apply(
            group.effects, through: group.through, epoch: group.epoch, lsn: learner.durableLSN,
            time: learner.newestTime)
        node.audit.applied(group.shard, group.through)
        if store.memtableRows >= node.options.memtableRowsMax { node.flush(store, group.shard) }
        learner.target.applied(upTo: group.through)
    }

    private func serve(_ epoch: Epoch, _ applied: Position, _ learner: Learner) {
        let index = Int(learner.shard.rawValue)
        guard let store = learner.store, store.applied == applied else {
            return world.fail(.acknowledgedWriteLost, "the copy of shard \(learner.shard) is not at \(applied)")
        }
        node.audit.recovered(learner.shard, through: applied)
        node.learners[index] = nil
        node.incoming[index].removeAll()
        node.shards[index] = node.makeShard(learner.shard, epoch, store)
        node.pump()
    }

    // MARK: Requests

    private func ask(_ effect: MoveTarget.Effect, _ learner: Learner) {
        guard let endpoint = endpoints[learner.move.from] else { return }
        lastRequest += 1
        let number: UInt64
        let message: PeerMessage
        switch effect {
        case .requestOpen(let request, let session):
            number = request
            message = .moveOpen(lastRequest, learner.shard, session)
        case .requestChunk(let request, let session, let file, let offset, let length):
            number = request
            message = .moveFetch(lastRequest, learner.shard, session, file: file, offset: offset, length: length)
        case .requestPull(let request, let session, let after, let durable, let bytesMax, let wait):
            number = request
            message = .movePull(
                lastRequest, learner.shard, session, after: after, durable: durable, bytesMax: bytesMax, wait: wait)
        default: return
        }
        moveRequests[lastRequest] = MoveRequest(shard: learner.shard, learner: learner, number: number)
        node.send(.peer(message, from: node.index), endpoint)
    }

    func receiveMove(_ message: PeerMessage, from asker: Endpoint) {
        switch message {
        case .moveOpen(let request, let shard, let session):
            withSource(shard, request, asker) { [self] held, ticket in
                held.source?.open(session, ticket: ticket, now: now)
            }
        case .movePull(let request, let shard, let session, let after, let durable, let bytesMax, let wait):
            withSource(shard, request, asker) { [self] held, ticket in
                held.source?.pull(
                    session, after: after, durable: durable, bytesMax: bytesMax, waitMilliseconds: wait,
                    ticket: ticket, now: now)
            }
        case .moveFetch(let request, let shard, let session, let file, let offset, let length):
            sendChunk(request, shard, session, file, offset, length, asker)
        case .opened(let request, let answer):
            answered(request) { [self] in $0.target.opened($1, answer, now: now) }
        case .chunk(let request, let bytes, let crc):
            answered(request) { [self] in $0.target.fetched($1, bytes: bytes, crc: crc, now: now) }
        case .pulled(let request, let answer):
            answered(request) { [self] in $0.target.pulled($1, answer, now: now) }
        case .restart(let request):
            answered(request) { [self] in
                world.probes.reached(.restartAsked)
                $0.target.restartAsked($1, now: now)
            }
        case .refused(let request): answered(request) { [self] in $0.target.requestFailed($1, now: now) }
        case .forward, .answer, .notOwner: return
        }
    }

    private func answered(_ request: UInt64, _ body: (Learner, UInt64) -> Void) {
        guard let asked = moveRequests.removeValue(forKey: request) else { return }
        tell(asked.learner) { body($0, asked.number) }
    }

    /// Passes a request on to the source's machine, where the shard's move is to the asker. A node that has given the
    /// shard away has forgotten the move with it.
    private func withSource(
        _ shard: ShardID, _ request: UInt64, _ asker: Endpoint, _ body: (Node.Shard, Ticket) -> Void
    ) {
        guard let held = node.shard(shard), held.source != nil, let move = held.move, endpoints[move.to] == asker else {
            return node.send(.peer(.restart(request), from: node.index), asker)
        }
        lastMoveTicket += 1
        moveTickets[lastMoveTicket] = (asker, request)
        body(held, lastMoveTicket)
        drive(held)
    }

    private func sendChunk(
        _ request: UInt64, _ shard: ShardID, _ session: MoveSession, _ file: Int, _ offset: UInt64, _ length: Int,
        _ asker: Endpoint
    ) {
        guard let held = node.shard(shard), held.source?.file(file, of: session) != nil,
            let bytes = held.checkpoints[session]?[file].bytes, Int(offset) + length <= bytes.count
        else {
            return node.send(.peer(.restart(request), from: node.index), asker)
        }
        var piece = Array(bytes[Int(offset)..<(Int(offset) + length)])
        let crc = CRC32C.checksum(piece)
        if node.random.chance(1, in: 40), node.options.faults.contains(.chunkDamaged), !world.quiet, !piece.isEmpty {
            world.faults.hit(.chunkDamaged)
            piece[node.random.below(piece.count)] ^= 1
        }
        let answer = piece
        node.schedule(after: diskTime()) { [self] in
            node.send(.peer(.chunk(request, answer, crc: crc), from: node.index), asker)
        }
    }
}

extension MoveTarget.Effect {
    var summary: String {
        switch self {
        case .writeChunk(_, let name, let offset, let bytes): "writes \(bytes.count) bytes of \(name) at \(offset)"
        case .append(let group): "appends \(group.payloads.count) from \(group.first)"
        case .apply(let group): "applies up to \(group.through)"
        case .installStore: "installs the store"
        default: "\(self)"
        }
    }
}
