import ClusterCore
import HashRing
import LogCore
import LogFormat
import Primitives

/// Brings trouble at random moments: crashes and restarts, cuts and clogs, sick disks, jumping clocks, rot, and a
/// metadata store that is away.
final class Nemesis {
    private let world: World
    private let options: SimulationOptions
    private let nodes: [Node]
    private let network: VirtualNetwork<Message>
    private let metadata: VirtualMetadataStore?
    private var random: SplitMix64
    /// Of starts under wrong clocks: a stream of its own, so that the rest of a seed is the same without them.
    private var clocks: SplitMix64
    private let atlas: FaultAtlas
    private var isOver = false

    init(
        world: World, options: SimulationOptions, nodes: [Node], network: VirtualNetwork<Message>,
        metadata: VirtualMetadataStore?, audit: Audit, random: SplitMix64
    ) {
        self.world = world
        self.options = options
        self.nodes = nodes
        self.network = network
        self.metadata = metadata
        self.random = random
        clocks = SplitMix64(seed: options.seed ^ 0x636C_6F63_6B73_0000)
        atlas = FaultAtlas(world: world, audit: audit, random: self.random.split())
    }

    private typealias Trouble = (fault: Fault, bring: (Node) -> Void)

    private lazy var troubles: [Trouble] = {
        var troubles: [Trouble] = [
            (.crash, { [unowned self] in crash($0) }),
            (.crash, { [unowned self] in crash($0) }),
            (.gracefulRestart, { [unowned self] in drain($0) }),
            (.oneWayCut, { [unowned self] in cut($0, oneWay: true) }),
            (.fullCut, { [unowned self] in cut($0, oneWay: false) }),
            (.clog, { [unowned self] in clog($0) }),
            (.slowDisk, { [unowned self] in $0.disk.slowDown(times: 2 + random.below(UInt64(40)), for: span(2_000)) }),
            (.hungDisk, { [unowned self] in $0.disk.hangNext(for: span(4_000)) }),
            (.diskFull, { [unowned self] in $0.disk.fill(for: span(6_000)) }),
            (.pause, { [unowned self] in $0.pause(for: span(3_000)) }),
            (.wallClockJump, { [unowned self] in jump($0) }),
        ]
        guard let metadata else { return troubles }
        troubles += [
            (.metadataOutage, { [unowned self] _ in outage(metadata) }),
            (
                .metadataCompaction,
                { [unowned self] _ in
                    world.faults.hit(.metadataCompaction)
                    metadata.compact(through: metadata.revision)
                }
            ),
            (.peerCut, { [unowned self] in cutPeers($0) }),
            (.peerCut, { [unowned self] in cutPeers($0) }),
            (.longAbsence, { [unowned self] in leave($0) }),
        ]
        return troubles
    }()

    /// Begins, and goes on until ``stop()``.
    func start() {
        if options.clockDrift != 0 { world.faults.hit(.clockDrift) }
        for node in nodes {
            node.agent?.whenHandingOver = { [unowned self] target in strike(node, handingOverTo: target) }
            if node.agent?.isKnown != false { restart(node, after: 0) }
        }
        next()
    }

    /// A crash seldom meets a handover by chance, for the moment is short. So one of the two nodes is sometimes cut off
    /// in it, and is perhaps back before the metadata store has decided.
    private func strike(_ source: Node, handingOverTo target: NodeID) {
        let strikes = random.chance(1, in: 8)
        let victim = random.chance(2, in: 3) ? source : nodes.first { $0.agent?.name == target }
        let delay = span(10)
        guard strikes, options.faults.contains(.crash), let victim, !isOver else { return }
        world.schedule(after: delay) { [self] in
            if !isOver { crash(victim, for: 100) }
        }
    }

    /// Starts a node that has been made a member, unless it was started before.
    func join(_ node: Node) {
        guard let agent = node.agent, !agent.isKnown else { return }
        agent.isKnown = true
        restart(node, after: 0)
    }

    private func next() {
        world.schedule(after: random.below(options.troubleNanoseconds * 2)) { [self] in
            guard !isOver else { return }
            let (fault, bring) = troubles[random.below(troubles.count)]
            let node = nodes.count == 1 ? nodes[0] : nodes[random.below(nodes.count)]
            if options.faults.contains(fault) { bring(node) }
            next()
        }
    }

    private func span(_ milliseconds: UInt64) -> UInt64 { random.below(milliseconds * Span.millisecond) }

    private func crash(_ node: Node, for milliseconds: UInt64 = 800) {
        guard node.state != .down else { return }
        world.faults.hit(.crash)
        node.crash(power: random.chance(3, in: 4))
        takeOldCopyBack(node)
        if node.agent == nil { atlas.afterCrash(node, options.faults) } else { rotIncoming(node) }
        restart(node, after: span(milliseconds))
    }

    /// Past the end of its session, so that the controller plans without it; and then it is there again.
    private func leave(_ node: Node) {
        guard node.state != .down else { return }
        world.faults.hit(.longAbsence)
        node.crash(power: random.chance(1, in: 2))
        takeOldCopyBack(node)
        stayAway(node, until: world.now + random.below(4 * NodeAgent.sessionNanoseconds))
    }

    private func stayAway(_ node: Node, until end: UInt64) {
        guard !isOver, world.now < end else { return restart(node, after: 0) }
        world.schedule(after: 100 * Span.millisecond) { [self] in stayAway(node, until: end) }
    }

    /// One node that no shard is on, or on its way to or from, is never started again: what others have planned with
    /// it must end all the same. While something is drained there may be no other place than this node.
    private func leaveOneDead() {
        let strikes = random.chance(1, in: 2)
        let choice = random.below(nodes.count)
        guard strikes, options.faults.contains(.leftDead), let map = metadata?.newestMap,
            !map.operations.contains(where: { $0.kind == .drain && !$0.state.isFinished })
        else { return }
        var needed = Set(map.shards.map(\.primary))
        for case let move? in map.shards.map(\.move) { needed.formUnion([move.from, move.to]) }
        let node = nodes[choice]
        guard let agent = node.agent, agent.isKnown, !agent.isGone, !needed.contains(agent.name) else { return }
        world.faults.hit(.leftDead)
        agent.isLeftDead = true
        if node.state != .down { node.crash(power: false) }
    }

    private func drain(_ node: Node) {
        guard node.state == .serving else { return }
        world.faults.hit(.gracefulRestart)
        node.drain()
    }

    /// Starts the node again, and sometimes cuts it off while it is opening the log.
    private func restart(_ node: Node, after delay: UInt64) {
        world.schedule(after: delay) { [self] in
            if let agent = node.agent, agent.isGone || agent.isLeftDead { return }
            giveOldCopy(node)
            setClockWrong(node)
            node.start(ended: { [self] in
                atlas.undo(node.disk)
                takeOldCopyBack(node)
                restart(node, after: 50 * Span.millisecond + span(500))
            })
            let dies = random.chance(1, in: 3)
            guard !isOver, options.faults.contains(.crashDuringRecovery), dies else { return }
            world.faults.draw(.crashDuringRecovery)
            let window: UInt64 = node.agent == nil ? 8 : 30
            world.schedule(after: span(window)) { [self] in
                guard node.state == .starting, !isOver else { return }
                world.faults.took(.crashDuringRecovery)
                node.crash(power: random.chance(1, in: 2))
                takeOldCopyBack(node)
                restart(node, after: span(100))
            }
        }
    }

    // MARK: The network

    private func cut(_ node: Node, oneWay: Bool) {
        let client = Endpoint.client(random.below(options.clients))
        if random.chance(1, in: 2) {
            network.cut(client, node.endpoint, oneWay: oneWay, for: span(3_000))
        } else {
            network.cut(node.endpoint, client, oneWay: oneWay, for: span(3_000))
        }
    }

    private func cutPeers(_ node: Node) {
        let other = nodes[random.below(nodes.count)]
        guard other !== node else { return }
        world.faults.hit(.peerCut)
        network.cut(node.endpoint, other.endpoint, oneWay: random.chance(1, in: 2), for: span(4_000))
    }

    private func clog(_ node: Node) {
        let client = Endpoint.client(random.below(options.clients))
        if random.chance(1, in: 2) {
            network.clog(client, node.endpoint, for: span(2_000))
        } else {
            network.clog(node.endpoint, client, for: span(2_000))
        }
    }

    // MARK: Clocks and disks

    private func jump(_ node: Node) {
        world.faults.hit(.wallClockJump)
        let milliseconds = Int64(random.below(UInt64(40_000))) - 20_000
        if milliseconds < 0 { world.probes.reached(.rewoundWallClock) }
        node.clock.jump(milliseconds: milliseconds)
    }

    /// Somebody starts the node while its clock is wrong by hours or by years, sees it, and repairs the clock before
    /// anybody has asked for anything.
    private func setClockWrong(_ node: Node) {
        let errors: [Int64] = [3600, 30 * 86_400, 300 * 86_400, 2 * 365 * 86_400, -86_400, -60 * 365 * 86_400]
        let strikes = clocks.chance(1, in: 6)
        let seconds = errors[clocks.below(errors.count)]
        guard strikes, !isOver, options.faults.contains(.wallClockJump), node.state == .down else { return }
        world.faults.hit(.wallClockJump)
        world.probes.reached(.idleStart)
        node.startIdle(clockError: seconds * 1000)
    }

    private func rotIncoming(_ node: Node) {
        let strikes = random.chance(1, in: 2)
        guard strikes, options.faults.contains(.incomingRot) else { return }
        world.faults.draw(.incomingRot)
        for shard in node.incoming.indices where node.incoming[shard].rot(&random) {
            return world.faults.took(.incomingRot)
        }
    }

    // MARK: The metadata store

    private func outage(_ metadata: VirtualMetadataStore) {
        world.faults.hit(.metadataOutage)
        metadata.goDown(for: span(6_000))
    }

    /// Sometimes a node's disk is an old copy of itself: it must not start with that.
    private func giveOldCopy(_ node: Node) {
        guard let agent = node.agent, !isOver else { return }
        let strikes = random.chance(1, in: 8)
        guard strikes, options.faults.contains(.staleCopy), agent.identity.bootCount > 1 else { return }
        world.faults.draw(.staleCopy)
        agent.takeOldCopy(behind: 1 + random.below(min(3, agent.identity.bootCount - 1)))
    }

    private func takeOldCopyBack(_ node: Node) { node.agent?.takeBackOldCopy() }

    /// The liveness phase: everything heals, and the nodes are up or coming up.
    func stop() {
        isOver = true
        world.quiet = true
        network.heal()
        metadata?.heal()
        metadata?.isCalm = true
        for node in nodes {
            node.disk.heal()
            if node.pausedUntil > world.now { node.resume() }
        }
        leaveOneDead()
    }
}
