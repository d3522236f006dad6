import KeysteadClient
import ScriptedServer
import Testing

@testable import AdminTool

@Suite struct ClusterTests {
    private func cluster(_ states: [String], node: String = "active", more: String = "") -> String {
        let shards = states.enumerated().map {
            #"{"shard":\#($0),"primary":"n1","epoch":1,"position":\#($0 * 10),"state":"\#($1)"}"#
        }
        let nodes =
            #"{"id":"n1","state":"\#(node)","zone":"z","weight":1.5,"shards":\#(states.count),"#
            + #""listen":"l:1","admin":"a:1"}"#
        return #"{"cluster":"c","map-revision":5,"nodes":[\#(nodes)],"shards":[\#(shards.joined(separator: ","))],"#
            + #""operations":[]\#(more)}"#
    }

    private func serve(
        _ document: String, ready: Bool = true, _ body: (String) async throws -> Void
    ) async throws {
        let script: ScriptedServer.Script = { request in
            switch request.uri {
            case "/v1/cluster": .answer(200, [:], document)
            case "/readyz":
                ready ? .answer(200, [:], #"{"reasons":[]}"#) : .answer(503, [:], #"{"reasons":["starting"]}"#)
            case "/v1/shards/1":
                .answer(
                    200, [:], #"{"shard":1,"primary":"n1","epoch":4,"position":9,"state":"serving","table-bytes":77}"#)
            default: .answer(404, [:], problem("not-found"))
            }
        }
        try await ScriptedServer.run(script) { try await body($0.url) }
    }

    @Test func aSoundClusterIsHealthy() async throws {
        try await serve(cluster(Array(repeating: "serving", count: 16))) { url in
            let result = await run("status", "--check", "--admin", url)
            #expect(result.status == .done)
            #expect(result.output.hasPrefix("HEALTHY\ncluster c, map revision 5, 16 of 16 shards serving\n"))
            #expect(result.output.contains("n1    active  z     1.5     16      l:1     a:1"))
        }
    }

    @Test(arguments: [
        (["serving", "damaged", "damaged", "serving"], "active", true, "", "DEGRADED: shards 1-2 are damaged"),
        (["unavailable", "serving"], "active", true, "", "DEGRADED: shard 0 is unavailable"),
        (["unavailable", "unavailable"], "active", true, "", "UNAVAILABLE: shards 0-1 are unavailable"),
        (["serving"], "active", false, "", "DEGRADED: the node is not ready: starting"),
        (["serving"], "down", true, "", "DEGRADED: node n1 is down"),
        (
            ["serving"], "active", true, #","storage":"full""#,
            "DEGRADED: storage is full: reads go on, writes wait for space"
        ),
        (
            ["serving"], "active", true, #","metadata":{"reachable":false,"age-seconds":75}"#,
            "DEGRADED: the metadata store has not answered for 1:15: what runs goes on, changes and moves wait, "
                + "and what is shown here is as old"
        ),
        ([], "active", true, "", "UNAVAILABLE: the cluster has no shards"),
    ])
    func whatIsWrongIsSaid(
        states: [String], node: String, ready: Bool, more: String, verdict: String
    ) async throws {
        try await serve(cluster(states, node: node, more: more), ready: ready) { url in
            let checked = await run("status", "--check", "--admin", url)
            #expect(checked.status == .unhealthy)
            #expect(checked.output.split(separator: "\n").first.map(String.init) == verdict)
            #expect(await run("status", "--admin", url).status == .done)
        }
    }

    @Test func statusAsJSONKeepsWhatTheServerSaid() async throws {
        let document = cluster(["serving"], more: #","new-field":{"a":1.0}"#)
        try await serve(document) { url in
            let result = await run("status", "--output", "json", "--admin", url)
            #expect(result.output == #"{"verdict":"HEALTHY","reasons":[],"# + document.dropFirst() + "\n")
        }
    }

    @Test func listsAndPicturesAreOfTheSameDocument() async throws {
        try await serve(cluster(["serving", "damaged"])) { url in
            #expect(await run("node", "list", "--admin", url).output.hasPrefix("NODE  STATE   ZONE"))
            #expect(
                await run("shard", "list", "--admin", url).output
                    == "SHARD  PRIMARY  EPOCH  POSITION  STATE\n0      n1       1      0         serving\n"
                    + "1      n1       1      10        damaged\n")
            #expect(
                await run("ring", "--arcs", "--admin", url).output
                    == "SHARDS  FIRST HASH        LAST HASH         PRIMARY  SHARE\n"
                    + "0-1     0000000000000000  ffffffffffffffff  n1       100.0 %\n")
            let json = await run("node", "list", "--admin", url, "--output", "json")
            #expect(json.output.hasPrefix(#"{"cluster":"c","map-revision":5,"nodes":[{"id":"n1","#))
        }
    }

    @Test func explainTellsWhatIsKnown() async throws {
        try await serve(cluster(["serving", "serving"])) { url in
            let shard = await run("explain", "shard", "1", "--admin", url)
            #expect(shard.output.hasPrefix("shard 1: serving, owned by node n1 under epoch 4\n"))
            #expect(shard.output.contains("table-bytes  77"))
            #expect(await run("explain", "shard", "9", "--admin", url).status == .notFound)
            let node = await run("explain", "node", "n1", "--admin", url)
            #expect(node.output.hasPrefix("node n1: active, owns shards 0-1\n"))
            #expect(await run("explain", "node", "n2", "--admin", url).status == .notFound)
        }
    }

    @Test func arcsTileTheRing() throws {
        let owners = ["a", "a", "b", nil, "a", "b", "b", "b"]
        let shards = owners.enumerated().map { shard, owner in
            #"{"shard":\#(shard),"primary":\#(owner.map { "\"\($0)\"" } ?? "null"),"state":"serving"}"#
        }
        let document =
            #"{"cluster":"c","map-revision":1,"nodes":[],"shards":[\#(shards.reversed().joined(separator: ","))]}"#
        let picture = try #require(JSONText(Array(document.utf8)).flatMap { ClusterPicture($0) })
        let arcs = Ring.arcs(picture.shards)
        #expect(arcs.map(\.owner) == ["a", "b", nil, "a", "b"])
        #expect(
            arcs.map(\.firstHash) == [
                "0000000000000000", "4000000000000000", "6000000000000000", "8000000000000000", "a000000000000000",
            ])
        #expect(
            arcs.map(\.lastHash) == [
                "3fffffffffffffff", "5fffffffffffffff", "7fffffffffffffff", "9fffffffffffffff", "ffffffffffffffff",
            ])
        #expect(arcs.map(\.share) == ["25.0 %", "12.5 %", "12.5 %", "12.5 %", "37.5 %"])
    }
}
