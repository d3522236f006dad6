import Simulator
let from = UInt64(CommandLine.arguments[1])!
let to = UInt64(CommandLine.arguments[2])!
for seed in from...to {
    let r = Simulation(options: SimulationOptions(seed: seed), traceLinesMax: from == to ? 1 << 20 : 0).run()
    if from == to { for line in r.trace { print(line) } }
    print(seed, r.operations, r.commits, r.events, Double(r.virtualNanoseconds) / 1e9, String(r.traceHash, radix: 16), r.violation.map { "\($0.checker): \($0.detail)" } ?? "clean")
}
