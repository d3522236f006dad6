import ArgumentParser
import KeysteadClient

struct Explain: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Explain the state of one shard or one node.", subcommands: [ExplainShard.self, ExplainNode.self])
}

struct ExplainShard: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "shard", abstract: "Everything that the node knows about one shard.")

    @Argument(help: "The shard's number.")
    var number: UInt64

    @OptionGroup var output: OutputOptions
    @OptionGroup var connection: Connection

    func run() async throws {
        try await connection.withClient { client in
            let detail = try await client.shard(number)
            try explain(detail.text, "shard \(number): \(detail.shard.state), owned by \(owner(detail))", output.output)
        }
    }

    private func owner(_ detail: ShardDetail) -> String {
        detail.shard.primary.map { "node \($0) under epoch \(detail.shard.epoch)" } ?? "no node"
    }
}

struct ExplainNode: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "node", abstract: "Everything that the cluster knows about one node.")

    @Argument(help: "The node's id.")
    var id: String

    @OptionGroup var output: OutputOptions
    @OptionGroup var connection: Connection

    func run() async throws {
        try await connection.withClient { client in
            let picture = try await client.cluster()
            let found = picture.text.member("nodes")?.elements.first { $0.member("id")?.plainText == id }
            guard let found, let node = picture.nodes.first(where: { $0.id == id }) else {
                let known = picture.nodes.map(\.id).joined(separator: ", ")
                throw CommandFailure(.notFound, "there is no node '\(id)'; the cluster has \(known)")
            }
            let shards = picture.shards.filter { $0.primary == id }.map(\.shard)
            let owns = shards.isEmpty ? "owns no shard" : "owns shards \(Verdict.runs(shards))"
            try explain(found, "node \(id): \(node.state), \(owns)", output.output)
        }
    }
}

/// A sentence, then the document's members as rows; as JSON the document itself.
private func explain(_ document: JSONText, _ sentence: String, _ format: OutputFormat) throws {
    switch format {
    case .json: try Console.current.write(onOneLine(document.bytes) + [0x0A])
    case .table:
        try Console.current.write(line: Format.printable(sentence))
        let rows = document.members.map { name, value in
            [name.string ?? "", value.plainText ?? String(decoding: value.bytes, as: UTF8.self)]
        }
        try Console.current.write(Format.table(["FIELD", "VALUE"], rows).utf8)
    }
}
