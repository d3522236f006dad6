import DequeModule
import Entities
import HashRing
import LogCore
import Logging
import LogFiles
import LogFormat
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import Primitives
import RocksStore
import Serving
import ShardCore

/// The shards pinned to one event loop, and everything that crosses into or out of it.
///
/// All state is confined to the loop, but for the two inboxes, through which other loops post: many posts between two
/// turns of the loop cost one wake-up. Each turn evaluates what came in, hands every shard's new effects to the log
/// once, and sends answers out once for each loop that waits for some.
///
/// SAFETY (`@unchecked Sendable`): everything mutable is touched on `eventLoop` only, which each entry asserts; the
/// inboxes are behind their lock.
final class ShardLoop: @unchecked Sendable {
    let index: Int
    let eventLoop: any EventLoop
    private let time: NodeTime
    private let log: NodeLog
    private let fetchPool: NIOThreadPool
    private let patchPool: PatchPool
    private let sizes: ReadSizes
    private let space: SpaceGuard
    private let flushes: FlushCoordinator
    private let failure: @Sendable (_ shard: ShardID, _ reason: String) -> Void
    private let settings: ShardMachine.Settings
    private let memory: MemoryAccount

    private let inbox = NIOLockedValueBox(Inbox())
    /// Every loop of the node, by index. Set once before any request.
    private var peers: [ShardLoop] = []
    /// Takes requests whose shard is not here (any more). Set once before any request.
    private var router: (any ArrivalRouter)?

    /// By shard number; `nil` for shards of other loops.
    private var lines: [ShardLine?]
    /// Shards of this loop that are coming in.
    private var arriving: [ShardID: InboundMove] = [:]
    private var turns = TurnOrder()
    private var turnScheduled = false
    /// The stores are about to be closed.
    private var isStopped = false
    /// What the loop's shards may still evaluate before others have the loop, in bytes of work.
    private var workLeft = Limits.turnWorkBytesMax
    private var renewalScheduled = false
    /// Shards with operations that wait for that, in the order in which they come to their turn.
    private var unfinished = Deque<Int>()
    private var fetches: ErrandSlots
    private var jobs = ErrandSlots(max: Limits.patchJobsMax)
    /// Answers of this turn, by the loop that they go to.
    private var outgoing: [[Delivery]] = []

    private struct Inbox {
        var writes: [Arrival] = []
        var answers: [Delivery] = []
        var isScheduled = false
    }

    struct Delivery {
        let target: ReplyTarget
        let answer: Answer
    }

    init(
        index: Int, eventLoop: any EventLoop, shardCount: Int, time: NodeTime, log: NodeLog,
        fetchPool: NIOThreadPool, patchPool: PatchPool, sizes: ReadSizes, space: SpaceGuard, flushes: FlushCoordinator,
        settings: ShardMachine.Settings, memory: MemoryAccount, fetchesMax: Int,
        failure: @escaping @Sendable (ShardID, String) -> Void
    ) {
        self.index = index
        self.eventLoop = eventLoop
        self.time = time
        self.log = log
        self.fetchPool = fetchPool
        self.patchPool = patchPool
        self.sizes = sizes
        self.space = space
        self.flushes = flushes
        self.settings = settings
        self.memory = memory
        fetches = ErrandSlots(max: fetchesMax)
        self.failure = failure
        lines = Array(repeating: nil, count: shardCount)
    }

    /// Gives the loop its shards and its peers. Before any request, on any thread.
    func start(hosts: [ShardHost], peers: [ShardLoop], elsewhere: any ArrivalRouter) {
        self.peers = peers
        router = elsewhere
        outgoing = Array(repeating: [], count: peers.count)
        for host in hosts { install(host) }
    }

    private var elsewhere: any ArrivalRouter {
        guard let router else { preconditionFailure("a loop is started before any request") }
        return router
    }

    // MARK: Shards that come and go

    /// From now on the shard's requests are evaluated here. On the loop, or before it has started.
    func install(_ host: ShardHost) {
        precondition(lines[Int(host.shard.rawValue)] == nil, "shard \(host.shard) is installed once")
        lines[Int(host.shard.rawValue)] = ShardLine(host: host, settings: settings)
    }

    /// The line of a shard of this loop. On the loop.
    func line(of shard: ShardID) -> ShardLine? {
        eventLoop.assertInEventLoop()
        return lines[Int(shard.rawValue)]
    }

    /// Another node owns the shard: what was held goes there, unevaluated, so that nothing can happen twice. On the
    /// loop.
    func remove(_ shard: ShardID) {
        guard let line = line(of: shard) else { return }
        for (ticket, work) in line.machine.surrender() {
            let entry = line.tickets.remove(ticket)
            entry.hold?.giveBack()
            elsewhere.redirect(entry.arrival(shard, work))
        }
        // Nothing is under way in a shard that was drained, but answers may not have been fetched yet.
        line.machine.stepDown(Problem(.shardUnavailable, "shard \(shard) has moved away; nothing was done"))
        drain(line)
        lines[Int(shard.rawValue)] = nil
        // Not from here: what answers set free may come back into the loop at once.
        scheduleTurn()
    }

    /// The log's word about the shard goes to the move, until it is served. On the loop.
    func attach(_ move: InboundMove) {
        eventLoop.assertInEventLoop()
        arriving[move.shard] = move
    }

    func detach(_ move: InboundMove) {
        eventLoop.assertInEventLoop()
        arriving[move.shard] = nil
    }

    /// What a change to a line's machine has set free. On the loop; from within a turn it asks for another.
    func carryOn(_ line: ShardLine) {
        touch(line, Int(line.host.shard.rawValue))
        if turns.isUnderWay { scheduleTurn() } else { turn() }
    }

    // MARK: Entries

    /// Takes one operation on a shard of this loop. On any event loop of the node; answered through `target`.
    func submit(_ arrival: Arrival) {
        if eventLoop.inEventLoop {
            evaluate(arrival, now: time.now())
            scheduleTurn()
        } else {
            post { $0.writes.append(arrival) }
        }
    }

    /// Positions are on stable storage. Called by the log's writer thread, once for each group.
    func logDurable(_ marks: [DurableMark]) {
        eventLoop.execute { self.apply(marks) }
    }

    /// Waits until nothing is in flight on this loop's shards, or until `deadline`: a shard that is just being handed
    /// over may hold requests for as long as the metadata store is away.
    func whenIdle(until deadline: NIODeadline) -> EventLoopFuture<Void> {
        eventLoop.flatSubmit {
            if NIODeadline.now() >= deadline || self.lines.allSatisfy({ $0?.machine.isIdle ?? true }) {
                return self.eventLoop.makeSucceededVoidFuture()
            }
            return self.eventLoop.scheduleTask(in: .milliseconds(5)) {}.futureResult
                .flatMap { self.whenIdle(until: deadline) }
        }
    }

    /// From here on nothing more is applied: the log has what was acknowledged, and a restart applies it. Any thread.
    func stop() -> EventLoopFuture<Void> { eventLoop.submit { self.isStopped = true } }

    /// Operations in the queues of this loop's shards, for metrics.
    func queueDepth() -> EventLoopFuture<(items: Int, bytes: Int)> {
        eventLoop.submit {
            self.lines.reduce((0, 0)) { sum, line in
                (sum.0 + (line?.machine.queuedItems ?? 0), sum.1 + (line?.machine.queuedBytes ?? 0))
            }
        }
    }

    private func post(_ change: (inout Inbox) -> Void) {
        let mustWake = inbox.withLockedValue { inbox in
            change(&inbox)
            defer { inbox.isScheduled = true }
            return !inbox.isScheduled
        }
        if mustWake { eventLoop.execute { self.drainInbox() } }
    }

    private func drainInbox() {
        let (writes, answers) = inbox.withLockedValue { inbox in
            let taken = (inbox.writes, inbox.answers)
            inbox = Inbox()
            return taken
        }
        if !answers.isEmpty { deliver(answers) }
        guard !writes.isEmpty else { return }
        let now = time.now()
        for arrival in writes { evaluate(arrival, now: now) }
        turn()
    }

    // MARK: One turn

    private func evaluate(_ arrival: Arrival, now: Timestamp) {
        eventLoop.assertInEventLoop()
        let number = Int(arrival.shard.rawValue)
        guard let line = lines[number] else {
            elsewhere.redirect(arrival)
            return
        }
        guard line.host.takesRequests else { return refuseUnserved(arrival, line.host) }
        var entry = TicketTable.Entry(target: arrival.target, time: arrival.time, origin: arrival.origin)
        guard hold(for: arrival.work, &entry.hold), line.charge(arrival.work, to: memory) else {
            entry.hold?.giveBack()
            return refuse(arrival, line.host, NodeMemory.problem)
        }
        let ticket = line.tickets.insert(entry)
        evaluating(line) { machine in
            switch arrival.work {
            case .write(let operation):
                machine.write(operation, ticket: ticket, now: now, arrival: arrival.time, rows: line.rows)
            case .read(let request):
                machine.read(request, ticket: ticket, now: now, arrival: arrival.time, rows: line.rows)
            }
        }
        if line.machine.isFull { line.host.noteOverload() }
        touch(line, number)
    }

    /// A large entity is not read for nothing: without room for its answer it is refused before.
    private func hold(for work: ShardMachine.Work, _ hold: inout MemoryHold?) -> Bool {
        guard case .read(let request) = work, case .entity = request.kind,
            let bytes = sizes.bytes(of: request.key.ringHash)
        else { return true }
        hold = MemoryHold(bytes, of: memory.budget, as: MemoryRank(bytes: bytes, isRead: true))
        return hold != nil
    }

    private func refuseUnserved(_ arrival: Arrival, _ host: ShardHost) {
        let reason = host.troubleText ?? "it is not served here"
        refuse(arrival, host, Problem(.shardUnavailable, "shard \(arrival.shard) is unavailable: \(reason)"))
    }

    private func refuse(_ arrival: Arrival, _ host: ShardHost, _ problem: Problem) {
        let place = ShardPosition(shard: arrival.shard, position: host.appliedPosition)
        send(Delivery(target: arrival.target, answer: .refused(problem, currentVersion: nil, place)))
        scheduleTurn()
    }

    private func touch(_ line: ShardLine, _ number: Int) {
        guard !line.isDirty else { return }
        line.isDirty = true
        turns.touch(number)
    }

    /// Requests of other connections may follow in this wake-up: the turn runs once, after them.
    private func scheduleTurn() {
        guard !turnScheduled else { return }
        turnScheduled = true
        eventLoop.execute { self.turn() }
    }

    private func turn() {
        turnScheduled = false
        turns.begin()
        while let number = turns.next() {
            guard let line = lines[number] else { continue }
            line.isDirty = false
            handOver(line)
            drain(line)
            line.outbound?.lookAtDrain(line)
            noteUnfinished(line)
            // What the line that comes next has read is of use then; of all others it would only take memory.
            if unfinished.first != number { line.machine.forgetReadStates() }
        }
        log.wake()
        turns.end()
        sendOutgoing()
    }

    // MARK: Work

    /// Gives the machine what is left of the loop's work for `body`.
    private func evaluating(_ line: ShardLine, _ body: (inout ShardMachine) -> Void) {
        line.machine.workLeft = workLeft
        body(&line.machine)
        workLeft = line.machine.workLeft
        line.settleCharge(with: memory)
        if workLeft < Limits.turnWorkBytesMax / 8 * 7 { scheduleRenewal() }
    }

    private func noteUnfinished(_ line: ShardLine) {
        guard line.machine.hasMore, !line.isUnfinished else { return }
        line.isUnfinished = true
        unfinished.append(Int(line.host.shard.rawValue))
        scheduleRenewal()
    }

    /// By a timer: a task that is only posted runs before the loop looks at its sockets again.
    private func scheduleRenewal() {
        guard !renewalScheduled else { return }
        renewalScheduled = true
        eventLoop.scheduleTask(in: .microseconds(Limits.turnPauseMicroseconds)) { self.renewWork() }
    }

    /// Others have had the loop: operations may be evaluated again, first of all those that wait.
    private func renewWork() {
        renewalScheduled = false
        workLeft = Limits.turnWorkBytesMax
        guard !unfinished.isEmpty else { return }
        let now = time.now()
        while workLeft > 0, let number = unfinished.popFirst() {
            guard let line = lines[number] else { continue }
            line.isUnfinished = false
            evaluating(line) { $0.carryOn(now: now, rows: line.rows) }
            touch(line, number)
        }
        turn()
    }

    /// The line's new effects go to the log, as one batch.
    private func handOver(_ line: ShardLine) {
        guard !line.waitsForLog, let group = line.machine.takeGroup() else { return }
        let batch = AppendBatch(
            lane: index, shard: group.shard, epoch: group.epoch, firstPosition: group.first, payloads: group.payloads,
            time: time.now(), mayWait: true)
        let problem: Problem
        switch offer(batch) {
        case .taken: return line.waitsForStoresSince = nil
        case .later: return wait(line, group, milliseconds: Limits.logOfferMilliseconds)
        case .afterFlush(let reason):
            if line.mayWaitForStores() { return wait(line, group, milliseconds: Limits.storeOfferMilliseconds) }
            problem = reason
        case .refused(let reason): problem = reason
        }
        line.waitsForStoresSince = nil
        if problem.code == .overloaded { line.host.noteOverload() }
        evaluating(line) {
            $0.groupRefused(from: group.first, problem: problem, now: time.now(), rows: line.rows)
        }
        handOver(line)
    }

    /// The line's effects are offered again in a moment, and those of no other line wait for them.
    private func wait(_ line: ShardLine, _ group: AppendGroup, milliseconds: Int64) {
        line.machine.groupKept(from: group.first)
        line.waitsForLog = true
        let number = Int(line.host.shard.rawValue)
        eventLoop.scheduleTask(in: .milliseconds(milliseconds)) { [self] in
            guard let line = lines[number] else { return }
            line.waitsForLog = false
            carryOn(line)
        }
    }

    private enum Offer {
        case taken, later
        /// When a flush has made room in the memtables; refused where none does so in time.
        case afterFlush(Problem)
        case refused(Problem)
    }

    private func offer(_ batch: AppendBatch) -> Offer {
        let full = Problem(
            .storageFull, "the node's disk is full; reads go on, and writes resume by themselves when there is space")
        if space.isFull || flushes.storesWaitForSpace { return .refused(full) }
        if flushes.storesWaitForDescriptors {
            return .refused(
                Problem(.overloaded, "the node has no file descriptor left to write with; try again shortly"))
        }
        if !flushes.hasRoomForWrites {
            return .afterFlush(
                Problem(.overloaded, "writes come faster than the node's disk takes them; try again shortly"))
        }
        switch log.submit(batch, wakes: false) {
        case .accepted: return .taken
        case .later: return .later
        case .storageFull: return .refused(full)
        case .queueFull:
            return .refused(
                Problem(.overloaded, "the node's log has all the writes that it can hold; try again shortly"))
        case .stopped: return .refused(Problem(.shuttingDown, "the node is shutting down"))
        }
    }

    /// Takes out of the machine what may leave it: answers, fetches and jobs.
    private func drain(_ line: ShardLine) {
        while let (ticket, answer) = line.machine.nextAnswer() {
            let entry = line.tickets.remove(ticket)
            entry.hold?.giveBack()
            send(Delivery(target: entry.target, answer: answer))
        }
        startFetches(line)
        startJobs(line)
        line.settleCharge(with: memory)
    }

    // MARK: Commit

    private func apply(_ marks: [DurableMark]) {
        turns.begin()
        for mark in marks {
            guard let line = lines[Int(mark.shard.rawValue)] else {
                arriving[mark.shard]?.logDurable(mark)
                continue
            }
            guard line.host.takesRequests else { continue }
            line.machine.logDurable(upTo: mark.position)
            if line.heldCommit != nil {
                line.heldCommit = mark.lsn
            } else {
                commit(line, lsn: mark.lsn)
            }
            drain(line)
            line.outbound?.lookAtDrain(line)
        }
        turns.end()
        sendOutgoing()
    }

    /// The log has the group, so it will be applied: as soon as the store takes rows again. Its writers wait.
    private func hold(_ line: ShardLine, _ lsn: LSN, _ error: StoreError) {
        line.host.abandonApplying()
        line.heldCommit = lsn
        flushes.noteWaiting(line.host.shard, error)
        let number = Int(line.host.shard.rawValue)
        eventLoop.scheduleTask(in: .milliseconds(Limits.commitRetryMilliseconds)) { [self] in
            guard let line = lines[number], let lsn = line.heldCommit else { return }
            line.heldCommit = nil
            guard line.host.takesRequests else { return }
            turns.begin()
            commit(line, lsn: lsn)
            turns.end()
            carryOn(line)
        }
    }

    private func commit(_ line: ShardLine, lsn: LSN) {
        guard !isStopped, let group = line.machine.takeCommit() else { return }
        line.host.beginApplying(group.through)
        do {
            try line.write(group, lsn: lsn, now: time.now())
        } catch  where error.passes {
            return hold(line, lsn, error)
        } catch {
            let reason = "the store of shard \(line.host.shard) failed: \(error)"
            line.host.stopServing(reason)
            line.machine.stepDown(Problem(.shardUnavailable, reason))
            failure(line.host.shard, "\(error)")
            return
        }
        line.host.finishApplying(group.through)
        line.machine.applied(upTo: group.through)
        line.outbound?.committed(group)
    }

    // MARK: Rows that only the disk knows

    private func startFetches(_ line: ShardLine) {
        while !fetches.isFull, let fetch = line.machine.nextFetch() { start(fetch, line) }
        guard line.machine.wantsFetch, !line.waitsToFetch else { return }
        line.waitsToFetch = true
        fetches.wait(Int(line.host.shard.rawValue))
    }

    private func fetchEnded() {
        fetches.end()
        while let number = fetches.next() {
            guard let line = lines[number] else { continue }
            line.waitsToFetch = false
            startFetches(line)
        }
    }

    private func start(_ fetch: Fetch, _ line: ShardLine) {
        fetches.begin()
        let store = line.host.store
        let number = Int(line.host.shard.rawValue)
        fetchPool.submit { _ in
            let result = Result<(record: [UInt8]?, row: [UInt8]?), any Error> {
                (try Self.fetch(fetch.recordRow, store), try Self.fetch(fetch.idempotencyRow, store))
            }
            self.eventLoop.execute { self.finish(fetch, number, result) }
        }
    }

    private static func fetch(_ row: [UInt8]?, _ store: ShardStore) throws(StoreError) -> [UInt8]? {
        guard let row, case .found(let bytes) = try store.read(row: row, from: .disk) else { return nil }
        return bytes
    }

    private func finish(
        _ fetch: Fetch, _ number: Int, _ result: Result<(record: [UInt8]?, row: [UInt8]?), any Error>
    ) {
        defer { fetchEnded() }
        guard let line = lines[number], line.host.takesRequests else { return }
        evaluating(line) { machine in
            switch result {
            case .success(let rows):
                if let record = rows.record {
                    sizes.note(fetch.key.ringHash, bytes: ReadSizes.answerBytes(of: record.count))
                }
                machine.fetched(
                    fetch, record: rows.record, idempotencyRow: rows.row, now: time.now(), at: NodeTime.monotonic(),
                    rows: line.rows)
            case .failure(let error):
                machine.fetchFailed(fetch, reason: "\(error)", now: time.now(), rows: line.rows)
            }
        }
        touch(line, number)
        turn()
    }

    // MARK: Patches that may take long

    private func startJobs(_ line: ShardLine) {
        // What they make would only wait for the log.
        guard !line.waitsForLog else { return }
        var mustCarryOn = false
        while !jobs.isFull, let job = line.machine.nextJob() {
            if !start(job, line) { mustCarryOn = true }
        }
        let number = Int(line.host.shard.rawValue)
        if mustCarryOn {
            // A turn may be under way: what the refusals have set free leaves the machine in the next one.
            eventLoop.execute { if let line = self.lines[number] { self.carryOn(line) } }
        }
        guard line.machine.wantsJob, !line.waitsForJob else { return }
        line.waitsForJob = true
        jobs.wait(number)
    }

    private func jobEnded() {
        jobs.end()
        while let number = jobs.next() {
            guard let line = lines[number] else { continue }
            line.waitsForJob = false
            startJobs(line)
        }
    }

    /// Charged before it begins: the effect that comes of it is kept, and answers that nobody takes are as large. False
    /// where there is no room, and its operation is refused.
    private func start(_ job: PatchJob, _ line: ShardLine) -> Bool {
        let charge = memory.budget.bounds.clamped(2 * job.byteCount)
        guard memory.charge(charge, for: .effects, as: .large) else {
            evaluating(line) { $0.refuse(job, NodeMemory.problem, now: time.now(), rows: line.rows) }
            return false
        }
        jobs.begin()
        let number = Int(line.host.shard.rawValue)
        patchPool.run(job) { result in self.eventLoop.execute { self.finish(result, charge, number) } }
        return true
    }

    private func finish(_ result: PatchResult, _ charge: Int, _ number: Int) {
        memory.refund(charge, of: .effects)
        defer { jobEnded() }
        guard let line = lines[number], line.host.takesRequests else { return }
        evaluating(line) { $0.finished(result, now: time.now(), at: NodeTime.monotonic(), rows: line.rows) }
        touch(line, number)
        turn()
    }

    // MARK: Answers

    private func send(_ delivery: Delivery) {
        outgoing[delivery.target.sink.loopNumber.rawValue].append(delivery)
    }

    private func sendOutgoing() {
        for peer in outgoing.indices where !outgoing[peer].isEmpty {
            let answers = outgoing[peer]
            outgoing[peer].removeAll(keepingCapacity: true)
            if peer == index { deliver(answers) } else { peers[peer].post { $0.answers.append(contentsOf: answers) } }
        }
    }

    private func deliver(_ answers: [Delivery]) {
        for delivery in answers { delivery.target.sink.deliver(delivery.answer, slot: delivery.target.slot) }
        for delivery in answers { delivery.target.sink.flushAnswers() }
    }
}
