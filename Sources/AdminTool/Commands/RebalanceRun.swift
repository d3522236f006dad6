import ArgumentParser
import KeysteadClient
import Primitives

/// `rebalance` without a subcommand: `plan`, `show` and `commit` in one verb.
struct RebalanceRun: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Plan, show the plan and carry it out; `rebalance` alone does the same.",
        discussion: """
            A rebalance that runs already is joined. Where the cluster changes between plan and commit, it is planned \
            again, and the new plan is shown.
            """)

    @Flag(name: .long, help: "Only show what would move.")
    var dryRun = false

    @OptionGroup var waiting: WaitOptions
    @OptionGroup var output: OutputOptions
    @OptionGroup var connection: Connection

    func validate() throws {
        guard !dryRun || !waiting.wait else { throw ValidationError("--dry-run and --wait exclude each other") }
    }

    func run() async throws {
        try await connection.withAdmin { client in
            if dryRun { return try await show(try await client.rebalancePlan(), client, as: output.output) }
            try await waiting.follow.rebalance(try await begin(client), client, as: output.output)
        }
    }

    /// Plans and commits until the plan holds.
    private func begin(_ client: Keystead) async throws -> AdminOutcome {
        var plansLeft = Limits.rebalancePlansMax
        while true {
            let plan = try await client.rebalancePlan()
            plansLeft -= 1
            // JSON is one document, that of the operation, which names the plan and its moves.
            if output.output == .table { try await PlanText.of(plan, client, command: nil).show(as: .table) }
            do throws(KeysteadError) {
                return try await client.commitPlan(plan.plan)
            } catch {
                switch error.code {
                case .stalePlan where plansLeft > 0, .concurrentChange where plansLeft > 0:
                    Console.current.say("plan \(plan.plan) does not hold any more: planning again")
                case .refused:
                    guard let running = try await underWay(client) else { throw error }
                    Console.current.say("\(OperationText.name(running)), runs already: it is joined")
                    return .operation(running)
                default: throw error
                }
            }
        }
    }

    /// The rebalance that is not over; there is one at most.
    private func underWay(_ client: Keystead) async throws -> OperationDetail? {
        let operations = try await client.cluster().operations
        let running = operations.last { $0.kind == "rebalance" && ["running", "paused"].contains($0.state) }
        guard let running else { return nil }
        return try await client.operation(running.id)
    }
}
