import Foundation
import Testing

extension Contract {
    @Suite struct PreconditionTests {
        let kind = SharedNode.freshKind()

        /// The value of a condition; `V` stands for the current tag's number.
        struct Row: Sendable, CustomTestStringConvertible {
            let field: String
            let value: String
            /// Whether it holds for an entity that is there, and for one that is not.
            let present: Bool
            let absent: Bool

            var testDescription: String { "\(field): \(value)" }
        }

        static let table = [
            Row(field: "If-Match", value: #""V""#, present: true, absent: false),
            Row(field: "If-Match", value: #""1", "V""#, present: true, absent: false),
            Row(field: "If-Match", value: #", "V",,"#, present: true, absent: false),
            Row(field: "If-Match", value: "*", present: true, absent: false),
            Row(field: "If-Match", value: #""99999999""#, present: false, absent: false),
            Row(field: "If-Match", value: #""abc""#, present: false, absent: false),
            Row(field: "If-Match", value: #"W/"V""#, present: false, absent: false),
            Row(field: "If-None-Match", value: "*", present: false, absent: true),
            Row(field: "If-None-Match", value: #""V""#, present: false, absent: true),
            Row(field: "If-None-Match", value: #"W/"V""#, present: false, absent: true),
            Row(field: "If-None-Match", value: #""1", "V""#, present: false, absent: true),
            Row(field: "If-None-Match", value: #""abc""#, present: true, absent: true),
        ]

        private func condition(_ row: Row, _ version: UInt64) -> [(String, String)] {
            [(row.field, row.value.replacing("V", with: "\(version)"))]
        }

        @Test(arguments: table)
        func writesObeyThem(row: Row) throws {
            let client = try SharedNode.client()
            for method in ["PUT", "PATCH", "DELETE"] {
                let key = "\(kind)/\(method)"
                let version = try #require(try client.put(key, #"{"a":1}"#, type: "application/json").version64)
                let type = method == "PATCH" ? [("Content-Type", PatchKind.merge.rawValue)] : []
                let answer = try client.send(
                    method, EntityClient.path(key), type + condition(row, version),
                    body: method == "DELETE" ? nil : Array("{}".utf8))
                if row.present {
                    expectWritten(answer)
                } else {
                    expectProblem(answer, "precondition-failed", positioned: true)
                    #expect(answer.version64 == version)
                    expectFound(try client.get(key), #"{"a":1}"#, version: version)
                }
            }
        }

        @Test(arguments: table)
        func writesOfAbsentEntitiesObeyThem(row: Row) throws {
            let client = try SharedNode.client()
            let key = "\(kind)/absent"
            let put = try client.put(key, "{}", condition(row, 5))
            if row.absent {
                expectWritten(put)
            } else {
                expectProblem(put, "precondition-failed", positioned: true)
                #expect(put["ETag"] == nil)
            }
            let other = "\(kind)/other"
            let delete = try client.delete(other, condition(row, 5))
            let patch = try client.patch(other, .merge, "{}", condition(row, 5))
            for answer in [delete, patch] {
                expectProblem(answer, row.absent ? "not-found" : "precondition-failed", positioned: true)
                #expect(answer["ETag"] == nil)
            }
        }

        @Test(arguments: table)
        func readsObeyThem(row: Row) throws {
            let client = try SharedNode.client()
            let version = try #require(try client.put("\(kind)/read", "x", type: "text/plain").version64)
            let fields = condition(row, version)
            let (get, head) = (try client.get("\(kind)/read", fields), try client.head("\(kind)/read", fields))
            #expect(get.status == head.status)
            #expect(get.version64 == version && head.version64 == version)
            if row.present {
                expectFound(get, "x", version: version)
            } else if row.field == "If-Match" {
                expectProblem(get, "precondition-failed", positioned: true)
            } else {
                #expect(get.status == 304 && get.body.isEmpty && get.position != nil, "\(get)")
            }
            let absent = try client.get("\(kind)/no-such", fields)
            expectProblem(absent, row.field == "If-Match" ? "precondition-failed" : "not-found", positioned: true)
        }

        static let malformed = [
            "", " ", "V", "'1'", "\"1", "1\"", "\"1\" \"2\"", "w/\"1\"", "*, \"1\"", "\"1\", *", "**", "W/1", ",",
            "\"a b\"", "\"1\";",
        ]

        @Test(arguments: ["If-Match", "If-None-Match"], malformed)
        func malformedTagsAreRefused(field: String, value: String) throws {
            let client = try SharedNode.client()
            try client.put("\(kind)/m", "x")
            for method in ["GET", "PUT", "DELETE"] {
                let answer = try client.send(
                    method, "/v1/entities/\(kind)/m", [(field, value)], body: method == "PUT" ? [1] : nil)
                expectProblem(answer, "bad-request", positioned: true)
            }
            expectFound(try client.get("\(kind)/m"), "x")
        }

        @Test func aRepeatedFieldIsOneList() throws {
            let client = try SharedNode.client()
            let version = try #require(try client.put("\(kind)/r", "x").version64)
            let fields = [("If-Match", "\"1\""), ("If-Match", "\"\(version)\"")]
            expectWritten(try client.put("\(kind)/r", "y", fields))
        }

        @Test func bothConditionsMustHold() throws {
            let client = try SharedNode.client()
            let version = try #require(try client.put("\(kind)/b", "x").version64)
            let fields = [("If-Match", "\"\(version)\""), ("If-None-Match", "\"\(version)\"")]
            expectProblem(try client.put("\(kind)/b", "y", fields), "precondition-failed")
            #expect(try client.get("\(kind)/b", fields).status == 304)
        }

        @Test func ofManyCreationsOneSucceeds() throws {
            let key = "\(kind)/once"
            let answers = try onThreads(12) { index in
                try SharedNode.client().put(key, "\(index)", [("If-None-Match", "*")])
            }
            #expect(answers.count { $0.status == 204 } == 1)
            #expect(answers.count { $0.status == 412 } == 11)
            let winner = try #require(answers.firstIndex { $0.status == 204 })
            expectFound(try SharedNode.client().get(key), "\(winner)", version: answers[winner].version64)
        }
    }
}
