import Entities
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
        var uncommitted: [[UInt8]] = []
        var firstUncommitted: Position
        /// The place in the log of the last durable record, for the store's mark.
        var durableLSN = LSN.zero
        var isApplying = false

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
    let endpoint: Endpoint
    let mutants: Mutants
    var random: SplitMix64
    let send: (Message, Endpoint) -> Void

    var state = State.down
    /// Counts runs of the process; what an earlier one began concerns nobody any more.
    private(set) var run: UInt64 = 0
    var stores: [VirtualStore] = []
    /// By shard; empty while down.
    var shards: [Shard] = []
    var log: NodeLog?
    var steadyClock = SteadyClock(wall: .zero, monotonic: .zero, floor: .zero)
    var pausedUntil: UInt64 = 0
    private var held: [() -> Void] = []

    var nextTicket: Ticket = 1
    /// Tickets on their way, to the request and line they answer.
    var waiting: [Ticket: (request: PendingRequest, line: Int)] = [:]
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
        endpoint = .node(index)
        logAudit = LogAudit(world: world)
        disk = VirtualDisk(world: world, settings: options.disk, random: self.random.split())
        clock = VirtualClock(
            world: world, offset: self.random.below(1000 * Span.second), drift: options.clockDrift,
            wallError: Int64(self.random.below(7_200_000)) - 3_600_000)
        stores = (0..<options.shardCount).map { _ in
            VirtualStore(cacheRows: options.cacheRows, mutants: mutants)
        }
        logAudit.committed = { [log = audit.log] in log.end($0) }
        logAudit.flushed = { [unowned self] in stores[Int($0.rawValue)].flushedMark.position }
    }

    /// The time that decides expiry.
    var now: Timestamp {
        mutants.has(.expiryByJumpingClock) ? clock.wall : steadyClock.now(clock.monotonic)
    }

    func shard(of key: EntityKey) -> Shard { shards[Int(audit.shardOf(key).rawValue)] }

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
        if !shards.allSatisfy({ $0.machine.isIdle }) { world.probes.reached(.pausedMidGroup) }
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
        for store in stores { store.crash(flushCompletes: random.chance(1, in: 2)) }
        if power { disk.powerCut() }
    }

    func endRun() {
        run += 1
        state = .down
        shards = []
        log = nil
        held = []
        pausedUntil = 0
        waiting = [:]
        openRequests = 0
        alarm = .max
        isPumping = false
    }

    func beginRun() {
        run += 1
        audit.run = Int(run)
        state = .starting
    }
}

/// A request on its way through the node; its lines are answered together.
final class PendingRequest {
    let request: Request
    var answers: [Answer?]
    var missing: Int

    init(_ request: Request, lines: Int) {
        self.request = request
        answers = Array(repeating: nil, count: lines)
        missing = lines
    }
}
