import Entities
@testable import JSON
import Primitives
import Testing

/// A document that is opened where it is touched is the same as one that is read whole.
@Suite struct JSONScanTests {
    /// Opens every container of the value.
    static func opened(_ value: JSONValue) -> JSONValue {
        switch value.opened {
        case .array(let elements): return .array(elements.map(opened))
        case .object(let object):
            var all = JSONObject()
            object.forEach { name, member in _ = all.append(name, opened(member)) }
            return .object(all)
        case .null, .bool, .number, .string, .unread: return value
        }
    }

    static func parsed(_ text: [UInt8]) -> Result<JSONDocument, JSONError> {
        Result { () throws(JSONError) in try JSONParser.parse(text) }
    }

    static func scanned(_ text: [UInt8]) -> Result<JSONDocument, JSONError> {
        Result { () throws(JSONError) in try JSONScan.open(text, weightMax: .max) }
    }

    /// Both refuse at the same place for the same reason, or both read the same value of the same weight.
    static func check(_ document: [UInt8]) throws {
        switch (parsed(document), scanned(document)) {
        case (.success(let whole), .success(let touched)):
            #expect(touched.weight == whole.weight, "\(text(document))")
            let all = whole.value.encoded()
            #expect(touched.value.encoded() == all)
            #expect(opened(touched.value).encoded() == all)
            #expect(opened(touched.value) == whole.value && touched.value == whole.value)
            let written = try #require(touched.value.encoded(bytesMax: .max, expecting: 0))
            #expect(written.weight == whole.weight)
            let anew = try #require(opened(touched.value).encoded(bytesMax: .max, expecting: 0))
            #expect(anew.weight == whole.weight)
            #expect(try JSONValue.compacted(document[...]) == all)
        case (.failure(let left), .failure(let right)): #expect(left == right, "\(text(document))")
        case (let left, let right): Issue.record("\(text(document)): \(left) \(right)")
        }
    }

    @Test func agreesWithTheParser() throws {
        var random = SplitMix64(seed: 0x5EED_0070)
        for _ in 0..<2_000 {
            var document = bytes(RandomJSON.text(&random))
            try Self.check(document)
            // White space between tokens, and outside of them.
            let spaced = text(document).replacing(",", with: " ,\n").replacing(":", with: ":\t")
            try Self.check(bytes(" " + spaced + "\r\n"))
            document[random.below(document.count)] = UInt8(truncatingIfNeeded: random.next())
            try Self.check(document)
        }
    }

    @Test(arguments: [0, 1, 8, 9, 16, 17, 40, 300])
    func namesOfWideObjects(width: Int) throws {
        let long = String(repeating: "n", count: 70)
        for name in ["m", "\\u006d", long] {
            let members = (0..<width).map { "\"\(name)\($0)\":[\($0)]" }
            try Self.check(bytes("{" + members.joined(separator: ",") + "}"))
            for twin in Set([0, width / 2, width - 1]) where twin >= 0 && width > 0 {
                let again = members + ["\"\(name == "m" ? "\\u006d" : name)\(twin)\":{\"m0\":0}"]
                try Self.check(bytes("{" + again.joined(separator: ",") + "}"))
            }
        }
    }

    @Test func depthIsCountedInContainers() throws {
        for depth in [1, 63, 64, 65, 1_000] {
            try Self.check(bytes(String(repeating: "[", count: depth) + String(repeating: "]", count: depth)))
            let opening = String(repeating: "{\"a\":", count: depth)
            try Self.check(bytes(opening + "0" + String(repeating: "}", count: depth)))
        }
    }

    @Test func stopsWhereADocumentIsTooHeavy() throws {
        let document = bytes("[" + Array(repeating: "[]", count: 1_000).joined(separator: ",") + "]")
        let weight = try JSONParser.parse(document).weight
        #expect(try JSONScan.open(document, weightMax: weight).weight == weight)
        #expect { try JSONScan.open(document, weightMax: weight - 1) } throws: {
            ($0 as? JSONError)?.reason == .tooHeavy
        }
    }

    /// What is written in one piece is what was meant: values swapped, repeated, taken out and put in.
    @Test func piecesAreJoinedAsTheyStand() {
        let state = #"{"a":"x","b":"y","c":[1,2,3],"d":{"e":null},"g":1}"#
        let patches: [(String, String)] = [
            (#"{"op":"move","from":"/a","path":"/z"}"#, #"{"b":"y","c":[1,2,3],"d":{"e":null},"g":1,"z":"x"}"#),
            (#"{"op":"copy","from":"/b","path":"/a"}"#, #"{"a":"y","b":"y","c":[1,2,3],"d":{"e":null},"g":1}"#),
            (#"{"op":"move","from":"/c/0","path":"/c/1"}"#, #"{"a":"x","b":"y","c":[2,1,3],"d":{"e":null},"g":1}"#),
            (#"{"op":"remove","path":"/c/1"}"#, #"{"a":"x","b":"y","c":[1,3],"d":{"e":null},"g":1}"#),
            (#"{"op":"move","from":"/c/2","path":"/d/e"}"#, #"{"a":"x","b":"y","c":[1,2],"d":{"e":3},"g":1}"#),
            (#"{"op":"copy","from":"/c/0","path":"/c/-"}"#, #"{"a":"x","b":"y","c":[1,2,3,1],"d":{"e":null},"g":1}"#),
        ]
        for (operation, result) in patches {
            #expect(patch(.jsonPatch, "[\(operation)]", on: state) == .state(result))
        }
    }
}
