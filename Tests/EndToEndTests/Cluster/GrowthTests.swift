import Testing

extension Cluster {
    /// Nodes come and go under load, and callers notice nothing.
    @Suite(.serialized) struct GrowthTests {
        @Test func aFourthNodeJoinsAndLeavesUnderLoad() throws {
            try withCluster("growth") { cluster in
                let bulk = BulkData(count: 2000, bytes: 4000)
                try bulk.write(through: cluster.endpoint("n2"))
                let load = ClusterLoad(cluster, seed: Cluster.seed)
                try load.run(window: "before") {
                    try load.awaitProgress(3000)

                    load.record.begin(window: "rebalance")
                    try cluster.add("n4").start()
                    try cluster.spread(through: "n4")
                    let grown = try cluster.settle()
                    #expect(grown.shardsByNode.values.allSatisfy { $0.count == 4 }, "\(grown.shardsByNode)")
                    try load.awaitProgress(500)

                    load.record.begin(window: "drain")
                    let drained: OperationPicture = try cluster.control(
                        "node", "drain", "n2", "--wait", "--output", "json"
                    ).ended().read()
                    #expect(drained.state == "done" && drained.kind == "drain" && drained.node == "n2")
                    let shrunk = try cluster.settle()
                    #expect(shrunk.shardsByNode["n2"]?.isEmpty == true)
                    #expect(try shrunk.node("n2").state == "drained")
                    try load.awaitProgress(500)
                }
                print("growth under load:\n\(load.record.summary)")
                for window in ["before", "rebalance", "drain"] {
                    let failures = load.record.window(window).failures
                    #expect(failures.isEmpty, "\(window): \(failures)")
                }
                #expect(load.record.window("rebalance").percentile(1) < 10_000, "a generous bound")
                try load.verify(in: cluster.folder)

                // Drained twice is drained; removed is gone, and its name is not used again.
                try cluster.control("node", "drain", "n2", "--wait").ended()
                try cluster.control("node", "remove", "n2", through: "n3").ended()
                #expect(try cluster.node("n2").stop(within: 30) != nil)
                try cluster.control("node", "remove", "n2", through: "n3").ended()
                for endpoint in cluster.endpoints { try bulk.verify(through: endpoint) }
                let listed = try cluster.endpoint("n1").picture().nodes
                #expect(listed.allSatisfy { $0.id != "n2" || $0.state == "removed" }, "\(listed)")
                let back = try cluster.node("n2").launch()
                #expect(back.wait(seconds: 30) == .exited(3), "\(back.errors)")
            }
        }
    }
}
