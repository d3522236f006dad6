import Entities
public import Primitives
import ShardCore

/// One seed from beginning to end: a safety phase in which anything may happen, then a liveness phase in which all
/// heals and every entity must be readable and every shard writable again, then the checks over the whole history.
///
/// Pure: the same options and mutants give the same result on any machine. Safe to run on any thread; several run
/// beside each other without touching.
public struct Simulation: Sendable {
    let options: SimulationOptions
    let mutants: Mutants
    let traceLinesMax: Int

    /// Virtual time that the liveness phase may take.
    static let livenessNanosecondsMax = 120 * Span.second
    /// Faults that must have taken effect in a run of full length in which any are on.
    static let faultsMin = 20

    /// - Parameter traceLinesMax: how many of the trace's last lines are kept as text, for the report.
    public init(options: SimulationOptions, mutants: Mutants = .none, traceLinesMax: Int = 0) {
        self.options = options
        self.mutants = mutants
        self.traceLinesMax = traceLinesMax
    }

    public func run() -> SimulationResult {
        let world = World(traceLinesMax: traceLinesMax)
        let cluster = Cluster(world: world, options: options, mutants: mutants)
        cluster.runSafety()
        if world.violation == nil { cluster.runLiveness() }
        let ended = world.now
        if world.violation == nil { cluster.checkAll() }
        if world.violation == nil, options.faults != .none, options.operations >= 500 {
            let effective = world.faults.effective.reduce(0, +)
            if effective < Self.faultsMin {
                world.fail(.faultsTookEffect, "only \(effective) faults took effect")
            }
        }
        defer { cluster.tearDown() }
        return SimulationResult(
            options: options, violation: world.violation, traceHash: world.trace.hash, events: world.step,
            virtualNanoseconds: ended, operations: cluster.history.operations.count,
            commits: cluster.log.keys.reduce(0) { $0 + cluster.log.chain(of: $1).count },
            handovers: cluster.handovers, faultsDrawn: world.faults.drawn, faultsEffective: world.faults.effective,
            probes: world.probes.counts,
            refereed: cluster.refereed, trace: world.trace.tail)
    }
}

/// What came of one seed.
public struct SimulationResult: Sendable {
    public let options: SimulationOptions
    public let violation: Violation?
    public let traceHash: UInt64
    public let events: UInt64
    public let virtualNanoseconds: UInt64
    public let operations: Int
    public let commits: Int
    /// Shards that went to another node.
    public let handovers: Int
    /// By ``Fault``.
    public let faultsDrawn: [Int]
    public let faultsEffective: [Int]
    /// By ``Probe``.
    public let probes: [Int]
    /// Entities whose history the search checker went through as well.
    public let refereed: Int
    /// The last lines before the end, when recorded.
    public let trace: [String]
}
