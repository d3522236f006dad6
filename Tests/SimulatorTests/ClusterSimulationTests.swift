import Primitives
import Testing

@testable import Simulator

@Suite struct ClusterSimulationTests {
    /// Found bugs once, or stand for a kind of trouble; more of the same is the swarm's work.
    @Test(
        arguments: [
            1, 2, 3, 6, 11, 36, 40, 151, 173, 100_250, 200_002, 200_051, 308_612, 309_868, 312_363, 712_610,
        ] as [UInt64])
    func aSeedIsClean(seed: UInt64) {
        let result = Simulation(options: SimulationOptions(clusterSeed: seed)).run()
        #expect(result.violation == nil, "seed \(seed): \(result.violation?.detail ?? "")")
        #expect(result.operations >= 500)
        #expect(result.faultsEffective.reduce(0, +) >= Simulation.faultsMin)
    }

    @Test func aSeedGoesTheSameWayTwice() {
        let options = SimulationOptions(clusterSeed: 5)
        let first = Simulation(options: options).run()
        let second = Simulation(options: options, traceLinesMax: 10).run()
        #expect(first.traceHash == second.traceHash && first.events == second.events)
        #expect(first.handovers > 0)
    }

    /// What a node alone draws stays as it is: a seed is the same run with and without the faults of clusters.
    @Test func aClusterLeavesTheRunsOfANodeAlone() {
        let alone = SimulationOptions(seed: 9)
        #expect(alone.cluster == nil && alone.faults.members.allSatisfy(Fault.ofOneNode.contains))
        let cluster = SimulationOptions(clusterSeed: 9)
        #expect(cluster.cluster != nil && cluster.faults.members.allSatisfy { !Fault.notOfClusters.contains($0) })
    }
}
