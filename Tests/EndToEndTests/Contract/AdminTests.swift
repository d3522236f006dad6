import Foundation
import Testing

extension Contract {
    @Suite struct AdminTests {
        @Test func theNodeSaysThatItLivesAndIsReady() throws {
            let node = try SharedNode.get()
            #expect(try node.admin("/livez").status == 200)
            let ready = try node.admin("/readyz")
            #expect(ready.status == 200 && ready["Content-Type"] == "application/json")
            #expect(ready.object["reasons"] is [String], "\(ready)")
        }

        @Test func metricsAreNamedAndHoldNoKeys() throws {
            let node = try SharedNode.get()
            let kind = SharedNode.freshKind("secret-kind")
            try node.client().put("\(kind)/secret-id", "secret-state", [("Idempotency-Key", "secret-key")])
            let metrics = try node.admin("/metrics")
            #expect(metrics.status == 200 && metrics["Content-Type"]?.hasPrefix("text/plain") == true)
            #expect(!metrics.text.contains("secret"))
            let samples = metrics.text.split(separator: "\n").filter { !$0.hasPrefix("#") }
            #expect(!samples.isEmpty)
            for sample in samples {
                #expect(sample.hasPrefix("keystead_"), "\(sample)")
                let value = sample.split(separator: " ").dropFirst(sample.contains("} ") ? 1 : 0).last
                #expect(value.flatMap { Double($0) } != nil, "\(sample)")
            }
            let names = samples.map { $0.prefix { $0 != " " } }
            #expect(Set(names).count == names.count, "a sample stands twice")
        }

        @Test func theClusterIsDescribed() throws {
            let node = try SharedNode.get()
            let cluster = try node.admin("/v1/cluster")
            #expect(cluster.status == 200 && cluster["Content-Type"] == "application/json")
            let facts = cluster.object
            #expect(facts["cluster"] as? String == "keystead")
            #expect(facts["map-revision"] is Int)
            let nodes = try #require(facts["nodes"] as? [[String: Any]])
            try #require(nodes.count == 1)
            #expect(nodes[0]["id"] is String && nodes[0]["zone"] is String && nodes[0]["weight"] is NSNumber)
            #expect(nodes[0]["state"] as? String == "active" && nodes[0]["shards"] as? Int == 64)
            #expect(nodes[0]["listen"] as? String == "127.0.0.1:\(node.port)")
            #expect(nodes[0]["admin"] as? String == "127.0.0.1:\(node.adminPort)")
            let shards = try #require(facts["shards"] as? [[String: Any]])
            #expect(shards.compactMap { $0["shard"] as? Int } == Array(0..<64))
            for shard in shards {
                #expect(shard["primary"] as? String == nodes[0]["id"] as? String)
                #expect((shard["epoch"] as? Int ?? 0) > 0 && shard["position"] is Int && shard["state"] is String)
            }
            #expect((facts["operations"] as? [Any])?.isEmpty == true)
        }

        @Test func aKeyAndItsShardAreFound() throws {
            let node = try SharedNode.get()
            let kind = SharedNode.freshKind()
            let written = try node.client().put("\(kind)/a/b c", "x")
            let place = try node.admin("/v1/where/\(kind)/a%2Fb%20c")
            #expect(place.status == 200)
            let number = try #require(place.object["shard"] as? Int)
            #expect(number == written.position?.shard)
            #expect(place.object["node"] is String && place.object["epoch"] is Int)
            let shard = try node.admin("/v1/shards/\(number)")
            #expect(shard.status == 200 && shard.object["shard"] as? Int == number)
            #expect((shard.object["position"] as? Int).map { UInt64($0) >= written.version64 ?? .max } == true)
            for name in ["primary", "state"] { #expect(shard.object[name] is String, "\(shard)") }
        }

        @Test(arguments: [
            ("/v1/shards/64", "not-found"), ("/v1/shards/x", "not-found"), ("/v1/shards/-1", "not-found"),
            ("/v1/operations/none", "not-found"), ("/v1/nothing", "not-found"), ("/v1/where/K/a", "bad-key"),
            ("/v1/where/k/..", "bad-key"),
        ])
        func whatIsNotThereIsAProblem(path: String, code: String) throws {
            let answer = try SharedNode.get().admin(path)
            #expect(answer["Content-Type"] == "application/problem+json" && answer.problemCode != nil, "\(answer)")
            #expect(answer.problemCode == code || answer.problemCode == "bad-request", "\(answer)")
        }

        /// One thing has one name: no slash is passed over, no number has a second form.
        @Test(arguments: [
            "//v1/cluster", "/v1//cluster", "/v1/cluster/", "/v1/shards/0/", "/v1/shards/+1", "/v1/shards/01",
            "/v1/shards/0x1", "/v1/shards/%31", "/livez/", "//metrics", "/v1/cluster?x=1", "/metrics?x=1",
            "/v1/cluster?", "/v1/cluster?&",
        ])
        func readsAreStrict(path: String) throws {
            let answer = try SharedNode.get().admin(path)
            #expect([400, 404].contains(answer.status), "\(answer)")
            #expect(answer["Content-Type"] == "application/problem+json")
        }

        @Test(arguments: [
            "//v1/admin/throttle?bytes-per-second=7", "/v1/admin/throttle/?bytes-per-second=7",
            "/v1/admin//throttle?bytes-per-second=7", "/v1/admin/throttle?bytes-per-second=%2B7",
            "/v1/admin/throttle?bytes-per-second=0x7", "/v1/admin/throttle?bytes-per-second=07",
            "/v1/admin/throttle?bytes-per-second=7&x=1", "/v1/admin/throttle?bytes-per-second=7&bytes-per-second=8",
            "/v1/admin/nodes/n1/weight?weight=0x10", "/v1/admin/nodes/n1/weight?weight=%2B2",
            "/v1/admin/nodes/n1/weight?weight=2e0", "/v1/admin/nodes/n1/cordon/", "/v1/admin/nodes/n1/cordon?x",
            "/v1/admin/nodes/n%31/cordon", "/v1/admin/nodes/n1/drain?dry-run=no",
            "/v1/admin/throttle?bytes-per-second=7&", "/v1/admin/throttle?&bytes-per-second=7",
        ])
        func writesAreStrict(target: String) throws {
            let node = try SharedNode.get()
            let connection = try RawConnection(port: node.adminPort)
            try connection.send(EntityClient.request("POST", target, body: []))
            let answer = try connection.answer()
            #expect([400, 404].contains(answer.status), "\(answer)")
            #expect(try node.admin("/v1/admin/throttle").object["bytes-per-second"] as? Int == 0)
            let first = try (node.admin("/v1/cluster").object["nodes"] as? [[String: Any]])?.first
            #expect(first?["state"] as? String == "active" && first?["weight"] as? Double == 1)
        }

        @Test func entitiesAreNotOnTheAdminListenerNorTheOtherWayRound() throws {
            let node = try SharedNode.get()
            #expect(try node.admin("/v1/entities/k/a").status == 404)
            for path in ["/metrics", "/v1/cluster", "/v1/shards/0", "/v1/admin/anything"] {
                #expect(try node.client().send("GET", path).status == 404, "\(path)")
            }
        }
    }
}
