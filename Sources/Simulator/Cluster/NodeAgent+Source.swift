import ClusterCore
import Entities
import HashRing
import LogFormat
import Primitives
import ShardCore

/// The shards' records, and the source's side of moves.
extension NodeAgent {
    /// What a reading of the map says of one shard.
    func observe(_ entry: ShardEntry) {
        // What an earlier shard's record brought about may have ended the run.
        guard !node.shards.isEmpty else { return }
        let id = entry.shard
        let role = ShardRole(of: entry.record, for: name, mutants: node.mutants)
        if let shard = node.shard(id) {
            guard case .own(let epoch) = role else { return lose(shard, entry.record) }
            guard epoch == shard.machine.epoch else {
                return world.fail(
                    .oneOwner, "node \(name) serves shard \(id) at \(shard.machine.epoch), it is \(epoch)")
            }
            follow(shard, entry)
        } else if let learner = node.learner(id) {
            observe(learner, role)
        } else {
            observeUnheld(entry, role)
        }
    }

    private func observeUnheld(_ entry: ShardEntry, _ role: ShardRole) {
        let id = entry.shard
        switch role {
        case .none: return
        case .own(let epoch):
            world.fail(.acknowledgedWriteLost, "node \(name) owns shard \(id) at \(epoch), and has no copy of it")
        case .receive(let move): beginLearning(id, move)
        case .retire:
            guard let transaction = MoveStep.finishRetire(entry, by: name) else { return }
            metadata.transact(transaction, done: loop { _ in })
        }
    }

    private func lose(_ shard: Node.Shard, _ record: ShardRecord) {
        guard shard.source != nil else {
            return world.fail(
                .oneOwner, "shard \(shard.machine.shard) was taken from node \(name), which had not given it")
        }
        shard.source?.handoverCommitted(record.epoch)
        drive(shard)
    }

    private func follow(_ shard: Node.Shard, _ entry: ShardEntry) {
        let record = entry.record
        if shard.source != nil, !(record.move?.isSame(as: shard.move) ?? false) {
            shard.source?.cancelled(now: now)
            drive(shard)
            shard.source = nil
            shard.move = nil
            world.probes.reached(.moveCancelled)
        }
        guard let move = record.move, move.from == name, let stage = move.machineStage else { return }
        if shard.source == nil {
            shard.move = move
            shard.sourceRun += 1
            shard.source = MoveSource(
                shard: shard.machine.shard, epoch: shard.machine.epoch, applied: shard.machine.applied,
                settings: node.options.moveSource, mutants: node.mutants)
        }
        shard.source?.stageRead(stage, revision: entry.revision.rawValue, now: now)
        drive(shard)
    }

    // MARK: The machine

    /// Carries out what the moves' machines want, and wakes them when they want to be woken.
    func driveMoves() {
        var deadline: MonotonicTime?
        func note(_ time: MonotonicTime?) {
            if let time { deadline = min(deadline ?? time, time) }
        }
        for case let shard? in node.shards {
            guard shard.source != nil else { continue }
            drive(shard)
            note(shard.source?.deadline)
        }
        for case let learner? in node.learners {
            drive(learner)
            note(learner.target.deadline)
        }
        setAlarm(deadline)
    }

    func drive(_ shard: Node.Shard) {
        if shard.source?.isFrozen == true, shard.machine.isDrained {
            shard.source?.drained(through: shard.machine.applied, now: now)
        }
        while let effect = shard.source?.nextEffect() {
            carry(effect, shard)
            if world.violation != nil { return }
        }
    }

    private func carry(_ effect: MoveSource.Effect, _ shard: Node.Shard) {
        let id = shard.machine.shard
        world.trace.note(world.now, .move, UInt64(id.rawValue)) { "shard \(id): source: \(effect.summary)" }
        switch effect {
        case .makeCheckpoint(let session): makeCheckpoint(session, shard)
        case .dropCheckpoint(let session): shard.checkpoints[session] = nil
        case .answerOpen(let ticket, let answer): reply(ticket) { PeerMessage($0, answer) }
        case .answerPull(let ticket, let answer): reply(ticket) { .pulled($0, answer) }
        case .enterHandover: enterHandover(shard)
        case .freeze:
            shard.machine.hold()
            shard.isTouched = true
        case .thaw:
            world.probes.reached(.thawed)
            shard.readsStopped = false
            shard.machine.thaw(now: node.now, at: now, rows: shard.store)
            shard.isTouched = true
            node.pump()
        case .stopReads: shard.readsStopped = true
        case .commitHandover(_, let revision): commitHandover(shard, revision)
        case .lost(let epoch): giveAway(shard, epoch)
        }
    }

    private func makeCheckpoint(_ session: MoveSession, _ shard: Node.Shard) {
        let files = shard.store.checkpoint()
        let run = shard.sourceRun
        let fails = node.random.chance(1, in: 30) && node.options.faults.contains(.storeFlushError) && !world.quiet
        node.schedule(after: node.options.flushNanoseconds) { [self] in
            // A checkpoint belongs to the machine that wanted it, and that may have gone with its move.
            guard node.shard(shard.machine.shard) === shard, shard.sourceRun == run else { return }
            if fails {
                shard.source?.checkpointFailed(session, reason: "i/o error", now: now)
            } else {
                shard.checkpoints[session] = files
                shard.source?.checkpointMade(session, files: files.map(\.file), now: now)
            }
            node.pump()
        }
    }

    private func reply(_ ticket: Ticket, _ message: (UInt64) -> PeerMessage) {
        guard let (asker, request) = moveTickets.removeValue(forKey: ticket) else {
            return world.fail(.oneHop, "a move's request is answered twice")
        }
        node.send(.peer(message(request), from: node.index), asker)
    }

    private func enterHandover(_ shard: Node.Shard) {
        let id = shard.machine.shard
        readShard(id) { [self] entry in
            guard let entry, node.shard(id) === shard, entry.record.move?.isSame(as: shard.move) == true,
                let transaction = MoveStep.enterHandover(entry, by: name)
            else { return refresh { _ in } }
            metadata.transact(transaction, done: loop { [self] _ in refresh { _ in } })
        }
    }

    private func commitHandover(_ shard: Node.Shard, _ revision: UInt64) {
        let id = shard.machine.shard
        let unknown = { [self] in
            guard node.shard(id) === shard else { return }
            world.probes.reached(.handoverUnknown)
            shard.source?.handoverUnknown(now: now)
            refresh { _ in }
        }
        let notSent = { [self] in
            guard node.shard(id) === shard else { return }
            shard.source?.handoverNotSent(now: now)
            drive(shard)
            refresh { _ in }
        }
        metadata.range(
            MetadataKey(""),
            done: loop { [self] result in
                guard let read = try? result.get(), let map = metadata.map(read), node.shard(id) === shard,
                    map.shard(id)?.revision.rawValue == revision,
                    let transaction = MoveStep.handOver(id, by: name, in: map, mutants: node.mutants)
                else { return notSent() }
                if let move = shard.move { whenHandingOver(move.to) }
                metadata.transact(
                    transaction,
                    done: loop { [self] result in
                        if case .failure(.unavailable) = result { return notSent() }
                        guard case .success(.committed(let revision)) = result, node.shard(id) === shard else {
                            return unknown()
                        }
                        seen = max(seen, revision)
                        shard.source?.handoverCommitted(shard.machine.epoch.next)
                        drive(shard)
                        refresh { _ in }
                    })
            })
    }

    /// The shard is another node's: what the freeze held goes there, and nothing stays here.
    private func giveAway(_ shard: Node.Shard, _ epoch: Epoch) {
        let id = shard.machine.shard
        node.shards[Int(id.rawValue)] = nil
        node.sendAnswers(shard)
        let held = shard.machine.surrender()
        shard.machine.stepDown(Problem(.shardUnavailable, "shard \(id) has gone to another node"))
        node.sendAnswers(shard)
        shard.source = nil
        node.stores[Int(id.rawValue)] = nil
        node.log?.release(id)
        world.trace.note(world.now, .move, UInt64(id.rawValue), epoch.rawValue) {
            "shard \(id): given away at epoch \(epoch), \(held.count) requests sent on"
        }
        for (ticket, _) in held {
            guard let target = node.waiting.removeValue(forKey: ticket) else {
                return world.fail(.answerMatchesLog, "ticket \(ticket) is sent on twice")
            }
            sendOn(target)
        }
    }
}

extension PeerMessage {
    /// As it goes over the wire, where most of what is no manifest is one refusal.
    init(_ request: UInt64, _ answer: MoveOpenAnswer) {
        switch answer {
        case .manifest: self = .opened(request, answer)
        case .restart: self = .restart(request)
        case .failed, .superseded: self = .refused(request)
        }
    }
}

extension MoveSource.Effect {
    var summary: String {
        switch self {
        case .answerPull(_, let answer):
            "answers a pull from \(answer.first) with \(answer.payloads.count), \(answer.phase)"
        case .answerOpen(_, .manifest(_, let files)): "answers \(files.count) files"
        default: "\(self)"
        }
    }
}
