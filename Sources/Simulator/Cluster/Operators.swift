import ClusterCore
import HashRing
import Primitives

/// Those who run the cluster: they add nodes, rebalance, drain and remove, change weights, and change their minds. Each
/// command is decided on a reading of the map, as the admin interface does it.
final class Operators {
    private let world: World
    private let options: SimulationOptions
    private let shape: ClusterShape
    private let nodes: [Node]
    private let metadata: VirtualMetadataStore
    private var random: SplitMix64
    private var joined: Int
    /// What a new operation is stamped with.
    private var clock: Timestamp {
        Timestamp(milliseconds: UInt64(VirtualClock.origin) + world.now / Span.millisecond)
    }
    weak var nemesis: Nemesis?
    private var lookedUp = (at: MetadataRevision.zero, isOpen: false)

    init(
        world: World, options: SimulationOptions, shape: ClusterShape, nodes: [Node],
        metadata: VirtualMetadataStore, random: SplitMix64
    ) {
        self.world = world
        self.options = options
        self.shape = shape
        self.nodes = nodes
        self.metadata = metadata
        self.random = random
        joined = shape.founders
    }

    func start() { next() }

    private func next() {
        world.schedule(after: random.below(shape.operatorNanoseconds * 2)) { [self] in
            guard !world.quiet else { return }
            if random.chance(1, in: 4), joined < nodes.count { join() } else { command() }
            next()
        }
    }

    private func join() {
        let index = joined
        joined += 1
        metadata.transact(
            MetadataTransaction(
                if: [.absent(.node(Founding.name(index)))],
                then: [.put(.node(Founding.name(index)), Founding.record(index).encoded())])
        ) { [self] result in
            // A conflict: an earlier attempt came through, and only its answer was lost.
            guard case .success = result else { return joined = index }
            nemesis?.join(nodes[index])
        }
    }

    /// Starts what is registered, though the answer to that was lost.
    private func startRegistered(_ map: ClusterMap) {
        for (index, node) in nodes.enumerated() where map.node(Founding.name(index)) != nil { nemesis?.join(node) }
    }

    // MARK: Commands

    private func command() {
        metadata.range(MetadataKey("")) { [self] result in
            guard let read = try? result.get(), let map = metadata.map(read), !world.quiet else { return }
            run(choose(map), on: map)
        }
    }

    private func run(_ command: AdminCommand, on map: ClusterMap) {
        let decision = AdminDecision.decide(command, on: map, now: clock)
        world.trace.note(world.now, .metadata, map.revision.rawValue) { "operator: \(command): \(decision)" }
        guard case .change(let transaction, _) = decision else { return }
        if case .cancel = command { world.faults.draw(.moveCancelledByOperator) }
        metadata.transact(transaction) { [self] result in
            guard case .success(.committed) = result, case .cancel = command else { return }
            world.faults.took(.moveCancelledByOperator)
        }
    }

    private func choose(_ map: ClusterMap) -> AdminCommand {
        let node = Founding.name(random.below(joined))
        let open = map.operations.filter { !$0.state.isFinished }
        let operation = open.isEmpty ? nil : open[random.below(open.count)].id
        let shard = ShardID(UInt32(random.below(options.shardCount)))
        switch random.below(20) {
        case 0..<6: return rebalance(map)
        case 6: return .drain(node)
        case 7, 8: return .uncordon(node)
        case 9: return random.chance(1, in: 3) ? .remove(node) : .cordon(node)
        case 10: return .weight(node, thousandths: 500 * random.below(UInt64(5)))
        case 11: return operation.map { .pause($0) } ?? rebalance(map)
        case 12, 13: return operation.map { .resume($0) } ?? rebalance(map)
        case 14 where options.faults.contains(.moveCancelledByOperator):
            return operation.map { .cancel($0) } ?? rebalance(map)
        default: return .move(shard, to: node)
        }
    }

    /// What is there is moved no more than counting asks for.
    private func rebalance(_ map: ClusterMap) -> AdminCommand {
        let proposal = RebalanceProposal.rebalance(map)
        if proposal.moves.count > proposal.lowerBound + proposal.lowerBound / 100 {
            world.fail(
                .minimalMovement, "a plan moves \(proposal.moves.count) shards, \(proposal.lowerBound) are enough")
        }
        return .commit(plan: proposal.plan)
    }

    // MARK: The end

    /// Everything that operators hold up goes on.
    func letGoOn() {
        metadata.range(MetadataKey("")) { [self] result in
            guard let read = try? result.get(), let map = metadata.map(read) else { return }
            startRegistered(map)
            for operation in map.operations where operation.state == .paused { run(.resume(operation.id), on: map) }
            for node in map.nodes where node.state == .cordoned || node.weight == .zero {
                if node.state == .cordoned { run(.uncordon(node.id), on: map) }
                if node.weight == .zero { run(.weight(node.id, thousandths: 1000), on: map) }
            }
            let open = map.operations.contains { !$0.state.isFinished }
            if open { world.schedule(after: Span.second) { [self] in letGoOn() } }
        }
    }

    /// Asked after each event: looked up once for each change of the metadata.
    var hasOpenOperations: Bool {
        if lookedUp.at != metadata.revision { lookedUp = (metadata.revision, !openOperations.isEmpty) }
        return lookedUp.isOpen
    }

    /// Operations that have not ended, by the last change of the metadata.
    var openOperations: [OperationRecord] { metadata.newestMap?.operations.filter { !$0.state.isFinished } ?? [] }
}
