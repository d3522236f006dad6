import Foundation
import Testing

extension Contract {
    /// Merge Patch and JSON Patch over the wire. The documents' own semantics have their tables beside the code; here
    /// stand the answers of the outside contract.
    @Suite struct PatchTests {
        let kind = SharedNode.freshKind()

        struct Row: Sendable, CustomTestStringConvertible {
            let kind: PatchKind
            let before: String
            let document: String
            /// The state afterwards, or the code of the refusal.
            let expected: Expected

            enum Expected: Sendable { case state(String), refused(String) }

            var testDescription: String { "\(kind) \(before.prefix(60)) + \(document.prefix(90))" }

            init(_ kind: PatchKind, _ before: String, _ document: String, _ expected: Expected) {
                self.kind = kind
                self.before = before
                self.document = document
                self.expected = expected
            }
        }

        static let deep63 = String(repeating: "[", count: 63) + String(repeating: "]", count: 63)
        static let deep64 = "[" + deep63 + "]"
        static let deep65 = "[" + deep64 + "]"

        static let table: [Row] = [
            // RFC 7396.
            Row(.merge, #"{"a":"b"}"#, #"{"a":"c"}"#, .state(#"{"a":"c"}"#)),
            Row(.merge, #"{"a":"b"}"#, #"{"b":"c"}"#, .state(#"{"a":"b","b":"c"}"#)),
            Row(.merge, #"{"a":"b","b":"c"}"#, #"{"a":null}"#, .state(#"{"b":"c"}"#)),
            Row(.merge, #"{"a":{"b":"c"}}"#, #"{"a":{"b":"d","c":null}}"#, .state(#"{"a":{"b":"d"}}"#)),
            Row(.merge, #"["a"]"#, #"{"a":"b"}"#, .state(#"{"a":"b"}"#)),
            Row(.merge, "{}", "[1]", .state("[1]")),
            Row(.merge, "{}", #"{"a":{"bb":{"ccc":null}}}"#, .state(#"{"a":{"bb":{}}}"#)),
            // RFC 6902.
            Row(.jsonPatch, #"{"a":1}"#, #"[{"op":"add","path":"/b","value":2}]"#, .state(#"{"a":1,"b":2}"#)),
            Row(.jsonPatch, "[1,3]", #"[{"op":"add","path":"/1","value":2}]"#, .state("[1,2,3]")),
            Row(.jsonPatch, "[1]", #"[{"op":"add","path":"/-","value":2}]"#, .state("[1,2]")),
            Row(.jsonPatch, #"{"a":1}"#, #"[{"op":"move","from":"/a","path":"/b"}]"#, .state(#"{"b":1}"#)),
            Row(.jsonPatch, #"{"a":1}"#, #"[{"op":"copy","from":"/a","path":"/b"}]"#, .state(#"{"a":1,"b":1}"#)),
            Row(.jsonPatch, #"{"a":1}"#, #"[{"op":"replace","path":"","value":7}]"#, .state("7")),
            Row(.jsonPatch, #"{"a":1}"#, #"[{"op":"test","path":"/a","value":1.0}]"#, .state(#"{"a":1}"#)),
            Row(.jsonPatch, #"{"~/":1}"#, #"[{"op":"remove","path":"/~0~1"}]"#, .state("{}")),
            Row(.jsonPatch, #"{"a":1}"#, "[]", .state(#"{"a":1}"#)),
            // What cannot be applied.
            Row(.jsonPatch, #"{"a":1}"#, #"[{"op":"test","path":"/a","value":2}]"#, .refused("patch-failed")),
            Row(.jsonPatch, #"{"a":1}"#, #"[{"op":"remove","path":"/b"}]"#, .refused("patch-failed")),
            Row(.jsonPatch, #"{"a":1}"#, #"[{"op":"replace","path":"/b","value":1}]"#, .refused("patch-failed")),
            Row(.jsonPatch, #"{"a":1}"#, #"[{"op":"add","path":"/b/c","value":1}]"#, .refused("patch-failed")),
            Row(.jsonPatch, "[1]", #"[{"op":"add","path":"/3","value":1}]"#, .refused("patch-failed")),
            Row(.jsonPatch, "[1,2]", #"[{"op":"remove","path":"/01"}]"#, .refused("patch-failed")),
            Row(
                .jsonPatch, #"{"a":1}"#, #"[{"op":"add","path":"/b","value":2},{"op":"remove","path":"/z"}]"#,
                .refused("patch-failed")),
            Row(.jsonPatch, "[]", #"[{"op":"add","path":"/-","value":\#(deep64)}]"#, .refused("bad-request")),
            Row(.jsonPatch, "[[]]", #"[{"op":"copy","from":"","path":"/0/-"}]"#, .state("[[[[]]]]")),
            // What is no document of its kind.
            Row(.merge, "{}", "{", .refused("bad-request")),
            Row(.merge, "{}", "", .refused("bad-request")),
            Row(.merge, "{}", #"{"a":1,"a":2}"#, .refused("bad-request")),
            Row(.merge, "{}", #"{"a":01}"#, .refused("bad-request")),
            Row(.merge, "{}", #"{"a":1,}"#, .refused("bad-request")),
            Row(.merge, "{}", "{\"a\":\"\u{1}\"}", .refused("bad-request")),
            Row(.merge, "{}", #"{"a":NaN}"#, .refused("bad-request")),
            Row(.merge, "{}", "{} {}", .refused("bad-request")),
            Row(.merge, "{}", "\u{feff}{}", .refused("bad-request")),
            Row(.merge, "{}", deep65, .refused("bad-request")),
            Row(.merge, "{}", deep64, .state(deep64)),
            Row(.jsonPatch, "{}", "{}", .refused("bad-request")),
            Row(.jsonPatch, "{}", #"[{"op":"spin","path":"/a"}]"#, .refused("bad-request")),
            Row(.jsonPatch, "{}", #"[{"op":"add","path":"a","value":1}]"#, .refused("bad-request")),
            Row(.jsonPatch, "{}", #"[{"op":"add","path":"/~2","value":1}]"#, .refused("bad-request")),
            Row(.jsonPatch, "{}", #"[{"op":"add","path":"/a"}]"#, .refused("bad-request")),
            Row(.jsonPatch, "{}", #"[{"path":"/a","value":1}]"#, .refused("bad-request")),
            Row(.jsonPatch, "{}", #"[{"op":"move","path":"/a"}]"#, .refused("bad-request")),
            Row(.jsonPatch, "{}", "[1]", .refused("bad-request")),
            // What is no JSON to begin with.
            Row(.merge, "plain text", "{}", .refused("not-json")),
            Row(.merge, "", "{}", .refused("not-json")),
            Row(.merge, #"{"a":1,"a":2}"#, "{}", .refused("not-json")),
            Row(.merge, deep65, "{}", .refused("not-json")),
            Row(.jsonPatch, "{", "[]", .refused("not-json")),
            Row(.update, "[1] x", #"{"do":[{"set":"/a","to":1}]}"#, .refused("not-json")),
            // Numbers that are not touched keep their text.
            Row(
                .merge, #"{"x":1.000,"y":12345678901234567890123,"z":1E+2,"w":-0}"#, #"{"a":0.10}"#,
                .state(#"{"x":1.000,"y":12345678901234567890123,"z":1E+2,"w":-0,"a":0.10}"#)),
        ]

        @Test(arguments: table)
        func patches(row: Row) throws {
            let client = try SharedNode.client()
            let key = "\(kind)/\(UInt32.random(in: 0 ... .max))"
            // The type says nothing: an entity is JSON by its bytes.
            let version = try #require(try client.put(key, row.before, type: "text/x-any").version64)
            let answer = try client.patch(key, row.kind, row.document)
            switch row.expected {
            case .state(let state):
                expectWritten(answer)
                let found = try client.get(key)
                #expect(compact(found.text) == state)
                #expect(found.version64 == answer.version64 && found["Content-Type"] == "text/x-any")
            case .refused(let code):
                expectProblem(answer, code, positioned: true)
                expectFound(try client.get(key), row.before, version: version)
            }
        }

        /// Without the white space between tokens, which the contract leaves open.
        private func compact(_ json: String) -> String {
            var inString = false
            return json.filter { character in
                if character == "\"" { inString.toggle() }
                return inString || !character.isWhitespace
            }
        }

        @Test(arguments: PatchKind.allCases)
        func absentEntitiesAreNotFound(patch: PatchKind) throws {
            let documents: [PatchKind: String] = [.merge: "{}", .jsonPatch: "[]", .update: #"{"do":[]}"#]
            let answer = try SharedNode.client().patch("\(kind)/none", patch, documents[patch] ?? "")
            expectProblem(answer, "not-found", positioned: true)
        }

        @Test(arguments: [
            "application/merge-patch+json; charset=utf-8", "Application/Merge-Patch+JSON",
            "application/merge-patch+json;v=1",
        ])
        func parametersAndCaseOfTheTypeAreIgnored(type: String) throws {
            let client = try SharedNode.client()
            try client.put("\(kind)/t", "{}")
            expectWritten(
                try client.send(
                    "PATCH", "/v1/entities/\(kind)/t", [("Content-Type", type)], body: Array(#"{"a":1}"#.utf8)))
        }

        @Test(arguments: ["application/json", "text/plain", "application/merge-patch", "", nil])
        func otherTypesAreUnsupported(type: String?) throws {
            let client = try SharedNode.client()
            try client.put("\(kind)/t", "{}")
            let fields = type.map { [("Content-Type", $0)] } ?? []
            let answer = try client.send("PATCH", "/v1/entities/\(kind)/t", fields, body: Array("{}".utf8))
            expectProblem(answer, "unsupported-media-type", positioned: true)
        }

        @Test func theNewStateIsGivenBackWhereItIsPreferred() throws {
            let client = try SharedNode.client()
            try client.put("\(kind)/p", #"{"a":1}"#, type: "application/json")
            let answer = try client.patch("\(kind)/p", .merge, #"{"a":2}"#, [("Prefer", "return=representation")])
            expectWritten(answer, status: 200)
            #expect(answer.text == #"{"a":2}"# && answer["Content-Type"] == "application/json")
            for other in ["return=minimal", "respond-async", "return=nonsense"] {
                expectWritten(try client.patch("\(kind)/p", .merge, #"{"a":3}"#, [("Prefer", other)]))
            }
            let listed = [("Prefer", "respond-async, return=representation; x=1")]
            expectWritten(try client.patch("\(kind)/p", .merge, #"{"a":4}"#, listed), status: 200)
        }

        @Test func aResultOverTheLimitIsTooLarge() throws {
            let client = try SharedNode.client()
            let half = String(repeating: "a", count: 600 << 10)
            try client.put("\(kind)/big", "{\"a\":\"\(half)\"}")
            let answer = try client.patch("\(kind)/big", .merge, "{\"b\":\"\(half)\"}")
            expectProblem(answer, "entity-too-large", positioned: true)
            #expect(try client.get("\(kind)/big").body.count == half.count + 8)
        }

        @Test func aResultOver64DeepIsAFailedPatch() throws {
            let client = try SharedNode.client()
            try client.put("\(kind)/deep", #"{"a":\#(Self.deep63)}"#)
            expectProblem(
                try client.patch("\(kind)/deep", .jsonPatch, #"[{"op":"copy","from":"","path":"/b"}]"#), "patch-failed")
        }
    }
}
