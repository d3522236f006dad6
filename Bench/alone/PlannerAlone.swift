import ArgumentParser
import Glibc
import HashRing
import Primitives

/// The planner at paper scale: one change after the other to a large cluster, each planned from the result of the one
/// before. Prints what each plan moves beside what must move, and how long it took; exits 1 where a plan is not
/// minimal, not level, or not at rest.
struct PlannerAlone: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "planner", abstract: "Plans for a large cluster, with their times.")

    @Option(help: "Nodes.")
    var nodes = 1000

    @Option(help: "Shards, a power of two.")
    var shards = 16_384

    @Option(help: "Replicas of each shard.")
    var replicas = 3

    @Option(help: "Zones that the nodes are spread over.")
    var zones = 10

    func validate() throws {
        guard (2...10_000).contains(nodes) else { throw ValidationError("--nodes is 2 to 10000") }
        guard Ring.isShardCount(shards) else { throw ValidationError("--shards is a power of two up to 65536") }
        guard (1...nodes).contains(replicas), (1...nodes).contains(zones) else {
            throw ValidationError("--replicas and --zones are 1 to the number of nodes")
        }
    }

    func run() throws {
        var cluster = (0..<nodes).map { description($0) }
        var assignment = Assignment(shardCount: shards)
        var isSound = true
        let step = { (name: String) in
            let (plan, seconds) = Self.timed { planned(assignment, cluster) }
            let rest = planned(plan.result, cluster)
            let most = Self.mostOverQuota(plan)
            print(Self.line(name, plan, seconds: seconds, isAtRest: rest.isEmpty, mostOverQuota: most))
            let isMinimal = plan.copies * 100 <= plan.lowerBoundMoves * 101
            isSound = isSound && isMinimal && rest.isEmpty && most <= 1 && plan.shardsShortOfReplicas.isEmpty
            assignment = plan.result
        }
        step("first placement")
        cluster.append(description(nodes))
        step("one node joins")
        cluster[nodes / 2].state = .draining
        step("one node is drained")
        cluster[nodes / 3].weight = NodeWeight(thousandths: 2000)
        step("one node weighs twice as much")
        cluster += (1...max(1, nodes / 10)).map { description(nodes + $0) }
        step("a tenth more nodes join")
        if !isSound { throw ExitCode(1) }
    }

    private func planned(_ assignment: Assignment, _ cluster: [NodeDescription]) -> RebalancePlan {
        RebalancePlanner.plan(current: assignment, nodes: cluster, replicationFactor: replicas)
    }

    private func description(_ number: Int) -> NodeDescription {
        guard let id = NodeID("n\(number)") else { preconditionFailure("n and a number name a node") }
        return NodeDescription(id: id, zone: "z\(number % zones)")
    }

    private static func timed<R>(_ body: () -> R) -> (R, Double) {
        let began = nanoseconds()
        let result = body()
        return (result, Double(nanoseconds() - began) / 1e9)
    }

    private static func nanoseconds() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    private static func mostOverQuota(_ plan: RebalancePlan) -> Int {
        let counts = plan.result.replicaCounts()
        return plan.quotas.map { (counts[$0.node] ?? 0) - $0.replicas }.max() ?? 0
    }

    private static func line(
        _ name: String, _ plan: RebalancePlan, seconds: Double, isAtRest: Bool, mostOverQuota: Int
    ) -> String {
        "{\"change\":\"\(name)\",\"seconds\":\(seconds),\"copies\":\(plan.copies),"
            + "\"lower-bound\":\(plan.lowerBoundMoves),\"primary-changes\":\(plan.primaryChanges.count),"
            + "\"most-over-quota\":\(mostOverQuota),\"empty-plan-afterwards\":\(isAtRest)}"
    }
}
