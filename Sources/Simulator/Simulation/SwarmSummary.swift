import Primitives

/// What many seeds came to, added up in any order.
public struct SwarmSummary: Sendable {
    /// A swarm of this many seeds must have been everywhere.
    public static let probingSeedsMin = 1_000

    public private(set) var seeds = 0
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
    public var probesMissed: [Probe] { Probe.allCases.filter { probes[Int($0.rawValue)] == 0 } }
    /// Faults that no seed felt.
    public var faultsMissed: [Fault] { Fault.allCases.filter { faultsEffective[Int($0.rawValue)] == 0 } }

    /// Nothing failed, and a swarm that is long enough missed nothing.
    public var isClean: Bool {
        failures.isEmpty && (seeds < Self.probingSeedsMin || probesMissed.isEmpty && faultsMissed.isEmpty)
    }
}
