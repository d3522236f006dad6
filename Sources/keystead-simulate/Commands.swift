import ArgumentParser
import Primitives
import Simulator

struct Run: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Runs one seed.")

    @Option(help: "The seed.")
    var seed: UInt64

    @OptionGroup var overrides: Overrides
    @OptionGroup var mutant: MutantFlag

    func run() throws {
        print("SEED=\(seed)")
        let options = try overrides.options(seed: seed)
        Report.describe(options)
        let result = Simulation(options: options, mutants: try mutant.mutants()).run()
        Report.describe(result)
        if result.violation != nil {
            Report.fail(result, mutants: try mutant.mutants(), mutant: mutant.mutant)
            throw ExitCode.failure
        }
    }
}

struct Replay: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Runs one seed and prints everything that happens.")

    @Option(help: "The seed.")
    var seed: UInt64

    @Option(help: "How many of the last lines to print.")
    var lines = 1 << 20

    @OptionGroup var overrides: Overrides
    @OptionGroup var mutant: MutantFlag

    func run() throws {
        print("SEED=\(seed)")
        let options = try overrides.options(seed: seed)
        let result = Simulation(options: options, mutants: try mutant.mutants(), traceLinesMax: lines).run()
        for line in result.trace { print(line) }
        Report.describe(result)
        if result.violation != nil { throw ExitCode.failure }
    }
}

struct Shrink: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Looks for a smaller run in which the same checker fails.")

    @Option(help: "The seed.")
    var seed: UInt64

    @OptionGroup var overrides: Overrides
    @OptionGroup var mutant: MutantFlag

    func run() throws {
        print("SEED=\(seed)")
        let mutants = try mutant.mutants()
        let first = Simulation(options: try overrides.options(seed: seed), mutants: mutants).run()
        guard first.violation != nil else {
            print("seed \(seed) is clean: there is nothing to shrink")
            return
        }
        var shrinker = Shrinker(failing: first) { Simulation(options: $0, mutants: mutants).run() }
        let least = shrinker.shrink()
        Report.describe(least.options)
        Report.fail(least, mutants: mutants, mutant: mutant.mutant)
        throw ExitCode.failure
    }
}

struct Meta: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Runs seeds twice and compares the hashes of their traces.")

    @Option(help: "How many seeds.")
    var seeds: UInt64 = 20

    @Option(help: "The first seed.")
    var from: UInt64 = 1

    @OptionGroup var scope: Scope

    func run() throws {
        for seed in from..<(from + seeds) {
            let options = scope.options(seed: seed)
            let first = Simulation(options: options).run()
            let second = Simulation(options: options, traceLinesMax: 1).run()
            guard first.traceHash == second.traceHash, first.events == second.events else {
                print("seed \(seed) went two ways: \(first.traceHash) and \(second.traceHash)")
                throw ExitCode.failure
            }
        }
        print("\(seeds) seeds from \(from) on, each run twice: the traces are the same")
    }
}
