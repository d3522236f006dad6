import Foundation
import Testing

extension Cluster {
    /// Any node takes any key, and the answer is the owner's own.
    @Suite(.serialized) struct RoutingTests {
        /// Where the entity is, and the node that is asked.
        static let ways = ["n1", "n2", "n3"].flatMap { owner in ["n1", "n2", "n3"].map { (owner, $0) } }

        @Test(arguments: ways)
        func everyVerbWorks(owner: String, asked: String) throws {
            let cluster = try SharedCluster.get()
            let key = try cluster.freshKey("verbs", on: owner)
            let shard = try cluster.endpoint(asked).place(of: key).shard
            let client = try cluster.client(asked)
            expectProblem(try client.get(key), "not-found", positioned: true)
            let written = try client.put(key, #"{"n":1}"#, type: "application/json")
            expectWritten(written)
            #expect(written.position?.shard == shard)
            expectFound(
                try client.get(key), #"{"n":1}"#, type: "application/json", version: written.version64)
            let head = try client.head(key)
            #expect(head.status == 200 && head["Content-Length"] == "7" && head.version64 == written.version64)

            expectWritten(try client.patch(key, .merge, #"{"m":2}"#))
            expectWritten(try client.patch(key, .jsonPatch, #"[{"op":"remove","path":"/m"}]"#))
            let shown = try client.patch(
                key, .update, #"{"do":[{"increment":"/n","by":4}]}"#, [("Prefer", "return=representation")])
            #expect(shown.status == 200 && shown.text == #"{"n":5}"#, "\(shown)")
            let document = #"{"if":[{"at":"/n","eq":1}],"do":[{"set":"/n","to":0}]}"#
            expectProblem(try client.patch(key, .update, document), "condition-failed", positioned: true)

            // Every node shows the same, and the owner too.
            for endpoint in cluster.endpoints {
                expectFound(try endpoint.client().get(key), #"{"n":5}"#, version: shown.version64)
            }
            expectWritten(try client.delete(key))
            expectProblem(try client.delete(key), "not-found", positioned: true)
        }

        @Test(arguments: ways)
        func preconditionsHold(owner: String, asked: String) throws {
            let cluster = try SharedCluster.get()
            let key = try cluster.freshKey("conditions", on: owner)
            let client = try cluster.client(asked)
            let created = try client.put(key, "1", [("If-None-Match", "*")])
            expectWritten(created)
            let version = try #require(created.version64)
            let refused = try client.put(key, "2", [("If-None-Match", "*")])
            expectProblem(refused, "precondition-failed", positioned: true)
            #expect(refused.version64 == version)
            expectProblem(try client.put(key, "2", [("If-Match", "\"\(version + 1)\"")]), "precondition-failed")
            expectWritten(try client.put(key, "2", [("If-Match", "\"\(version)\"")]))
            let found = try client.get(key)
            #expect(try client.get(key, [("If-None-Match", try #require(found["ETag"]))]).status == 304)
            expectProblem(try client.get(key, [("If-Match", "\"\(version)\"")]), "precondition-failed")
            expectProblem(try client.delete(key, [("If-Match", "\"\(version)\"")]), "precondition-failed")
            expectProblem(try client.put(key, "3", [("If-Match", "V")]), "bad-request")
        }

        @Test func keysAreRememberedWhoeverIsAsked() throws {
            let cluster = try SharedCluster.get()
            for owner in cluster.ids {
                let key = try cluster.freshKey("once", on: owner)
                let field = [("Idempotency-Key", "first")]
                let first = try cluster.client("n1").patch(
                    key, .update, #"{"do":[{"increment":"/n","by":1}],"else-create":{"n":0}}"#, field)
                expectWritten(first)
                for asked in cluster.ids {
                    let client = try cluster.client(asked)
                    let again = try client.patch(
                        key, .update, #"{"do":[{"increment":"/n","by":1}],"else-create":{"n":0}}"#, field)
                    expectWritten(again, replayed: true)
                    #expect(again.version64 == first.version64)
                    expectFound(try client.get(key), #"{"n":1}"#)
                    let outcome = try client.outcome(key, idempotencyKey: "first")
                    #expect(outcome.status == 200 && outcome.object["status"] as? Int == 204, "\(outcome)")
                    #expect(outcome.object["etag"] as? String == first["ETag"])
                    expectProblem(try client.outcome(key, idempotencyKey: "other"), "not-found")
                    expectProblem(try client.put(key, "x", field), "idempotency-mismatch", positioned: true)
                }
            }
        }

        @Test func refusalsAreTheSameFromEverywhere() throws {
            let cluster = try SharedCluster.get()
            for (owner, asked) in Self.ways {
                let client = try cluster.client(asked)
                let text = try cluster.freshKey("refused", on: owner)
                expectWritten(try client.put(text, "no json"))
                expectProblem(try client.patch(text, .merge, "{}"), "not-json", positioned: true)
                expectProblem(try client.patch(text, .merge, "nonsense"), "bad-request", positioned: true)
                let type = [("Content-Type", "text/plain")]
                expectProblem(
                    try client.send("PATCH", EntityClient.path(text), type, body: Array("{}".utf8)),
                    "unsupported-media-type")
                let absent = try cluster.freshKey("refused", on: owner)
                expectProblem(try client.patch(absent, .merge, "{}"), "not-found", positioned: true)
                let big = try cluster.client(asked)
                expectProblem(
                    try big.put(absent, [UInt8](repeating: 0, count: (1 << 20) + 1)), "entity-too-large")
            }
        }

        @Test func largeStatesTravelWhole() throws {
            let cluster = try SharedCluster.get()
            for (owner, asked) in Self.ways {
                let key = try cluster.freshKey("large", on: owner)
                let state = (0..<(1 << 20)).map { UInt8(truncatingIfNeeded: $0 &* 31 ^ $0 >> 7) }
                let client = try cluster.client(asked)
                expectWritten(try client.put(key, state))
                #expect(try client.get(key).body == state)
            }
        }

        @Test func entitiesExpireWhereverTheyAre() throws {
            let cluster = try SharedCluster.get()
            for owner in cluster.ids {
                let key = try cluster.freshKey("expiring", on: owner)
                let client = try cluster.client("n1")
                expectWritten(try client.put(key, "soon gone", query: "?ttl=1"))
                expectFound(try client.get(key), "soon gone")
                #expect(try eventually(within: 10) { try client.get(key).status == 404 })
            }
        }

        @Test func pipelinedRequestsAreAnsweredInOrder() throws {
            let cluster = try SharedCluster.get()
            let keys = try (0..<60).map { try cluster.freshKey("pipeline", on: cluster.ids[$0 % 3]) }
            let connection = try cluster.client("n2").connection
            try connection.send(
                keys.flatMap { EntityClient.request("PUT", EntityClient.path($0), body: Array($0.utf8)) })
            try connection.send(keys.flatMap { EntityClient.request("GET", EntityClient.path($0)) })
            for _ in keys { expectWritten(try connection.answer()) }
            for key in keys { expectFound(try connection.answer(), key) }
        }

        @Test func aBatchReachesEveryNode() throws {
            let cluster = try SharedCluster.get()
            for asked in cluster.ids {
                let keys = try (0..<30).map { try cluster.freshKey("batch", on: cluster.ids[$0 % 3]) }
                let client = try cluster.client(asked)
                let update = #"{"do":[{"increment":"/n","by":1}]}"#
                let lines =
                    keys.map { #"{"op":"put","key":"\#($0)","json":{"n":1}}"# }
                    + keys.map { #"{"op":"patch","key":"\#($0)","patch":"update","json":\#(update)}"# }
                    + ["nonsense"] + keys.map { #"{"op":"get","key":"\#($0)"}"# }
                let answers = try client.batch(lines)
                try #require(answers.count == lines.count)
                for answer in answers[..<60] { #expect(answer["status"] as? Int == 204, "\(answer)") }
                #expect(answers[60]["status"] as? Int == 400)
                for answer in answers[61...] {
                    let state = answer["json"] as? [String: Int]
                    #expect(state == ["n": 2], "lines on one entity keep their order: \(answer)")
                    #expect(answer["position"] is String && answer["etag"] is String)
                }
                let deleted = try client.batch(keys.map { #"{"op":"delete","key":"\#($0)"}"# })
                #expect(deleted.allSatisfy { $0["status"] as? Int == 204 })
            }
        }

        @Test func aListHarvestsEveryShard() throws {
            let cluster = try SharedCluster.get()
            let keys = try (0..<90).map { try cluster.freshKey("listed", on: cluster.ids[$0 % 3]) }
            for key in keys { expectWritten(try cluster.client("n1").put(key, key, type: "text/plain")) }
            for endpoint in cluster.endpoints {
                let client = try endpoint.client()
                for limit in [1, 7, 1000] where limit > 1 || endpoint.id == "n1" {
                    let items = try client.listAll("listed", limit: limit)
                    #expect(items.compactMap { $0["key"] as? String }.sorted() == keys.sorted())
                }
                let page = try client.list("listed", "limit=1000&values=true&require=full")
                let harvest = try #require(page.object["harvest"] as? [String: Any])
                #expect((harvest["missing"] as? [Int])?.isEmpty == true, "\(harvest)")
                #expect(harvest["answered"] as? Int == harvest["of"] as? Int && harvest["of"] as? Int == 16)
                let items = try #require(page.object["items"] as? [[String: Any]])
                #expect(items.allSatisfy { $0["text"] as? String == $0["key"] as? String })
            }
            // A cursor goes on through another node.
            let first = try cluster.client("n1").list("listed", "limit=40")
            let cursor = try #require(first.object["cursor"] as? String)
            let rest = try cluster.client("n3").list("listed", "limit=1000&cursor=\(cursor)")
            let both = [first, rest].flatMap { ($0.object["items"] as? [[String: Any]]) ?? [] }
            #expect(both.compactMap { $0["key"] as? String }.sorted() == keys.sorted())
        }

        @Test func theToolWorksThroughAnyNode() throws {
            let cluster = try SharedCluster.get()
            for owner in cluster.ids {
                let key = try cluster.freshKey("tool", on: owner)
                for (asked, state) in [("n1", "1"), ("n2", "2"), ("n3", "3")] {
                    try cluster.control("put", key, "--json", state, through: asked).ended()
                    let found = try cluster.control("get", key, through: asked).ended()
                    #expect(found.output.trimmingCharacters(in: .newlines) == state)
                    let place: ShardPlace = try cluster.control("where", key, "--output", "json", through: asked)
                        .ended().read()
                    #expect(place.node == owner)
                }
            }
        }
    }
}
