import Foundation
import Glibc
import Testing

extension Cluster {
    /// A forwarded write whose answer never comes is unknown, and is never sent twice.
    @Suite(.serialized) struct OutcomeTests {
        private static let update = #"{"do":[{"increment":"/n","by":1}],"else-create":{"n":0}}"#

        private func count(_ client: EntityClient, _ key: String) throws -> Int {
            let answer = try client.get(key)
            return try #require(answer.object["n"] as? Int, "\(answer)")
        }

        @Test func aPausedOwnersAnswerIsUnknownAndTheWriteHappensAtMostOnce() throws {
            try withCluster("paused") { cluster in
                let key = try cluster.freshKey("k", on: "n2")
                let client = try cluster.client("n1")
                for _ in 0..<3 { expectWritten(try client.patch(key, .update, Self.update)) }

                try cluster.pause("n2")
                let bare = try client.patch(key, .update, Self.update)
                expectProblem(bare, "outcome-unknown")
                let keyed = try cluster.client("n3").patch(key, .update, Self.update, [("Idempotency-Key", "a")])
                #expect(keyed.status == 504 || keyed.status == 503, "\(keyed)")
                // The others go on meanwhile.
                expectWritten(try client.put(try cluster.freshKey("k", on: "n3"), "x"))
                try cluster.resume("n2")

                // Under its key it happens now, or is found to have happened: once, whoever is asked.
                for asked in ["n1", "n3", "n2", "n1"] {
                    let again = try cluster.client(asked).patch(key, .update, Self.update, [("Idempotency-Key", "a")])
                    #expect(again.status == 204, "\(again)")
                }
                let counted = try count(client, key)
                #expect([4, 5].contains(counted), "3, the one with a key, and perhaps the bare one: \(counted)")
                usleep(2_000_000)
                #expect(try count(client, key) == counted, "nothing comes late")
            }
        }

        @Test func aKilledOwnersAnswerIsUnknownOrARefusal() throws {
            try withCluster("killed") { cluster in
                let key = try cluster.freshKey("k", on: "n2")
                var certain = 0
                var possible = 0
                for round in 0..<5 {
                    let pids = [try cluster.node("n2").process]
                    let answers = try onThreads(9) { index -> [Int] in
                        if index == 8 {
                            usleep(UInt32(100_000 + round * 37_000))
                            pids[0].killAndWait()
                            return []
                        }
                        let client = try cluster.client(index % 2 == 0 ? "n1" : "n3")
                        return try (0..<150).map { _ in
                            let answer = try client.patch(key, .update, Self.update)
                            if answer.status == 503 { expectProblem(answer, "shard-unavailable") }
                            if answer.status == 504 { expectProblem(answer, "outcome-unknown") }
                            return answer.status
                        }
                    }.flatMap { $0 }
                    certain += answers.count { $0 == 204 }
                    possible += answers.count { $0 == 504 }
                    #expect(answers.allSatisfy { [204, 503, 504].contains($0) }, "\(Set(answers))")
                    try cluster.restart("n2")
                    try cluster.settle()
                    let found = try count(try cluster.client("n1"), key)
                    #expect((certain...(certain + possible)).contains(found), "\(found) of \(certain) and \(possible)")
                    // What turned out to have happened is certain from here on.
                    (certain, possible) = (found, 0)
                }
            }
        }

        @Test func aReadOfAPausedOwnerIsARefusalAndHarmless() throws {
            try withCluster("read") { cluster in
                let key = try cluster.freshKey("k", on: "n2")
                expectWritten(try cluster.client().put(key, "x"))
                try cluster.pause("n2")
                let answer = try cluster.client("n1").get(key)
                #expect(answer.status == 503 || answer.status == 504, "\(answer)")
                let page = try cluster.client("n1").list("k", "limit=1000")
                let harvest = page.object["harvest"] as? [String: Any]
                let missing = Set(harvest?["missing"] as? [Int] ?? [])
                #expect(missing.contains(try cluster.endpoint("n1").place(of: key).shard), "\(page)")
                try cluster.resume("n2")
                let healed = try eventually(within: 20) { try cluster.client("n1").get(key).status == 200 }
                #expect(healed)
            }
        }
    }
}
