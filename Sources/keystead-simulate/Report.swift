import Primitives
import Simulator

/// What is told of runs.
enum Report {
    static func describe(_ options: SimulationOptions) {
        print(
            """
            operations \(options.operations), clients \(options.clients), entities \(options.entities), \
            shards \(options.shardCount), segments of \(options.segmentBytes) bytes
            workloads: \(options.workloads.map { "\($0)" }.joined(separator: " "))
            faults: \(options.faults.members.map(\.name).joined(separator: " "))
            """)
        if let cluster = options.cluster { print("nodes: \(cluster.founders) at first, up to \(cluster.nodes)") }
    }

    static func describe(_ result: SimulationResult) {
        let faults = result.faultsEffective.reduce(0, +)
        let idle = zip(result.faultsDrawn, result.faultsEffective).reduce(0) { $0 + max(0, $1.0 - $1.1) }
        print(
            """
            \(result.operations) operations, \(result.commits) commits, \(result.events) events, \
            \(tenths(result.virtualNanoseconds)) s of virtual time, \
            \(faults) faults took effect and \(idle) did not, trace \(String(result.traceHash, radix: 16))
            """)
        print(result.violation.map { "VIOLATION \($0.checker.name): \($0.detail)" } ?? "clean")
    }

    static func describe(_ summary: SwarmSummary, seconds: Double) {
        let virtual = Double(summary.virtualNanoseconds) / 1e9
        let perSeed = summary.faultsEffective.reduce(0, +) / max(1, summary.seeds)
        print(
            """
            \(summary.seeds) seeds in \(rounded(seconds)) s: \(summary.operations) operations, \
            \(summary.commits) commits, \(summary.events) events, \(Int(virtual)) s of virtual time \
            (\(Int(virtual / max(seconds, 0.001)))x), \(perSeed) faults a seed, \
            \(summary.handovers) handovers, \(summary.refereed) entities refereed
            """)
        print("\nfault, drawn, took effect")
        for fault in Fault.allCases {
            let index = Int(fault.rawValue)
            print("  \(fault.name) \(summary.faultsDrawn[index]) \(summary.faultsEffective[index])")
        }
        print("\nplaces reached")
        for probe in Probe.allCases { print("  \(probe.name) \(summary.probes[Int(probe.rawValue)])") }
        if !summary.faultsMissed.isEmpty {
            print("faults that never took effect: \(summary.faultsMissed.map(\.name).joined(separator: " "))")
        }
        if !summary.probesMissed.isEmpty {
            print("places never reached: \(summary.probesMissed.map(\.name).joined(separator: " "))")
        }
        print(summary.failures.isEmpty ? "no seed failed" : "\(summary.failures.count) seeds failed")
    }

    /// Runs a failing run once more for its last lines, and says how to see it all.
    static func fail(_ result: SimulationResult, mutants: Mutants, mutant: String?) {
        let again = Simulation(options: result.options, mutants: mutants, traceLinesMax: 60).run()
        for line in again.trace { print(line) }
        guard let violation = result.violation else { return }
        print("VIOLATION \(violation.checker.name): \(violation.detail)")
        let flag = mutant.map { " --mutant \($0)" } ?? ""
        print("keystead-simulate replay \(Overrides.flags(result.options))\(flag)")
    }

    static func seconds(_ duration: Duration) -> Double {
        Double(duration.components.seconds) + Double(duration.components.attoseconds) / 1e18
    }

    private static func rounded(_ value: Double) -> String { tenths(UInt64(value * 1e9)) }

    private static func tenths(_ nanoseconds: UInt64) -> String {
        "\(nanoseconds / 1_000_000_000).\(nanoseconds % 1_000_000_000 / 100_000_000)"
    }
}
