import ArgumentParser
import Primitives
import Simulator

struct Swarm: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Runs many seeds.")

    @Option(help: "How many seeds.")
    var seeds: UInt64?

    @Option(help: "For how many seconds.")
    var duration: Int?

    @Option(help: "The first seed.")
    var from: UInt64 = 1

    @Option(help: "Seeds that run beside each other.")
    var jobs = 2

    @Option(help: "Ends after this many failures.")
    var failures = 5

    @OptionGroup var scope: Scope

    func validate() throws {
        guard (seeds == nil) != (duration == nil) else {
            throw ValidationError("say either --seeds N or --duration SECONDS")
        }
        guard (1...RunningSeeds.slotsMax).contains(jobs) else {
            throw ValidationError("--jobs is from 1 to \(RunningSeeds.slotsMax)")
        }
    }

    func run() async throws {
        print("SEED=\(from)")
        let clock = ContinuousClock()
        let began = clock.now
        let end = duration.map { began + .seconds($0) }
        let last = seeds.map { from + $0 } ?? .max
        var bar = ProgressBar(total: seeds)
        var summary = SwarmSummary()
        var next = from
        RunningSeeds.install()
        Interruption.install()
        await withTaskGroup(of: (result: SimulationResult, slot: Int).self) { group in
            func launch(_ slot: Int) {
                guard next < last, end.map({ clock.now < $0 }) ?? true, summary.failures.count < failures,
                    !Interruption.isAsked
                else { return }
                let seed = next
                next += 1
                let options = scope.options(seed: seed)
                group.addTask {
                    RunningSeeds.begin(seed, slot: slot)
                    return (Simulation(options: options).run(), slot)
                }
            }
            for slot in 0..<jobs { launch(slot) }
            while let (result, slot) = await group.next() {
                summary.add(result)
                bar.show(done: UInt64(summary.seeds), failures: summary.failures.count)
                if let violation = result.violation {
                    bar.clear()
                    print("seed \(result.options.seed): \(violation.checker.name): \(violation.detail)")
                }
                launch(slot)
            }
        }
        bar.clear()
        Report.describe(summary, seconds: Report.seconds(clock.now - began))
        if let first = summary.failures.first {
            let result = Simulation(options: scope.options(seed: first.seed)).run()
            Report.fail(result, mutants: .none, mutant: nil)
        }
        if Interruption.isAsked, next < last {
            print("stopped before seed \(next), as asked")
            throw ExitCode(Interruption.exitCode)
        }
        if !summary.isClean { throw ExitCode.failure }
    }
}
