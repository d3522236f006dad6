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

    func validate() throws {
        guard (seeds == nil) != (duration == nil) else {
            throw ValidationError("say either --seeds N or --duration SECONDS")
        }
        guard jobs > 0 else { throw ValidationError("--jobs is at least 1") }
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
        await withTaskGroup(of: SimulationResult.self) { group in
            func launch() {
                guard next < last, end.map({ clock.now < $0 }) ?? true, summary.failures.count < failures else {
                    return
                }
                let seed = next
                next += 1
                group.addTask { Simulation(options: SimulationOptions(seed: seed)).run() }
            }
            for _ in 0..<jobs { launch() }
            while let result = await group.next() {
                summary.add(result)
                bar.show(done: UInt64(summary.seeds), failures: summary.failures.count)
                if let violation = result.violation {
                    bar.clear()
                    print("seed \(result.options.seed): \(violation.checker.name): \(violation.detail)")
                }
                launch()
            }
        }
        bar.clear()
        Report.describe(summary, seconds: Report.seconds(clock.now - began))
        if let first = summary.failures.first {
            let result = Simulation(options: SimulationOptions(seed: first.seed)).run()
            Report.fail(result, mutants: .none, mutant: nil)
        }
        if !summary.isClean { throw ExitCode.failure }
    }
}
