import ClusterCore
import Entities
import HashRing
import LogCore
import LogFormat
import Primitives
import ShardCore

/// One node: the real shard machines and the real log over a virtual disk, with stores that crash as RocksDB does. It
/// lives through many runs of its process; what outlives one is the disk, the stores' flushed rows and the clock.
final class Node {
    enum State {
        case down
        /// The log is being opened.
        case starting
        case serving
        /// No new work; what is queued is finished, then the process ends.
        case draining
    }

    /// One shard on this node.
    final class Shard {
        var machine: ShardMachine
        let store: VirtualStore
        /// False: quarantined; it is not served.
        var isServed = true
        /// Payloads handed to the log and not yet durable, from `firstUncommitted` on.
        /// Each with the run that evaluated it.
        var uncommitted: [(payload: [UInt8], run: Int)] = []
        var firstUncommitted: Position
        /// The place in the log of the last durable record, for the store's mark.
        var durableLSN = LSN.zero
        var isApplying = false
        /// Its effects wait until the log has less to write.
        var waitsForLog = false
        /// The machine was called since the last pump: only then can there be something to take out of it.
        var isTouched = true
        /// Operations of it wait for a turn that will come.
        var isTurnScheduled = false
        /// While the shard moves away.
        var source: MoveSource?
        /// Counts the moves' machines.
        var sourceRun = 0
        /// What the move is; the source's machine belongs to it.
        var move: ShardMove?
        /// Reads beside the queue go into it, where the freeze holds them.
        var readsStopped = false
        /// By session: the files of checkpoints that are there.
        var checkpoints: [MoveSession: [VirtualStore.CheckpointFile]] = [:]

        init(machine: ShardMachine, store: VirtualStore) {
            self.machine = machine
            self.store = store
            firstUncommitted = machine.applied.next
        }
    }

    let world: World
    let options: SimulationOptions
    let audit: Audit
    let logAudit: LogAudit
    let disk: VirtualDisk
    let clock: VirtualClock
    let index: Int
    let endpoint: Endpoint
    let mutants: Mutants
    var random: SplitMix64
    let send: (Message, Endpoint) -> Void

    var state = State.down
    /// Counts runs of the process; what an earlier one began concerns nobody any more.
    private(set) var run: UInt64 = 0
    /// By shard: the stores on the disk.
    var stores: [VirtualStore?] = []
    /// By shard: those that are served; empty while down.
    var shards: [Shard?] = []
    /// By shard: copies being made; empty while down.
    var learners: [Learner?] = []
    /// By shard: what a target has fetched. On the disk.
    var incoming: [IncomingFiles]
    /// The node's part in the cluster; `nil` where it is alone.
    var agent: NodeAgent?
    var log: NodeLog?
    var steadyClock = SteadyClock(wall: .zero, monotonic: .zero, floor: .zero)
    var pausedUntil: UInt64 = 0
    private var held: [() -> Void] = []

    var nextTicket: Ticket = 1
    /// Tickets on their way, to the request and line they answer.
    var waiting: [Ticket: ReplyTarget] = [:]
    var openRequests = 0
    /// Called when the process ends by itself.
    var whenEnded: () -> Void = {}
    private var isPumping = false
    private var pumpAgain = false
    private var alarm: UInt64 = .max

    init(
        world: World, options: SimulationOptions, audit: Audit, index: Int, mutants: Mutants, random: SplitMix64,
        send: @escaping (Message, Endpoint) -> Void
    ) {
        self.world = world
        self.options = options
        self.audit = audit
        self.mutants = mutants
        self.random = random
        self.send = send
        self.index = index
        endpoint = .node(index)
        incoming = Array(repeating: IncomingFiles(), count: options.shardCount)
        logAudit = LogAudit(world: world)
        disk = VirtualDisk(world: world, settings: options.disk, random: self.random.split())
        clock = VirtualClock(
            world: world, offset: self.random.below(1000 * Span.second), drift: options.clockDrift,
            wallError: Int64(self.random.below(7_200_000)) - 3_600_000)
        stores = (0..<options.shardCount).map { _ in
            VirtualStore(cacheRows: options.cacheRows, mutants: mutants)
        }
        logAudit.committed = { [log = audit.log] in log.end($0) }
        // A log owes nothing to a shard that the node does not hold.
        logAudit.flushed = { [unowned self] in
            stores[Int($0.rawValue)]?.flushedMark.position ?? Position(.max)
        }
    }

    /// The time that decides expiry.
    var now: Timestamp {
        mutants.has(.expiryByJumpingClock) ? clock.wall : steadyClock.now(clock.monotonic)
    }

    /// The run of a node that an effect or an answer is of: clocks differ between runs, and between nodes.
    var runID: Int { index << 48 | Int(run) << 24 | clockSteps }

    /// How often this run has put its clock forward to another node's.
    private var clockSteps = 0

    /// The newest time of what was written here, or came here with a copy: what a start may find, and nothing newer.
    private var newestTime = Timestamp.zero
    /// While a start is made under a wrong clock, which is repaired before anybody asks for anything: its error.
    private(set) var idleClockError: Int64?
    private var runBegan: UInt64 = 0

    func noteTime(_ time: Timestamp) { newestTime = max(newestTime, time) }

    /// The next start is made under a clock that is wrong by so much, and ends before it serves.
    func startIdle(clockError milliseconds: Int64) {
        precondition(state == .down && idleClockError == nil, "a clock is set wrong while the node is down")
        idleClockError = milliseconds
        clock.jump(milliseconds: milliseconds)
    }

    private func repairClock() {
        if let error = idleClockError { clock.jump(milliseconds: -error) }
        idleClockError = nil
    }

    /// Makes the run's clock of what its log and stores have seen. False: it is too far ahead of that.
    func setClock(floor: Timestamp) -> Bool {
        if floor > newestTime {
            world.fail(
                .dataTime,
                "a start finds data of \(floor.milliseconds), and the newest is of "
                    + "\(newestTime.milliseconds): an idle start has moved it")
        }
        steadyClock = SteadyClock(wall: clock.wall, monotonic: clock.monotonic, floor: floor, mutants: mutants)
        switch ClockAtStart(wall: clock.wall, newest: floor) {
        case .plausible, .ahead, .behind: return true
        case .implausible: return false
        }
    }

    /// What compaction does, whenever it falls.
    func removeExpired(from store: VirtualStore) {
        let count = store.removeExpired(before: steadyClock.removalTime(clock.monotonic))
        // Clocks drift by up to 1 %.
        let wait = Limits.removalHoldSeconds * Span.second / 100 * 98
        if count > 0, world.now - runBegan < wait {
            world.fail(.removedTooEarly, "\(count) rows are removed for good soon after a start")
        }
    }

    /// A shard has come whose owner has acted at that time.
    func advanceClock(to seen: Timestamp) {
        noteTime(seen)
        guard seen > now else { return }
        steadyClock.advance(atLeastTo: seen, monotonic: clock.monotonic)
        clockSteps += 1
    }

    func shard(of key: EntityKey) -> Shard? { shard(audit.shardOf(key)) }

    /// `nil` where it is not served here.
    func shard(_ id: ShardID) -> Shard? { shards.isEmpty ? nil : shards[Int(id.rawValue)] }

    /// `nil` where no copy of it is being made here.
    func learner(_ id: ShardID) -> Learner? { learners.isEmpty ? nil : learners[Int(id.rawValue)] }

    /// In the order of their numbers.
    var servedShards: [Shard] { shards.compactMap { $0 } }

    // MARK: The loop

    /// Wraps what the loop will do: nothing once this run is over; later while the node is paused.
    func later(_ body: @escaping () -> Void) -> () -> Void {
        let began = run
        return { [self] in
            guard run == began else { return }
            if world.now < pausedUntil {
                held.append { [self] in if run == began { body() } }
            } else {
                body()
            }
        }
    }

    func schedule(after delay: UInt64, _ body: @escaping () -> Void) {
        world.schedule(after: delay, later(body))
    }

    /// Stops in the middle of whatever it does, and goes on `span` later.
    func pause(for span: UInt64) {
        guard state != .down else { return }
        world.faults.draw(.pause)
        if !servedShards.allSatisfy({ $0.machine.isIdle }) { world.probes.reached(.pausedMidGroup) }
        pausedUntil = world.now + span
        world.schedule(after: span) { [self] in resume() }
    }

    func resume() {
        pausedUntil = 0
        let work = held
        held = []
        if !work.isEmpty { world.faults.took(.pause) }
        for body in work { body() }
    }

    /// Lets every machine go on as far as it can, once, however often it is asked to in between.
    func pump() {
        guard !isPumping else {
            pumpAgain = true
            return
        }
        isPumping = true
        let began = run
        repeat {
            pumpAgain = false
            pumpOnce()
        } while pumpAgain && run == began && world.violation == nil
        isPumping = false
        if run == began { setAlarm() }
    }

    /// Wakes the log at the moment it asked for, and never more often than once in a millisecond: a moment that has
    /// passed stands until the step that is under way has ended.
    private func setAlarm() {
        guard let deadline = log?.deadline else { return }
        let delay = deadline.nanoseconds(since: clock.monotonic)
        let time = world.now + max(delay, Span.millisecond)
        guard time < alarm || alarm <= world.now else { return }
        alarm = time
        schedule(after: time - world.now) { [self] in
            alarm = .max
            pump()
        }
    }

    // MARK: The end of a run

    /// The process is gone, at once. `power`: and with it what the disk had not yet kept.
    func crash(power: Bool) {
        guard state != .down else { return }
        if state == .starting { world.probes.reached(.crashedInRecovery) }
        world.trace.note(world.now, .crash, power ? 1 : 0) { "node: \(power ? "power cut" : "killed")" }
        endRun()
        crashStores()
        if power {
            disk.powerCut()
            for shard in incoming.indices { incoming[shard].powerCut(&random) }
        }
    }

    func crashStores() {
        for case let store? in stores { store.crash(flushCompletes: random.chance(1, in: 2)) }
    }

    func endRun() {
        run += 1
        state = .down
        repairClock()
        agent?.stop()
        shards = []
        for case let learner? in learners { learner.whenSettled = nil }
        learners = []
        log = nil
        held = []
        pausedUntil = 0
        waiting = [:]
        openRequests = 0
        alarm = .max
        isPumping = false
    }

    /// The simulation is over: lets go of everything that leads back here.
    func tearDown() {
        endRun()
        whenEnded = {}
        agent = nil
    }

    func beginRun() {
        run += 1
        runBegan = world.now
        state = .starting
    }
}

/// Who waits for an answer of a shard's machine.
enum ReplyTarget {
    case line(PendingRequest, Int)
    /// A line that finds its way through the cluster from this node.
    case routed(RoutedLine)
    /// Another node, which asked for it.
    case peer(Endpoint, request: UInt64, Line)
}

/// A request on its way through the node; its lines are answered together.
final class PendingRequest {
    let request: Request
    var answers: [Answer?]
    var missing: Int
    /// The last line so far on each entity, while it is on its way. Only looked up.
    var lastLines: [EntityKey: LastLine] = [:]

    struct LastLine {
        weak var line: RoutedLine?
    }

    init(_ request: Request, lines: Int) {
        self.request = request
        answers = Array(repeating: nil, count: lines)
        missing = lines
    }
}
