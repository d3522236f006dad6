import Foundation
import Testing

extension Cluster {
    /// A node that is there and does nothing: a stopped process, a machine that was suspended. And the dead.
    @Suite(.serialized) struct HangTests {
        /// Callers are promised 5 s; a busy machine gets some more. What a request may take at all is 30 s.
        private static let patienceSeconds = 12.0

        private func ask(
            _ endpoint: Endpoint, _ method: String, _ path: String, _ fields: [(String, String)] = [], body: String = ""
        ) throws -> HTTPAnswer {
            let connection = try RawConnection(host: endpoint.host, port: endpoint.port)
            let length = method == "PUT" ? [("Content-Length", "\(body.utf8.count)")] : []
            try connection.send(EntityClient.request(method, path, fields + length))
            try connection.send(body)
            return try connection.answer(seconds: Self.patienceSeconds)
        }

        @Test func aHangingNodeTakesOnlyItsOwnShards() throws {
            try withCluster("hang") { cluster in
                let keys = try Dictionary(
                    uniqueKeysWithValues: cluster.ids.map { ($0, try cluster.freshKey("k", on: $0)) })
                for key in keys.values { expectWritten(try cluster.client().put(key, "before")) }
                let lost = Set(try #require(try cluster.settle().shardsByNode["n2"]))
                let key = try #require(keys["n2"])
                let path = EntityClient.path(key)
                let clients = cluster.endpoints.filter { $0.id != "n2" }
                try cluster.pause("n2")
                for endpoint in clients {
                    // It may have been sent, and then nobody knows.
                    let bare = try ask(endpoint, "PUT", path, body: "bare")
                    expectProblem(bare, bare.status == 504 ? "outcome-unknown" : "shard-unavailable")
                    let keyed = try ask(endpoint, "PUT", path, [("Idempotency-Key", "k-\(endpoint.id)")], body: "keyed")
                    expectProblem(keyed, keyed.status == 504 ? "outcome-unknown" : "shard-unavailable")
                    for _ in 0..<3 { expectProblem(try ask(endpoint, "GET", path), "shard-unavailable") }
                    let page = try ask(endpoint, "GET", "/v1/entities/k?limit=1000")
                    let harvest = try #require(page.object["harvest"] as? [String: Any], "\(page)")
                    #expect(Set(harvest["missing"] as? [Int] ?? []) == lost, "\(harvest)")
                    #expect((page.object["items"] as? [Any])?.count == 2)
                    #expect(try endpoint.admin("/v1/cluster", seconds: Self.patienceSeconds).status == 200)
                    for (id, other) in keys where id != "n2" { expectFound(try endpoint.client().get(other), "before") }
                }
                // Nothing was asked of it but to read, so nothing is unknown.
                try cluster.control("get", key, through: "n2").ended(with: 7)
                try cluster.control("list", "k", through: "n2").ended(with: 7)
                try cluster.resume("n2")
                for endpoint in clients {
                    let isBack = try eventually(within: 30) { try endpoint.client().get(key).status == 200 }
                    #expect(isBack)
                    let text = try endpoint.client().get(key).text
                    #expect(["before", "bare", "keyed"].contains(text), "\(text)")
                }
            }
        }

        /// What its target cannot take goes to those who live, and the next plan is free to come.
        @Test func aRebalanceWhoseTargetDiedEnds() throws {
            try withCluster("dead-target", nodes: 2) { cluster in
                try cluster.add("n3").start()
                try cluster.add("n4").start()
                let plan = try cluster.plan()
                #expect(plan.moves.contains { $0.to == "n3" } && plan.moves.contains { $0.to == "n4" })
                try cluster.crash("n3")
                let committed = try cluster.control("rebalance", "commit", plan.plan, "--wait", "--output", "json")
                #expect(committed.code == 0, "\(committed)")
                let picture = try cluster.awaitPicture("the end of the operation") { $0.runningOperations.isEmpty }
                let operation = try #require(picture.operations.last)
                let shown = try cluster.endpoint("n2").admin("/v1/operations/\(operation.id)")
                #expect((shown.object["detail"] as? String)?.contains("n3 is not alive") == true, "\(shown)")
                #expect((picture.shardsByNode["n3"] ?? []).isEmpty && picture.shardsByNode["n4"]?.isEmpty == false)
                // It comes back, and gets its share by the next plan.
                try cluster.restart("n3")
                try cluster.spread()
                #expect(try cluster.settle().shardsByNode["n3"]?.count == 4)
            }
        }

        /// What needs the metadata store says that it does not answer, before whoever asked gives up.
        @Test func adminRequestsSayThatEtcdHangs() throws {
            try withCluster("etcd-hangs", nodes: 1) { cluster in
                try cluster.etcd.pause(0)
                let endpoint = try cluster.endpoint("n1")
                let ways = [
                    ("GET", "/v1/admin/rebalance/plan"), ("GET", "/v1/admin/throttle"),
                    ("POST", "/v1/admin/nodes/n1/drain"), ("POST", "/v1/admin/nodes/n1/remove?dry-run=true"),
                    ("POST", "/v1/admin/throttle?bytes-per-second=1"), ("GET", "/v1/operations/op-99"),
                ]
                for (method, path) in ways {
                    let answer = try endpoint.admin(path, method: method, seconds: Self.patienceSeconds)
                    #expect(answer.status == 503 && answer.text.contains("etcd, does not answer"), "\(answer)")
                    #expect(answer.object["type"] as? String == "urn:keystead:error:metadata-unavailable")
                }
                #expect(try endpoint.admin("/v1/cluster", seconds: Self.patienceSeconds).status == 200)
                try cluster.etcd.heal()
                let isBack = eventually(within: 30) { (try? endpoint.admin("/v1/admin/throttle"))?.status == 200 }
                #expect(isBack)
            }
        }
    }
}
