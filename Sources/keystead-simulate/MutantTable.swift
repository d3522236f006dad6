import ArgumentParser
import Primitives
import Simulator

struct MutantTable: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mutants",
        abstract: "Plants each known bug by itself and counts the seeds until a checker sees it.",
        discussion: "Needs a build with KEYSTEAD_MUTANTS set in the environment.")

    @Option(help: "How often each bug is hunted; the table shows the median.")
    var hunts = 5

    @Option(help: "Seeds after which a hunt gives up.")
    var seedsMax: UInt64 = 2_000

    @Option(help: "Only this bug.")
    var only: String?

    func run() throws {
        #if KEYSTEAD_MUTANTS
            print("| mutant | median seeds | most seeds | checkers |\n| --- | ---: | ---: | --- |")
            var survivors = 0
            for mutant in Mutant.allCases where only == nil || only == "\(mutant)" {
                let row = hunt(mutant)
                let text = row.missed > 0 ? "over \(seedsMax)" : "\(row.counts.last ?? 0)"
                print("| `\(mutant)` | \(row.counts[row.counts.count / 2]) | \(text) | \(row.checkers) |")
                if row.missed > 0 { survivors += 1 }
            }
            if survivors > 0 {
                print("\(survivors) planted bugs were not always caught")
                throw ExitCode.failure
            }
        #else
            throw ValidationError("this build contains no planted bugs; build with KEYSTEAD_MUTANTS=1")
        #endif
    }

    #if KEYSTEAD_MUTANTS
        /// Hunts begin a thousand seeds apart, so that no two share one.
        private func hunt(_ mutant: Mutant) -> (counts: [UInt64], missed: Int, checkers: String) {
            var counts: [UInt64] = []
            var missed = 0
            var checkers: [Checker] = []
            for number in 0..<hunts {
                let first = UInt64(number) * 100_000 + 1
                var count: UInt64 = 0
                while count < seedsMax {
                    let options = Scope.options(seed: first + count, isCluster: mutant.needsCluster)
                    count += 1
                    if let violation = Simulation(options: options, mutants: Mutants([mutant])).run().violation {
                        if !checkers.contains(violation.checker) { checkers.append(violation.checker) }
                        break
                    }
                    if count == seedsMax { missed += 1 }
                }
                counts.append(count)
            }
            return (counts.sorted(), missed, checkers.map(\.name).joined(separator: ", "))
        }
    #endif
}
