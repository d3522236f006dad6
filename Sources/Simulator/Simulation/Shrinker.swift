/// Makes a failing seed smaller: fewer faults, fewer workloads, fewer operations, fewer clients, as long as the same
/// checker still fails. The smaller run is told by its options, which `replay` takes.
public struct Shrinker {
    private var best: SimulationResult
    private let run: (SimulationOptions) -> SimulationResult

    /// - Parameter failing: a run with a violation.
    public init(failing: SimulationResult, run: @escaping (SimulationOptions) -> SimulationResult) {
        precondition(failing.violation != nil, "only a failing run can be shrunk")
        best = failing
        self.run = run
    }

    /// The smallest failing run found; at most a few hundred runs.
    public mutating func shrink() -> SimulationResult {
        var isSmaller = true
        while isSmaller {
            isSmaller = false
            for fault in best.options.faults.members {
                isSmaller = tries { $0.faults.remove(fault) } || isSmaller
            }
            for workload in best.options.workloads where best.options.workloads.count > 1 {
                isSmaller = tries { $0.workloads.removeAll { $0 == workload } } || isSmaller
            }
            for share in [4, 2] where best.options.operations > 4 {
                isSmaller = tries { $0.operations -= max(1, $0.operations * (share - 1) / share) } || isSmaller
            }
            if best.options.clients > 1 { isSmaller = tries { $0.clients = max(1, $0.clients / 2) } || isSmaller }
        }
        return best
    }

    private mutating func tries(_ change: (inout SimulationOptions) -> Void) -> Bool {
        var options = best.options
        change(&options)
        let result = run(options)
        guard result.violation?.checker == best.violation?.checker else { return false }
        best = result
        return true
    }
}
