import Primitives

/// What many seeds came to, added up in any order.
public struct SwarmSummary: Sendable {
    /// A swarm of this many seeds must have been everywhere.
    public static let probingSeedsMin = 1_000

    public private(set) var seeds = 0
    /// Seeds of a node alone, and of clusters.
    public private(set) var singles = 0
    public private(set) var clusters = 0
    /// Shards that went to another node.
    public private(set) var handovers = 0
    public private(set) var operations = 0
    public private(set) var commits = 0
    public private(set) var events: UInt64 = 0
    public private(set) var virtualNanoseconds: UInt64 = 0
    public private(set) var refereed = 0
    public private(set) var faultsDrawn = [Int](repeating: 0, count: Fault.allCases.count)
    public private(set) var faultsEffective = [Int](repeating: 0, count: Fault.allCases.count)
    public private(set) var probes = [Int](repeating: 0, count: Probe.allCases.count)
    /// The seeds that failed, as they came.
    public private(set) var failures: [(seed: UInt64, violation: Violation)] = []

    public init() {}

    public mutating func add(_ result: SimulationResult) {
        seeds += 1
        if result.options.cluster == nil { singles += 1 } else { clusters += 1 }
        handovers += result.handovers
        operations += result.operations
        commits += result.commits
        events += result.events
        virtualNanoseconds += result.virtualNanoseconds
        refereed += result.refereed
        for index in faultsDrawn.indices {
            faultsDrawn[index] += result.faultsDrawn[index]
            faultsEffective[index] += result.faultsEffective[index]
        }
        for index in probes.indices { probes[index] += result.probes[index] }
        if let violation = result.violation { failures.append((result.options.seed, violation)) }
    }

    /// Places that no seed was at.
    public var probesMissed: [Probe] {
        expected(Probe.ofOneNode, Probe.ofClusters, Probe.notOfClusters).filter { probes[Int($0.rawValue)] == 0 }
    }

    /// Faults that no seed felt.
    public var faultsMissed: [Fault] {
        expected(Fault.ofOneNode, Fault.ofClusters, Fault.notOfClusters).filter {
            faultsEffective[Int($0.rawValue)] == 0
        }
    }

    /// What the seeds so far can have met.
    private func expected<Case: Equatable>(_ ofOneNode: [Case], _ ofClusters: [Case], _ not: [Case]) -> [Case] {
        var cases = singles > 0 ? ofOneNode : ofOneNode.filter { !not.contains($0) }
        if clusters > 0 { cases += ofClusters }
        return cases
    }

    /// Nothing failed, and a swarm that is long enough missed nothing.
    public var isClean: Bool {
        failures.isEmpty && (seeds < Self.probingSeedsMin || probesMissed.isEmpty && faultsMissed.isEmpty)
    }
}
