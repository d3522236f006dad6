import Entities
import Primitives
import Testing

@Suite struct MergePatchTests {
    /// RFC 7396 appendix A, whole and in its order.
    @Test(arguments: [
        (#"{"a":"b"}"#, #"{"a":"c"}"#, #"{"a":"c"}"#),
        (#"{"a":"b"}"#, #"{"b":"c"}"#, #"{"a":"b","b":"c"}"#),
        (#"{"a":"b"}"#, #"{"a":null}"#, "{}"),
        (#"{"a":"b","b":"c"}"#, #"{"a":null}"#, #"{"b":"c"}"#),
        (#"{"a":["b"]}"#, #"{"a":"c"}"#, #"{"a":"c"}"#),
        (#"{"a":"c"}"#, #"{"a":["b"]}"#, #"{"a":["b"]}"#),
        (#"{"a":{"b":"c"}}"#, #"{"a":{"b":"d","c":null}}"#, #"{"a":{"b":"d"}}"#),
        (#"{"a":[{"b":"c"}]}"#, #"{"a":[1]}"#, #"{"a":[1]}"#),
        (#"["a","b"]"#, #"["c","d"]"#, #"["c","d"]"#),
        (#"{"a":"b"}"#, #"["c"]"#, #"["c"]"#),
        (#"{"a":"foo"}"#, "null", "null"),
        (#"{"a":"foo"}"#, #""bar""#, #""bar""#),
        (#"{"e":null}"#, #"{"a":1}"#, #"{"e":null,"a":1}"#),
        ("[1,2]", #"{"a":"b","c":null}"#, #"{"a":"b"}"#),
        ("{}", #"{"a":{"bb":{"ccc":null}}}"#, #"{"a":{"bb":{}}}"#),
    ])
    func appendixA(original: String, document: String, result: String) {
        #expect(patch(.merge, document, on: original) == .state(result))
    }

    /// RFC 7396 §3.
    @Test func theExampleOfSection3() {
        let original = """
            {"title":"Goodbye!","author":{"givenName":"John","familyName":"Doe"},"tags":["example","sample"],
            "content":"This will be unchanged"}
            """
        let document = """
            {"title":"Hello!","phoneNumber":"+01-123-456-7890","author":{"familyName":null},"tags":["example"]}
            """
        let result =
            #"{"title":"Hello!","author":{"givenName":"John"},"tags":["example"],"content":"This will be unchanged","#
            + #""phoneNumber":"+01-123-456-7890"}"#
        #expect(patch(.merge, document, on: original) == .state(result))
    }

    @Test(arguments: [
        (
            #"{"a":1.00,"b":[1e2,{"c":-0}],"d":12345678901234567890}"#, #"{"x":1}"#,
            #"{"a":1.00,"b":[1e2,{"c":-0}],"d":12345678901234567890,"x":1}"#
        ),
        (#"{"a":1,"b":2,"c":3}"#, #"{"c":0.30,"b":null}"#, #"{"a":1,"c":0.30}"#),
        (#"{"\u0061":1}"#, #"{"a":2}"#, #"{"\u0061":2}"#), (#"{"a":1}"#, #"{"\u0061":null}"#, "{}"),
        (#"{"a":[null]}"#, #"{"b":[null,{"c":null}]}"#, #"{"a":[null],"b":[null,{"c":null}]}"#),
        ("1", #"{"a":{"b":null,"c":1}}"#, #"{"a":{"c":1}}"#), ("{}", "{}", "{}"), ("[]", "{}", "{}"),
        (#"{"a":{"b":1}}"#, #"{"a":{}}"#, #"{"a":{"b":1}}"#), (#"{"":1}"#, #"{"":{"":2}}"#, #"{"":{"":2}}"#),
    ])
    func leavesTheRestAlone(original: String, document: String, result: String) {
        #expect(patch(.merge, document, on: original) == .state(result))
    }

    @Test(arguments: ["", "{", "{\"a\":1,\"a\":2}", "{\"a\":01}", "nul", "{} {}"])
    func malformedDocuments(document: String) {
        #expect(patch(.merge, document, on: "{}") == .refused(.badRequest))
        #expect(patch(.merge, document, on: nil) == .refused(.badRequest))
    }

    @Test func asDeepAsDocumentsGo() {
        func nested(_ depth: Int) -> String {
            String(repeating: "{\"a\":", count: depth) + "1" + String(repeating: "}", count: depth)
        }
        #expect(patch(.merge, nested(64), on: "{}") == .state(nested(64)))
        #expect(patch(.merge, nested(64), on: nested(64)) == .state(nested(64)))
        #expect(patch(.merge, nested(65), on: "{}") == .refused(.badRequest))
        #expect(patch(.merge, "{}", on: nested(65)) == .refused(.notJSON))
    }

    /// Any patch twice is that patch once, and an empty object changes no object.
    @Test func laws() {
        var random = SplitMix64(seed: 0x5EED_0070)
        for _ in 0..<2_000 {
            let original = RandomJSON.text(&random)
            let document = RandomJSON.text(&random)
            guard case .state(let once) = patch(.merge, document, on: original) else {
                Issue.record("a merge patch of JSON by JSON cannot fail")
                continue
            }
            #expect(patch(.merge, document, on: once) == .state(once), "\(document) on \(original)")
            if original.hasPrefix("{") { #expect(patch(.merge, "{}", on: original) == .state(original)) }
            if document.hasPrefix("{") { #expect(once.hasPrefix("{")) } else { #expect(once == document) }
        }
    }
}
