import ArgumentParser
import KeysteadClient

struct Status: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Say whether the cluster is well, and why not.",
        discussion: """
            The first line is HEALTHY, DEGRADED (entities are served, but not all, or something is wrong) or \
            UNAVAILABLE (none is served), with the reasons.
            """)

    @Flag(name: .long, help: "End with 6 unless it is HEALTHY.")
    var check = false

    @OptionGroup var output: OutputOptions
    @OptionGroup var connection: Connection

    func run() async throws {
        try await connection.withClient { client in
            do {
                let picture = try await client.cluster()
                let verdict = Verdict(picture, try await client.readiness())
                try show(verdict, picture)
                if check, verdict.word != .healthy { throw CommandFailure(.unhealthy, nil) }
            } catch let error as KeysteadError where CommandExit(error) == .unreachable {
                try show(Verdict(unreachable: error), nil)
                throw error
            }
        }
    }

    private func show(_ verdict: Verdict, _ picture: ClusterPicture?) throws {
        switch output.output {
        case .json:
            var object = JSONObject()
            object.add("verdict", verdict.word.rawValue)
            object.add("reasons", verdict.reasons)
            for (name, value) in picture?.text.members ?? [] {
                if let name = name.string { object.add(name, raw: value.bytes) }
            }
            try Console.current.write(object.bytes + [0x0A])
        case .table:
            let why = verdict.reasons.isEmpty ? "" : ": " + verdict.reasons.joined(separator: "; ")
            try Console.current.write(line: verdict.word.rawValue + Format.printable(why))
            if let picture { try Console.current.write(describe(picture).utf8) }
        }
    }

    private func describe(_ picture: ClusterPicture) -> String {
        let serving = picture.shards.filter { $0.state == "serving" }.count
        var text = """
            cluster \(Format.printable(picture.cluster)), map revision \(picture.mapRevision), \
            \(serving) of \(picture.shards.count) shards serving

            \(nodeTable(picture))
            """
        let troubled = picture.shards.filter { $0.state != "serving" }
        if !troubled.isEmpty { text += "\n" + shardTable(troubled) }
        if !picture.operations.isEmpty { text += "\n" + operationTable(picture) }
        return text
    }

    private func operationTable(_ picture: ClusterPicture) -> String {
        Format.table(
            ["OPERATION", "KIND", "STATE", "DONE", "TOTAL"],
            picture.operations.map { [$0.id, $0.kind, $0.state, Format.count($0.done), Format.count($0.total)] })
    }
}

/// The cluster's nodes, a row each.
func nodeTable(_ picture: ClusterPicture) -> String {
    Format.table(
        ["NODE", "STATE", "ZONE", "WEIGHT", "SHARDS", "LISTEN", "ADMIN"],
        picture.nodes.map { [$0.id, $0.state, $0.zone, $0.weight, String($0.shards), $0.listen, $0.admin] })
}

/// Shards, a row each.
func shardTable(_ shards: [ClusterPicture.Shard]) -> String {
    Format.table(
        ["SHARD", "PRIMARY", "EPOCH", "POSITION", "STATE"],
        shards.map { [String($0.shard), $0.primary ?? "-", String($0.epoch), String($0.position), $0.state] })
}
