import KeysteadClient
import ScriptedServer
import Testing

@testable import AdminTool

@Suite struct NodeCommandTests {
    @Test(arguments: [
        ("cordon", "cordoned", true, "node n1 is cordoned\n"), ("cordon", "draining", false, "is draining already\n"),
        ("uncordon", "active", true, "node n1 is active\n"),
    ])
    func cordonsAreReadBack(verb: String, state: String, changed: Bool, message: String) async throws {
        let change = #"{"node":"n1","changed":\#(changed)}"#
        let answers = [
            "POST /v1/admin/nodes/n1/\(verb)": FakeCluster.documents(change),
            "GET /v1/cluster": FakeCluster.documents(Sample.cluster(["n1"], nodes: [("n1", state)])),
        ]
        try await FakeCluster.run("node \(verb) n1", answers) { result, _ in
            #expect(result.status == .done)
            #expect(result.output.hasPrefix("NODE  STATE"))
            #expect(result.output.contains("n1    \(state)"))
            #expect(result.errors.hasSuffix(message))
        }
        try await FakeCluster.run("node \(verb) n1 --output json", answers) { result, _ in
            #expect(result.output == change + "\n")
        }
    }

    private let drained = [
        "POST /v1/admin/nodes/n1/drain": [ScriptedServer.Reaction.answer(202, [:], Sample.operation("running"))],
        "GET /v1/operations/op-1": FakeCluster.documents(
            Sample.operation("running", done: 1, move: "copy"), Sample.operation("done", done: 2)),
        "GET /v1/cluster": FakeCluster.documents(
            Sample.cluster(["n1", "n2"]), Sample.cluster(["n2", "n2"])),
    ]

    @Test func aDrainIsDoneOnceTheNodeHoldsNothing() async throws {
        try await FakeCluster.run("node drain n1 --wait --output json", drained) { result, requests in
            #expect(result.status == .done)
            #expect(result.output == Sample.operation("done", done: 2) + "\n")
            #expect(requests.count { $0.uri == "/v1/cluster" } == 2)
        }
    }

    /// It has been given a shard again in the meantime: that is no success.
    @Test func aNodeThatStillHoldsSomethingIsNotDrained() async throws {
        var answers = drained
        answers["GET /v1/cluster"] = FakeCluster.documents(Sample.cluster(["n1", "n2"]))
        try await FakeCluster.run("node drain n1 --wait", answers) { result, _ in
            #expect(result.status == .conflict)
            #expect(result.errors.contains("operation op-1 is done, but node n1 holds shard 0"))
        }
    }

    @Test func aDryRunShowsAPlanAndTheCommand() async throws {
        let answers = [
            "POST /v1/admin/nodes/n1/drain?dry-run=true": FakeCluster.documents(Sample.plan),
            "GET /v1/cluster": FakeCluster.documents(Sample.cluster(["n1"])),
            "GET /v1/admin/throttle": FakeCluster.documents(Sample.throttle),
        ]
        try await FakeCluster.run("node drain n1 --dry-run", answers) { result, _ in
            #expect(result.status == .done)
            let command = "keysteadctl node drain n1 --admin http://ADMIN"
            #expect(result.output.hasSuffix("nothing has changed; to carry it out: \(command)\n"))
        }
        #expect(await run("node", "drain", "n1", "--dry-run", "--wait").status == .usage)
    }

    @Test func removalIsReadBack() async throws {
        let answers = [
            "POST /v1/admin/nodes/n1/remove?dry-run=true": FakeCluster.documents("{}"),
            "POST /v1/admin/nodes/n1/remove": FakeCluster.documents(Sample.operation("done", kind: "remove", total: 0)),
            "GET /v1/cluster": FakeCluster.documents(
                Sample.cluster(["n2"], nodes: [("n1", "drained"), ("n2", "active")]),
                Sample.cluster(["n2"], nodes: [("n2", "active")])),
        ]
        try await FakeCluster.run("node remove n1 --dry-run", answers) { result, requests in
            #expect(result.output == "node n1 can be removed: it holds no shard\nnothing has changed\n")
            #expect(requests.count == 1)
        }
        try await FakeCluster.run("node remove n1", answers) { result, requests in
            #expect(result.status == .done)
            #expect(requests.count { $0.uri == "/v1/cluster" } == 2)
        }
    }

    @Test func aWeightIsReadBackAsANumber() async throws {
        let answers = [
            "POST /v1/admin/nodes/n1/weight?weight=2.50": FakeCluster.documents(
                Sample.operation("done", kind: "weight", total: 0)),
            "GET /v1/cluster": FakeCluster.documents(Sample.cluster(["n1"], weight: "2.5")),
        ]
        try await FakeCluster.run("node weight n1 2.50", answers) { result, _ in
            #expect(result.status == .done)
            #expect(result.errors.contains("nothing moves by that: keysteadctl rebalance plan"))
        }
    }

    @Test(arguments: ["-1", "1.2345", "1001", "x", "", "1.", ".5", "1e2"])
    func whatIsNoWeightIsUsage(weight: String) async {
        #expect(await run("node", "weight", "n1", "--", weight).status == .usage)
    }

    @Test func aShardIsMovedOnceItsOwnerIsRead() async throws {
        let done = Sample.operation("done", kind: "move", done: 1, total: 1, node: nil)
        let answers = [
            "POST /v1/admin/shards/0/move?to=n2": FakeCluster.documents(done),
            "GET /v1/cluster": FakeCluster.documents(Sample.cluster(["n1"]), Sample.cluster(["n2"])),
        ]
        try await FakeCluster.run("shard move 0 --to n2 --wait", answers) { result, requests in
            #expect(result.status == .done)
            #expect(requests.count { $0.uri == "/v1/cluster" } == 2)
        }
    }

    @Test func operationsAreListedShownWatchedAndCancelled() async throws {
        let summary = #"{"id":"op-1","kind":"drain","state":"running","done":1,"total":2}"#
        var answers = [
            "GET /v1/cluster": FakeCluster.documents(Sample.cluster(["n2", "n2"], operations: summary)),
            "GET /v1/operations/op-1": FakeCluster.documents(
                Sample.operation("running", done: 1, move: "copy", waitsFor: "the limit of two moves")),
        ]
        try await FakeCluster.run("op list", answers) { result, _ in
            #expect(result.output == "OPERATION  KIND   STATE    DONE  TOTAL\nop-1       drain  running  1     2\n")
        }
        try await FakeCluster.run("op list --output json", answers) { result, _ in
            #expect(result.output == #"{"cluster":"c","map-revision":7,"operations":[\#(summary)]}"# + "\n")
        }
        try await FakeCluster.run("op show op-1", answers) { result, _ in
            #expect(
                result.output == """
                    op-1, drain of n1: running, 1 of 2 shards
                    copied 3.0 MiB of 4.0 MiB at 512.0 KiB/s, at most 1.0 MiB/s, ETA 0:02
                    waits: the limit of two moves
                    created 2026-01-02T03:04:05Z

                    SHARD  FROM  TO  STATE  COPIED              RATE         BEHIND  WAITS FOR
                    0      n1    n2  done   -                   -            -
                    1      n1    n2  copy   1.0 MiB of 2.0 MiB  512.0 KiB/s  -

                    """)
        }
        answers["GET /v1/operations/op-1"]?.append(.answer(200, [:], Sample.operation("done", done: 2)))
        try await FakeCluster.run("op wait op-1", answers) { result, _ in
            #expect(result.status == .done)
            #expect(
                result.errors.contains("op-1, drain of n1: 1 of 2 shards, 3.0 MiB of 4.0 MiB, 512.0 KiB/s, ETA 0:02"))
        }
        answers = [
            "POST /v1/admin/operations/op-1/cancel": FakeCluster.documents(Sample.operation("running")),
            "GET /v1/operations/op-1": FakeCluster.documents(
                Sample.operation("running"), Sample.operation("cancelled")),
        ]
        try await FakeCluster.run("op cancel op-1", answers) { result, _ in
            #expect(result.status == .done)
            #expect(result.output.hasPrefix("op-1, drain of n1: cancelled"))
        }
    }

    @Test func theThrottleIsShownSetAndReadBack() async throws {
        let answers = [
            "GET /v1/admin/throttle": FakeCluster.documents(#"{"bytes-per-second":10485760}"#),
            "POST /v1/admin/throttle?bytes-per-second=10485760": FakeCluster.documents(
                "{\"bytes-per-second\":10485760}"),
            "POST /v1/admin/throttle?bytes-per-second=5": FakeCluster.documents(#"{"bytes-per-second":5}"#),
        ]
        try await FakeCluster.run("throttle show", answers) { result, _ in #expect(result.output == "10.0 MiB/s\n") }
        try await FakeCluster.run("throttle set 10MiB --output json", answers) { result, _ in
            #expect(result.output == "{\"bytes-per-second\":10485760}\n")
        }
        try await FakeCluster.run("throttle set 5", answers) { result, _ in #expect(result.status == .conflict) }
    }

    @Test(arguments: [
        ("0", 0), ("unlimited", 0), ("1048576", 1 << 20), ("10MiB", 10 << 20), ("1.5GiB", 3 << 29),
        ("50MB", 50_000_000),
        ("10MiB/s", 10 << 20), ("7B", 7), ("10", 10),
    ])
    func ratesAreRead(text: String, bytes: UInt64) { #expect(ByteRate(argument: text)?.bytesPerSecond == bytes) }

    @Test(arguments: ["", "x", "MiB", "-1", "-1MiB", "1e3KiB", "0.1B", "10 furlongs", "1.2.3MiB"])
    func otherTextIsNoRate(text: String) { #expect(ByteRate(argument: text) == nil) }
}
