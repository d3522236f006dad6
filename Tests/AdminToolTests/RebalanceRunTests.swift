import Primitives
import ScriptedServer
import Testing

@testable import AdminTool
@testable import KeysteadClient

/// `rebalance` without a subcommand, and what is read back of a rebalance that did not go as it was planned.
@Suite struct RebalanceRunTests {
    private typealias Reaction = ScriptedServer.Reaction

    private static let plan = "GET /v1/admin/rebalance/plan"
    private static let commit = "POST /v1/admin/rebalance/commit?plan=p7-0a1b2c3d"
    private static let operation = "GET /v1/operations/op-1"
    private let done = Sample.operation("done", kind: "rebalance", done: 2, node: nil)

    private func answers(_ more: [String: [Reaction]] = [:]) -> [String: [Reaction]] {
        let running = Sample.operation("running", kind: "rebalance", node: nil)
        return [
            Self.plan: FakeCluster.documents(Sample.plan), Self.commit: [.answer(202, [:], running)],
            Self.operation: FakeCluster.documents(done),
            "GET /v1/admin/throttle": FakeCluster.documents(Sample.throttle),
            "GET /v1/cluster": FakeCluster.documents(Sample.cluster(["n2", "n2"])),
        ].merging(more) { $1 }
    }

    @Test(arguments: ["rebalance --wait", "rebalance run --wait"])
    func itPlansShowsAndCarriesOut(command: String) async throws {
        try await FakeCluster.run(command, answers()) { result, requests in
            #expect(result.status == .done)
            #expect(result.output.hasPrefix("plan p7-0a1b2c3d against map revision 7\n\nSHARD  FROM  TO  BYTES\n"))
            #expect(result.output.contains("\n2 moves, 3.0 MiB; lower bound 2\nabout 0:04 at the throttle of"))
            #expect(result.output.contains("\nop-1, rebalance: done, 2 of 2 shards\n"))
            #expect(!result.output.contains("nothing has changed"))
            let posted = requests.filter { $0.method == "POST" }.map(\.uri)
            #expect(posted == ["/v1/admin/rebalance/commit?plan=p7-0a1b2c3d"])
        }
    }

    @Test func asJSONItIsTheOperation() async throws {
        try await FakeCluster.run("rebalance --wait --output json", answers()) { result, _ in
            #expect(result.status == .done)
            #expect(result.output == done + "\n")
        }
    }

    @Test func withoutWaitingItSaysWhatRuns() async throws {
        try await FakeCluster.run("rebalance", answers()) { result, _ in
            #expect(result.status == .done)
            #expect(result.output.contains("\nop-1, rebalance: running, 0 of 2 shards\n"))
            #expect(result.errors.contains("runs; keysteadctl op wait op-1 --admin http://ADMIN watches it"))
        }
    }

    @Test func aDryRunChangesNothing() async throws {
        try await FakeCluster.run("rebalance --dry-run", answers()) { result, requests in
            #expect(result.status == .done)
            #expect(result.output.contains("\nnothing has changed; to carry it out: keysteadctl rebalance commit p7-"))
            #expect(requests.allSatisfy { $0.method == "GET" })
        }
        try await FakeCluster.run("rebalance --dry-run --output json", answers()) { result, _ in
            #expect(result.output == Sample.plan.dropLast() + #","estimated-seconds":4}"# + "\n")
        }
        #expect(await run("rebalance", "--dry-run", "--wait").status == .usage)
        #expect(await run("rebalance", "--timeout", "1").status == .usage)
        #expect(await run("rebalance", "p7").status == .usage)
    }

    @Test func nothingToMoveIsDone() async throws {
        let empty = #"{"plan":"p7-0a1b2c3d","map-revision":7,"moves":[],"lower-bound":0,"bytes":0,"quotas":[]}"#
        let unchanged = #"{"changed":false,"note":"every node has its share: nothing to move"}"#
        let answers = answers([
            Self.plan: FakeCluster.documents(empty), Self.commit: FakeCluster.documents(unchanged),
        ])
        try await FakeCluster.run("rebalance --wait", answers) { result, _ in
            #expect(result.status == .done)
            #expect(
                result.output
                    == "plan p7-0a1b2c3d against map revision 7\nnothing to move\nnothing has changed\n")
            #expect(result.errors.contains("every node has its share: nothing to move"))
        }
        try await FakeCluster.run("rebalance --wait --output json", answers) { result, _ in
            #expect(result.status == .done)
            #expect(result.output == unchanged + "\n")
        }
    }

    @Test(arguments: ["stale-plan", "concurrent-change"])
    func aPlanThatWentStaleIsMadeAgain(code: String) async throws {
        let newer = Sample.plan.replacing("p7-0a1b2c3d", with: "p8-0a1b2c3d")
        let answers = answers([
            Self.plan: FakeCluster.documents(Sample.plan, newer),
            Self.commit: [.answer(409, [:], problem(code))],
            "POST /v1/admin/rebalance/commit?plan=p8-0a1b2c3d": FakeCluster.documents(
                Sample.operation("running", kind: "rebalance", node: nil)),
        ])
        try await FakeCluster.run("rebalance --wait", answers) { result, _ in
            #expect(result.status == .done)
            #expect(result.errors.contains("plan p7-0a1b2c3d does not hold any more: planning again"))
            #expect(result.output.contains("\nplan p8-0a1b2c3d against map revision 7\n"))
        }
        try await FakeCluster.run("rebalance --output json", answers) { result, _ in
            #expect(result.status == .done)
            #expect(result.output.split(separator: "\n").count == 1)
        }
    }

    @Test func itDoesNotPlanForEver() async throws {
        let answers = answers([Self.commit: [.answer(409, [:], problem("stale-plan"))]])
        try await FakeCluster.run("rebalance", answers) { result, requests in
            #expect(result.status == .conflict)
            #expect(result.errors.contains("stale-plan: D"))
            #expect(requests.count { $0.method == "POST" } == Limits.rebalancePlansMax)
        }
    }

    @Test func aRebalanceThatRunsIsJoined() async throws {
        let refused = [Reaction.answer(409, [:], problem("refused"))]
        let running = Sample.operation("running", kind: "rebalance", node: nil)
        let listed =
            #"{"id":"op-0","kind":"rebalance","state":"done","done":1,"total":1},"#
            + #"{"id":"op-1","kind":"rebalance","state":"running","done":0,"total":2},"#
            + #"{"id":"op-2","kind":"drain","state":"running","done":0,"total":2}"#
        let answers = answers([
            Self.commit: refused, Self.operation: FakeCluster.documents(running, running, done),
            "GET /v1/cluster": FakeCluster.documents(Sample.cluster(["n2", "n2"], operations: listed)),
        ])
        try await FakeCluster.run("rebalance --wait --output json", answers) { result, _ in
            #expect(result.status == .done)
            #expect(result.output == done + "\n")
            #expect(result.errors.contains("op-1, rebalance, runs already: it is joined"))
        }
        try await FakeCluster.run("rebalance --wait", self.answers([Self.commit: refused])) { result, _ in
            #expect(result.status == .refused)
        }
    }

    // MARK: What is read back

    private func ended(_ moves: [(shard: Int, to: String)], detail: String) -> String {
        let moves = moves.map { #"{"shard":\#($0.shard),"from":"n1","to":"\#($0.to)","state":"done"}"# }
        return #"{"id":"op-1","kind":"rebalance","state":"done","done":\#(moves.count),"total":\#(moves.count),"#
            + #""detail":"\#(detail)","moves":[\#(moves.joined(separator: ","))]}"#
    }

    /// Shards 0 and 1 were to go from n1 to n2.
    private func outcome(
        owners: [String], moves: [(shard: Int, to: String)], n2 state: String?, command: String = "rebalance --wait"
    ) async throws -> CommandExit {
        let nodes = [("n1", "active"), ("n3", "active")] + (state.map { [("n2", $0)] } ?? [])
        let answers = answers([
            Self.operation: FakeCluster.documents(ended(moves, detail: "n2 is not alive: 1 moves lead elsewhere now")),
            "GET /v1/cluster": FakeCluster.documents(Sample.cluster(owners, nodes: nodes)),
        ])
        var status = CommandExit.failed
        try await FakeCluster.run(command, answers) { result, _ in status = result.status }
        return status
    }

    /// A target that died is nobody's doing: the operation went on without it, and that was read back.
    @Test(arguments: ["rebalance --wait", "rebalance commit p7-0a1b2c3d --wait"], ["down", "active"])
    func aDeadTargetIsNoConflict(command: String, state: String) async throws {
        let led = try await outcome(
            owners: ["n3", "n3"], moves: [(0, "n3"), (1, "n3")], n2: state, command: command)
        #expect(led == .done)
        let dropped = try await outcome(owners: ["n3", "n1"], moves: [(0, "n3")], n2: state, command: command)
        #expect(dropped == .done)
        let none = try await outcome(owners: ["n1", "n1"], moves: [], n2: state, command: command)
        #expect(none == .done)
    }

    /// Somebody's command in between is a concurrent change.
    @Test func whatSomebodyChangedIsObjectedTo() throws {
        func move(_ shard: UInt64, _ to: String) -> OperationDetail.Move {
            OperationDetail.Move(
                shard: shard, from: "n1", to: to, state: "done", bytesDone: nil, bytesTotal: nil, bytesPerSecond: nil,
                lag: nil, waitsFor: nil)
        }
        func objection(_ owners: [String], _ done: [OperationDetail.Move], n2 state: String?) throws -> String? {
            let nodes = [("n1", "active"), ("n3", "active")] + (state.map { [("n2", $0)] } ?? [])
            let document = try #require(JSONText(Array(Sample.cluster(owners, nodes: nodes).utf8)))
            let picture = try #require(ClusterPicture(document))
            return Postcondition.rebalanced(asked: [move(0, "n2"), move(1, "n2")], done: done).objection(in: picture)
        }
        for (state, word) in [("cordoned", "cordoned"), ("draining", "draining"), (nil, "removed")] {
            let led = try objection(["n3", "n3"], [move(0, "n3"), move(1, "n3")], n2: state)
            #expect(led == "node n2 is \(word) and did not get shards 0-1")
            let dropped = try objection(["n2", "n1"], [move(0, "n2")], n2: state)
            #expect(dropped == "node n2 is \(word) and did not get shard 1")
        }
        let elsewhere = "shard 1 is owned by node n3"
        #expect(try objection(["n2", "n3"], [move(0, "n2")], n2: "active") == elsewhere)
        #expect(try objection(["n2", "n3"], [move(0, "n2"), move(1, "n2")], n2: "down") == elsewhere)
        #expect(try objection(["n2", "n2"], [move(0, "n2"), move(1, "n2")], n2: "cordoned") == nil)
        #expect(try objection(["n2", "n1"], [move(0, "n2")], n2: "active") == nil)
        #expect(try objection(["n3", "n1"], [move(0, "n3")], n2: "down") == nil)
    }
}
