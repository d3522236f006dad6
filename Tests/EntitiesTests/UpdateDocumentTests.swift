import Entities
import Primitives
import Testing

@Suite struct UpdateDocumentTests {
    @Test(arguments: [
        (#"{"a":1}"#, #"{"set":"/a","to":2.0}"#, #"{"a":2.0}"#),
        (#"{"a":1}"#, #"{"set":"/b","to":null}"#, #"{"a":1,"b":null}"#),
        ("[1,2]", #"{"set":"/1","to":[]}"#, "[1,[]]"),
        (#"{"a":{}}"#, #"{"set":"/a/b","to":{"c":1}}"#, #"{"a":{"b":{"c":1}}}"#),
        ("1", #"{"set":"","to":{}}"#, "{}"), (#"{"a":1,"b":2}"#, #"{"remove":"/a"}"#, #"{"b":2}"#),
        ("[1,2,3]", #"{"remove":"/1"}"#, "[1,3]"), (#"{"n":1}"#, #"{"increment":"/n","by":2}"#, #"{"n":3}"#),
        (#"{"n":1}"#, #"{"increment":"/n","by":-2}"#, #"{"n":-1}"#),
        (#"{"n":1.0}"#, #"{"increment":"/n","by":1e1}"#, #"{"n":11}"#),
        (#"{"n":9007199254740993}"#, #"{"increment":"/n","by":1}"#, #"{"n":9007199254740994}"#),
        (#"{"n":9223372036854775806}"#, #"{"increment":"/n","by":1}"#, #"{"n":9223372036854775807}"#),
        (#"{"n":-9223372036854775807}"#, #"{"increment":"/n","by":-1}"#, #"{"n":-9223372036854775808}"#),
        (#"{"n":-1}"#, #"{"increment":"/n","by":9223372036854775807}"#, #"{"n":9223372036854775806}"#),
        ("5", #"{"increment":"","by":0}"#, "5"), ("[7]", #"{"increment":"/0","by":1}"#, "[8]"),
        (#"{"l":[]}"#, #"{"append":"/l","value":1}"#, #"{"l":[1]}"#), ("[1]", #"{"append":"","value":[2]}"#, "[1,[2]]"),
        (#"{"n":1}"#, #"{"max":"/n","to":2}"#, #"{"n":2}"#),
        (#"{"n":1.50}"#, #"{"max":"/n","to":1.5}"#, #"{"n":1.50}"#),
        (#"{"n":3}"#, #"{"max":"/n","to":2}"#, #"{"n":3}"#), (#"{"n":3}"#, #"{"min":"/n","to":2.50}"#, #"{"n":2.50}"#),
        (#"{"n":1}"#, #"{"min":"/n","to":2}"#, #"{"n":1}"#),
        (#"{"n":9007199254740992}"#, #"{"max":"/n","to":9007199254740993}"#, #"{"n":9007199254740993}"#),
        (#"{"a~b":{"c/d":1}}"#, #"{"increment":"/a~0b/c~1d","by":1}"#, #"{"a~b":{"c/d":2}}"#),
    ])
    func operations(state: String, operation: String, result: String) {
        #expect(patch(.update, #"{"do":[\#(operation)]}"#, on: state) == .state(result))
    }

    @Test(arguments: [
        ("{}", #"{"set":"/a/b","to":1}"#), ("[]", #"{"set":"/0","to":1}"#), ("[1]", #"{"set":"/-","to":1}"#),
        ("[1]", #"{"set":"/1","to":1}"#), ("[1]", #"{"set":"/00","to":1}"#), ("1", #"{"set":"/a","to":1}"#),
        ("{}", #"{"remove":"/a"}"#), ("[]", #"{"remove":"/0"}"#), ("[1]", #"{"remove":"/-"}"#),
        ("{}", #"{"remove":""}"#),
        ("{}", #"{"increment":"/n","by":1}"#), (#"{"n":"1"}"#, #"{"increment":"/n","by":1}"#),
        (#"{"n":null}"#, #"{"increment":"/n","by":1}"#), (#"{"n":1.5}"#, #"{"increment":"/n","by":1}"#),
        (#"{"n":1}"#, #"{"increment":"/n","by":0.5}"#), (#"{"n":1}"#, #"{"increment":"/n","by":1e-3}"#),
        (#"{"n":9223372036854775807}"#, #"{"increment":"/n","by":1}"#),
        (#"{"n":-9223372036854775808}"#, #"{"increment":"/n","by":-1}"#),
        (#"{"n":9223372036854775808}"#, #"{"increment":"/n","by":-1}"#),
        (#"{"n":1}"#, #"{"increment":"/n","by":9223372036854775808}"#),
        (#"{"n":1e400}"#, #"{"increment":"/n","by":1}"#),
        ("{}", #"{"append":"/l","value":1}"#), (#"{"l":{}}"#, #"{"append":"/l","value":1}"#),
        (#"{"l":null}"#, #"{"append":"/l","value":1}"#), ("{}", #"{"max":"/n","to":1}"#),
        ("{}", #"{"min":"/n","to":1}"#),
        (#"{"n":"a"}"#, #"{"max":"/n","to":1}"#), (#"{"n":[]}"#, #"{"min":"/n","to":1}"#),
    ])
    func operationsThatCannotApply(state: String, operation: String) {
        #expect(patch(.update, #"{"do":[\#(operation)]}"#, on: state) == .refused(.patchFailed))
    }

    @Test func operationsRunInOrderAllOrNone() {
        let document = #"{"do":[{"set":"/l","to":[]},{"append":"/l","value":{"n":0}},{"increment":"/l/0/n","by":5}]}"#
        #expect(patch(.update, document, on: #"{"x":1.0}"#) == .state(#"{"x":1.0,"l":[{"n":5}]}"#))
        let failing = #"{"do":[{"set":"/a","to":1},{"increment":"/b","by":5}]}"#
        #expect(patch(.update, failing, on: "{}") == .refused(.patchFailed))
    }

    static let state = #"{"n":5,"f":1.50,"s":"b","t":true,"z":null,"l":[1],"o":{"a":1},"big":9007199254740993}"#

    @Test(arguments: [
        (#"{"at":"/n","eq":5}"#, true), (#"{"at":"/n","eq":5.0}"#, true), (#"{"at":"/n","eq":6}"#, false),
        (#"{"at":"/n","eq":"5"}"#, false), (#"{"at":"/x","eq":5}"#, false), (#"{"at":"/z","eq":null}"#, true),
        (#"{"at":"/x","eq":null}"#, false), (#"{"at":"/o","eq":{"a":1e0}}"#, true), (#"{"at":"/l","eq":[1]}"#, true),
        (#"{"at":"/n","ne":6}"#, true), (#"{"at":"/n","ne":5}"#, false), (#"{"at":"/n","ne":"5"}"#, false),
        (#"{"at":"/x","ne":5}"#, false), (#"{"at":"/t","ne":false}"#, true), (#"{"at":"/z","ne":1}"#, false),
        (#"{"at":"/l","ne":[2]}"#, true), (#"{"at":"/l","ne":{}}"#, false), (#"{"at":"/n","lt":6}"#, true),
        (#"{"at":"/n","lt":5}"#, false), (#"{"at":"/n","lte":5}"#, true), (#"{"at":"/n","lte":4.9}"#, false),
        (#"{"at":"/n","gt":4}"#, true), (#"{"at":"/n","gt":5}"#, false), (#"{"at":"/n","gte":5.0}"#, true),
        (#"{"at":"/n","gte":5.1}"#, false), (#"{"at":"/f","eq":1.5}"#, true),
        (#"{"at":"/big","gt":9007199254740992}"#, true),
        (#"{"at":"/big","eq":9007199254740992}"#, false), (#"{"at":"/s","lt":"c"}"#, true),
        (#"{"at":"/s","gte":"b"}"#, true),
        (#"{"at":"/s","gt":"ba"}"#, false), (#"{"at":"/s","lt":1}"#, false), (#"{"at":"/n","lt":"6"}"#, false),
        (#"{"at":"/x","lt":6}"#, false), (#"{"at":"/x","gte":6}"#, false), (#"{"at":"/t","lte":true}"#, false),
        (#"{"at":"/z","gte":null}"#, false), (#"{"at":"/l","lte":[1]}"#, false), (#"{"at":"/n","exists":true}"#, true),
        (#"{"at":"/n","exists":false}"#, false), (#"{"at":"/x","exists":false}"#, true),
        (#"{"at":"/x","exists":true}"#, false),
        (#"{"at":"/z","exists":true}"#, true), (#"{"at":"","exists":true}"#, true), (#"{"at":"/l/0","eq":1}"#, true),
        (#"{"at":"/l/-","exists":false}"#, true), (#"{"at":"/l/00","exists":false}"#, true),
        (#"{"at":"/n/a","exists":true}"#, false),
        (#"{"at":"/o/a","gte":1}"#, true),
    ])
    func conditions(condition: String, holds: Bool) {
        let outcome = patch(.update, #"{"if":[\#(condition)],"do":[]}"#, on: Self.state)
        #expect(outcome == (holds ? .state(Self.state) : .refused(.conditionFailed)))
    }

    @Test func theFirstFailingConditionIsNamed() throws {
        let document = """
            {"if":[{"at":"/n","eq":5},{"at":"/n","gt":5},{"at":"/n","eq":6}],"do":[{"increment":"/missing","by":1}]}
            """
        #expect(patch(.update, document, on: Self.state) == .refused(.conditionFailed))
        let detail = try #require(try refusal(.update, document, on: Self.state))
        #expect(detail.contains("condition 1") && detail.contains("/n"), "\(detail)")
    }

    /// An absent entity starts from `else-create`, conditions included; a present one never looks at it.
    @Test(
        arguments: [
            (nil, .state(#"{"n":11}"#)), (#"{"n":1}"#, .state(#"{"n":2}"#)),
            (#"{"n":100}"#, .refused(.conditionFailed)),
            ("{}", .refused(.conditionFailed)),
        ] as [(String?, Patched)])
    func elseCreate(state: String?, result: Patched) {
        let document = #"{"if":[{"at":"/n","lt":100}],"do":[{"increment":"/n","by":1}],"else-create":{"n":10}}"#
        #expect(patch(.update, document, on: state) == result)
    }

    @Test func elseCreateMayBeNull() {
        #expect(patch(.update, #"{"do":[],"else-create":null}"#, on: nil) == .state("null"))
        #expect(patch(.update, #"{"do":[]}"#, on: nil) == .refused(.notFound))
        let failing = #"{"if":[{"at":"/n","eq":1}],"do":[],"else-create":{"n":0}}"#
        #expect(patch(.update, failing, on: nil) == .refused(.conditionFailed))
    }

    @Test(arguments: [
        "", "[]", "null", "1", "{}", #"{"if":[]}"#, #"{"else-create":1}"#, #"{"do":{}}"#, #"{"do":null}"#,
        #"{"do":[1]}"#,
        #"{"do":[],"if":{}}"#, #"{"do":[],"if":null}"#, #"{"do":[],"if":[1]}"#, #"{"do":[],"unless":[]}"#,
        #"{"do":[],"do":[]}"#,
        #"{"do":[{}]}"#, #"{"do":[{"set":"/a"}]}"#, #"{"do":[{"to":1}]}"#, #"{"do":[{"set":"a","to":1}]}"#,
        #"{"do":[{"set":1,"to":1}]}"#, #"{"do":[{"set":"/~","to":1}]}"#, #"{"do":[{"set":"/a","to":1,"x":1}]}"#,
        #"{"do":[{"set":"/a","to":1,"remove":"/a"}]}"#, #"{"do":[{"remove":"/a","to":1}]}"#,
        #"{"do":[{"increment":"/a"}]}"#,
        #"{"do":[{"increment":"/a","by":"1"}]}"#, #"{"do":[{"increment":"/a","by":null}]}"#,
        #"{"do":[{"increment":"/a","to":1}]}"#,
        #"{"do":[{"append":"/a"}]}"#, #"{"do":[{"append":"/a","to":1}]}"#, #"{"do":[{"max":"/a","to":"1"}]}"#,
        #"{"do":[{"min":"/a"}]}"#, #"{"do":[{"multiply":"/a","by":1}]}"#, #"{"do":[{"Set":"/a","to":1}]}"#,
        #"{"do":[],"if":[{}]}"#, #"{"do":[],"if":[{"at":"/a"}]}"#, #"{"do":[],"if":[{"eq":1}]}"#,
        #"{"do":[],"if":[{"at":"a","eq":1}]}"#, #"{"do":[],"if":[{"at":1,"eq":1}]}"#,
        #"{"do":[],"if":[{"at":"/a","is":1}]}"#,
        #"{"do":[],"if":[{"at":"/a","gte":1,"lt":5}]}"#, #"{"do":[],"if":[{"at":"/a","exists":1}]}"#,
        #"{"do":[],"if":[{"at":"/a","exists":null}]}"#, #"{"do":[],"if":[{"at":"/a","eq":1,"x":1}]}"#,
    ])
    func malformedDocuments(document: String) {
        #expect(patch(.update, document, on: #"{"a":1}"#) == .refused(.badRequest))
        #expect(patch(.update, document, on: nil) == .refused(.badRequest))
    }

    @Test func resultsAreAtMost64Deep() {
        func nested(_ depth: Int) -> String {
            String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        }
        let path = String(repeating: "/0", count: 61)
        for (depth, result) in [(2, Patched.state(nested(64))), (3, .refused(.patchFailed))] {
            let append = #"{"do":[{"append":"\#(path)","value":\#(nested(depth))}]}"#
            #expect(patch(.update, append, on: nested(62)) == result)
            let set = #"{"do":[{"set":"\#(path)/0","to":\#(nested(depth))}]}"#
            #expect(patch(.update, set, on: nested(63)) == result)
        }
    }

    @Test func operationsAndConditionsAreCounted() {
        func document(_ conditions: Int, _ operations: Int) -> String {
            let condition = Array(repeating: #"{"at":"","eq":1}"#, count: conditions).joined(separator: ",")
            let operation = Array(repeating: #"{"set":"","to":1}"#, count: operations).joined(separator: ",")
            return "{\"if\":[\(condition)],\"do\":[\(operation)]}"
        }
        #expect(patch(.update, document(5_000, 5_000), on: "1") == .state("1"))
        #expect(patch(.update, document(5_001, 5_000), on: "1") == .refused(.entityTooLarge))
    }
}
