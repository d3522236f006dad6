import Foundation
import Testing

extension Contract {
    @Suite struct IdempotencyTests {
        let kind = SharedNode.freshKind()

        private func key(_ name: String) -> [(String, String)] { [("Idempotency-Key", name)] }

        @Test func aRepeatedPutIsAnsweredAsTheFirst() throws {
            let client = try SharedNode.client()
            let first = try client.put("\(kind)/a", "1", key("k"))
            expectWritten(first)
            let between = try client.put("\(kind)/a", "2")
            let again = try client.put("\(kind)/a", "1", key("k"))
            expectWritten(again, replayed: true)
            #expect(again.version64 == first.version64)
            expectFound(try client.get("\(kind)/a"), "2", version: between.version64)
        }

        @Test func aRepeatedPatchOrDeleteIsAnsweredAsTheFirst() throws {
            let client = try SharedNode.client()
            try client.put("\(kind)/b", #"{"n":0}"#)
            let document = #"{"do":[{"increment":"/n","by":1}]}"#
            let prefer = [("Prefer", "return=representation")]
            let first = try client.patch("\(kind)/b", .update, document, key("p") + prefer)
            expectWritten(first, status: 200)
            let again = try client.patch("\(kind)/b", .update, document, key("p") + prefer)
            #expect(again.status == 200 || again.status == 204)
            #expect(
                again["Idempotency-Replayed"] == "true" && again.body.isEmpty && again.version64 == first.version64,
                "\(again)")
            expectFound(try client.get("\(kind)/b"), #"{"n":1}"#)

            let deleted = try client.delete("\(kind)/b", key("d"))
            expectWritten(deleted)
            let repeated = try client.delete("\(kind)/b", key("d"))
            expectWritten(repeated, replayed: true)
            #expect(repeated.version64 == deleted.version64)
            expectProblem(try client.get("\(kind)/b"), "not-found")
        }

        @Test func theKeyIsLookedUpBeforeThePrecondition() throws {
            let client = try SharedNode.client()
            let first = try client.put("\(kind)/c", "1", key("k") + [("If-None-Match", "*")])
            expectWritten(first)
            let again = try client.put("\(kind)/c", "1", key("k") + [("If-None-Match", "*")])
            expectWritten(again, replayed: true)
            let other = try client.put("\(kind)/c", "1", key("k") + [("If-Match", "\"1\"")])
            expectWritten(other, replayed: true)
        }

        @Test func anotherMethodBodyOrKindIsAMismatch() throws {
            let client = try SharedNode.client()
            let version = try client.put("\(kind)/d", "{}", key("k")).version64
            expectProblem(try client.put("\(kind)/d", "{ }", key("k")), "idempotency-mismatch", positioned: true)
            expectProblem(try client.delete("\(kind)/d", key("k")), "idempotency-mismatch", positioned: true)
            expectProblem(
                try client.patch("\(kind)/d", .merge, "{}", key("k")), "idempotency-mismatch", positioned: true)
            expectFound(try client.get("\(kind)/d"), "{}", version: version)
            expectWritten(try client.patch("\(kind)/d", .merge, "[]", key("kind")))
            expectProblem(try client.patch("\(kind)/d", .jsonPatch, "[]", key("kind")), "idempotency-mismatch")
        }

        @Test func keysBelongToTheirEntity() throws {
            let client = try SharedNode.client()
            expectWritten(try client.put("\(kind)/e", "1", key("same")))
            expectWritten(try client.put("\(kind)/f", "2", key("same")))
        }

        @Test func refusalsAreEvaluatedAnew() throws {
            let client = try SharedNode.client()
            let path = "\(kind)/g"
            expectProblem(try client.patch(path, .merge, "{}", key("k")), "not-found")
            expectProblem(try client.put(path, "{}", key("k2") + [("If-Match", "*")]), "precondition-failed")
            expectProblem(try client.outcome(path, idempotencyKey: "k"), "not-found", positioned: true)
            try client.put(path, "{}")
            expectWritten(try client.patch(path, .merge, "{}", key("k")))
            expectWritten(try client.put(path, "{}", key("k2") + [("If-Match", "*")]))
        }

        @Test func recordedOutcomesCanBeAskedFor() throws {
            let client = try SharedNode.client()
            let first = try client.put("\(kind)/h", "1", key("k"))
            let outcome = try client.outcome("\(kind)/h", idempotencyKey: "k")
            #expect(outcome.status == 200 && outcome["Content-Type"] == "application/json", "\(outcome)")
            #expect(outcome.object["status"] as? Int == 204)
            #expect(outcome.object["etag"] as? String == first["ETag"])
            #expect(outcome.position != nil)
            expectProblem(try client.outcome("\(kind)/h", idempotencyKey: "other"), "not-found", positioned: true)
            expectProblem(try client.send("GET", "/v1/outcomes/\(kind)/h"), "bad-request")
        }

        @Test(arguments: ["", " ", "a b", "gr\u{fc}n", "tab\there", String(repeating: "k", count: 256)])
        func badKeysAreRefused(name: String) throws {
            let client = try SharedNode.client()
            expectProblem(try client.put("\(kind)/i", "1", key(name)), "bad-request", positioned: true)
            expectProblem(try client.get("\(kind)/i"), "not-found")
        }

        @Test(arguments: ["k", "!~\"{}", String(repeating: "k", count: 255)])
        func soundKeysAreAccepted(name: String) throws {
            let client = try SharedNode.client()
            expectWritten(try client.put("\(kind)/j\(name.count)", "1", key(name)))
            expectWritten(try client.put("\(kind)/j\(name.count)", "1", key(name)), replayed: true)
        }

        @Test func ofConcurrentDuplicatesOneTakesEffect() throws {
            let path = "\(kind)/many"
            try SharedNode.client().put(path, #"{"n":0}"#)
            for round in 0..<10 {
                let answers = try onThreads(8) { _ in
                    try SharedNode.client().patch(
                        path, .update, #"{"do":[{"increment":"/n","by":1}]}"#, [("Idempotency-Key", "r\(round)")])
                }
                #expect(answers.allSatisfy { $0.status == 204 })
                #expect(answers.count { $0["Idempotency-Replayed"] == nil } == 1)
                #expect(Set(answers.map(\.version64)).count == 1)
            }
            expectFound(try SharedNode.client().get(path), #"{"n":10}"#)
        }

        @Test func theRecordOutlivesTheEntity() throws {
            let client = try SharedNode.client()
            let first = try client.put("\(kind)/l", "1", key("k"))
            try client.delete("\(kind)/l")
            let again = try client.put("\(kind)/l", "1", key("k"))
            expectWritten(again, replayed: true)
            #expect(again.version64 == first.version64)
            expectProblem(try client.get("\(kind)/l"), "not-found")
        }
    }
}
