import ArgumentParser
import KeysteadClient

struct RebalanceCommands: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rebalance", abstract: "Even the shards out over the nodes, by their weights.",
        usage: """
            keysteadctl rebalance [--wait] [--timeout <s>] [--dry-run] [--output <output>]
            keysteadctl rebalance <subcommand>
            """,
        discussion: """
            Without a subcommand it plans, shows the plan and carries it out; `rebalance run --help` lists its options.
            """,
        subcommands: [
            RebalanceRun.self, RebalancePlan.self, RebalanceShow.self, RebalanceCommit.self, RebalancePause.self,
            RebalanceResume.self, RebalanceCancel.self,
        ],
        defaultSubcommand: RebalanceRun.self)
}

struct RebalancePlan: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "plan", abstract: "Show what would move, and change nothing.",
        discussion: "The plan's id holds for the map that it was made against; `rebalance commit` carries it out.")

    @OptionGroup var output: OutputOptions
    @OptionGroup var connection: Connection

    func run() async throws {
        try await connection.withClient { client in
            try await show(try await client.rebalancePlan(), client, as: output.output)
        }
    }
}

struct RebalanceShow: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Show a plan by its id, if it still holds.")

    @Argument(help: "The plan's id.")
    var plan: String

    @OptionGroup var output: OutputOptions
    @OptionGroup var connection: Connection

    func run() async throws {
        try await connection.withClient { client in
            try await show(try await client.rebalancePlan(plan), client, as: output.output)
        }
    }
}

/// Shows a plan that is not carried out.
func show(_ plan: PlanDetail, _ client: Keystead, as format: OutputFormat) async throws {
    let command = Advice.cluster("rebalance", "commit", plan.plan)
    try await PlanText.of(plan, client, command: command).show(as: format)
}

struct RebalanceCommit: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "commit", abstract: "Carry out a plan.",
        discussion: """
            A plan that no longer holds ends with 4 and moves nothing; one that runs already is joined; of one that \
            was carried out already nothing is done.
            """)

    @Argument(help: "The plan's id, from `rebalance plan`.")
    var plan: String

    @OptionGroup var waiting: WaitOptions
    @OptionGroup var output: OutputOptions
    @OptionGroup var connection: Connection

    func run() async throws {
        try await connection.withAdmin { client in
            try await waiting.follow.rebalance(try await client.commitPlan(plan), client, as: output.output)
        }
    }
}

struct RebalancePause: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pause", abstract: "Begin no further move; those under way go on to their end.")

    @OptionGroup var output: OutputOptions
    @OptionGroup var connection: Connection

    func run() async throws {
        try await connection.withAdmin { client in
            let operation = try await client.rebalance(.pause)
            try await confirm(operation, is: "paused", client, as: output.output)
        }
    }
}

struct RebalanceResume: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "resume", abstract: "Go on after a pause.")

    @OptionGroup var output: OutputOptions
    @OptionGroup var connection: Connection

    func run() async throws {
        try await connection.withAdmin { client in
            let operation = try await client.rebalance(.resume)
            try await confirm(operation, is: "running", client, as: output.output)
        }
    }
}

struct RebalanceCancel: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cancel", abstract: "End the rebalance; what has moved stays where it is.")

    @OptionGroup var output: OutputOptions
    @OptionGroup var connection: Connection

    func run() async throws {
        try await connection.withAdmin { client in
            let operation = try await client.rebalance(.cancel)
            try await confirm(operation, is: "cancelled", client, as: output.output)
        }
    }
}

/// Reads an operation until it is in that state, and shows it. Where it has come to another end by then, or has not got
/// there in half a minute, something else has a hand in it.
func confirm(
    _ operation: OperationDetail, is state: String, _ client: Keystead, as format: OutputFormat
) async throws {
    let clock = ContinuousClock()
    let start = clock.now
    var last = try await client.operation(operation.id)
    while last.state != state, !last.isOver, clock.now - start < .seconds(30) {
        try await Task.sleep(for: .milliseconds(250))
        last = try await client.operation(operation.id)
    }
    try show(last, as: format)
    // A rebalance that is done needs no resuming.
    guard last.state == state || state == "running" && last.state == "done" else {
        throw CommandFailure(.conflict, "\(OperationText.name(last)), is \(last.state) and not \(state)")
    }
}
