import ScriptedServer
import Synchronization

/// Canned answers of the admin listener: for each request, by `METHOD /path`, reactions in order, the last of them
/// forever. What is not scripted is 404.
final class FakeCluster: Sendable {
    private let answers: Mutex<[String: [ScriptedServer.Reaction]]>

    init(_ answers: [String: [ScriptedServer.Reaction]]) { self.answers = Mutex(answers) }

    /// Answers 200 with the documents in order.
    static func documents(_ texts: String...) -> [ScriptedServer.Reaction] { texts.map { .answer(200, [:], $0) } }

    var script: ScriptedServer.Script {
        { request in
            self.answers.withLock { answers in
                let name = "\(request.method) \(request.uri)"
                guard let reactions = answers[name], let first = reactions.first else {
                    return .answer(404, [:], problem("not-found"))
                }
                if reactions.count > 1 { answers[name]?.removeFirst() }
                return first
            }
        }
    }

    /// Runs one command against it. Its own address reads `http://ADMIN` in what the command says.
    static func run(
        _ command: String, _ answers: [String: [ScriptedServer.Reaction]], isErrorTerminal: Bool = false,
        isOutputTerminal: Bool = false, environment: [String: String] = [:],
        _ check: (CommandResult, [ScriptedServer.Request]) throws -> Void
    ) async throws {
        try await ScriptedServer.run(FakeCluster(answers).script) { server in
            let words = command.split(separator: " ").map(String.init) + ["--admin", server.url]
            let result = await AdminToolTests.run(
                words, environment: environment, isErrorTerminal: isErrorTerminal, isOutputTerminal: isOutputTerminal)
            func named(_ text: String) -> String {
                text.split(separator: server.url, omittingEmptySubsequences: false).joined(separator: "http://ADMIN")
            }
            let named = CommandResult(
                status: result.status, output: named(result.output), errors: named(result.errors))
            try check(named, server.requests)
        }
    }
}

/// Documents as a node writes them.
enum Sample {
    /// - Parameter owners: of the shards, by number.
    static func cluster(
        _ owners: [String], nodes: [(id: String, state: String)] = [("n1", "active"), ("n2", "active")],
        revision: Int = 7, moves: [Int: String] = [:], operations: String = "", weight: String = "1"
    ) -> String {
        let nodes = nodes.map { node in
            #"{"id":"\#(node.id)","state":"\#(node.state)","zone":"z","weight":\#(weight),"#
                + #""shards":\#(owners.count { $0 == node.id }),"listen":"\#(node.id):1","admin":"\#(node.id):2"}"#
        }
        let shards = owners.enumerated().map { shard, owner in
            let move = moves[shard].map {
                #","move":{"stage":"copy","from":"\#(owner)","to":"\#($0)","operation":"op-1"}"#
            }
            return
                #"{"shard":\#(shard),"primary":"\#(owner)","epoch":1,"position":\#(shard),"#
                + #""state":"serving"\#(move ?? "")}"#
        }
        return #"{"cluster":"c","map-revision":\#(revision),"nodes":[\#(nodes.joined(separator: ","))],"#
            + #""shards":[\#(shards.joined(separator: ","))],"operations":[\#(operations)]}"#
    }

    static func operation(
        _ state: String, kind: String = "drain", done: Int = 0, total: Int = 2, move: String = "waiting",
        detail: String = "", waitsFor: String = "", node: String? = "n1"
    ) -> String {
        let moves = (0..<total).map { shard in
            let state = shard < done ? "done" : shard == done ? move : "waiting"
            let copied =
                state == "copy" ? #","bytes-done":1048576,"bytes-total":2097152,"bytes-per-second":524288"# : ""
            return #"{"shard":\#(shard),"from":"n1","to":"n2","state":"\#(state)"\#(copied)}"#
        }
        let bytes = done * 2 << 20 + (move == "copy" ? 1 << 20 : 0)
        return #"{"id":"op-1","kind":"\#(kind)","state":"\#(state)","done":\#(done),"total":\#(total),"#
            + (node.map { #""node":"\#($0)","# } ?? "")
            + #""detail":"\#(detail)","bytes-per-second":1048576,"created":"2026-01-02T03:04:05Z","#
            + #""moves":[\#(moves.joined(separator: ","))],"bytes-done":\#(bytes),"bytes-total":\#(total * 2 << 20),"#
            + #""waits-for":[\#(waitsFor.isEmpty ? "" : "\"\(waitsFor)\"")]}"#
    }

    static let plan =
        #"{"plan":"p7-0a1b2c3d","map-revision":7,"moves":[{"shard":0,"from":"n1","to":"n2","bytes":2097152},"#
        + #"{"shard":1,"from":"n1","to":"n2","bytes":1048577}],"lower-bound":2,"bytes":3145729,"#
        + #""quotas":[{"node":"n1","shards":4,"after":2},{"node":"n2","shards":0,"after":2}]}"#

    static let throttle = #"{"bytes-per-second":1048576}"#
    static let noThrottle = #"{"bytes-per-second":0}"#
}
