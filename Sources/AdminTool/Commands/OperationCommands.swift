import ArgumentParser
import KeysteadClient

struct OperationCommands: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "op", abstract: "The operations of the cluster: they go on whoever watches.",
        subcommands: [
            OperationList.self, OperationShow.self, OperationWait.self, OperationPause.self, OperationResume.self,
            OperationCancel.self,
        ])
}

struct OperationList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List the operations.")

    @OptionGroup var output: OutputOptions
    @OptionGroup var connection: Connection

    func run() async throws {
        try await connection.withClient { client in
            let picture = try await client.cluster()
            try show(
                ["operations"], of: picture, table: OperationText.table(picture.operations), as: output.output)
        }
    }
}

/// The operation that a verb is about.
struct OperationArgument: ParsableArguments {
    @Argument(help: "The operation's id.")
    var id: String
}

struct OperationShow: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Show an operation with all its moves, and what they wait for.")

    @OptionGroup var operation: OperationArgument
    @OptionGroup var output: OutputOptions
    @OptionGroup var connection: Connection

    func run() async throws {
        try await connection.withClient { client in
            try show(try await client.operation(operation.id), as: output.output)
        }
    }
}

struct OperationWait: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "wait", abstract: "Watch an operation to its end.",
        discussion: "Ends with 0 once it is done, with 1 where it failed, with 4 where it was cancelled.")

    @OptionGroup var operation: OperationArgument
    @OptionGroup var limit: TimeoutOptions
    @OptionGroup var output: OutputOptions
    @OptionGroup var connection: Connection

    func run() async throws {
        try await connection.withClient { client in
            let found = try await client.operation(operation.id)
            var watch = OperationWatch(client, found, timeout: limit.duration)
            let last = try await watch.run(as: output.output)
            try show(last, as: output.output)
            guard !found.isOver, let condition = Self.condition(last) else { return }
            try await condition.readBack(client, done: "operation \(last.id) is done")
        }
    }

    /// What an operation that has just ended was for.
    private static func condition(_ operation: OperationDetail) -> Postcondition? {
        switch operation.kind {
        case "drain": operation.node.map { .isEmpty(node: $0) }
        case "remove": operation.node.map { .isGone(node: $0) }
        case "rebalance", "move": .moved(operation.moves)
        default: nil
        }
    }
}

struct OperationPause: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pause", abstract: "Begin no further move of it; those under way go on to their end.")

    @OptionGroup var operation: OperationArgument
    @OptionGroup var output: OutputOptions
    @OptionGroup var connection: Connection

    func run() async throws {
        try await change(operation, .pause, to: "paused", connection, output)
    }
}

struct OperationResume: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "resume", abstract: "Go on after a pause.")

    @OptionGroup var operation: OperationArgument
    @OptionGroup var output: OutputOptions
    @OptionGroup var connection: Connection

    func run() async throws {
        try await change(operation, .resume, to: "running", connection, output)
    }
}

struct OperationCancel: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cancel", abstract: "End an operation; what has moved stays where it is.",
        discussion: "An operation that has come to another end cannot be cancelled any more: that is 3.")

    @OptionGroup var operation: OperationArgument
    @OptionGroup var output: OutputOptions
    @OptionGroup var connection: Connection

    func run() async throws {
        try await change(operation, .cancel, to: "cancelled", connection, output)
    }
}

/// Changes the operation, and reads back that it is in that state.
private func change(
    _ operation: OperationArgument, _ verb: Keystead.OperationVerb, to state: String, _ connection: Connection,
    _ output: OutputOptions
) async throws {
    try await connection.withAdmin { client in
        let found = try await client.operation(operation.id, verb)
        try await confirm(found, is: state, client, as: output.output)
    }
}
