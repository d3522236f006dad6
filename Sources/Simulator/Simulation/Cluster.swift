import ClusterCore
import Entities
import HashRing
import Primitives
import ShardCore

/// The parts of one simulation, put together: clients, a network, and the nodes behind it.
final class Cluster {
    let world: World
    let options: SimulationOptions
    let history = History()
    let log: CommittedLog
    let context: WorkloadContext
    private let audit: Audit
    private let nodes: [Node]
    private let metadata: VirtualMetadataStore?
    private let operators: Operators?
    private let network: VirtualNetwork<Message>
    private let nemesis: Nemesis
    private let workloads: [any Workload]
    private var clients: [ClientSession] = []
    private var budget: Int
    private let shardOf: (EntityKey) -> ShardID
    private(set) var refereed = 0
    private var random: SplitMix64

    init(world: World, options: SimulationOptions, mutants: Mutants) {
        self.world = world
        self.options = options
        // Every part draws from a stream of its own, so that switching one off leaves the others as they were.
        var random = SplitMix64(seed: options.seed)
        let shardCount = UInt64(options.shardCount)
        let shardOf: (EntityKey) -> ShardID = { key in
            ShardID(UInt32(key.ringHash.multipliedFullWidth(by: shardCount).high))
        }
        self.shardOf = shardOf
        log = CommittedLog(shardCount: options.shardCount)
        audit = Audit(world: world, history: history, log: log, shardOf: shardOf)
        context = WorkloadContext(
            world: world, options: options, history: history, log: log, shardOf: shardOf, random: random.split())
        workloads = options.workloads.map { $0.make() }
        budget = options.operations
        let router = Router()
        network = VirtualNetwork(world: world, settings: options.network, random: random.split()) {
            router.deliver($0, $1)
        }
        var more = SplitMix64(seed: options.seed ^ 0x6E6F_6465_7300)
        let nodes = (0..<options.nodeCount).map { [network, audit] index in
            Node(
                world: world, options: options, audit: audit, index: index, mutants: mutants,
                random: index == 0 ? random.split() : more.split()
            ) { message, endpoint in
                network.send(message, from: .node(index), to: endpoint, mayRepeat: false)
            }
        }
        self.nodes = nodes
        let founding = options.cluster.map { [audit] in
            Founding($0, options, nodes, world: world, audit: audit, random: &more)
        }
        metadata = founding?.metadata
        operators = founding?.operators
        nemesis = Nemesis(
            world: world, options: options, nodes: nodes, network: network, metadata: metadata, audit: audit,
            random: random.split())
        self.random = random.split()
        operators?.nemesis = nemesis
        makeClients()
        router.cluster = self
    }

    /// Stands between the network and the cluster that is still being put together.
    private final class Router {
        weak var cluster: Cluster?

        func deliver(_ endpoint: Endpoint, _ message: Message) { cluster?.deliver(endpoint, message) }
    }

    private func makeClients() {
        for index in 0..<options.clients {
            clients.append(
                ClientSession(
                    index: index, context: context, audit: audit, workloads: workloads, random: random.split(),
                    mayStart: { [unowned self] in
                        budget -= 1
                        return budget >= 0 && !world.quiet
                    },
                    send: { [unowned self] request, mayRepeat in
                        network.send(
                            .request(request), from: request.client, to: anyNode(), mayRepeat: mayRepeat)
                    }))
        }
    }

    private func deliver(_ endpoint: Endpoint, _ message: Message) {
        switch message {
        case .request(let request): nodes[Int(endpoint.rawValue)].receive(request)
        case .peer(let message, let from): nodes[Int(endpoint.rawValue)].receive(message, from: .node(from))
        case .reply(let reply): clients[Int(endpoint.rawValue) - 1000].receive(reply)
        }
    }

    /// A node that has been there: clients know no other.
    private func anyNode() -> Endpoint {
        guard nodes.count > 1 else { return nodes[0].endpoint }
        let known = nodes.filter { node in node.agent.map { $0.isKnown && !$0.isGone && !$0.isLeftDead } ?? false }
        return known[random.below(known.count)].endpoint
    }

    var handovers: Int { audit.owners?.handovers ?? 0 }

    // MARK: Phases

    /// Until the budget of operations is used up.
    func runSafety() {
        for workload in workloads { workload.setup(context) }
        nemesis.start()
        operators?.start()
        for client in clients { client.work() }
        while budget > 0, world.runNext() {}
    }

    /// Everything heals. Then each entity is read and each shard written, by clients that insist.
    func runLiveness() {
        world.trace.note(world.now, .phase, 2) { "liveness phase" }
        nemesis.stop()
        var open = 0
        let deadline = world.now + Simulation.livenessNanosecondsMax
        for (index, final) in finalLines().enumerated() {
            open += 1
            clients[index % clients.count].insist(on: final.line, id: final.id) { open -= 1 }
        }
        while open > 0, world.now < deadline, world.runNext() {}
        if open > 0 { world.fail(.liveness, "\(open) requests are not answered after everything healed") }
        if world.violation == nil, options.cluster != nil { settle() }
    }

    /// Every move that has begun ends, and nobody is left waiting.
    private func settle() {
        let deadline = world.now + Simulation.livenessNanosecondsMax
        operators?.letGoOn()
        while let owners = audit.owners, let operators, world.now < deadline,
            owners.movingCount > 0 || operators.hasOpenOperations, world.runNext()
        {}
        if let open = operators?.openOperations, !open.isEmpty {
            return world.fail(.operationsEnd, "after everything healed, these operations do not end: \(open)")
        }
        if let moving = audit.owners?.moving, !moving.isEmpty {
            let records = moving.compactMap { audit.owners?.record($0) }
            return world.fail(.movesEnd, "after everything healed, these moves do not end: \(records)")
        }
        let end = world.now + 4 * options.timeoutNanoseconds + Span.second
        while world.now < end, world.runNext() {}
        // The last event may have brought something late, which gets its time, too.
        let last = world.now + 4 * options.timeoutNanoseconds
        while nodes.contains(where: \.isHolding), world.now < last, world.runNext() {}
        for node in nodes where node.isHolding {
            world.fail(
                .heldAnswered,
                "node \(node.index) leaves \(node.openRequests) requests and \(node.waiting.count) operations "
                    + "unanswered")
        }
    }

    private func finalLines() -> [(line: Line, id: UInt64)] {
        var lines: [(line: Line, id: UInt64)] = log.keys.map { (.read(context.get($0)), 0) }
        var missing = Set((0..<UInt32(options.shardCount)).map { ShardID($0) })
        for index in 0..<1_000 where !missing.isEmpty {
            let key = context.key("final", index)
            guard missing.remove(shardOf(key)) != nil else { continue }
            let id = context.nextID()
            lines.append((.write(context.put(key, id: id, keyed: true)), id))
        }
        return lines
    }

    /// Lets go of everything, which is a knot of parts that know each other.
    func tearDown() {
        world.forgetEvents()
        for node in nodes { node.tearDown() }
        metadata?.tearDown()
        for client in clients { client.tearDown() }
    }

    func checkAll() {
        Linearizability(world: world, history: history, log: log, shardOf: shardOf).check()
        ScanCheck(world: world, history: history, log: log, shardOf: shardOf).check()
        for workload in workloads { workload.check(context) }
        referee()
        for chain in log.keys.map({ ($0, log.chain(of: $0)) }) {
            let records = chain.1.map { log[shardOf(chain.0), $0].effect.record }
            if zip(records, records.dropFirst()).contains(where: { $0 == nil && $1 != nil }) {
                world.probes.reached(.deletedAndCreatedAgain)
            }
        }
    }

    /// Lets the search checker go through a few entities that the sweep has passed.
    private func referee() {
        guard world.violation == nil, !log.keys.isEmpty else { return }
        for _ in 0..<2 {
            let key = log.keys[random.below(log.keys.count)]
            let operations = history.operations.filter { $0.line.key == key && $0.repeats == nil }
            switch Referee.judge(operations) {
            case .linearizable: refereed += 1
            case .notLinearizable:
                world.fail(
                    .refereeDisagrees,
                    "no order of the operations on \(key.text) explains their answers: "
                        + Referee.describe(operations))
            case .tooLarge, .notJudged: continue
            }
        }
    }
}

extension Node {
    /// It serves, and somebody still waits for an answer of it.
    fileprivate var isHolding: Bool { state == .serving && (openRequests > 0 || !waiting.isEmpty) }
}
