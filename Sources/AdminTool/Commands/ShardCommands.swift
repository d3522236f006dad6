import ArgumentParser
import KeysteadClient

struct ShardCommands: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "shard", abstract: "The shards of the cluster.", subcommands: [ShardList.self, ShardMove.self])
}

struct ShardList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List the shards.")

    @OptionGroup var output: OutputOptions
    @OptionGroup var connection: Connection

    func run() async throws {
        try await connection.withClient { client in
            let picture = try await client.cluster()
            try show(["shards"], of: picture, table: shardTable(picture.shards), as: output.output)
        }
    }
}

struct ShardMove: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "move", abstract: "Move one shard to a node, while it serves.",
        discussion: "A shard on its way there already is joined; one that is there already is left alone.")

    @Argument(help: "The shard's number.")
    var number: UInt64

    @Option(name: .long, help: ArgumentHelp("The node that is to own it.", valueName: "id"))
    var to: String

    @OptionGroup var waiting: WaitOptions
    @OptionGroup var output: OutputOptions
    @OptionGroup var connection: Connection

    func run() async throws {
        try await connection.withAdmin { client in
            let outcome = try await client.move(shard: number, to: to)
            try await waiting.follow.run(outcome, client, as: output.output) { _ in .owns(node: to, shard: number) }
        }
    }
}

/// Shards, a row each.
func shardTable(_ shards: [ClusterPicture.Shard]) -> String {
    let moves = shards.contains { $0.move != nil }
    return Format.table(
        ["SHARD", "PRIMARY", "EPOCH", "POSITION", "STATE"] + (moves ? ["MOVES TO"] : []),
        shards.map { shard in
            let way = shard.move.map { "\($0.to): \($0.stage), \($0.operation)" } ?? ""
            return [
                String(shard.shard), shard.primary ?? "-", String(shard.epoch), String(shard.position), shard.state,
            ] + (moves ? [way] : [])
        })
}
