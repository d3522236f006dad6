import ArgumentParser
import Primitives
import Simulator

/// `keystead-simulate`: the simulator's command line. Results go to stdout, the bar to stderr.
@main
struct KeysteadSimulate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keystead-simulate",
        abstract: "Runs the node's core over a virtual disk, network and clock, and checks what it promises.",
        discussion: "The seed is printed first. A failure ends with the one command that replays it.",
        subcommands: [Run.self, Swarm.self, Replay.self, Shrink.self, MutantTable.self, Meta.self])
}

/// A node alone, or a cluster of up to five.
struct Scope: ParsableArguments {
    @Flag(help: "Runs whole clusters: several nodes, moves of shards, a metadata store.")
    var cluster = false

    func options(seed: UInt64) -> SimulationOptions { Self.options(seed: seed, isCluster: cluster) }

    static func options(seed: UInt64, isCluster: Bool) -> SimulationOptions {
        isCluster ? SimulationOptions(clusterSeed: seed) : SimulationOptions(seed: seed)
    }
}

/// What makes a run smaller than its seed says; `shrink` prints these.
struct Overrides: ParsableArguments {
    @OptionGroup var scope: Scope

    @Option(help: "Client operations before the liveness phase.")
    var operations: Int?

    @Option(help: "Clients.")
    var clients: Int?

    @Option(help: "The set of faults that may come, as a number (shrink prints it).")
    var faults: UInt64?

    @Option(help: "Workloads, by name, separated by commas.")
    var workloads: String?

    func options(seed: UInt64) throws -> SimulationOptions {
        var options = scope.options(seed: seed)
        if let operations { options.operations = operations }
        if let clients { options.clients = clients }
        if let faults { options.faults = FaultSet(bits: faults) }
        if let workloads {
            options.workloads = try workloads.split(separator: ",").map { name in
                guard let kind = WorkloadKind.allCases.first(where: { "\($0)" == name }) else {
                    throw ValidationError(
                        "no workload is called \(name); there are "
                            + WorkloadKind.allCases.map { "\($0)" }.joined(separator: ", "))
                }
                return kind
            }
        }
        return options
    }

    /// The flags that give `options` again.
    static func flags(_ options: SimulationOptions) -> String {
        let isCluster = options.cluster != nil
        let drawn = Scope.options(seed: options.seed, isCluster: isCluster)
        var flags = "--seed \(options.seed)"
        if isCluster { flags += " --cluster" }
        if options.operations != drawn.operations { flags += " --operations \(options.operations)" }
        if options.clients != drawn.clients { flags += " --clients \(options.clients)" }
        if options.faults != drawn.faults { flags += " --faults \(options.faults.bits)" }
        if options.workloads != drawn.workloads {
            flags += " --workloads " + options.workloads.map { "\($0)" }.joined(separator: ",")
        }
        return flags
    }
}

/// `--mutant NAME`, for builds that contain the planted bugs.
struct MutantFlag: ParsableArguments {
    @Option(help: "Plants this bug (only in a build with KEYSTEAD_MUTANTS set).")
    var mutant: String?

    func mutants() throws -> Mutants {
        guard let mutant else { return .none }
        #if KEYSTEAD_MUTANTS
            guard let found = Mutant.allCases.first(where: { "\($0)" == mutant }) else {
                throw ValidationError("no planted bug is called \(mutant)")
            }
            return Mutants([found])
        #else
            throw ValidationError("this build contains no planted bugs; build with KEYSTEAD_MUTANTS=1")
        #endif
    }
}
