import ArgumentParser
import KeysteadClient

struct RingPicture: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ring", abstract: "Show as a picture which node owns which arcs of the ring.",
        discussion: """
            The ring begins at the top and goes round clockwise; with more than 64 shards it is cut into rows. Each \
            node is a letter, and a colour on a terminal. * marks a shard that moves, ! one that does not serve. \
            --arcs lists the arcs with their hashes instead.
            """)

    @Flag(name: .long, help: "One row for each run of neighbouring shards with one owner.")
    var arcs = false

    @OptionGroup var output: OutputOptions
    @OptionGroup var connection: Connection

    func run() async throws {
        try await connection.withClient { client in
            let picture = try await client.cluster()
            if output.output == .table, !arcs { return try Console.current.write(painted: RingDrawing(picture).lines) }
            try show(["ring", "nodes", "shards"], of: picture, table: Ring.table(picture.shards), as: output.output)
        }
    }
}

/// Prints the table, or with `--output json` those parts of the server's own document.
func show(_ parts: [String], of picture: ClusterPicture, table: String, as format: OutputFormat) throws {
    switch format {
    case .table: try Console.current.write(text: table)
    case .json:
        var object = JSONObject()
        object.add("cluster", picture.cluster)
        object.add("map-revision", picture.mapRevision)
        for part in parts {
            if let value = picture.text.member(part) { object.add(part, raw: value.bytes) }
        }
        try Console.current.write(json: object.bytes)
    }
}
