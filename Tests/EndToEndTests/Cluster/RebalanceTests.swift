import Foundation
import Testing

extension Cluster {
    /// Plans change nothing, and committing one is safe to repeat.
    @Suite(.serialized) struct RebalanceTests {
        @Test func aPlanIsPureAndACommitIsSafe() throws {
            try withCluster("plan") { cluster in
                let settled = try cluster.settle()
                #expect(try cluster.plan().moves.isEmpty, "there is nothing to do")
                try cluster.add("n4").start()

                // However often and whoever is asked: the same plan, and nothing has changed.
                let plan = try cluster.plan()
                for id in cluster.ids {
                    let other = try cluster.plan(through: id)
                    #expect(other.plan == plan.plan && other.moves == plan.moves && other.lowerBound == plan.lowerBound)
                }
                #expect(plan.moves.count == 4 && plan.lowerBound == 4, "\(plan)")
                #expect(plan.moves.allSatisfy { $0.to == "n4" } && Set(plan.moves.map(\.shard)).count == 4)
                let shown = try cluster.control("rebalance", "plan").ended()
                #expect(shown.output.contains("nothing has changed") && shown.output.contains(plan.plan), "\(shown)")
                try cluster.control("rebalance", "show", plan.plan, through: "n3").ended()
                let untouched = try cluster.settle()
                #expect(untouched.placement == settled.placement && untouched.mapRevision == plan.mapRevision)
                #expect(untouched.operations.count == settled.operations.count)

                let done = try cluster.control(
                    "rebalance", "commit", plan.plan, "--wait", "--output", "json", through: "n2"
                ).ended()
                let operation: OperationPicture = try done.read()
                #expect(operation.state == "done" && operation.kind == "rebalance")
                #expect(operation.done == 4 && operation.total == 4)
                let after = try cluster.settle()
                #expect(after.shardsByNode["n4"]?.sorted() == plan.moves.map(\.shard).sorted())
                #expect(after.mapRevision > settled.mapRevision)
                for move in plan.moves {
                    #expect(try after.shard(move.shard).epoch == settled.shard(move.shard).epoch + 1)
                }
                for shard in after.shards where shard.primary != "n4" {
                    #expect(try shard.epoch == settled.shard(shard.shard).epoch, "nothing else moved")
                }

                // Once more is nothing to do; a plan of another map is stale.
                try cluster.control("rebalance", "commit", plan.plan, through: "n1").ended()
                #expect(try cluster.settle().placement == after.placement)
                #expect(try cluster.plan().moves.isEmpty)
                let shard = try #require(after.shardsByNode["n4"]?.first)
                let last = try cluster.plan()
                try cluster.control("shard", "move", "\(shard)", "--to", "n1", "--wait").ended()
                #expect(try cluster.control("rebalance", "commit", last.plan).code == 4)
                #expect(try cluster.control("rebalance", "show", last.plan).code == 4)
                let unknown = try cluster.control("rebalance", "commit", "p1-00000000")
                #expect([2, 3, 4, 8].contains(unknown.code), "\(unknown)")
            }
        }

        @Test func aRebalanceIsPausedThrottledResumedAndCancelled() throws {
            try withCluster("pause") { cluster in
                let bulk = BulkData(count: 1500, bytes: 8000)
                try bulk.write(through: cluster.endpoint("n1"))
                try cluster.control("throttle", "set", "200000").ended()
                let throttle = try cluster.endpoint("n3").admin("/v1/admin/throttle")
                #expect(throttle.object["bytes-per-second"] as? Int == 200_000, "\(throttle)")
                let shown = try cluster.control("throttle", "show", "--output", "json", through: "n2").ended().output
                #expect(shown.contains("200000"), "\(shown)")

                try cluster.add("n4").start()
                let plan = try cluster.plan()
                let operation: OperationPicture = try cluster.control(
                    "rebalance", "commit", plan.plan, "--output", "json"
                ).ended().read()
                #expect(operation.state == "running")
                // Committing again attaches to what runs.
                let again: OperationPicture = try cluster.control(
                    "rebalance", "commit", plan.plan, "--output", "json", through: "n3"
                ).ended().read()
                #expect(again.id == operation.id)
                try cluster.control("rebalance", "pause", through: "n2").ended()
                #expect(try cluster.endpoint("n1").operation(operation.id).state == "paused")
                try cluster.control("rebalance", "pause", through: "n2").ended()
                // A wait that gives up says so, and the operation is still there.
                #expect(try cluster.control("op", "wait", operation.id, "--timeout", "1").code == 5)
                try cluster.control("rebalance", "resume", through: "n4").ended()
                #expect(try cluster.endpoint("n1").operation(operation.id).state == "running")

                try cluster.control("rebalance", "cancel", through: "n1").ended()
                let cancelled = try cluster.endpoint("n2").operation(operation.id)
                #expect(cancelled.state == "cancelled")
                let settled = try cluster.settle()
                let moved = settled.shardsByNode["n4"]?.count ?? 0
                #expect(moved < 4, "what had not moved stays: \(settled.shardsByNode)")
                #expect([3, 8].contains(try cluster.control("rebalance", "cancel").code), "nothing runs")

                // A fresh one goes through without a throttle.
                try cluster.control("throttle", "set", "0").ended()
                try cluster.spread()
                #expect(try cluster.settle().shardsByNode["n4"]?.count == 4)
                for endpoint in cluster.endpoints { try bulk.verify(through: endpoint) }
            }
        }
    }
}
