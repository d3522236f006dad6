import HashRing
import Primitives
import Testing

/// The laws of the planner over long random lives of a cluster, each step from the layout that the last one left.
@Suite struct RebalanceSequenceTests {
    /// A way to live: how many replicas and zones, and what may happen.
    struct Life: Sendable, CustomTestStringConvertible {
        let replicas: Int
        let zones: Int
        let weighted: Bool

        var testDescription: String { "\(replicas) replicas, \(zones) zones\(weighted ? ", weighted" : "")" }
    }

    static let lives: [Life] = [1, 2, 3].flatMap { replicas in
        [1, 2, 3, 5].flatMap { zones in
            [false, true].map { Life(replicas: replicas, zones: zones, weighted: $0) }
        }
    }

    enum Event: Equatable {
        case join(NodeID)
        case leave(NodeID)
        case other
    }

    static let shardCount = 32

    @Test(arguments: lives)
    func laws(life: Life) throws {
        var copies = 0
        var fewest = 0
        for seed in 0..<2 {
            var cluster = Cluster(life: life, seed: UInt64(seed))
            var current = Assignment(shardCount: Self.shardCount)
            for step in 0..<14 {
                let event = cluster.live(step)
                let plan = RebalancePlanner.plan(
                    current: current, nodes: cluster.nodes, replicationFactor: life.replicas)
                let place = "seed \(seed) step \(step) \(event)"
                checkLegal(plan, cluster, life, place)
                if life.replicas == 1 { checkOnlyTheChangedMove(plan, event, place) }
                let again = RebalancePlanner.plan(
                    current: plan.result, nodes: cluster.nodes, replicationFactor: life.replicas)
                #expect(again.isEmpty, "\(place): \(again.moves) \(again.primaryChanges)")
                let least = try #require(
                    FewestCopies.count(
                        current: current, nodes: cluster.nodes, quotas: plan.quotas, replicas: life.replicas,
                        spread: cluster.spread), "\(place)")
                #expect(plan.lowerBoundMoves <= least && least <= plan.copies, "\(place)")
                copies += plan.copies
                fewest += least
                current = plan.result
            }
        }
        #expect(copies * 100 <= fewest * 101, "\(copies) copies where \(fewest) would do")
        if life.replicas == 1 { #expect(copies == fewest) }
    }

    /// Every shard has its replicas, apart from each other, on nodes that may have them, and nobody is over quota by
    /// more than one.
    private func checkLegal(_ plan: RebalancePlan, _ cluster: Cluster, _ life: Life, _ place: String) {
        let nodes = Dictionary(uniqueKeysWithValues: cluster.nodes.map { ($0.id, $0) })
        let usable = cluster.nodes.filter { $0.state.keepsReplicas }
        let zoneCount = Set(usable.map(\.zone)).count
        #expect(plan.shardsShortOfReplicas.isEmpty, "\(place)")
        if zoneCount >= life.replicas { #expect(plan.shardsSharingZones.isEmpty, "\(place)") }
        for placement in plan.result.placements {
            #expect(placement.replicas.count == life.replicas, "\(place)")
            #expect(placement.primary.map(placement.replicas.contains) == true, "\(place)")
            for replica in placement.replicas { #expect(nodes[replica]?.state.keepsReplicas == true, "\(place)") }
        }
        let counts = plan.result.replicaCounts()
        for quota in plan.quotas {
            #expect(counts[quota.node] ?? 0 <= quota.replicas + 1, "\(place)")
            #expect(counts[quota.node] ?? 0 >= quota.replicas - 1, "\(place)")
        }
        #expect(plan.quotas.reduce(0) { $0 + $1.replicas } == Self.shardCount * life.replicas, "\(place)")
    }

    private func checkOnlyTheChangedMove(_ plan: RebalancePlan, _ event: Event, _ place: String) {
        switch event {
        case .join(let joiner): #expect(plan.moves.allSatisfy { $0.to == joiner }, "\(place)")
        case .leave(let leaver): #expect(plan.moves.allSatisfy { $0.from == leaver }, "\(place)")
        case .other: break
        }
    }

    /// Nodes that come, go and change, never too few for the replicas.
    struct Cluster {
        private(set) var nodes: [NodeDescription] = []
        private var random: SplitMix64
        private let life: Life
        private var named = 0

        init(life: Life, seed: UInt64) {
            self.life = life
            random = SplitMix64(seed: seed)
        }

        mutating func live(_ step: Int) -> Event {
            guard step > 0 else {
                for _ in 0..<(life.zones * 2 + 1) { add() }
                return .other
            }
            let index = random.below(nodes.count)
            switch random.below(6) {
            case 0, 1: return .join(add())
            case 2, 3:
                guard canLose(index) else { return .join(add()) }
                return .leave(nodes.remove(at: index).id)
            case 4 where life.weighted:
                nodes[index].weight = NodeWeight(thousandths: UInt32(random.below(3000) + 200))
            case 5 where life.replicas == 1:
                nodes[index].zone = "z\(random.below(life.zones))"
            default:
                if nodes[index].state == .active, canLose(index) {
                    nodes[index].state = random.chance(1, in: 2) ? .cordoned : .maintenance
                } else {
                    nodes[index].state = .active
                }
            }
            return .other
        }

        @discardableResult
        private mutating func add() -> NodeID {
            named += 1
            guard let id = NodeID("node-\(named)") else { fatalError("a good name") }
            let weight = life.weighted ? UInt32(random.below(3000) + 200) : 1000
            nodes.append(
                NodeDescription(
                    id: id, weight: NodeWeight(thousandths: weight), zone: "z\(named % life.zones)", state: .active))
            return id
        }

        /// The fewest replicas of a shard that a zone must be allowed for all of them to have room.
        var spread: Int {
            let zones = Dictionary(grouping: nodes.filter { $0.state.keepsReplicas }, by: \.zone).values.map(\.count)
            return (1...life.replicas).first { spread in
                zones.reduce(0) { $0 + min(spread, $1) } >= life.replicas
            } ?? life.replicas
        }

        /// Whether each zone would still have an active node beside this one.
        private func canLose(_ index: Int) -> Bool {
            let others = nodes.indices.filter { $0 != index && nodes[$0].state == .active }
            return others.count > life.replicas && others.contains { nodes[$0].zone == nodes[index].zone }
        }
    }
}
