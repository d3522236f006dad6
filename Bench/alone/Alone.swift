import ArgumentParser

/// The parts of a node without the node: what its log, and a RocksDB that keeps a log of its own, make of the disk when
/// nothing else is in the way; and the planner at a size that no test has. All print one JSON object a line, the first
/// two in the shape of the load generator's reports.
@main
struct Alone: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "alone", abstract: "Measures the log, RocksDB or the planner without a server around it.",
        subcommands: [LogAlone.self, RocksAlone.self, PlannerAlone.self])
}

struct AloneOptions: ParsableArguments {
    @Argument(help: "A new directory below this one takes the files, and is removed afterwards.")
    var directory: String

    @Option(help: "Writes that become durable together, in turn.")
    var groups = [1, 8, 64]

    @Option(help: "Seconds for each.")
    var seconds = 1.0

    @Option(help: "Bytes of a value.")
    var valueBytes = 1024

    @Option(help: "Keys to draw from.")
    var records = 20_000

    @Option(help: "Seed of keys and values.")
    var seed: UInt64 = 1

    func validate() throws {
        guard (0.1...600).contains(seconds) else { throw ValidationError("--seconds is 0.1 to 600") }
        guard groups.allSatisfy((1...4096).contains) else { throw ValidationError("--groups are 1 to 4096") }
        guard (1...1 << 20).contains(valueBytes) else { throw ValidationError("--value-bytes is 1 to 1048576") }
        guard (1...100_000_000).contains(records) else { throw ValidationError("--records is 1 to 100000000") }
    }
}
