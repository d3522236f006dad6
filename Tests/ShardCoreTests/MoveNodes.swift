import Entities
import Primitives
import ShardCore

/// The source, as a node drives it.
final class SourceNode {
    let world: MoveWorld
    let server: Server
    var machine: MoveSource?
    private var move: Int?
    private var readsStopped = false
    private var isUp = false
    private(set) var isGone = false
    private var checkpoints: [MoveSession: [String: [UInt8]]] = [:]
    private var replies: [Ticket: (Reply) -> Void] = [:]
    private var nextTicket: Ticket = 0
    private var frozenAt: UInt64?
    private var tickAt: UInt64?

    enum Reply {
        case open(MoveOpenAnswer)
        case pull(MovePullAnswer)
        case chunk([UInt8])
        case restart
    }

    init(_ world: MoveWorld) {
        self.world = world
        server = Server(world)
        server.onCommit = { [unowned self] group in machine?.committed(group) }
        server.onChange = { [unowned self] in changed() }
    }

    var text: String { "source serving \(server.isServing) frozen \(server.machine?.isHeld ?? false)" }

    // MARK: Life

    func start() {
        isUp = true
        let life = server.life
        world.read { [self] record in
            guard life == server.life else { return }
            guard record.sourceIsPrimary else { return isGone = true }
            guard record.move == nil || record.stage != .handover else { return withdraw(record) }
            server.serve(epoch: record.epoch, applied: server.durable)
            observe(record)
            poll()
        }
    }

    /// A transaction of an earlier life may still be under way: it must fail first.
    private func withdraw(_ record: MoveWorld.Record) {
        world.seen.insert("withdrawn")
        let life = server.life
        world.transact(at: record.revision) {
            $0.stage = .catchUp
        } reply: { [self] _ in
            if life == server.life { start() }
        }
    }

    func crash() {
        guard isUp, !isGone else { return }
        world.seen.insert(machine?.isFrozen == true ? "source crashed frozen" : "source crashed")
        isUp = false
        server.crash()
        machine = nil
        move = nil
        readsStopped = false
        checkpoints = [:]
        replies = [:]
        frozenAt = nil
        tickAt = nil
        world.after(10_000_000 + world.random.below(UInt64(200_000_000))) { [self] in start() }
    }

    private func poll() {
        let life = server.life
        world.after(20_000_000 + world.random.below(UInt64(150_000_000))) { [self] in
            guard life == server.life, !isGone else { return }
            reread()
            poll()
        }
    }

    private func reread() {
        let life = server.life
        world.read { [self] record in if life == server.life { observe(record) } }
    }

    private var newest: UInt64 = 0

    private func observe(_ record: MoveWorld.Record) {
        guard !isGone, record.revision >= newest else { return }
        newest = record.revision
        if !record.sourceIsPrimary {
            machine?.handoverCommitted(record.epoch)
        } else if record.move != move {
            machine?.cancelled(now: world.now)
            carryOut()
            move = record.move
            machine = nil
            replies = [:]
            checkpoints = [:]
            if move != nil, let shard = server.machine {
                var settings = MoveSource.Settings()
                settings.teeBytesMax = world.options.seed % 3 == 0 ? 8_000 : 1 << 20
                settings.handoverLagBytes = 4_000
                machine = MoveSource(
                    shard: ShardID(3), epoch: record.epoch, applied: shard.applied, settings: settings,
                    mutants: world.options.mutants)
            }
        }
        if record.sourceIsPrimary, record.move != nil {
            machine?.stageRead(record.stage, revision: record.revision, now: world.now)
        }
        carryOut()
    }

    // MARK: Requests

    func take(_ request: Clients.Request) {
        if case .read(let read) = request.work, !read.inQueueOrder, !readsStopped {
            world.clients.answerBeside(request, server.rows)
        } else {
            server.take(request)
        }
    }

    private func changed() {
        if let shard = server.machine, shard.isDrained { machine?.drained(through: shard.applied, now: world.now) }
        carryOut()
    }

    func open(_ move: Int, _ session: MoveSession, _ reply: @escaping (Reply) -> Void) {
        guard isUp else { return }
        guard self.move == move, machine != nil else { return reply(.restart) }
        machine?.open(session, ticket: ticket(reply), now: world.now)
        carryOut()
    }

    func chunk(
        _ move: Int, _ session: MoveSession, file: Int, offset: UInt64, length: Int, _ reply: @escaping (Reply) -> Void
    ) {
        guard isUp else { return }
        guard self.move == move, let name = machine?.file(file, of: session)?.name,
            let bytes = checkpoints[session]?[name]
        else { return reply(.restart) }
        reply(.chunk(Array(bytes[Int(offset)..<(Int(offset) + length)])))
    }

    func pull(
        _ move: Int, _ session: MoveSession, after: Position, durable: Position, _ reply: @escaping (Reply) -> Void
    ) {
        guard isUp else { return }
        guard self.move == move, machine != nil else { return reply(.restart) }
        machine?.pull(
            session, after: after, durable: durable, bytesMax: 6_000, waitMilliseconds: 50, ticket: ticket(reply),
            now: world.now)
        carryOut()
    }

    private func ticket(_ reply: @escaping (Reply) -> Void) -> Ticket {
        nextTicket += 1
        replies[nextTicket] = reply
        return nextTicket
    }

    // MARK: Effects

    private func carryOut() {
        while let effect = machine?.nextEffect() { carryOut(effect) }
        guard let deadline = machine?.deadline?.nanoseconds, tickAt.map({ $0 > deadline || $0 <= world.time }) ?? true
        else { return }
        tickAt = deadline
        let life = server.life
        world.after(deadline > world.time ? deadline - world.time : 0) { [self] in
            guard life == server.life else { return }
            machine?.tick(now: world.now)
            carryOut()
        }
    }

    private func carryOut(_ effect: MoveSource.Effect) {
        let life = server.life
        switch effect {
        case .makeCheckpoint(let session):
            world.soon { [self] in
                guard life == server.life, let shard = server.machine else { return }
                let files = server.rows.checkpoint(shard.applied)
                world.soon { [self] in
                    guard life == server.life, machine?.wantsCheckpoint(of: session) == true else { return }
                    checkpoints[session] = files
                    machine?.checkpointMade(
                        session,
                        files: files.sorted { $0.key < $1.key }.map {
                            MoveFile(
                                name: $0.key, byteCount: UInt64($0.value.count), crc: CRC32C.checksum($0.value))
                        }, now: world.now)
                    carryOut()
                }
            }
        case .dropCheckpoint(let session): checkpoints[session] = nil
        case .answerOpen(let ticket, let answer): self.answer(ticket, .open(answer))
        case .answerPull(let ticket, let answer): self.answer(ticket, .pull(answer))
        case .enterHandover: enterHandover()
        case .freeze:
            frozenAt = world.time
            server.machine?.hold()
            world.after(0) { [self] in if life == server.life { changed() } }
        case .thaw:
            world.seen.insert("thawed")
            endFreeze()
            readsStopped = false
            server.thaw()
            world.after(0) { [self] in if life == server.life { server.pump() } }
        case .stopReads: readsStopped = true
        case .commitHandover(_, let revision): commit(revision)
        case .lost: lose()
        }
    }

    private func answer(_ ticket: Ticket, _ reply: Reply) {
        guard let send = replies.removeValue(forKey: ticket) else {
            return world.fail("ticket \(ticket) of the source is answered twice")
        }
        send(reply)
    }

    private func endFreeze() {
        if let frozenAt, world.time - frozenAt > Limits.moveFreezeMilliseconds * 1_000_000 {
            world.fail("the shard was frozen for \((world.time - frozenAt) / 1_000_000) ms")
        }
        frozenAt = nil
    }

    private func enterHandover() {
        let life = server.life
        world.read { [self] record in
            guard life == server.life else { return }
            guard record.sourceIsPrimary, record.move == move, record.stage == .catchUp else { return observe(record) }
            world.transact(at: record.revision) {
                $0.stage = .handover
            } reply: { [self] _ in
                if life == server.life { reread() }
            }
        }
    }

    private func commit(_ revision: UInt64) {
        endFreeze()
        let life = server.life
        world.transact(at: revision) { [world] record in
            record.sourceIsPrimary = false
            record.epoch = record.epoch.next
            record.move = nil
            world.handedOver()
        } reply: { [self] outcome in
            guard life == server.life else { return }
            if outcome == .unknown {
                world.seen.insert("handover unknown")
                machine?.handoverUnknown(now: world.now)
            }
            reread()
            carryOut()
        }
    }

    private func lose() {
        isGone = true
        let held = server.machine?.surrender() ?? []
        if !held.isEmpty { world.seen.insert("forwarded") }
        let requests = held.compactMap { server.giveBack($0.ticket) }
        if server.machine?.isIdle == false {
            server.machine?.stepDown(Problem(.outcomeUnknown, "lost"))
        }
        server.machine = nil
        for request in requests { world.clients.route(request) }
        let life = server.life
        // The shard is put away, and with it what was known of its move.
        world.after(world.random.below(UInt64(20_000_000))) { [self] in
            if life == server.life { machine = nil }
        }
    }
}

/// The target, as a node drives it.
final class TargetNode {
    let world: MoveWorld
    let server: Server
    var machine: MoveTarget?
    private var move: Int?
    private var boots: UInt64 = 0
    /// When the target first served, in nanoseconds.
    private(set) var servedSince: UInt64 = .max
    private var lastSession = MoveSession(0)
    private var isUp = false
    private var incoming: [String: [UInt8]] = [:]
    private var partial: [String: [UInt8]] = [:]
    private var files: [MoveFile] = []
    private var disk: [() -> Void] = []
    private var tickAt: UInt64?

    init(_ world: MoveWorld) {
        self.world = world
        server = Server(world)
        server.onDurable = { [unowned self] position in
            machine?.logDurable(upTo: position)
            carryOut()
        }
    }

    var text: String { "target \(String(describing: machine?.progress))" }

    // MARK: Life

    func start() {
        isUp = true
        boots += 1
        lastSession = .before(bootCount: boots)
        poll()
    }

    func crash() {
        guard isUp else { return }
        world.seen.insert(server.isServing ? "target crashed serving" : "target crashed")
        isUp = false
        server.crash()
        machine = nil
        move = nil
        disk = []
        tickAt = nil
        world.after(10_000_000 + world.random.below(UInt64(200_000_000))) { [self] in start() }
    }

    private func poll() {
        let life = server.life
        reread()
        // A target that seldom looks at the record hears of the handover from the source, or that it is forgotten.
        let pause: UInt64 = world.options.seed % 4 == 2 ? 1_000_000_000 : 60_000_000
        world.after(2_000_000 + world.random.below(pause)) { [self] in
            if life == server.life, !server.isServing { poll() }
        }
    }

    private func reread(_ then: @escaping (MoveWorld.Record) -> Void = { _ in }) {
        let life = server.life
        world.read { [self] record in
            guard life == server.life else { return }
            observe(record)
            then(record)
        }
    }

    private func observe(_ record: MoveWorld.Record) {
        guard !server.isServing else { return }
        if !record.sourceIsPrimary {
            if machine != nil { machine?.ownerRead(record.epoch, now: world.now) } else { reopen(record.epoch) }
        } else if let machine, !machine.isDone, record.move != move {
            self.machine?.cancelled(now: world.now)
        } else if machine == nil, let begun = record.move {
            move = begun
            var settings = MoveTarget.Settings()
            settings.chunkBytesMax = 500
            settings.pullBytesMax = 6_000
            settings.pullMilliseconds = 50
            settings.answerMilliseconds = 50
            machine = MoveTarget(
                shard: ShardID(3), after: lastSession, bytesPerSecond: 400_000, settings: settings,
                mutants: world.options.mutants)
        }
        carryOut()
    }

    /// A start that finds the shard its own: what the store and the log have is the shard.
    private func reopen(_ epoch: Epoch) {
        world.seen.insert("opened as owner")
        serve(epoch, server.durable)
    }

    private func serve(_ epoch: Epoch, _ applied: Position) {
        servedSince = min(servedSince, world.time)
        server.serve(epoch: epoch, applied: applied)
    }

    // MARK: Effects

    private func carryOut() {
        while let effect = machine?.nextEffect(now: world.now) { carryOut(effect) }
        guard let deadline = machine?.deadline?.nanoseconds, tickAt.map({ $0 > deadline || $0 <= world.time }) ?? true
        else { return }
        tickAt = deadline
        let life = server.life
        world.after(deadline > world.time ? deadline - world.time : 0) { [self] in
            guard life == server.life else { return }
            machine?.tick(now: world.now)
            carryOut()
        }
    }

    private func carryOut(_ effect: MoveTarget.Effect) {
        switch effect {
        case .enterCopy: enter(.copy)
        case .enterCatchUp: enter(.catchUp)
        case .requestOpen(let request, let session):
            ask(request) { [world, move] in world.source.open(move ?? 0, session, $0) }
        case .requestChunk(let request, let session, let file, let offset, let length):
            ask(request) { [world, move] in
                world.source.chunk(move ?? 0, session, file: file, offset: offset, length: length, $0)
            }
        case .requestPull(let request, let session, let after, let durable, _, _):
            ask(request) { [world, move] in
                world.source.pull(move ?? 0, session, after: after, durable: durable, $0)
            }
        case .append(let group):
            guard !world.isChaos || !world.random.chance(1, in: 20) else {
                machine?.appendRefused(now: world.now)
                return
            }
            if group.first != Position(server.basePosition.rawValue + UInt64(server.log.count)).next {
                world.fail("the target's log is given \(group.first) out of turn")
            }
            server.append(group.payloads)
            machine?.appendAccepted()
        case .apply(let group):
            server.rows.apply(group)
            machine?.applied(upTo: group.through)
        case .readOwner: reread()
        case .serve(let epoch, let applied):
            if applied != server.durable { world.fail("the target serves at \(applied), durable \(server.durable)") }
            serve(epoch, applied)
            machine = nil
        case .lacking: world.fail("the target owns a shard that it does not have")
        case .discardAll:
            discardStore()
            incoming = [:]
            partial = [:]
            lastSession = machine?.lastSession ?? lastSession
            disk = []
            machine = nil
        default: onDisk(effect)
        }
    }

    private func discardStore() {
        server.base = Rows()
        server.rows = Rows()
        server.basePosition = .zero
        server.log = []
        server.durableCount = 0
    }

    private func ask(_ request: UInt64, _ send: @escaping (@escaping (SourceNode.Reply) -> Void) -> Void) {
        let (life, asked) = (server.life, move)
        world.send { [self] in
            send { [self] reply in
                world.send { [self] in
                    guard life == server.life, move == asked else { return }
                    receive(request, reply)
                    carryOut()
                }
            }
        }
    }

    private func receive(_ request: UInt64, _ reply: SourceNode.Reply) {
        switch reply {
        case .open(let answer):
            if case .manifest(_, let files) = answer { self.files = files }
            machine?.opened(request, answer, now: world.now)
        case .pull(let answer):
            if answer.phase == .restart { world.seen.insert("restart") }
            machine?.pulled(request, answer, now: world.now)
        case .chunk(let bytes):
            machine?.fetched(request, bytes: bytes, crc: CRC32C.checksum(bytes), now: world.now)
        case .restart:
            if !world.record.sourceIsPrimary, machine != nil { world.seen.insert("unknown to a former owner") }
            machine?.restartAsked(request, now: world.now)
        }
    }

    private func enter(_ stage: MoveStage) {
        let (life, entered) = (server.life, move)
        reread { [self] record in
            guard record.sourceIsPrimary, record.move == entered, move == entered else { return }
            let isThere = record.stage == .catchUp || record.stage == .handover
            if stage == .catchUp, isThere { return entering(stage, true) }
            world.transact(at: record.revision) {
                $0.stage = stage
            } reply: { [self] outcome in
                guard life == server.life, move == entered else { return }
                entering(stage, outcome == .committed)
            }
        }
    }

    private func entering(_ stage: MoveStage, _ isEntered: Bool) {
        if isEntered {
            machine?.stageEntered(stage, now: world.now)
        } else {
            machine?.stageFailed(now: world.now)
        }
        carryOut()
    }

    // MARK: The disk, one thing after the other

    private func onDisk(_ effect: MoveTarget.Effect) {
        disk.append { [self] in perform(effect) }
        if disk.count == 1 { work() }
    }

    private func work() {
        let life = server.life
        world.after(20_000 + world.random.below(UInt64(1_000_000))) { [self] in
            guard life == server.life, let next = disk.first else { return }
            next()
            if !disk.isEmpty { disk.removeFirst() }
            carryOut()
            if !disk.isEmpty { work() }
        }
    }

    private func perform(_ effect: MoveTarget.Effect) {
        switch effect {
        case .discardStore:
            if world.record.sourceIsPrimary == false { world.fail("the target throws away a shard that is its own") }
            discardStore()
            machine?.storeDiscarded(now: world.now)
        case .examineFiles:
            partial = [:]
            if !incoming.isEmpty { world.seen.insert("resumed") }
            let local = incoming.map {
                MoveFile(name: $0.key, byteCount: UInt64($0.value.count), crc: CRC32C.checksum($0.value))
            }
            machine?.examined(local: local.sorted { $0.name < $1.name }, now: world.now)
        case .removeFiles(let names): for name in names { incoming[name] = nil }
        case .writeChunk(let request, let name, let offset, let bytes):
            var file = partial[name] ?? []
            let end = Int(offset) + bytes.count
            if file.count < end { file += Array(repeating: 0, count: end - file.count) }
            file.replaceSubrange(Int(offset)..<end, with: bytes)
            partial[name] = file
            machine?.chunkWritten(request, now: world.now)
        case .finishFile(let file):
            let bytes = partial.removeValue(forKey: file.name) ?? []
            let isSound = bytes.count == file.byteCount && CRC32C.checksum(bytes) == file.crc
            if isSound { incoming[file.name] = bytes }
            machine?.fileFinished(file.name, isSound: isSound, now: world.now)
        case .installStore(let files):
            let linked = incoming.filter { name, _ in files.contains { $0.name == name } }
            guard let (rows, applied) = Rows.open(linked) else {
                machine?.localFailed("the store does not open", now: world.now)
                return
            }
            server.base = rows
            server.rows = rows
            server.basePosition = applied
            machine?.installed(applied: applied, now: world.now)
        default: world.fail("\(effect) is none for the disk")
        }
    }
}
