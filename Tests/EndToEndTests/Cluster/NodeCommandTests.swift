import Foundation
import Testing

extension Cluster {
    /// What an operator tells single nodes and shards.
    @Suite(.serialized) struct NodeCommandTests {
        @Test func cordonUncordonDrainAndWeight() throws {
            try withCluster("commands") { cluster in
                // A cordoned node keeps what it has and gets nothing.
                try cluster.control("node", "cordon", "n3").ended()
                try cluster.control("node", "cordon", "n3", through: "n2").ended()
                #expect(try cluster.settle().node("n3").state == "cordoned")
                let kept = try #require(try cluster.settle().shardsByNode["n3"])
                let dry = try cluster.control("node", "drain", "n2", "--dry-run", "--output", "json").ended()
                let plan: PlanPicture = try dry.read()
                #expect(!plan.moves.isEmpty && plan.moves.allSatisfy { $0.from == "n2" && $0.to == "n1" }, "\(plan)")
                #expect(try cluster.settle().node("n2").state == "active", "a dry run changes nothing")
                try cluster.control("node", "drain", "n2", "--wait").ended()
                let drained = try cluster.settle()
                #expect(drained.shardsByNode["n2"]?.isEmpty == true && drained.shardsByNode["n3"] == kept)

                // Uncordon brings both back, and a rebalance gives them their share.
                try cluster.control("node", "uncordon", "n3").ended()
                try cluster.control("node", "uncordon", "n2").ended()
                try cluster.spread()
                let even = try cluster.settle()
                #expect(even.shardsByNode.values.map(\.count).sorted() == [5, 5, 6])

                try cluster.control("node", "weight", "n1", "2").ended()
                let before = try cluster.settle()
                #expect(try before.node("n1").weight == 2 && before.placement == even.placement)
                try cluster.spread()
                #expect(try cluster.settle().shardsByNode["n1"]?.count == 8)
                let list = try cluster.control("node", "list").ended()
                for id in cluster.ids { #expect(list.output.contains(id)) }
            }
        }

        @Test func aShardIsMovedByHand() throws {
            try withCluster("move") { cluster in
                let key = try cluster.freshKey("k", on: "n1")
                let written = try cluster.client().put(key, "here", [("Idempotency-Key", "once")])
                let shard = try #require(written.position?.shard)
                let moved: OperationPicture = try cluster.control(
                    "shard", "move", "\(shard)", "--to", "n2", "--wait", "--output", "json", through: "n3"
                ).ended().read()
                #expect(moved.kind == "move" && moved.state == "done")
                for endpoint in cluster.endpoints {
                    #expect(try endpoint.place(of: key).node == "n2")
                    expectFound(try endpoint.client().get(key), "here", version: written.version64)
                    // What was remembered came along, and versions go on.
                    let again = try endpoint.client().put(key, "here", [("Idempotency-Key", "once")])
                    expectWritten(again, replayed: true)
                    #expect(again.version64 == written.version64)
                }
                let next = try cluster.client().put(key, "there")
                #expect(next.version64 ?? 0 > written.version64 ?? .max)

                try cluster.control("shard", "move", "\(shard)", "--to", "n2", "--wait").ended()
                for wrong in ["n9", "N!"] {
                    let refused = try cluster.control("shard", "move", "\(shard)", "--to", wrong)
                    #expect([2, 3, 8].contains(refused.code) && !refused.errors.isEmpty, "\(refused)")
                }
                #expect([2, 3, 8].contains(try cluster.control("shard", "move", "99", "--to", "n1").code))
                let shards = try cluster.control("shard", "list").ended()
                #expect(shards.output.split(separator: "\n").count >= TestCluster.shardCount)

                let operations = try cluster.control("op", "list", through: "n2").ended()
                #expect(operations.output.contains(moved.id))
                let shown = try cluster.control("op", "show", moved.id, through: "n2").ended()
                #expect(shown.output.contains(moved.id) && shown.output.contains("done"))
                try cluster.control("op", "wait", moved.id).ended()
                #expect(try cluster.control("op", "show", "op-999").code == 8)
            }
        }

        @Test func anOperationIsCancelledWithoutATrace() throws {
            try withCluster("cancel") { cluster in
                let bulk = BulkData(count: 1000, bytes: 8000)
                try bulk.write(through: cluster.endpoint("n1"))
                let before = try cluster.settle()
                try cluster.control("throttle", "set", "20000").ended()
                let shard = try #require(before.shardsByNode["n1"]?.first)
                let move: OperationPicture = try cluster.control(
                    "shard", "move", "\(shard)", "--to", "n2", "--output", "json"
                ).ended().read()
                try cluster.awaitPicture("the copy") { $0.moves.contains { $0.to == "n2" && $0.stage == "copy" } }
                try cluster.control("op", "cancel", move.id, through: "n3").ended()
                let after = try cluster.settle()
                #expect(after.placement == before.placement)
                #expect(try cluster.endpoint("n2").operation(move.id).state == "cancelled")
                for endpoint in cluster.endpoints { try bulk.verify(through: endpoint) }
                let left = FileManager.default.fileExists(
                    atPath: "\(try cluster.node("n2").dataDirectory)/shards/\(shard)")
                #expect(!left, "the target has dropped what it had")
            }
        }

        /// Whatever a cancelled move was just doing, it leaves nothing that keeps the next one from its end.
        @Test func aMoveCancelledAtAnyMomentCanBeginAgain() throws {
            try withCluster("again", nodes: 2) { cluster in
                let bulk = BulkData(count: 1000, bytes: 2000)
                try bulk.write(through: cluster.endpoint("n1"))
                try cluster.spread()
                // So slow that a cancellation comes before the end, and may come while the copy is made a store.
                try cluster.control("throttle", "set", "1000000").ended()
                let shard = try #require(cluster.settle().shardsByNode["n1"]?.first)
                func target() throws -> String {
                    try cluster.settle().shardsByNode["n1"]?.contains(shard) == true ? "n2" : "n1"
                }
                for attempt in 0..<16 as Range<UInt32> {
                    let move: OperationPicture = try cluster.control(
                        "shard", "move", "\(shard)", "--to", target(), "--output", "json"
                    ).ended().read()
                    usleep(attempt * 8_000)
                    // One that has come to its end meanwhile is refused to be cancelled.
                    let cancelled = try cluster.control("op", "cancel", move.id)
                    #expect([0, 3, 8].contains(cancelled.code), "\(cancelled)")
                }
                try cluster.control("shard", "move", "\(shard)", "--to", target(), "--wait").ended()
                for endpoint in cluster.endpoints { try bulk.verify(through: endpoint) }
            }
        }

        @Test func whatWouldLoseShardsIsRefused() throws {
            try withCluster("refusals") { cluster in
                let holds = try cluster.control("node", "remove", "n2")
                #expect(holds.code == 3 && !holds.errors.isEmpty, "\(holds)")
                for verb in ["cordon", "drain", "remove", "uncordon"] {
                    let unknown = try cluster.control("node", verb, "n9")
                    #expect([3, 8].contains(unknown.code) && !unknown.errors.isEmpty, "\(unknown)")
                }
                // Nowhere to go to.
                try cluster.control("node", "cordon", "n2").ended()
                try cluster.control("node", "cordon", "n3").ended()
                let stuck = try cluster.control("node", "drain", "n1", "--dry-run")
                #expect(stuck.code == 3 && !stuck.errors.isEmpty, "\(stuck)")
                #expect(try cluster.control("node", "drain", "n1").code == 3)
                #expect(try cluster.settle().node("n1").state == "active")
            }
        }
    }
}
