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

        /// The two dates (RFC 9110 §13.1.3, §13.1.4): whole seconds, below the tags, nothing where they are no dates.
        @Test func datesAreConditions() throws {
            let client = try SharedNode.client()
            let key = "\(kind)/dated"
            let version = try #require(try client.put(key, #"{"a":1}"#, type: "application/json").version64)
            let date = try #require(try client.get(key)["Last-Modified"])
            let past = "Sun, 06 Nov 1994 08:49:37 GMT"
            for (field, value, status) in [
                ("If-Modified-Since", date, 304), ("If-Modified-Since", past, 200), ("If-Modified-Since", "soon", 200),
                ("If-Modified-Since", "Friday, 06-Nov-94 08:49:37 GMT", 200), ("If-Unmodified-Since", date, 200),
                ("If-Unmodified-Since", past, 412), ("If-Unmodified-Since", "Sun Nov  6 08:49:37 1994", 412),
                ("If-Unmodified-Since", "0", 200),
            ] {
                for answer in [try client.get(key, [(field, value)]), try client.head(key, [(field, value)])] {
                    #expect(answer.status == status && answer.version64 == version, "\(field): \(value)\n\(answer)")
                }
            }
            let tagged = try client.get(key, [("If-None-Match", "\"\(version + 1)\""), ("If-Modified-Since", date)])
            expectFound(tagged, #"{"a":1}"#, version: version)
            let merge = [("Content-Type", PatchKind.merge.rawValue)]
            for method in ["PUT", "PATCH", "DELETE"] {
                let body = method == "DELETE" ? nil : Array("{}".utf8)
                let answer = try client.send(
                    method, EntityClient.path(key), merge + [("If-Unmodified-Since", past)], body: body)
                expectProblem(answer, "precondition-failed", positioned: true)
                #expect(answer.version64 == version)
                let absent = try client.send(
                    method, EntityClient.path("\(kind)/none-\(method)"), merge + [("If-Unmodified-Since", past)],
                    body: body)
                if method == "PUT" { expectWritten(absent) } else { expectProblem(absent, "not-found") }
            }
            expectWritten(try client.put(key, "2", [("If-Unmodified-Since", date), ("If-Modified-Since", date)]))
            expectWritten(try client.put(key, "3", [("If-Unmodified-Since", past), ("If-Match", "*")]))
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
