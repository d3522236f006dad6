import Primitives
import Testing

@testable import Simulator

@Suite struct SimulationTests {
    /// Found bugs once, or stand for a kind of trouble; more of the same is the swarm's work.
    @Test(arguments: [1, 2, 3, 4, 5, 6, 722, 808, 976, 1226, 1790, 3263, 6823, 290_807] as [UInt64])
    func aSeedIsClean(seed: UInt64) {
        let result = Simulation(options: SimulationOptions(seed: seed)).run()
        #expect(result.violation == nil, "seed \(seed): \(result.violation?.detail ?? "")")
        // Seed 976 waits out so many faults that its clients reach no more.
        #expect(result.operations >= (seed == 976 ? 450 : 500))
        #expect(result.faultsEffective.reduce(0, +) >= Simulation.faultsMin)
    }

    @Test(arguments: [3, 11] as [UInt64])
    func aSeedGoesTheSameWayTwice(seed: UInt64) {
        let options = SimulationOptions(seed: seed)
        let first = Simulation(options: options).run()
        let second = Simulation(options: options, traceLinesMax: 10).run()
        #expect(first.traceHash == second.traceHash && first.events == second.events)
        #expect(second.trace.count == 10)
    }

    @Test func seedsDiffer() {
        let hashes = (1...4).map { Simulation(options: SimulationOptions(seed: $0)).run().traceHash }
        #expect(Set(hashes).count == 4)
    }

    @Test func aRunWithoutFaultsThatShouldHaveSomeFails() {
        var options = SimulationOptions(seed: 5)
        options.faults = FaultSet([.hungDisk])
        options.troubleNanoseconds = 1 << 60
        // A cold cache misses each row once, and that counts: so few rows that it stays below what is asked for.
        options.cacheRows = 1 << 20
        options.entities = 3
        options.workloads = [.registers]
        let result = Simulation(options: options).run()
        #expect(result.violation?.checker == .faultsTookEffect)
    }
}
