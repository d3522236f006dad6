import Foundation
import Primitives
import Testing

extension Cluster {
    /// Moves under load, and whatever takes part in them killed or paused in the middle: everything ends, nothing is
    /// lost, nothing happens twice.
    @Suite(.serialized) struct ChaosTests {
        static let rounds = Programs.setting("KEYSTEAD_CHAOS_ROUNDS", default: 5)

        @Test func movesSurviveWhateverIsKilled() throws {
            print("chaos: \(Self.rounds) rounds; KEYSTEAD_SEED=\(Cluster.seed) draws the same ones again")
            try withCluster("chaos", nodes: 4, etcdMembers: 3) { cluster in
                let bulk = BulkData(count: 2000, bytes: 4000)
                try bulk.write(through: cluster.endpoint("n1"))
                let load = ClusterLoad(cluster, seed: Cluster.seed)
                for round in 1...Self.rounds {
                    var chaos = ChaosRound(
                        cluster, load, SplitMix64(seed: Cluster.seed &* 6007 &+ UInt64(round)), number: round)
                    do {
                        try chaos.run()
                        try load.verify(in: cluster.folder)
                        for endpoint in cluster.endpoints { try bulk.verify(through: endpoint) }
                    } catch {
                        throw HarnessError("round \(round) of seed \(Cluster.seed): \(chaos.story)\n\(error)")
                    }
                    print("round \(round): \(chaos.story)\n  \(load.record.window("round \(round)").summary)")
                }
            }
        }
    }
}

/// One round: an operation, faults at random moments of it, healing, and the end of the operation.
private struct ChaosRound {
    private enum Fault {
        case kill(String)
        case pause(String)
        case killEtcd(Int)
        case pauseEtcd(Int)
    }

    private let cluster: TestCluster
    private let load: ClusterLoad
    private let number: Int
    private var generator: SplitMix64
    /// What was done, for the report.
    private(set) var story = ""

    init(_ cluster: TestCluster, _ load: ClusterLoad, _ generator: SplitMix64, number: Int) {
        self.cluster = cluster
        self.load = load
        self.generator = generator
        self.number = number
    }

    mutating func run() throws {
        let limit = [0, 1_000_000, 4_000_000, 16_000_000][generator.below(4)]
        try cluster.control("throttle", "set", "\(limit)").ended()
        try load.start(window: "round \(number)")
        defer { load.stop() }
        try load.awaitProgress(200)
        try begin()
        story += ", limit \(limit)"
        for _ in 0..<(1 + generator.below(3)) {
            usleep(UInt32(generator.below(1_200_000)))
            try strike(drawFault())
        }
        usleep(UInt32(generator.below(3_000_000)))
        try cluster.etcd.heal()
        try cluster.heal()
        try cluster.control("throttle", "set", "0").ended()
        try cluster.settle(within: 120)
        try load.awaitProgress(200)
    }

    // MARK: The operation

    private mutating func begin() throws {
        let picture = try cluster.settle()
        let active = picture.nodes.filter { $0.state == "active" }.map(\.id)
        if let away = picture.nodes.first(where: { $0.state != "active" }) {
            try cluster.control("node", "uncordon", away.id).ended()
            return try rebalance()
        }
        switch generator.below(4) {
        case 0:
            let id = active[generator.below(active.count)]
            story = "weight of \(id)"
            let weight = try picture.node(id).weight == 1 ? "3" : "1"
            try cluster.control("node", "weight", id, weight).ended()
            try rebalance()
        case 1:
            let shard = picture.shards[generator.below(picture.shards.count)]
            let others = active.filter { $0 != shard.primary }
            let target = others[generator.below(others.count)]
            story = "move of shard \(shard.shard) from \(shard.primary ?? "nobody") to \(target)"
            try cluster.control("shard", "move", "\(shard.shard)", "--to", target).ended()
        default:
            let id = active[generator.below(active.count)]
            story = "drain of \(id)"
            try cluster.control("node", "drain", id).ended()
        }
    }

    private mutating func rebalance() throws {
        let plan = try cluster.plan()
        story += " rebalance of \(plan.moves.count)"
        if !plan.moves.isEmpty { try cluster.control("rebalance", "commit", plan.plan).ended() }
    }

    // MARK: The faults

    /// A node that takes part in a move where there is one, any node, or a member of etcd.
    private mutating func drawFault() -> Fault {
        let isKill = generator.chance(1, in: 2)
        if generator.chance(1, in: 4) {
            let member = generator.below(cluster.etcd.count)
            return isKill ? .killEtcd(member) : .pauseEtcd(member)
        }
        var candidates = cluster.ids
        if generator.chance(2, in: 3) {
            let movers = moversNow()
            if !movers.isEmpty { candidates = movers }
        }
        let id = candidates[generator.below(candidates.count)]
        return isKill ? .kill(id) : .pause(id)
    }

    /// The two ends of every move under way, and the controller, as the first node that answers says.
    private func moversNow() -> [String] {
        for endpoint in cluster.endpoints {
            guard let picture = try? endpoint.picture(seconds: 2) else { continue }
            let ends = picture.moves.flatMap { [$0.from, $0.to] }
            return Set(ends + (picture.controller.map { [$0] } ?? [])).sorted()
        }
        return []
    }

    private mutating func strike(_ fault: Fault) throws {
        switch fault {
        case .kill(let id):
            story += ", kill \(id)"
            try cluster.crash(id)
            // Sometimes it is back before anyone has noticed.
            if generator.chance(1, in: 3) { try cluster.node(id).launch() }
        case .pause(let id):
            story += ", pause \(id)"
            try cluster.pause(id)
            if generator.chance(1, in: 3) {
                usleep(UInt32(generator.below(1_500_000)))
                try cluster.resume(id)
            }
        case .killEtcd(let member):
            story += ", kill etcd \(member)"
            try cluster.etcd.crash(member)
        case .pauseEtcd(let member):
            story += ", pause etcd \(member)"
            try cluster.etcd.pause(member)
        }
    }
}
