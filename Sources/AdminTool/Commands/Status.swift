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
                try show(verdict, picture, await running(picture, client))
                if check, verdict.word != .healthy { throw CommandFailure(.unhealthy, nil) }
            } catch let error as KeysteadError where CommandExit(error) == .unreachable {
                try show(Verdict(unreachable: error), nil, [])
                throw error
            }
        }
    }

    private func show(_ verdict: Verdict, _ picture: ClusterPicture?, _ running: [OperationDetail]) throws {
        switch output.output {
        case .json:
            var object = JSONObject()
            object.add("verdict", verdict.word.rawValue)
            object.add("reasons", verdict.reasons)
            for (name, value) in picture?.text.members ?? [] {
                if let name = name.string { object.add(name, raw: value.bytes) }
            }
            try Console.current.write(json: object.bytes)
        case .table:
            let why = verdict.reasons.isEmpty ? "" : ": " + verdict.reasons.joined(separator: "; ")
            try Console.current.write(line: verdict.word.rawValue + why)
            if let picture { try Console.current.write(text: describe(picture, running)) }
        }
    }

    private func describe(_ picture: ClusterPicture, _ running: [OperationDetail]) -> String {
        let serving = picture.shards.filter(Verdict.isWell).count
        var text = """
            cluster \(Format.printable(picture.cluster)), map revision \(picture.mapRevision), \
            \(serving) of \(picture.shards.count) shards serving

            \(nodeTable(picture.nodes))
            """
        let troubled = picture.shards.filter { !Verdict.isWell($0) }
        if !troubled.isEmpty { text += "\n" + shardTable(troubled) }
        let told = Set(running.map(\.id))
        let others = picture.operations.filter { $0.state == "failed" || $0.state != "done" && !told.contains($0.id) }
            .filter { $0.state != "cancelled" }
        if !running.isEmpty {
            text += "\n"
            for operation in running {
                text += OperationText.line(operation, rate: OperationText.measuredRate(operation)) + "\n"
            }
        }
        if !others.isEmpty { text += "\n" + OperationText.table(others) }
        return text
    }

    /// The first few operations under way, in full; one that cannot be asked for is left out.
    private func running(_ picture: ClusterPicture, _ client: Keystead) async -> [OperationDetail] {
        guard output.output == .table else { return [] }
        var found: [OperationDetail] = []
        let ids = picture.operations.filter { $0.state == "running" || $0.state == "paused" }.map(\.id)
        for id in ids.prefix(Self.operationsAskedMax) {
            if let operation = try? await client.operation(id) { found.append(operation) }
        }
        return found
    }

    private static let operationsAskedMax = 8
}
