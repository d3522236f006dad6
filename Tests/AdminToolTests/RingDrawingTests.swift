import KeysteadClient
import ScriptedServer
import Testing

@testable import AdminTool

@Suite struct RingDrawingTests {
    private func picture(_ text: String) throws -> ClusterPicture {
        try #require(JSONText(Array(text.utf8)).flatMap { ClusterPicture($0) })
    }

    /// 16 shards, four runs of four: a quarter of the ring each.
    private let quarters = ["n1", "n2", "n1", "n3"].flatMap { Array(repeating: $0, count: 4) }
    private let three: [(id: String, state: String)] = [("n1", "active"), ("n2", "cordoned"), ("n3", "active")]

    @Test func theRingIsACircle() async throws {
        let text = Sample.cluster(quarters, nodes: three, moves: [5: "n3"])
        try await FakeCluster.run("ring", ["GET /v1/cluster": FakeCluster.documents(text)]) { result, _ in
            #expect(result.output == golden)
        }
    }

    /// Every shard has a cell of its own owner: with one owner a shard no owner may be missing.
    @Test(arguments: [16, 32, 64])
    func everyShardIsSeen(count: Int) throws {
        for shard in 0..<count {
            let owners = (0..<count).map { $0 == shard ? "n2" : "n1" }
            let drawing = text(of: RingDrawing(try picture(Sample.cluster(owners))))
            #expect(drawing.split(separator: "\n").prefix(24).contains { $0.contains("B") })
        }
    }

    @Test func largeRingsAreRows() throws {
        let owners = (0..<128).map { $0 % 2 == 0 ? "n1" : "n2" }
        let drawing = text(of: RingDrawing(try picture(Sample.cluster(owners, moves: [65: "n1"]))))
        let row = String(repeating: "AB", count: 32)
        #expect(
            drawing == """
                  0  \(row)
                 64  \(row)
                      *

                   NODE  STATE   ZONE  WEIGHT  SHARDS  SHARE
                A  n1    active  z     1       64      50.0 %
                B  n2    active  z     1       64      50.0 %

                *  shard 65 moves from n2 to n1: copy, op-1

                """)
    }

    @Test(arguments: [
        (true, [:], true), (false, [:], false), (true, ["NO_COLOR": "1"], false), (true, ["TERM": "dumb"], false),
    ])
    func coloursAreForTerminals(isTerminal: Bool, environment: [String: String], colours: Bool) async throws {
        let answers = ["GET /v1/cluster": FakeCluster.documents(Sample.cluster(quarters, nodes: three))]
        try await FakeCluster.run(
            "ring", answers, isOutputTerminal: isTerminal, environment: environment
        ) { result, _ in
            #expect(result.output.contains("\u{1B}[30;48;5;39mA") == colours)
            #expect(result.output.contains("\u{1B}") == colours)
        }
    }

    @Test func asJSONItIsTheMap() async throws {
        let text = Sample.cluster(["n1", "n2"])
        try await FakeCluster.run("ring --output json", ["GET /v1/cluster": FakeCluster.documents(text)]) { result, _ in
            #expect(result.output == text.replacing(#","operations":[]"#, with: "") + "\n")
        }
    }

    private let golden = """
                                  0

                            CCCCCCAAAAAA
                       CCCCCCCCCCCAAAAAAAAAAA
                     CCCCCCCCCCCCCAAAAAAAAAAAAA
                   CCCCCCCCCC          AAAAAAAAAA
                 CCCCCCCC                  AAAAAAAA
                CCCCCCC                      AAAAAAA
               CCCCCCC                        AAAAAAA
               CCCCCC                          AAAAAA
              CCCCCC              c             AAAAAA
              CCCCCC          16 shards         AAAAAA
          12  AAAAAA           3 nodes          BBBBBB  4
              AAAAAA            map 7           BBBBBB
               AAAAAA                          BBBBBB
               AAAAAAA                        BBBBBBB
                AAAAAAA                      BBBBBBB**
                 AAAAAAAA                  BBBBBBBB**
                   AAAAAAAAAA          BBBBBBBBBB***
                     AAAAAAAAAAAAABBBBBBBBBBBBB  *
                       AAAAAAAAAAABBBBBBBBBBB
                            AAAAAABBBBBB

                                  8

           NODE  STATE     ZONE  WEIGHT  SHARDS  SHARE
        A  n1    active    z     1       8       50.0 %
        B  n2    cordoned  z     1       4       25.0 %
        C  n3    active    z     1       4       25.0 %

        *  shard 5 moves from n2 to n3: copy, op-1

        """
}

@Suite struct ExplainTests {
    private let running = #"{"id":"op-1","kind":"drain","state":"running","done":1,"total":2}"#

    private var answers: [String: [ScriptedServer.Reaction]] {
        let owners = ["n1", "n1", "n1", "n2"]
        return [
            "GET /v1/cluster": FakeCluster.documents(Sample.cluster(owners, operations: running)),
            "GET /v1/shards/0": FakeCluster.documents(
                #"{"shard":0,"primary":"n1","epoch":4,"position":9,"state":"serving"}"#),
            "GET /v1/admin/rebalance/plan": FakeCluster.documents(Sample.plan),
            "GET /v1/operations/op-1": FakeCluster.documents(
                Sample.operation("running", move: "copy", waitsFor: "disk")),
        ]
    }

    @Test func aShardIsExplained() async throws {
        try await FakeCluster.run("explain shard 0", answers) { result, _ in
            #expect(
                result.output == """
                    shard 0: serving, owned by node n1 under epoch 4
                    - node n1 (zone z, weight 1 of 2 over 2 active nodes) owns 3 of 4 shards; its quota is 2: 1 over
                    - the plan of now, p7-0a1b2c3d, would move it to n2
                    - operation op-1 (drain, running) moves it from n1 to n2: copy, 1.0 MiB of 2.0 MiB copied at \
                    512.0 KiB/s

                    FIELD     VALUE
                    shard     0
                    primary   n1
                    epoch     4
                    position  9
                    state     serving

                    """)
        }
        try await FakeCluster.run("explain shard 0 --output json", answers) { result, _ in
            let document = try #require(JSONText(Array(result.output.utf8)))
            #expect(document.member("why")?.elements.count == 3)
            #expect(document.member("epoch")?.unsigned == 4)
        }
    }

    @Test func aNodeIsExplained() async throws {
        try await FakeCluster.run("explain node n1", answers) { result, _ in
            #expect(
                result.output.hasPrefix(
                    """
                    node n1: active, owns shards 0-2
                    - node n1 (zone z, weight 1 of 2 over 2 active nodes) owns 3 of 4 shards; its quota is 2: 1 over
                    - the plan of now, p7-0a1b2c3d, moves shards 0-1 away from it and nothing to it
                    - operation op-1 (drain, running) has yet to move shards 0-1 away from it and nothing to it; \
                    waits: disk

                    FIELD
                    """))
        }
    }

    @Test func statusShowsWhatRuns() async throws {
        var answers = answers
        answers["GET /readyz"] = FakeCluster.documents(#"{"ready":true,"reasons":[]}"#)
        try await FakeCluster.run("status --check", answers) { result, _ in
            #expect(result.status == .done)
            #expect(result.output.hasPrefix("HEALTHY\ncluster c, map revision 7, 4 of 4 shards serving\n\nNODE"))
            #expect(
                result.output.hasSuffix(
                    "\nop-1, drain of n1: 0 of 2 shards, 1.0 MiB of 4.0 MiB, 512.0 KiB/s, ETA 0:06, waits: disk\n"))
        }
    }

    @Test func theNextAdminEndpointIsTried() async throws {
        let dead = ScriptedServer.deadURL
        try await FakeCluster.run("node list --admin \(dead)", answers) { result, _ in
            #expect(result.status == .done)
        }
    }
}

private func text(of drawing: RingDrawing) -> String { drawing.lines.map { $0.text(false) + "\n" }.joined() }
