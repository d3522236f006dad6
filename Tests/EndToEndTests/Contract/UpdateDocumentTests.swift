import Foundation
import Testing

extension Contract {
    @Suite struct UpdateDocumentTests {
        let kind = SharedNode.freshKind()

        struct Row: Sendable, CustomTestStringConvertible {
            let before: String
            let document: String
            let after: String?
            let code: String?
            /// What the refusal's detail must name.
            let names: String?

            var testDescription: String { "\(before) + \(document)" }

            static func state(_ before: String, _ document: String, _ after: String) -> Row {
                Row(before: before, document: document, after: after, code: nil, names: nil)
            }

            static func refused(_ before: String, _ document: String, _ code: String, names: String? = nil) -> Row {
                Row(before: before, document: document, after: nil, code: code, names: names)
            }
        }

        static let operations: [Row] = [
            .state(#"{"a":1}"#, #"{"do":[{"set":"/a","to":{"b":[1]}}]}"#, #"{"a":{"b":[1]}}"#),
            .state(#"{"a":1}"#, #"{"do":[{"set":"/b","to":null}]}"#, #"{"a":1,"b":null}"#),
            .state(#"{"a":1}"#, #"{"do":[{"set":"","to":[1]}]}"#, "[1]"),
            .state(#"{"a":1,"b":2}"#, #"{"do":[{"remove":"/a"}]}"#, #"{"b":2}"#),
            .state(#"{"n":1}"#, #"{"do":[{"increment":"/n","by":41}]}"#, #"{"n":42}"#),
            .state(#"{"n":1}"#, #"{"do":[{"increment":"/n","by":-2}]}"#, #"{"n":-1}"#),
            .state(
                #"{"n":9223372036854775806}"#, #"{"do":[{"increment":"/n","by":1}]}"#, #"{"n":9223372036854775807}"#),
            .state(
                #"{"n":-9223372036854775807}"#, #"{"do":[{"increment":"/n","by":-1}]}"#,
                #"{"n":-9223372036854775808}"#),
            .state(#"{"n":9007199254740993}"#, #"{"do":[{"increment":"/n","by":2}]}"#, #"{"n":9007199254740995}"#),
            .state(
                #"{"l":[1]}"#, #"{"do":[{"append":"/l","value":2},{"append":"/l","value":[3]}]}"#, #"{"l":[1,2,[3]]}"#),
            .state(#"{"n":5}"#, #"{"do":[{"max":"/n","to":7}]}"#, #"{"n":7}"#),
            .state(#"{"n":5}"#, #"{"do":[{"max":"/n","to":3}]}"#, #"{"n":5}"#),
            .state(#"{"n":5}"#, #"{"do":[{"min":"/n","to":3}]}"#, #"{"n":3}"#),
            .state(#"{"n":5}"#, #"{"do":[{"min":"/n","to":7}]}"#, #"{"n":5}"#),
            .state(#"{"x":1.50,"n":1}"#, #"{"do":[{"increment":"/n","by":1}]}"#, #"{"x":1.50,"n":2}"#),
            .state(#"{"n":1}"#, #"{"do":[{"increment":"/n","by":1},{"increment":"/n","by":1}]}"#, #"{"n":3}"#),
            // All or nothing.
            .refused(#"{"n":1}"#, #"{"do":[{"increment":"/n","by":1},{"remove":"/none"}]}"#, "patch-failed"),
            .refused(#"{"n":9223372036854775807}"#, #"{"do":[{"increment":"/n","by":1}]}"#, "patch-failed"),
            .refused(#"{"n":-9223372036854775808}"#, #"{"do":[{"increment":"/n","by":-1}]}"#, "patch-failed"),
            .refused(#"{"n":1.5}"#, #"{"do":[{"increment":"/n","by":1}]}"#, "patch-failed"),
            .refused(#"{"n":1}"#, #"{"do":[{"increment":"/n","by":0.5}]}"#, "patch-failed"),
            .refused(#"{"n":"1"}"#, #"{"do":[{"increment":"/n","by":1}]}"#, "patch-failed"),
            .refused(#"{"n":18446744073709551616}"#, #"{"do":[{"increment":"/n","by":1}]}"#, "patch-failed"),
            .refused(#"{"l":{}}"#, #"{"do":[{"append":"/l","value":1}]}"#, "patch-failed"),
            .refused(#"{"n":"x"}"#, #"{"do":[{"max":"/n","to":1}]}"#, "patch-failed"),
            .refused(#"{"a":1}"#, #"{"do":[{"set":"/b/c","to":1}]}"#, "patch-failed"),
            .refused(#"{"a":1}"#, #"{"do":[{"remove":"/b"}]}"#, "patch-failed"),
            // No update document.
            .refused("{}", "[]", "bad-request"),
            .refused("{}", "{}", "bad-request"),
            .refused("{}", #"{"do":{}}"#, "bad-request"),
            .refused("{}", #"{"do":[{"spin":"/a"}]}"#, "bad-request"),
            .refused("{}", #"{"do":[{"set":"/a"}]}"#, "bad-request"),
            .refused("{}", #"{"do":[{"set":"a","to":1}]}"#, "bad-request"),
            .refused("{}", #"{"do":[{"set":"/a","to":1,"by":2}]}"#, "bad-request"),
            .refused("{}", #"{"do":[{"increment":"/a","by":"1"}]}"#, "bad-request"),
            .refused("{}", #"{"do":[],"else":1}"#, "bad-request"),
            .refused("{}", #"{"if":{},"do":[]}"#, "bad-request"),
            .refused("{}", #"{"if":[{"at":"/a"}],"do":[]}"#, "bad-request"),
            .refused("{}", #"{"if":[{"at":"/a","like":1}],"do":[]}"#, "bad-request"),
            .refused("{}", #"{"if":[{"at":"/a","exists":1}],"do":[]}"#, "bad-request"),
            .refused("{}", #"{"do":[],"do":[]}"#, "bad-request"),
        ]

        @Test(arguments: operations)
        func documents(row: Row) throws { try run(row) }

        /// A condition against `{"n":5,"s":"b","t":true,"l":[1,2],"o":{"k":null}}`.
        static let conditions: [(condition: String, holds: Bool)] = [
            (#"{"at":"/n","eq":5}"#, true), (#"{"at":"/n","eq":5.0}"#, true), (#"{"at":"/n","eq":6}"#, false),
            (#"{"at":"/n","eq":"5"}"#, false), (#"{"at":"/n","ne":6}"#, true), (#"{"at":"/n","ne":5}"#, false),
            (#"{"at":"/n","ne":"5"}"#, false), (#"{"at":"/n","lt":6}"#, true), (#"{"at":"/n","lt":5}"#, false),
            (#"{"at":"/n","lte":5}"#, true), (#"{"at":"/n","gt":4}"#, true), (#"{"at":"/n","gt":5}"#, false),
            (#"{"at":"/n","gte":5}"#, true), (#"{"at":"/n","gte":5.5}"#, false), (#"{"at":"/n","lt":"x"}"#, false),
            (#"{"at":"/s","lt":"c"}"#, true), (#"{"at":"/s","gte":"c"}"#, false), (#"{"at":"/s","ne":"a"}"#, true),
            (#"{"at":"/t","eq":true}"#, true), (#"{"at":"/l","eq":[1,2]}"#, true), (#"{"at":"/l/0","eq":1}"#, true),
            (#"{"at":"/o","eq":{"k":null}}"#, true), (#"{"at":"/o/k","exists":true}"#, true),
            (#"{"at":"/o/k","eq":null}"#, true),
            (#"{"at":"/none","exists":false}"#, true), (#"{"at":"/none","exists":true}"#, false),
            (#"{"at":"/n","exists":false}"#, false), (#"{"at":"/none","ne":1}"#, false),
            (#"{"at":"/none","eq":null}"#, false),
            (#"{"at":"/none","lt":1}"#, false), (#"{"at":"","exists":true}"#, true),
            (#"{"at":"/n/x","exists":false}"#, true),
        ]

        @Test(arguments: conditions)
        func conditionsDecide(condition: String, holds: Bool) throws {
            let before = #"{"n":5,"s":"b","t":true,"l":[1,2],"o":{"k":null}}"#
            let document = #"{"if":[{"at":"/n","gt":0},\#(condition)],"do":[{"set":"","to":1}]}"#
            // The first condition holds; the one that fails is number 1.
            try run(holds ? .state(before, document, "1") : .refused(before, document, "condition-failed", names: "1"))
        }

        private func run(_ row: Row) throws {
            let client = try SharedNode.client()
            let key = "\(kind)/\(UInt32.random(in: 0 ... .max))"
            let version = try #require(try client.put(key, row.before).version64)
            let answer = try client.patch(key, .update, row.document)
            if let code = row.code {
                expectProblem(answer, code, positioned: true)
                if let names = row.names {
                    #expect((answer.object["detail"] as? String)?.contains(names) == true, "\(answer)")
                }
                expectFound(try client.get(key), row.before, version: version)
            } else {
                expectWritten(answer)
                #expect(try client.get(key).text == row.after)
            }
        }

        @Test func anAbsentEntityStartsFromElseCreate() throws {
            let client = try SharedNode.client()
            let document = #"{"do":[{"increment":"/n","by":1}],"else-create":{"n":10}}"#
            expectWritten(try client.patch("\(kind)/new", .update, document))
            expectFound(try client.get("\(kind)/new"), #"{"n":11}"#, type: "application/json")
            expectWritten(try client.patch("\(kind)/new", .update, document))
            expectFound(try client.get("\(kind)/new"), #"{"n":12}"#)
            let guarded = #"{"if":[{"at":"/n","eq":9}],"do":[],"else-create":{"n":10}}"#
            expectProblem(try client.patch("\(kind)/guarded", .update, guarded), "condition-failed", positioned: true)
        }

        @Test func incrementsFromManyConnectionsAllCount() throws {
            let key = "\(kind)/counter"
            try SharedNode.client().put(key, #"{"n":0}"#)
            let answers = try onThreads(8) { _ in
                let client = try SharedNode.client()
                return try (0..<25).map { _ in
                    try client.patch(key, .update, #"{"do":[{"increment":"/n","by":1}]}"#)
                }
            }.flatMap { $0 }
            for answer in answers { expectWritten(answer) }
            #expect(Set(answers.compactMap(\.version64)).count == 200, "each took effect at a position of its own")
            expectFound(try SharedNode.client().get(key), #"{"n":200}"#)
        }
    }
}
