import KeysteadClient
import ScriptedServer
import Testing

@testable import AdminTool

@Suite struct RebalanceCommandTests {
    private typealias Reaction = ScriptedServer.Reaction

    private func answers(throttle: String = Sample.throttle, plan: String = Sample.plan) -> [String: [Reaction]] {
        [
            "GET /v1/admin/rebalance/plan": FakeCluster.documents(plan),
            "GET /v1/admin/rebalance/plans/p7-0a1b2c3d": FakeCluster.documents(plan),
            "GET /v1/admin/throttle": FakeCluster.documents(throttle),
            "GET /v1/cluster": FakeCluster.documents(Sample.cluster(["n1", "n1", "n1", "n1"])),
        ]
    }

    private let planText = """
        plan p7-0a1b2c3d against map revision 7

        SHARD  FROM  TO  BYTES
        0      n1    n2  2.0 MiB
        1      n1    n2  1.0 MiB

        NODE  SHARDS  AFTER  CHANGE
        n1    4       2      -2
        n2    0       2      +2

        2 moves, 3.0 MiB; lower bound 2
        about 0:04 at the throttle of 1.0 MiB/s
        nothing has changed; to carry it out: keysteadctl rebalance commit p7-0a1b2c3d --admin http://ADMIN

        """

    @Test(arguments: ["rebalance plan", "rebalance show p7-0a1b2c3d"])
    func aPlanSaysWhatWouldMoveAndChangesNothing(command: String) async throws {
        try await FakeCluster.run(command, answers()) { result, requests in
            #expect(result.status == .done)
            #expect(result.output == planText)
            #expect(requests.allSatisfy { $0.method == "GET" })
        }
    }

    @Test func aPlanAsJSONKeepsWhatTheServerSaid() async throws {
        try await FakeCluster.run("rebalance plan --output json", answers()) { result, _ in
            #expect(result.output == Sample.plan.dropLast() + #","estimated-seconds":4}"# + "\n")
        }
    }

    @Test func aNodeInBalanceHasNothingToMove() async throws {
        let empty = #"{"plan":"p7-00","map-revision":7,"moves":[],"lower-bound":0,"bytes":0,"quotas":[]}"#
        try await FakeCluster.run("rebalance plan", answers(plan: empty)) { result, _ in
            #expect(
                result.output == "plan p7-00 against map revision 7\nnothing to move\nnothing has changed\n")
        }
    }

    @Test func whatMovesAlreadyIsNamed() async throws {
        let empty = #"{"plan":"p7-00","map-revision":7,"moves":[],"lower-bound":0,"bytes":0,"quotas":[]}"#
        let operations =
            #"{"id":"op-1","kind":"rebalance","state":"running","done":1,"total":2},"#
            + #"{"id":"op-0","kind":"drain","state":"done","done":3,"total":3}"#
        for (plan, before) in [(empty, "nothing to move"), (Sample.plan, "lower bound 2")] {
            var answers = answers(plan: plan)
            answers["GET /v1/cluster"] = FakeCluster.documents(Sample.cluster(["n1"], operations: operations))
            try await FakeCluster.run("rebalance plan", answers) { result, _ in
                #expect(
                    result.output.contains(
                        "\(before)\nbesides what op-1 (rebalance, 1 of 2 done) moves already\n"))
                #expect(!result.output.contains("op-0"))
            }
        }
    }

    @Test func withoutAThrottleWhatRunsIsMeasured() async throws {
        var answers = answers(throttle: Sample.noThrottle)
        try await FakeCluster.run("rebalance plan", answers) { result, _ in
            #expect(result.output.contains("\ntime: unknown, as there is no throttle"))
        }
        let running = #"{"id":"op-1","kind":"move","state":"running","done":0,"total":1}"#
        answers["GET /v1/cluster"] = FakeCluster.documents(Sample.cluster(["n1"], operations: running))
        answers["GET /v1/operations/op-1"] = FakeCluster.documents(Sample.operation("running", move: "copy"))
        try await FakeCluster.run("rebalance plan", answers) { result, _ in
            #expect(result.output.contains("\nabout 0:07 at the 512.0 KiB/s of what runs\n"))
        }
    }

    @Test(arguments: [
        ("rebalance show p1", "GET /v1/admin/rebalance/plans/p1", "stale-plan", 409, CommandExit.conflict),
        ("rebalance commit p1", "POST /v1/admin/rebalance/commit?plan=p1", "stale-plan", 409, .conflict),
        ("rebalance commit p1", "POST /v1/admin/rebalance/commit?plan=p1", "concurrent-change", 409, .conflict),
        ("rebalance commit p1", "POST /v1/admin/rebalance/commit?plan=p1", "refused", 409, .refused),
        ("rebalance pause", "POST /v1/admin/rebalance/pause", "not-found", 404, .notFound),
        ("node drain n1", "POST /v1/admin/nodes/n1/drain", "refused", 409, .refused),
        ("node remove n1 --dry-run", "POST /v1/admin/nodes/n1/remove?dry-run=true", "refused", 409, .refused),
        ("shard move 3 --to n2", "POST /v1/admin/shards/3/move?to=n2", "bad-request", 400, .refused),
        ("op show op-9", "GET /v1/operations/op-9", "not-found", 404, .notFound),
        ("op wait op-9", "GET /v1/operations/op-9", "not-found", 404, .notFound),
    ])
    func refusalsHaveTheirExit(
        command: String, request: String, code: String, status: Int, exit: CommandExit
    ) async throws {
        try await FakeCluster.run(command, [request: [.answer(status, [:], problem(code))]]) { result, requests in
            #expect(result.status == exit)
            #expect(result.output.isEmpty)
            #expect(result.errors.contains("\(code): D"))
            #expect(requests.count == 1)
        }
    }

    @Test func anUnknownOutcomeIsExit5AndSaysThatTheVerbMayBeRepeated() async throws {
        let unknown = problem("outcome-unknown", applied: "unknown", retry: "with-key")
        try await FakeCluster.run(
            "node drain n1", ["POST /v1/admin/nodes/n1/drain": [.answer(504, [:], unknown)]]
        ) { result, _ in
            #expect(result.status == .unknownOutcome)
            #expect(result.errors.contains("the same command again joins what may have begun"))
            #expect(!result.errors.contains("--idempotency-key"))
        }
    }

    private func commit(_ operations: Reaction...) -> [String: [Reaction]] {
        [
            "POST /v1/admin/rebalance/commit?plan=p7": [
                .answer(202, [:], Sample.operation("running", kind: "rebalance", node: nil))
            ],
            "GET /v1/operations/op-1": operations,
        ]
    }

    @Test func commitWithoutWaitingSaysWhatRuns() async throws {
        try await FakeCluster.run("rebalance commit p7 --output json", commit()) { result, requests in
            #expect(result.status == .done)
            #expect(result.output == Sample.operation("running", kind: "rebalance", node: nil) + "\n")
            #expect(
                result.errors.contains(
                    "op-1, rebalance, runs; keysteadctl op wait op-1 --admin http://ADMIN watches it"))
            #expect(requests.count == 1)
        }
    }

    @Test func aPlanThatWasCarriedOutIsDone() async throws {
        let done = Sample.operation("done", kind: "rebalance", done: 2, node: nil)
        try await FakeCluster.run(
            "rebalance commit p7 --wait", ["POST /v1/admin/rebalance/commit?plan=p7": FakeCluster.documents(done)]
        ) { result, _ in
            #expect(result.status == .done)
            #expect(result.errors.contains("done already, nothing to do"))
        }
    }

    @Test func waitingEndsOnceItWasReadBack() async throws {
        let done = Sample.operation("done", kind: "rebalance", done: 2, node: nil)
        var answers = commit(
            .answer(200, [:], Sample.operation("running", kind: "rebalance", move: "copy", node: nil)),
            .answer(200, [:], Sample.operation("running", kind: "rebalance", done: 1, node: nil)),
            .answer(200, [:], done))
        // The node asked is a moment behind.
        answers["GET /v1/cluster"] = FakeCluster.documents(
            Sample.cluster(["n2", "n1"]), Sample.cluster(["n2", "n2"]))
        try await FakeCluster.run("rebalance commit p7 --wait", answers) { result, requests in
            #expect(result.status == .done)
            #expect(result.output.hasPrefix("op-1, rebalance: done, 2 of 2 shards\n"))
            #expect(result.errors.contains("op-1, rebalance: 0 of 2 shards, 0 B of 4.0 MiB"))
            #expect(requests.count { $0.uri == "/v1/operations/op-1" } == 3)
            #expect(requests.count { $0.uri == "/v1/cluster" } == 2)
        }
    }

    @Test(arguments: [("failed", CommandExit.failed), ("cancelled", .conflict)])
    func anotherEndIsNoSuccess(state: String, exit: CommandExit) async throws {
        let end = Sample.operation(state, kind: "rebalance", done: 1, detail: "n2 went down", node: nil)
        try await FakeCluster.run("rebalance commit p7 --wait", commit(.answer(200, [:], end))) { result, _ in
            #expect(result.status == exit)
            #expect(result.output.hasPrefix("op-1, rebalance: \(state), 1 of 2 shards\n"))
            #expect(result.errors.contains("op-1, rebalance, \(state): n2 went down"))
        }
    }

    @Test func aTimeoutLeavesTheOperationAndSaysSo() async throws {
        let running = Reaction.answer(200, [:], Sample.operation("running", kind: "rebalance", node: nil))
        try await FakeCluster.run("rebalance commit p7 --wait --timeout 0", commit(running)) { result, _ in
            #expect(result.status == .unknownOutcome)
            #expect(result.errors.contains("timed out after 0:00 at 0 of 2 shards; operation op-1 goes on"))
        }
        #expect(await run("rebalance", "commit", "p7", "--timeout", "1").status == .usage)
    }

    /// Lost connections and a node without metadata are waited out: the operation outlives them.
    @Test func failuresWhileWaitingAreWaitedOut() async throws {
        let running = Reaction.answer(200, [:], Sample.operation("running", kind: "rebalance", node: nil))
        let away = Reaction.answer(503, [:], problem("metadata-unavailable", retry: "safe"))
        let lost = [Reaction](repeating: .close, count: 7)
        var answers = commit()
        answers["GET /v1/operations/op-1"] =
            [running] + lost + [away, running]
            + FakeCluster.documents(Sample.operation("done", kind: "rebalance", done: 2, node: nil))
        answers["GET /v1/cluster"] = FakeCluster.documents(Sample.cluster(["n2", "n2"]))
        try await FakeCluster.run("rebalance commit p7 --wait", answers) { result, _ in
            #expect(result.status == .done)
            #expect(result.errors.contains("still trying, operation op-1 goes on"))
        }
    }

    @Test func aBarIsForATerminal() async throws {
        var answers = commit(
            .answer(200, [:], Sample.operation("running", kind: "rebalance", done: 1, waitsFor: "n2", node: nil)),
            .answer(200, [:], Sample.operation("done", kind: "rebalance", done: 2, node: nil)))
        answers["GET /v1/cluster"] = FakeCluster.documents(Sample.cluster(["n2", "n2"]))
        try await FakeCluster.run("rebalance commit p7 --wait", answers, isErrorTerminal: true) { result, _ in
            #expect(result.status == .done)
            let first = "op-1 [>                   ]   0%  0 of 2 shards  ETA -:--  0 B of 4.0 MiB"
            #expect(result.errors.contains("\r\(first)"))
            #expect(result.errors.hasSuffix("\r\u{1B}[K"))
            #expect(!result.output.contains("\u{1B}"))
        }
    }

    @Test(arguments: [
        ("pause", "paused", "paused", CommandExit.done), ("resume", "running", "running", .done),
        ("resume", "running", "done", .done), ("cancel", "cancelled", "cancelled", .done),
        ("cancel", "running", "done", .conflict), ("pause", "running", "done", .conflict),
    ])
    func verbsReadBackWhatTheyDid(verb: String, first: String, then: String, exit: CommandExit) async throws {
        let answers = [
            "POST /v1/admin/rebalance/\(verb)": FakeCluster.documents(Sample.operation(first, kind: "rebalance")),
            "GET /v1/operations/op-1": FakeCluster.documents(Sample.operation(then, kind: "rebalance")),
        ]
        try await FakeCluster.run("rebalance \(verb)", answers) { result, _ in
            #expect(result.status == exit)
            #expect(result.output.contains(": \(then), 0 of 2 shards"))
        }
    }

    @Test func anInterruptedWaitLeavesTheOperationAndSaysSo() async throws {
        let running = ScriptedServer.Reaction.answer(200, [:], Sample.operation("running"))
        let cluster = FakeCluster(["GET /v1/operations/op-1": [running]])
        try await ScriptedServer.run(cluster.script) { server in
            let command = Task { await run(["op", "wait", "op-1", "--admin", server.url]) }
            while server.requests.count < 2 { await Task.yield() }
            command.cancel()
            let result = await command.value
            #expect(result.status == .interrupted)
            let watch = "keysteadctl op wait op-1 --admin \(server.url) watches it"
            #expect(result.errors.contains("interrupted; operation op-1 goes on; \(watch)"))
        }
    }

    @Test(arguments: [
        ("shard move 1 --to n1 --wait", "POST /v1/admin/shards/1/move?to=n1"),
        ("rebalance commit p1", "POST /v1/admin/rebalance/commit?plan=p1"),
        ("node weight n1 1", "POST /v1/admin/nodes/n1/weight?weight=1"),
    ])
    func whatIsSoAlreadyIsNothingToDo(command: String, request: String) async throws {
        var answers = answers()
        answers[request] = FakeCluster.documents(#"{"changed":false,"note":"it is so"}"#)
        try await FakeCluster.run(command, answers) { result, _ in
            #expect(result.status == .done)
            #expect(result.errors.hasPrefix("keysteadctl: it is so: nothing to do\n"))
        }
        try await FakeCluster.run(command + " --output json", answers) { result, _ in
            #expect(result.output == #"{"changed":false,"note":"it is so"}"# + "\n")
        }
    }

    /// Where the shard is another's meanwhile, nothing was done and nothing holds.
    @Test func whatIsSaidToBeSoIsReadBack() async throws {
        var answers = answers()
        answers["POST /v1/admin/shards/1/move?to=n2"] = FakeCluster.documents(#"{"changed":false,"note":"it is so"}"#)
        try await FakeCluster.run("shard move 1 --to n2", answers) { result, _ in
            #expect(result.status == .conflict)
            #expect(result.errors.contains("shard 1 is owned by node n1"))
        }
    }

    /// A move is done when its new owner serves, not when the record names it.
    @Test func theNewOwnerIsWaitedFor() async throws {
        let operation =
            #"{"id":"op-1","kind":"move","state":"done","done":1,"total":1,"moves":[]}"#
        let opening = Sample.cluster(["n2"]).replacing(#""state":"serving""#, with: #""state":"unavailable""#)
        var answers = answers()
        answers["POST /v1/admin/shards/0/move?to=n2"] = FakeCluster.documents(operation)
        answers["GET /v1/cluster"] = FakeCluster.documents(opening, opening, Sample.cluster(["n2"]))
        try await FakeCluster.run("shard move 0 --to n2", answers) { result, requests in
            #expect(result.status == .done)
            #expect(requests.count { $0.uri == "/v1/cluster" } == 3)
        }
    }
}
