import Entities
import Primitives
import Testing

@Suite struct JSONPatchTests {
    /// RFC 6902 appendix A, in its order; A.13 has a member twice, which is refused before the patch is looked at.
    @Test(
        arguments: [
            (#"{"foo":"bar"}"#, #"[{"op":"add","path":"/baz","value":"qux"}]"#, .state(#"{"foo":"bar","baz":"qux"}"#)),
            (
                #"{"foo":["bar","baz"]}"#, #"[{"op":"add","path":"/foo/1","value":"qux"}]"#,
                .state(#"{"foo":["bar","qux","baz"]}"#)
            ),
            (#"{"baz":"qux","foo":"bar"}"#, #"[{"op":"remove","path":"/baz"}]"#, .state(#"{"foo":"bar"}"#)),
            (#"{"foo":["bar","qux","baz"]}"#, #"[{"op":"remove","path":"/foo/1"}]"#, .state(#"{"foo":["bar","baz"]}"#)),
            (
                #"{"baz":"qux","foo":"bar"}"#, #"[{"op":"replace","path":"/baz","value":"boo"}]"#,
                .state(#"{"baz":"boo","foo":"bar"}"#)
            ),
            (
                #"{"foo":{"bar":"baz","waldo":"fred"},"qux":{"corge":"grault"}}"#,
                #"[{"op":"move","from":"/foo/waldo","path":"/qux/thud"}]"#,
                .state(#"{"foo":{"bar":"baz"},"qux":{"corge":"grault","thud":"fred"}}"#)
            ),
            (
                #"{"foo":["all","grass","cows","eat"]}"#, #"[{"op":"move","from":"/foo/1","path":"/foo/3"}]"#,
                .state(#"{"foo":["all","cows","eat","grass"]}"#)
            ),
            (
                #"{"baz":"qux","foo":["a",2,"c"]}"#,
                #"[{"op":"test","path":"/baz","value":"qux"},{"op":"test","path":"/foo/1","value":2}]"#,
                .state(#"{"baz":"qux","foo":["a",2,"c"]}"#)
            ),
            (#"{"baz":"qux"}"#, #"[{"op":"test","path":"/baz","value":"bar"}]"#, .refused(.patchFailed)),
            (
                #"{"foo":"bar"}"#, #"[{"op":"add","path":"/child","value":{"grandchild":{}}}]"#,
                .state(#"{"foo":"bar","child":{"grandchild":{}}}"#)
            ),
            (
                #"{"foo":"bar"}"#, #"[{"op":"add","path":"/baz","value":"qux","xyz":123}]"#,
                .state(#"{"foo":"bar","baz":"qux"}"#)
            ),
            (#"{"foo":"bar"}"#, #"[{"op":"add","path":"/baz/bat","value":"qux"}]"#, .refused(.patchFailed)),
            (#"{"foo":"bar"}"#, #"[{"op":"add","path":"/baz","value":"qux","op":"remove"}]"#, .refused(.badRequest)),
            (#"{"/":9,"~1":10}"#, #"[{"op":"test","path":"/~01","value":10}]"#, .state(#"{"/":9,"~1":10}"#)),
            (#"{"/":9,"~1":10}"#, #"[{"op":"test","path":"/~01","value":"10"}]"#, .refused(.patchFailed)),
            (
                #"{"foo":["bar"]}"#, #"[{"op":"add","path":"/foo/-","value":["abc","def"]}]"#,
                .state(#"{"foo":["bar",["abc","def"]]}"#)
            ),
        ] as [(String, String, Patched)])
    func appendixA(state: String, document: String, result: Patched) {
        #expect(patch(.jsonPatch, document, on: state) == result)
    }

    @Test(arguments: [
        ("[]", "/0", "1", "[1]"), ("[]", "/-", "1", "[1]"), ("[0]", "/0", "1", "[1,0]"), ("[0]", "/1", "1", "[0,1]"),
        ("[0,2]", "/1", "[]", "[0,[],2]"), ("[[0]]", "/0/-", "null", "[[0,null]]"), ("{}", "/", "1", "{\"\":1}"),
        ("{\"a\":1}", "/a", "null", "{\"a\":null}"), ("{\"a\":null}", "/a", "2", "{\"a\":2}"),
        ("{\"a\":1,\"b\":2}", "/a", "[3]", "{\"a\":[3],\"b\":2}"), ("{\"a\":1}", "", "[]", "[]"),
        ("[1]", "", "{\"a\":0.10}", "{\"a\":0.10}"), ("{}", "/0", "1", "{\"0\":1}"), ("{}", "/-", "1", "{\"-\":1}"),
        ("{}", "/a~1b", "1", "{\"a/b\":1}"), ("{}", "/a~0b", "1", "{\"a~b\":1}"), ("{}", "/~01", "1", "{\"~1\":1}"),
        ("{}", "/~10", "1", "{\"/0\":1}"), ("{}", "/\\u00e9", "1", "{\"é\":1}"), ("{}", "/\\\"", "1", "{\"\\\"\":1}"),
        ("{}", "/\\\\", "1", "{\"\\\\\":1}"), ("{\"\":{}}", "//", "1", "{\"\":{\"\":1}}"),
        ("{}", "/a b", "1", "{\"a b\":1}"),
        ("{}", "/01", "1", "{\"01\":1}"), ("null", "", "1", "1"),
    ])
    func add(state: String, path: String, value: String, result: String) {
        let document = #"[{"op":"add","path":"\#(path)","value":\#(value)}]"#
        #expect(patch(.jsonPatch, document, on: state) == .state(result))
    }

    @Test(arguments: [
        ("[]", "/1"), ("[0]", "/2"), ("[0]", "/-1"), ("[0]", "/00"), ("[0]", "/01"), ("[0]", "/1e0"), ("[0]", "/+0"),
        ("[0]", "/ 0"), ("[0]", "/a"), ("[0]", "/"), ("[0]", "/0.0"), ("[0]", "/99999999999999999999"), ("[0]", "/--"),
        ("[[0]]", "/-/0"), ("{}", "/a/b"), ("{\"a\":1}", "/a/b"), ("{\"a\":null}", "/a/b"), ("1", "/a"),
        ("\"a\"", "/0"),
        ("{\"a\":[]}", "/a/0/b"), ("null", "/"),
    ])
    func addThatCannotApply(state: String, path: String) {
        let document = #"[{"op":"add","path":"\#(path)","value":9}]"#
        #expect(patch(.jsonPatch, document, on: state) == .refused(.patchFailed))
    }

    @Test(arguments: [
        (#"{"a":1,"b":2}"#, #"{"op":"remove","path":"/a"}"#, #"{"b":2}"#),
        (#"{"a":null}"#, #"{"op":"remove","path":"/a"}"#, "{}"), ("[1,2,3]", #"{"op":"remove","path":"/0"}"#, "[2,3]"),
        ("[1,2,3]", #"{"op":"remove","path":"/2"}"#, "[1,2]"),
        ("[1,[2,3]]", #"{"op":"remove","path":"/1/0"}"#, "[1,[3]]"),
        (#"{"a":1}"#, #"{"op":"replace","path":"/a","value":null}"#, #"{"a":null}"#),
        (#"{"a":null}"#, #"{"op":"replace","path":"/a","value":[]}"#, #"{"a":[]}"#),
        ("[1,2]", #"{"op":"replace","path":"/1","value":0}"#, "[1,0]"),
        ("1", #"{"op":"replace","path":"","value":2.0}"#, "2.0"),
        (#"{"a":1,"b":2}"#, #"{"op":"replace","path":"/a","value":3}"#, #"{"a":3,"b":2}"#),
        (#"{"a":1,"b":2}"#, #"{"op":"move","from":"/a","path":"/c"}"#, #"{"b":2,"c":1}"#),
        (#"{"a":1,"b":2}"#, #"{"op":"move","from":"/a","path":"/b"}"#, #"{"b":1}"#),
        (#"{"a":1}"#, #"{"op":"move","from":"/a","path":"/a"}"#, #"{"a":1}"#),
        (#"{"a":null}"#, #"{"op":"move","from":"/a","path":"/b"}"#, #"{"b":null}"#),
        ("[1,2,3]", #"{"op":"move","from":"/0","path":"/-"}"#, "[2,3,1]"),
        ("[1,2,3]", #"{"op":"move","from":"/2","path":"/0"}"#, "[3,1,2]"),
        (#"{"a":{"b":[1]}}"#, #"{"op":"move","from":"/a/b","path":""}"#, "[1]"),
        (#"{"a":{"b":1}}"#, #"{"op":"move","from":"/a/b","path":"/a"}"#, #"{"a":1}"#),
        (#"{"a":1,"ab":{}}"#, #"{"op":"move","from":"/a","path":"/ab/c"}"#, #"{"ab":{"c":1}}"#),
        (#"{"a":{"b":1}}"#, #"{"op":"copy","from":"/a","path":"/a/c"}"#, #"{"a":{"b":1,"c":{"b":1}}}"#),
        (#"{"a":1}"#, #"{"op":"copy","from":"","path":"/b"}"#, #"{"a":1,"b":{"a":1}}"#),
        (#"{"a":[1]}"#, #"{"op":"copy","from":"/a/0","path":"/a/0"}"#, #"{"a":[1,1]}"#),
        (#"{"a":null}"#, #"{"op":"copy","from":"/a","path":"/b"}"#, #"{"a":null,"b":null}"#),
        (#"{"a":1,"b":2}"#, #"{"op":"copy","from":"/a","path":"/b"}"#, #"{"a":1,"b":1}"#),
    ])
    func removeReplaceMoveCopy(state: String, operation: String, result: String) {
        #expect(patch(.jsonPatch, "[\(operation)]", on: state) == .state(result))
    }

    @Test(arguments: [
        ("{}", #"{"op":"remove","path":"/a"}"#), ("[0]", #"{"op":"remove","path":"/1"}"#),
        ("[0]", #"{"op":"remove","path":"/-"}"#), ("[0]", #"{"op":"remove","path":"/00"}"#),
        ("[0]", #"{"op":"remove","path":"/1e0"}"#), ("{}", #"{"op":"remove","path":""}"#),
        (#"{"a":1}"#, #"{"op":"remove","path":"/a/b"}"#), (#"{"a":1}"#, #"{"op":"remove","path":"/b/a"}"#),
        ("{}", #"{"op":"replace","path":"/a","value":1}"#), ("[]", #"{"op":"replace","path":"/0","value":1}"#),
        ("[0]", #"{"op":"replace","path":"/-","value":1}"#), ("[0]", #"{"op":"replace","path":"/1","value":1}"#),
        ("{}", #"{"op":"move","from":"/a","path":"/b"}"#), ("{}", #"{"op":"move","from":"/a","path":"/a"}"#),
        (#"{"a":{"b":1}}"#, #"{"op":"move","from":"/a","path":"/a/b"}"#),
        (#"{"a":{}}"#, #"{"op":"move","from":"/a","path":"/a/c"}"#), ("{}", #"{"op":"move","from":"","path":"/a"}"#),
        ("[[]]", #"{"op":"move","from":"/0","path":"/0/-"}"#), ("[1]", #"{"op":"move","from":"/0","path":"/1"}"#),
        (#"{"a":1}"#, #"{"op":"move","from":"/a","path":"/b/c"}"#), ("{}", #"{"op":"copy","from":"/a","path":"/b"}"#),
        ("[]", #"{"op":"copy","from":"/-","path":"/0"}"#), (#"{"a":1}"#, #"{"op":"copy","from":"/a","path":"/b/c"}"#),
    ])
    func operationsThatCannotApply(state: String, operation: String) {
        #expect(patch(.jsonPatch, "[\(operation)]", on: state) == .refused(.patchFailed))
    }

    @Test(arguments: [
        ("1", "", "1.0", true), ("1.0", "", "10e-1", true), ("9007199254740992", "", "9007199254740993", false),
        ("1", "", "\"1\"", false), ("0", "", "false", false), ("null", "", "null", true), ("[]", "", "{}", false),
        (#"{"a":[1,{"b":2}]}"#, "", #"{"a":[1.0,{"b":2e0}]}"#, true), (#"{"a":1,"b":2}"#, "", #"{"b":2,"a":1}"#, true),
        ("[1,2]", "", "[2,1]", false), (#"{"a":null}"#, "/a", "null", true), (#"{"a":null}"#, "/b", "null", false),
        (#"{"":1}"#, "/", "1", true), ("[1,2]", "/1", "2", true), ("[1,2]", "/01", "2", false),
        ("[1]", "/-", "1", false),
        (#""\u00e9""#, "", #""é""#, true), (#"{"a/b":1,"m~n":8," ":7}"#, "/a~1b", "1", true),
        (#"{"a/b":1,"m~n":8," ":7}"#, "/m~0n", "8", true), (#"{"a/b":1,"m~n":8," ":7}"#, "/ ", "7", true),
        (#"{"i\\j":5,"k\"l":6}"#, #"/i\\j"#, "5", true), (#"{"i\\j":5,"k\"l":6}"#, #"/k\"l"#, "6", true),
        (#"{"c%d":2,"e^f":3,"g|h":4}"#, "/c%d", "2", true), (#"{"\u0061":1}"#, "/a", "1", true),
    ])
    func test(state: String, path: String, value: String, holds: Bool) {
        let document = #"[{"op":"test","path":"\#(path)","value":\#(value)}]"#
        #expect(patch(.jsonPatch, document, on: state) == (holds ? .state(state) : .refused(.patchFailed)))
    }

    @Test(arguments: [
        "", "{}", "null", "1", "\"\"", "[1]", "[null]", "[[]]", "[{}]", #"[{"op":"add"}]"#,
        #"[{"path":"/a","value":1}]"#,
        #"[{"op":"add","path":"/a"}]"#, #"[{"op":"replace","path":"/a"}]"#, #"[{"op":"test","path":"/a"}]"#,
        #"[{"op":"move","path":"/a"}]"#, #"[{"op":"copy","path":"/a"}]"#, #"[{"op":"add","value":1}]"#,
        #"[{"op":"remove"}]"#, #"[{"op":"spam","path":"/a","value":1}]"#, #"[{"op":"Add","path":"/a","value":1}]"#,
        #"[{"op":"","path":"/a","value":1}]"#, #"[{"op":1,"path":"/a","value":1}]"#, #"[{"op":null,"path":"/a"}]"#,
        #"[{"op":"add","path":null,"value":1}]"#, #"[{"op":"add","path":1,"value":1}]"#,
        #"[{"op":"add","path":["a"],"value":1}]"#, #"[{"op":"add","path":"a","value":1}]"#,
        #"[{"op":"add","path":"a/b","value":1}]"#, #"[{"op":"add","path":"/~","value":1}]"#,
        #"[{"op":"add","path":"/~2","value":1}]"#, #"[{"op":"add","path":"/a~","value":1}]"#,
        ##"[{"op":"add","path":"#/a","value":1}]"##, #"[{"op":"move","path":"/a","from":1}]"#,
        #"[{"op":"move","path":"/a","from":"b"}]"#, #"[{"op":"copy","path":"/a","from":null}]"#,
        #"[{"op":"add","path":"/x","value":1},{"op":"spam","path":"/a"}]"#, #"[{"op":"add","path":"/x","value":1}"#,
        #"[{"op":"test","path":"/x","path":"/y","value":1}]"#,
    ])
    func malformedDocuments(document: String) {
        #expect(patch(.jsonPatch, document, on: #"{"a":1}"#) == .refused(.badRequest))
    }

    @Test func allOrNothingAndInOrder() {
        let state = #"{"a":[1.0,2],"b":1e2}"#
        #expect(patch(.jsonPatch, "[]", on: state) == .state(state))
        let document = """
            [{"op":"add","path":"/a/-","value":3},{"op":"test","path":"/a/2","value":3},{"op":"remove","path":"/a/0"},
             {"op":"replace","path":"/a/0","value":{"x":{}}},{"op":"move","from":"/a/0/x","path":"/y"}]
            """
        #expect(patch(.jsonPatch, document, on: state) == .state(#"{"a":[{},3],"b":1e2,"y":{}}"#))
        let failing = #"[{"op":"remove","path":"/a"},{"op":"test","path":"/a","value":1}]"#
        #expect(patch(.jsonPatch, failing, on: state) == .refused(.patchFailed))
    }

    @Test func problemsNameTheOperation() throws {
        let failing = #"[{"op":"add","path":"/a","value":1},{"op":"remove","path":"/b/c"}]"#
        let detail = try #require(try refusal(.jsonPatch, failing, on: "{}"))
        #expect(detail.contains("operation 1") && detail.contains("remove \"/b/c\""), "\(detail)")
        let malformed = try #require(try refusal(.jsonPatch, #"[{"op":"add","path":"/a","value":1},{}]"#, on: "{}"))
        #expect(malformed.contains("operation 1"), "\(malformed)")
    }

    @Test func resultsAreAtMost64Deep() {
        func nested(_ depth: Int) -> String {
            String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        }
        let toTheBottom = String(repeating: "/0", count: 61)
        func add(_ depth: Int) -> Patched {
            patch(.jsonPatch, #"[{"op":"add","path":"\#(toTheBottom)/-","value":\#(nested(depth))}]"#, on: nested(62))
        }
        #expect(add(2) == .state(nested(64)))
        #expect(add(3) == .refused(.patchFailed))
        let down = #"[{"op":"copy","from":"","path":"/0/0/-"}]"#
        #expect(patch(.jsonPatch, down, on: nested(61)) == .state("[[[\(nested(58)),\(nested(61))]]]"))
        #expect(patch(.jsonPatch, down, on: nested(62)) == .refused(.patchFailed))
        let move = #"[{"op":"move","from":"/1","path":"/0/0/-"}]"#
        #expect(patch(.jsonPatch, move, on: "[[[]],\(nested(61))]") == .state("[[[\(nested(61))]]]"))
        #expect(patch(.jsonPatch, move, on: "[[[]],\(nested(62))]") == .refused(.patchFailed))
    }

    /// A short patch that copies the state into itself again and again ends, and in bounded memory.
    @Test func copiesThatMultiplyAreRefused() {
        let limits = EntityLimits(entityBytesMax: 10_000)
        func copies(_ operation: String, _ count: Int) -> String {
            "[" + Array(repeating: operation, count: count).joined(separator: ",") + "]"
        }
        let doubling = copies(#"{"op":"copy","from":"/a","path":"/a/-"}"#, 60)
        #expect(patch(.jsonPatch, doubling, on: #"{"a":[1,2,3]}"#, limits: limits) == .refused(.patchFailed))
        let wide = "{\"a\":[" + Array(repeating: "0", count: 100).joined(separator: ",") + "],\"b\":[]}"
        let many = copies(#"{"op":"copy","from":"/a","path":"/b/-"}"#, 200)
        #expect(patch(.jsonPatch, many, on: wide, limits: limits) == .refused(.entityTooLarge))
    }

    /// As many insertions as a patch may have, each at the worst place.
    @Test func arraysMayGrowFromTheirFront() {
        let count = 2_000
        let operations = (0..<count).map { #"{"op":"add","path":"/0","value":\#($0)}"# }.joined(separator: ",")
        let grown = "[" + (0..<count).reversed().map(String.init).joined(separator: ",") + "]"
        #expect(patch(.jsonPatch, "[\(operations)]", on: "[]") == .state(grown))
    }

    @Test func operationsAreCounted() {
        func tests(_ count: Int) -> String {
            "[" + Array(repeating: #"{"op":"test","path":"","value":1}"#, count: count).joined(separator: ",") + "]"
        }
        #expect(patch(.jsonPatch, tests(Limits.patchOperationsMax), on: "1") == .state("1"))
        #expect(patch(.jsonPatch, tests(Limits.patchOperationsMax + 1), on: "1") == .refused(.entityTooLarge))
    }
}
