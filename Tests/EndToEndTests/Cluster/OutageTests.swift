import Foundation
import Testing

extension Cluster {
    /// What a node, or the metadata store, takes down with it: as little as can be.
    @Suite(.serialized) struct OutageTests {
        @Test func aDeadNodeTakesOnlyItsOwnShards() throws {
            try withCluster("dead") { cluster in
                let keys = try cluster.ids.flatMap { id in try (0..<12).map { _ in try cluster.freshKey("k", on: id) } }
                for key in keys { expectWritten(try cluster.client().put(key, key)) }
                let picture = try cluster.settle()
                let lost = Set(try #require(picture.shardsByNode["n2"]))
                let shardOf = try Dictionary(
                    uniqueKeysWithValues: keys.map { ($0, try cluster.endpoint("n1").place(of: $0).shard) })
                try cluster.crash("n2")
                for endpoint in cluster.endpoints {
                    let client = try endpoint.client()
                    for key in keys {
                        let answer = try client.get(key)
                        if lost.contains(try #require(shardOf[key])) {
                            expectProblem(answer, "shard-unavailable")
                            expectProblem(try client.put(key, "x", [("If-Match", "\"1\"")]), "shard-unavailable")
                        } else {
                            expectFound(answer, key)
                            expectWritten(try client.put(key, key))
                        }
                    }
                    let page = try client.list("k", "limit=1000")
                    let harvest = try #require(page.object["harvest"] as? [String: Any], "\(page)")
                    #expect(Set(harvest["missing"] as? [Int] ?? []) == lost, "\(harvest)")
                    #expect(harvest["answered"] as? Int == 16 - lost.count && harvest["of"] as? Int == 16)
                    #expect((page.object["items"] as? [Any])?.count == 24)
                    expectProblem(try client.list("k", "require=full"), "shard-unavailable")
                    let lines = try client.batch(keys.map { #"{"op":"get","key":"\#($0)"}"# })
                    for (key, line) in zip(keys, lines) {
                        let isLost = lost.contains(try #require(shardOf[key]))
                        #expect(line["status"] as? Int == (isLost ? 503 : 200), "\(line)")
                    }
                }
                #expect(
                    try eventually(within: 60) { try cluster.control("status", "--check", through: "n1").code == 6 })
                let status = try cluster.control("status", through: "n3")
                #expect(status.output.hasPrefix("DEGRADED") && status.output.contains("n2"), "\(status)")
                #expect(try cluster.endpoint("n1").admin("/readyz").status == 200, "the others are ready")

                try cluster.restart("n2")
                try cluster.settle()
                for endpoint in cluster.endpoints {
                    for key in keys { expectFound(try endpoint.client().get(key), key) }
                }
                #expect(try eventually(within: 30) { try cluster.control("status", "--check").code == 0 })
            }
        }

        @Test func withoutTheMetadataStoreEverythingServesOn() throws {
            try withCluster("metadata") { cluster in
                let load = ClusterLoad(cluster, seed: Cluster.seed &+ 1)
                try load.run(window: "before") {
                    try load.awaitProgress(1000)
                    load.record.begin(window: "without metadata")
                    try cluster.etcd.crashAll()
                    try load.awaitProgress(2000)
                    // Longer than any lease.
                    usleep(15_000_000)
                    try load.awaitProgress(1000)
                    load.record.begin(window: "after")
                    try cluster.etcd.heal()
                    try load.awaitProgress(1000)
                }
                for window in ["before", "without metadata", "after"] {
                    let failures = load.record.window(window).failures
                    #expect(failures.isEmpty, "\(window): \(failures)")
                }
                try cluster.settle()
                try load.verify(in: cluster.folder)
                #expect(try eventually(within: 30) { try cluster.control("status", "--check").code == 0 })
            }
        }

        @Test func movesGoOnWhenTheMetadataStoreIsBack() throws {
            try withCluster("resume") { cluster in
                let bulk = BulkData(count: 1500, bytes: 8000)
                try bulk.write(through: cluster.endpoint("n1"))
                try cluster.control("throttle", "set", "1000000").ended()
                try cluster.add("n4").start()
                let plan = try cluster.plan()
                let operation: OperationPicture = try cluster.control(
                    "rebalance", "commit", plan.plan, "--output", "json"
                ).ended().read()
                try cluster.awaitPicture("a move") { !$0.moves.isEmpty }
                try cluster.etcd.crashAll()
                usleep(3_000_000)
                for endpoint in cluster.endpoints { try bulk.verify(through: endpoint) }
                // Admin writes say so instead of waiting for ever.
                let refused = try cluster.endpoint("n1").admin("/v1/admin/nodes/n1/cordon", method: "POST")
                #expect([503, 504].contains(refused.status), "\(refused)")
                try cluster.etcd.heal()
                try cluster.control("throttle", "set", "0").ended()
                try cluster.control("op", "wait", operation.id, through: "n2").ended()
                let settled = try cluster.settle()
                #expect(settled.shardsByNode["n4"]?.count == 4)
                for endpoint in cluster.endpoints { try bulk.verify(through: endpoint) }
            }
        }
    }
}
