import Entities
import HashRing
import Logging
import NIOCore
import NIOPosix
import Primitives
import RocksStore
import Serving
import ShardCore

/// The node behind its listeners: finds the shard of a key, posts writes to its loop, reads beside it, and hands what
/// concerns other nodes to the ``Forwarder``.
final class NodeBackend: EntityBackend {
    let ringSeed: UInt64
    let limits: EntityLimits
    let requestsMayOvertake: Bool
    private let table: ShardTable
    private let loops: [ShardLoop]
    private let time: NodeTime
    private let calls: CallCount
    private let readPool: NIOThreadPool
    private let sizes: ReadSizes
    private let lists: NodeLists
    private let fanOut: ListFanOut
    private let forwarder: Forwarder
    private let memory: NodeMemory
    private let logger: Logger

    /// How often an absence is read again because a batch was being written meanwhile, before the queue decides.
    private static let absenceRetriesMax = 3

    /// - Parameter hasPeers: whether there are, or may come to be, other nodes to send requests to.
    init(
        ringSeed: UInt64, limits: EntityLimits, hasPeers: Bool, table: ShardTable, loops: [ShardLoop], time: NodeTime,
        calls: CallCount, readPool: NIOThreadPool, sizes: ReadSizes, lists: NodeLists, forwarder: Forwarder,
        memory: NodeMemory, logger: Logger
    ) {
        self.ringSeed = ringSeed
        self.limits = limits
        requestsMayOvertake = hasPeers
        self.table = table
        self.loops = loops
        self.time = time
        self.calls = calls
        self.readPool = readPool
        self.sizes = sizes
        self.forwarder = forwarder
        self.memory = memory
        self.logger = logger
        self.lists = lists
        fanOut = ListFanOut(
            scans: lists.scans, table: table, view: forwarder.view, peers: forwarder.peers, loop: loops[0].eventLoop)
        forwarder.serve(for: self)
    }

    var shardCount: Int { table.ring.shardCount }

    /// The number of a loop of the node.
    func number(of eventLoop: any EventLoop) -> LoopNumber {
        guard let index = loops.firstIndex(where: { $0.eventLoop === eventLoop }) else {
            preconditionFailure("requests come on loops of the node")
        }
        return LoopNumber(index)
    }

    func shard(of key: EntityKey) -> ShardID { table.shard(of: key.ringHash) }

    /// Whether requests for the shard are this node's to answer, if only with a refusal.
    func takes(_ shard: ShardID) -> Bool {
        switch table[shard] {
        case .served(let host): host.takesRequests || host.hasFailed
        case .elsewhere: false
        case .unavailable: true
        }
    }

    func expectedAnswerBytes(of key: EntityKey) -> Int? {
        sizes.bytes(of: key.ringHash).map { $0 / ReadSizes.copies }
    }

    func currentPosition(of key: EntityKey) -> ShardPosition? {
        place(table.shard(of: key.ringHash))
    }

    /// A position at which a refusal is true; 0 where the shard is not here, or its store could not be opened.
    private func place(_ shard: ShardID) -> ShardPosition {
        guard case .served(let host) = table[shard] else { return ShardPosition(shard: shard, position: .zero) }
        return ShardPosition(shard: shard, position: host.appliedPosition)
    }

    // MARK: Writes

    func write(_ operation: WriteOperation, replyTo target: ReplyTarget) {
        take(
            Arrival(
                shard: table.shard(of: operation.key.ringHash), work: .write(operation), target: target,
                time: NodeTime.monotonic(), origin: .front))
    }

    /// To the shard's queue where it is here, else to its owner.
    func dispatch(_ arrival: Arrival) {
        switch table[arrival.shard] {
        case .served(let host) where host.takesRequests:
            if case .write = arrival.work, host.isOverloaded {
                return deliver(.refused(overload(of: host), currentVersion: nil, place(host.shard)), arrival.target)
            }
            loops[Int(arrival.shard.rawValue) % loops.count].submit(arrival)
        case .served(let host) where !host.hasFailed: forwarder.redirect(arrival)
        case .elsewhere: forwarder.redirect(arrival)
        case .served, .unavailable: refuseUnavailable(arrival.shard, replyTo: arrival.target)
        }
    }

    func overload(of key: EntityKey) -> Problem? {
        guard case .served(let host) = table[table.shard(of: key.ringHash)], host.isOverloaded else { return nil }
        return overload(of: host)
    }

    private func overload(of host: ShardHost) -> Problem {
        Problem(.overloaded, "shard \(host.shard) has all the writes that it takes; try again shortly")
    }

    private func refuseUnavailable(_ shard: ShardID, replyTo target: ReplyTarget) {
        let problem = Problem(
            .shardUnavailable, "shard \(shard) is unavailable: \(table.unavailability(of: shard))")
        deliver(.refused(problem, currentVersion: nil, place(shard)), target)
    }

    // MARK: Reads

    func read(_ request: ReadRequest, replyTo target: ReplyTarget) {
        take(
            Arrival(
                shard: table.shard(of: request.key.ringHash), work: .read(request), target: target,
                time: NodeTime.monotonic(), origin: .front))
    }

    /// A request of this node's or another's listener: reads that need no queue go beside it.
    func take(_ arrival: Arrival) {
        calls.note()
        guard case .read(let request) = arrival.work, !request.inQueueOrder, let host = table.serving(arrival.shard)
        else { return dispatch(arrival) }
        switch request.kind {
        case .entity(let preconditions):
            readEntity(arrival, request, preconditions, host, tier: .cacheOnly)
        case .outcome(let idempotencyKey):
            readOutcome(arrival, request.key, idempotencyKey, host, tier: .cacheOnly)
        }
    }

    /// On the connection's loop with what is cached, else on a thread of the read pool.
    ///
    /// - Parameter hold: of what the entity held when it was last read.
    private func readEntity(
        _ arrival: Arrival, _ request: ReadRequest, _ preconditions: Preconditions, _ host: ShardHost,
        tier: ReadSource, _ hold: MemoryHold? = nil
    ) {
        do {
            for _ in 0..<Self.absenceRetriesMax {
                guard let read = try host.read(request.key, from: tier) else { continue }
                switch read {
                case .notCached: return readOffLoop(arrival, request, preconditions, host)
                case .found(let record, let position):
                    // It is handed to the connection's loop, where others may wait before it.
                    let bytes = ReadSizes.answerBytes(of: record.encodedCount)
                    if tier == .disk { sizes.note(request.key.ringHash, bytes: bytes) }
                    guard tier == .disk || bytes > Limits.memorySmallBytesMax else {
                        return answer(arrival, record, at: position, preconditions, host)
                    }
                    guard let hold = grow(hold, to: bytes) else { return deliver(noMemory(host), arrival.target) }
                    return answer(arrival, record, at: position, preconditions, host, hold)
                case .absent(let position):
                    hold?.giveBack()
                    return answer(arrival, nil, at: position, preconditions, host)
                }
            }
            hold?.giveBack()
            dispatch(arrival)
        } catch {
            hold?.giveBack()
            refuseUnreadable(arrival, host, error)
        }
    }

    /// A large entity is not read for nothing: without room for its answer it is refused before.
    private func readOffLoop(
        _ arrival: Arrival, _ request: ReadRequest, _ preconditions: Preconditions, _ host: ShardHost
    ) {
        var hold: MemoryHold?
        if let bytes = sizes.bytes(of: request.key.ringHash) {
            hold = memory.hold(bytes)
            guard hold != nil else { return deliver(noMemory(host), arrival.target) }
        }
        offLoop(arrival.target, hold) { [hold] in
            self.readEntity(arrival, request, preconditions, host, tier: .disk, hold)
        }
    }

    /// A hold of `bytes`; `nil` where there is no room, and then nothing is held.
    private func grow(_ hold: MemoryHold?, to bytes: Int) -> MemoryHold? {
        if var hold, hold.bytes >= memory.budget.bounds.clamped(bytes) {
            hold.shrink(to: bytes)
            return hold
        }
        hold?.giveBack()
        return memory.hold(bytes)
    }

    private func answer(
        _ arrival: Arrival, _ record: StoredRecord?, at position: Position, _ preconditions: Preconditions,
        _ host: ShardHost, _ hold: MemoryHold? = nil
    ) {
        let place = ShardPosition(shard: host.shard, position: position)
        let answer: Answer =
            switch preconditions.evaluateRead(current: record, now: time.now()) {
            case .found(let record): .found(record, place)
            case .notModified(let record): .notModified(record, place)
            case .refused(let problem, let version): .refused(problem, currentVersion: version, place)
            }
        deliver(answer, of: arrival, from: host, hold)
    }

    private func noMemory(_ host: ShardHost) -> Answer {
        .refused(NodeMemory.problem, currentVersion: nil, place(host.shard))
    }

    /// Ownership is checked after the read (rule R13): a value read before the shard was lost is not given out. The
    /// request goes to the queue, which knows or waits to know who owns the shard.
    private func deliver(_ answer: Answer, of arrival: Arrival, from host: ShardHost, _ hold: MemoryHold? = nil) {
        guard host.isServing else {
            hold?.giveBack()
            return dispatch(arrival)
        }
        deliver(answer, arrival.target, hold)
    }

    private func readOutcome(
        _ arrival: Arrival, _ key: EntityKey, _ idempotencyKey: [UInt8], _ host: ShardHost, tier: ReadSource
    ) {
        do {
            let place = ShardPosition(shard: host.shard, position: host.appliedPosition)
            switch try host.store.read(row: StoreRows.idempotency(key, idempotencyKey), from: tier) {
            case .notCached:
                offLoop(arrival.target) { self.readOutcome(arrival, key, idempotencyKey, host, tier: .disk) }
            case .found(let bytes):
                if let row = IdempotencyRow(decoding: bytes), row.expiresAt > time.now() {
                    deliver(
                        .outcome(
                            status: row.status, version: row.version,
                            ShardPosition(shard: host.shard, position: max(place.position, row.version))),
                        of: arrival, from: host)
                } else {
                    deliver(.refused(Self.noOutcome, currentVersion: nil, place), of: arrival, from: host)
                }
            case .absent:
                deliver(.refused(Self.noOutcome, currentVersion: nil, place), of: arrival, from: host)
            }
        } catch {
            refuseUnreadable(arrival, host, error)
        }
    }

    private static let noOutcome = Problem(
        .notFound, "no write of this entity with this Idempotency-Key is recorded")

    private func refuseUnreadable(_ arrival: Arrival, _ host: ShardHost, _ error: StoreError) {
        // A store that was closed because the shard has gone is not damaged.
        guard host.isServing else { return dispatch(arrival) }
        guard !error.passes else {
            let problem = Problem(.overloaded, "the node has no file descriptor left to read with; try again shortly")
            return deliver(.refused(problem, currentVersion: nil, place(host.shard)), arrival.target)
        }
        let reason = "shard \(host.shard) cannot read the entity: \(error)"
        host.noteDamage(reason)
        logger.error("a read failed", metadata: ["shard": "\(host.shard)", "reason": "\(error)"])
        deliver(.refused(Problem(.shardUnavailable, reason), currentVersion: nil, place(host.shard)), arrival.target)
    }

    // MARK: Lists

    func list(_ request: ListRequest, renderer: any PageRenderer, replyTo target: ReplyTarget) {
        let deadline = NIODeadline.now() + .seconds(Int64(Limits.listSecondsMax))
        lists.own.submit(
            of: Self.caller(target.sink), refuse: { self.deliver(.failure(.refused($0)), target, nil) },
            begin: { life in
                guard var hold = self.memory.holdPage() else {
                    self.deliver(.refused(NodeMemory.problem, currentVersion: nil, nil), target)
                    return self.lists.own.ended(life)
                }
                Task {
                    let made = await self.fanOut.page(request, renderer, of: life, until: deadline)
                    hold.shrink(to: made.pageBytes)
                    self.deliver(made, target, hold)
                    self.lists.own.ended(life)
                }
            })
    }

    func runOffLoop(_ work: @escaping @Sendable () -> Void) { lists.scans.run(work) }

    func callerLeft(_ sink: any ReplySink) { lists.own.leave(Self.caller(sink)) }

    /// A connection, for as long as it has lists.
    private static func caller(_ sink: any ReplySink) -> ListQueue.Caller {
        ListQueue.Caller(UInt(bitPattern: ObjectIdentifier(sink)))
    }

    /// - Parameter hold: of the page, until the connection has charged it to its own loop.
    private func deliver(_ made: Result<ListPage, ListFailure>, _ target: ReplyTarget, _ hold: MemoryHold?) {
        let answer: Answer
        switch made {
        case .success(let page): answer = .page(page)
        case .failure(let failure):
            guard let problem = failure.problem else {
                hold?.giveBack()
                return
            }
            answer = .refused(problem, currentVersion: nil, nil)
        }
        // A list may be refused in a call that another connection of the same loop has made.
        loop(of: target).execute {
            self.deliverLate(answer, target)
            hold?.giveBack()
        }
    }

    // MARK: Threads

    /// Runs `work`, which may block, on the read pool.
    private func offLoop(_ target: ReplyTarget, _ hold: MemoryHold? = nil, _ work: @escaping @Sendable () -> Void) {
        readPool.submit { state in
            guard state == .active else {
                hold?.giveBack()
                let problem = Problem(.shuttingDown, "the node is shutting down")
                return self.deliver(.refused(problem, currentVersion: nil, nil), target)
            }
            work()
        }
    }

    private func loop(of target: ReplyTarget) -> any EventLoop { loops[target.sink.loopNumber.rawValue].eventLoop }

    /// On the connection's loop at once, from elsewhere by way of it.
    ///
    /// - Parameter hold: of the answer, until the connection charges as much to its own loop.
    private func deliver(_ answer: Answer, _ target: ReplyTarget, _ hold: MemoryHold? = nil) {
        let loop = loop(of: target)
        if loop.inEventLoop {
            hold?.giveBack()
            target.sink.deliver(answer, slot: target.slot)
        } else {
            loop.execute {
                hold?.giveBack()
                self.deliverLate(answer, target)
            }
        }
    }

    /// An answer that comes after the call it belongs to has returned. On the connection's loop.
    func deliverLate(_ answer: Answer, _ target: ReplyTarget) {
        target.sink.deliver(answer, slot: target.slot)
        target.sink.flushAnswers()
    }
}

extension Result<ListPage, ListFailure> {
    /// What a page holds: its text, or its records.
    fileprivate var pageBytes: Int {
        guard case .success(let page) = self else { return 0 }
        return page.text?.count ?? page.items.reduce(0) { $0 + $1.byteCount }
    }
}
