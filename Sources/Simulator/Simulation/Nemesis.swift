import LogCore
import LogFormat
import Primitives

/// Brings trouble at random moments: crashes and restarts, cuts and clogs, sick disks, jumping clocks, rot.
final class Nemesis {
    private let world: World
    private let options: SimulationOptions
    private let node: Node
    private let network: VirtualNetwork<Message>
    private var random: SplitMix64
    private let atlas: FaultAtlas
    private var isOver = false

    init(
        world: World, options: SimulationOptions, node: Node, network: VirtualNetwork<Message>, audit: Audit,
        random: SplitMix64
    ) {
        self.world = world
        self.options = options
        self.node = node
        self.network = network
        self.random = random
        atlas = FaultAtlas(world: world, audit: audit, random: self.random.split())
    }

    private typealias Trouble = (fault: Fault, bring: () -> Void)

    private lazy var troubles: [Trouble] = [
        (.crash, { [unowned self] in crash() }),
        (.crash, { [unowned self] in crash() }),
        (.gracefulRestart, { [unowned self] in drain() }),
        (.oneWayCut, { [unowned self] in cut(oneWay: true) }),
        (.fullCut, { [unowned self] in cut(oneWay: false) }),
        (.clog, { [unowned self] in clog() }),
        (.slowDisk, { [unowned self] in node.disk.slowDown(times: 2 + random.below(UInt64(40)), for: span(2_000)) }),
        (.hungDisk, { [unowned self] in node.disk.hangNext(for: span(4_000)) }),
        (.diskFull, { [unowned self] in node.disk.fill(for: span(6_000)) }),
        (.pause, { [unowned self] in node.pause(for: span(3_000)) }),
        (.wallClockJump, { [unowned self] in jump() }),
    ]

    /// Begins, and goes on until ``stop()``.
    func start() {
        if options.clockDrift != 0 { world.faults.hit(.clockDrift) }
        restart(after: 0)
        next()
    }

    private func next() {
        world.schedule(after: random.below(options.troubleNanoseconds * 2)) { [self] in
            guard !isOver else { return }
            let (fault, bring) = troubles[random.below(troubles.count)]
            if options.faults.contains(fault) { bring() }
            next()
        }
    }

    private func span(_ milliseconds: UInt64) -> UInt64 { random.below(milliseconds * Span.millisecond) }

    private func crash() {
        guard node.state != .down else { return }
        world.faults.hit(.crash)
        node.crash(power: random.chance(3, in: 4))
        atlas.afterCrash(node, options.faults)
        restart(after: span(800))
    }

    private func drain() {
        guard node.state == .serving else { return }
        world.faults.hit(.gracefulRestart)
        node.drain()
    }

    /// Starts the node again, and sometimes cuts it off while it is opening the log.
    private func restart(after delay: UInt64) {
        world.schedule(after: delay) { [self] in
            node.start(ended: { [self] in
                atlas.undo(node.disk)
                restart(after: 50 * Span.millisecond + span(500))
            })
            let dies = random.chance(1, in: 3)
            guard !isOver, options.faults.contains(.crashDuringRecovery), dies else { return }
            world.faults.draw(.crashDuringRecovery)
            world.schedule(after: span(8)) { [self] in
                guard node.state == .starting, !isOver else { return }
                world.faults.took(.crashDuringRecovery)
                node.crash(power: random.chance(1, in: 2))
                restart(after: span(100))
            }
        }
    }

    private func cut(oneWay: Bool) {
        let client = Endpoint.client(random.below(options.clients))
        if random.chance(1, in: 2) {
            network.cut(client, node.endpoint, oneWay: oneWay, for: span(3_000))
        } else {
            network.cut(node.endpoint, client, oneWay: oneWay, for: span(3_000))
        }
    }

    private func clog() {
        let client = Endpoint.client(random.below(options.clients))
        if random.chance(1, in: 2) {
            network.clog(client, node.endpoint, for: span(2_000))
        } else {
            network.clog(node.endpoint, client, for: span(2_000))
        }
    }

    private func jump() {
        world.faults.hit(.wallClockJump)
        let milliseconds = Int64(random.below(UInt64(40_000))) - 20_000
        if milliseconds < 0 { world.probes.reached(.rewoundWallClock) }
        node.clock.jump(milliseconds: milliseconds)
    }

    /// The liveness phase: everything heals, and the node is up or coming up.
    func stop() {
        isOver = true
        world.quiet = true
        network.heal()
        node.disk.heal()
        if node.pausedUntil > world.now { node.resume() }
    }
}
