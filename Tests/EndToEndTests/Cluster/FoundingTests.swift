import Testing

extension Cluster {
    /// From nothing to three nodes that know each other.
    @Suite(.serialized) struct FoundingTests {
        @Test func theFirstFoundsAndTheOthersJoin() throws {
            try withCluster("founding", nodes: 0) { cluster in
                try cluster.etcd.start()
                try cluster.add("n1").start()
                let alone = try cluster.settle()
                #expect(alone.cluster == "test" && alone.nodes.map(\.id) == ["n1"])
                #expect(alone.shards.map(\.shard) == Array(0..<TestCluster.shardCount))
                #expect(alone.shardsByNode["n1"]?.count == TestCluster.shardCount)
                #expect(try cluster.client().put("k/a", "before").status == 204)

                // Two at once.
                try cluster.add("n2", flags: ["--zone", "east"]).launch()
                try cluster.add("n3", flags: ["--weight", "2"]).launch()
                for id in ["n2", "n3"] { try cluster.node(id).awaitReady() }
                let together = try cluster.settle()
                #expect(together.nodes.map(\.id).sorted() == ["n1", "n2", "n3"])
                #expect(together.nodes.allSatisfy { $0.state == "active" }, "\(together.nodes)")
                #expect(try together.node("n2").zone == "east" && together.node("n3").weight == 2)
                for endpoint in cluster.endpoints {
                    let node = try together.node(endpoint.id)
                    #expect(node.listen == "127.0.0.1:\(endpoint.port)")
                    #expect(node.admin == "127.0.0.1:\(endpoint.adminPort)")
                    expectFound(try endpoint.client().get("k/a"), "before")
                }
                // Joining alone moves nothing.
                #expect(together.shardsByNode["n1"]?.count == TestCluster.shardCount)

                try cluster.spread()
                let spread = try cluster.settle()
                let counts = spread.shardsByNode.mapValues(\.count)
                #expect(counts == ["n1": 4, "n2": 4, "n3": 8], "by weight: \(counts)")
                for endpoint in cluster.endpoints { expectFound(try endpoint.client().get("k/a"), "before") }
            }
        }

        @Test func everyNodeSaysTheSame() throws {
            let cluster = try SharedCluster.get()
            let picture = try cluster.settle()
            let counts = picture.shardsByNode.mapValues(\.count)
            #expect(counts.values.sorted() == [5, 5, 6], "\(counts)")
            for endpoint in cluster.endpoints {
                let own = try endpoint.picture()
                #expect(own.placement == picture.placement && own.mapRevision == picture.mapRevision)
                for node in own.nodes { #expect(node.shards == counts[node.id], "\(endpoint): \(node)") }
                let status = try cluster.control("status", "--check", through: endpoint.id)
                #expect(status.code == 0 && status.output.hasPrefix("HEALTHY"), "\(status)")
                #expect(try endpoint.admin("/readyz").status == 200)
            }
            for shard in [0, 7, 15] {
                let answers = try cluster.endpoints.map { try $0.admin("/v1/shards/\(shard)").object }
                let primaries = Set(answers.map { $0["primary"] as? String })
                #expect(primaries == [try picture.shard(shard).primary])
            }
            for key in ["k/a", "k/b", "k/c/d"] {
                let places = Set(try cluster.endpoints.map { try $0.place(of: key) })
                #expect(places.count == 1, "\(places)")
            }
        }

        /// All nodes end, and come back in any order.
        @Test func theWholeClusterComesBack() throws {
            try withCluster("return") { cluster in
                let bulk = BulkData(count: 200, bytes: 1000)
                try bulk.write(through: cluster.endpoint("n2"))
                let before = try cluster.settle()
                for id in cluster.ids { try cluster.crash(id) }
                try cluster.etcd.crashAll()
                try cluster.etcd.heal()
                for id in ["n3", "n1", "n2"] { try cluster.node(id).launch() }
                try cluster.heal()
                let after = try cluster.settle()
                #expect(after.placement == before.placement && after.mapRevision == before.mapRevision)
                for endpoint in cluster.endpoints { try bulk.verify(through: endpoint) }
                for id in cluster.ids { #expect(try cluster.node(id).stop() == .exited(0)) }
            }
        }
    }
}
