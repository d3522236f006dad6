import ArgumentParser
import KeysteadClient

struct Explain: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Explain why a shard or a node is as it is.", subcommands: [ExplainShard.self, ExplainNode.self])
}

struct ExplainShard: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "shard", abstract: "Why a shard is where it is, where it goes, and what that waits for.")

    @Argument(help: "The shard's number.")
    var number: UInt64

    @OptionGroup var output: OutputOptions
    @OptionGroup var connection: Connection

    func run() async throws {
        try await connection.withClient { client in
            let detail = try await client.shard(number)
            let why = try await Explanation.gather(client).shard(detail.shard)
            let owner =
                detail.shard.primary.map { "node \($0) under epoch \(detail.shard.epoch)" } ?? "no node"
            try explain(
                detail.text, "shard \(number): \(detail.shard.state), owned by \(owner)", why, output.output)
        }
    }
}

struct ExplainNode: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "node", abstract: "Why a node has what it has, and what is under way with it.")

    @Argument(help: "The node's id.")
    var id: String

    @OptionGroup var output: OutputOptions
    @OptionGroup var connection: Connection

    func run() async throws {
        try await connection.withClient { client in
            let explanation = try await Explanation.gather(client)
            let picture = explanation.picture
            let found = picture.text.member("nodes")?.elements.first { $0.member("id")?.plainText == id }
            guard let found, let node = picture.nodes.first(where: { $0.id == id }) else {
                let known = picture.nodes.map(\.id).joined(separator: ", ")
                throw CommandFailure(
                    .notFound, Format.printable("there is no node '\(id)'; the cluster has \(known)"))
            }
            let shards = picture.shards.filter { $0.primary == id }.map(\.shard)
            let owns = shards.isEmpty ? "owns no shard" : "owns shards \(Verdict.runs(shards))"
            try explain(found, "node \(id): \(node.state), \(owns)", explanation.node(node), output.output)
        }
    }
}

/// A sentence, why it is so, and the document's members as rows; as JSON the document itself and `why`.
private func explain(_ document: JSONText, _ sentence: String, _ why: [String], _ format: OutputFormat) throws {
    switch format {
    case .json:
        var object = JSONObject()
        for (name, value) in document.members {
            if let name = name.string { object.add(name, raw: value.bytes) }
        }
        object.add("why", why)
        try Console.current.write(json: object.bytes)
    case .table:
        let lines = [sentence] + why.map { "- \($0)" }
        let rows = document.members.map { name, value in
            [name.string ?? "", value.plainText ?? String(decoding: value.bytes, as: UTF8.self)]
        }
        let table = Format.table(["FIELD", "VALUE"], rows)
        for line in lines + [""] { try Console.current.write(line: line) }
        try Console.current.write(text: table)
    }
}
