import Entities
import JSON
import Primitives
import Testing

@Suite struct JSONParserTests {
    @Test(arguments: [
        "null", "true", "false", "0", "-0", "1", "-1", "10", "0.5", "-0.0", "1e5", "1E+5", "1e-05", "0e0", "1.50",
        "123456789012345678901234567890", "1.000000000000000000000000000001", "1e999999999999999999999", "\"\"",
        "\"a\"", "\"é🗝\"", #""\"\\\/\b\f\n\r\t""#, #""\u0000\u00e9\u20AC\uD83D\uDDDD""#, "\"\u{7F}\"", "[]", "{}",
        "[1,[2,[3]],{}]", #"{"a":1,"b":[{"c":null}],"":0}"#, #"{"a":{"a":{"a":1}}}"#, "\"\u{2028}\"",
    ])
    func acceptsAndKeepsTheText(text: String) throws {
        #expect(compact(try json(text)) == text)
        #expect(compact(try json(" \t\r\n\(text)\n ")) == text)
    }

    @Test func whiteSpaceIsDropped() throws {
        #expect(compact(try json("{ \"a\" :\t[ 1 ,\n2 ] , \"b\":\r\n{ } }")) == #"{"a":[1,2],"b":{}}"#)
    }

    @Test(arguments: [
        ("", 0, JSONError.Reason.unexpectedEnd), ("  ", 2, .unexpectedEnd), ("nul", 3, .unexpectedEnd),
        ("nulL", 3, .unexpectedByte), ("True", 0, .unexpectedByte), ("nullx", 4, .trailingBytes),
        ("1 2", 2, .trailingBytes), ("[1]]", 3, .trailingBytes), ("{}{}", 2, .trailingBytes),
        ("01", 1, .malformedNumber), ("-01", 2, .malformedNumber), ("00", 1, .malformedNumber),
        ("-", 1, .unexpectedEnd), ("-a", 1, .malformedNumber), ("1.", 2, .unexpectedEnd), ("1.x", 2, .malformedNumber),
        ("1e", 2, .unexpectedEnd), ("1e+", 3, .unexpectedEnd), ("1e+x", 3, .malformedNumber),
        ("+1", 0, .unexpectedByte),
        (".5", 0, .unexpectedByte), ("1.5.5", 3, .trailingBytes), ("0x1", 1, .trailingBytes),
        ("NaN", 0, .unexpectedByte),
        ("Infinity", 0, .unexpectedByte), ("-Infinity", 1, .malformedNumber), ("1,", 1, .trailingBytes),
        ("[", 1, .unexpectedEnd), ("[1", 2, .unexpectedEnd), ("[1,", 3, .unexpectedEnd), ("[1,]", 3, .unexpectedByte),
        ("[,1]", 1, .unexpectedByte), ("[1 2]", 3, .unexpectedByte), ("[1,,2]", 3, .unexpectedByte),
        ("]", 0, .unexpectedByte), ("{", 1, .unexpectedEnd), ("{a:1}", 1, .unexpectedByte),
        ("{1:1}", 1, .unexpectedByte),
        ("{\"a\"}", 4, .unexpectedByte), ("{\"a\":}", 5, .unexpectedByte), ("{\"a\":1,}", 7, .unexpectedByte),
        ("{\"a\":1 \"b\":2}", 7, .unexpectedByte), ("{,}", 1, .unexpectedByte), ("{\"a\" 1}", 5, .unexpectedByte),
        ("{'a':1}", 1, .unexpectedByte), ("'a'", 0, .unexpectedByte), ("// x\n1", 0, .unexpectedByte),
        ("/* x */1", 0, .unexpectedByte), ("\"", 1, .unexpectedEnd), ("\"a", 2, .unexpectedEnd),
        ("\"\\\"", 3, .unexpectedEnd), ("\"\\x\"", 1, .malformedEscape), ("\"\\u12\"", 1, .malformedEscape),
        ("\"\\u12G4\"", 1, .malformedEscape), ("\"\\U0041\"", 1, .malformedEscape), ("\"\\a\"", 1, .malformedEscape),
        ("\"\n\"", 1, .controlCharacter), ("\"\t\"", 1, .controlCharacter), ("\"\u{0}\"", 1, .controlCharacter),
        ("\"\\uD800\"", 1, .loneSurrogate), ("\"\\uDC00\"", 1, .loneSurrogate), ("\"\\uD800x\"", 1, .loneSurrogate),
        ("\"\\uD800\\u0041\"", 1, .loneSurrogate), ("\"\\uD800\\uD800\"", 1, .loneSurrogate),
        ("\"\\uDC00\\uD800\"", 1, .loneSurrogate), ("\"\\uD800\\n\"", 1, .loneSurrogate),
        (#"{"a":1,"a":2}"#, 7, .duplicateName), (#"{"a":1,"\u0061":2}"#, 7, .duplicateName),
        (#"{"\u0061":1,"b":0,"a":2}"#, 18, .duplicateName), (#"{"":1,"":2}"#, 6, .duplicateName),
        ("\u{FEFF}1", 0, .unexpectedByte), ("1\u{A0}", 1, .trailingBytes), ("[1]\u{0C}", 3, .trailingBytes),
    ])
    func refuses(text: String, offset: Int, reason: JSONError.Reason) {
        let error = jsonError(bytes(text)[...])
        #expect(error?.offset == offset && error?.reason == reason, "\(String(describing: error))")
    }

    @Test(arguments: [
        [0x80], [0xC0, 0x80], [0xC1, 0xBF], [0xC3], [0xC3, 0x28], [0xE0, 0x9F, 0x80], [0xED, 0xA0, 0x80],
        [0xED, 0xBF, 0xBF], [0xE2, 0x82], [0xF0, 0x8F, 0x80, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80, 0x80, 0x80],
        [0xFF], [0xFE],
    ])
    func refusesMalformedUTF8(content: [UInt8]) {
        let document = bytes("\"a") + content + bytes("\"")
        #expect(throws: JSONError.self) { try JSONValue(parsing: document) }
        let name = bytes("{\"") + content + bytes("\":1}")
        #expect(throws: JSONError.self) { try JSONValue(parsing: name) }
    }

    @Test func depthIsCountedInContainers() throws {
        func nested(_ depth: Int) -> String {
            String(repeating: "[{\"a\":", count: depth / 2) + (depth % 2 == 1 ? "[]" : "0")
                + String(repeating: "}]", count: depth / 2)
        }
        for depth in [1, 2, 63, 64] { _ = try json(nested(depth)) }
        for depth in [65, 66, 100_000] {
            #expect { try json(nested(depth)) } throws: { ($0 as? JSONError)?.reason == .tooDeep }
        }
        _ = try json(String(repeating: "[", count: 64) + String(repeating: "]", count: 64))
    }

    /// Whatever the width: the names are compared one by one in small objects and by an index in wide ones.
    @Test(arguments: [2, 15, 16, 17, 18, 40, 3000])
    func duplicateNamesInWideObjects(width: Int) throws {
        let members = (0..<width).map { "\"m\($0)\":\($0)" }
        let whole = "{" + members.joined(separator: ",") + "}"
        #expect(compact(try json(whole)) == whole)
        for twin in Set([0, 1, width / 2, width - 1]) {
            let text = "{" + (members + ["\"\\u006d\(twin)\":0"]).joined(separator: ",") + "}"
            #expect { try json(text) } throws: { ($0 as? JSONError)?.reason == .duplicateName }
        }
    }

    @Test func slicesAreReadFromTheirStart() {
        let line = bytes("xx[1,]")
        let error = jsonError(line[2...])
        #expect(error?.offset == 3 && error?.reason == .unexpectedByte)
    }

    @Test func randomBytesNeverTrap() {
        var random = SplitMix64(seed: 0x5EED_0030)
        let alphabet = bytes("{}[]:,\"\\u00eD8aEtrnfls0123456789.-+ \n") + [0xC3, 0xA9, 0xF0, 0x80]
        for _ in 0..<50_000 {
            let noise = (0..<random.below(24)).map { _ in random.pick(alphabet) }
            if let value = try? JSONValue(parsing: noise) {
                #expect((try? JSONValue(parsing: value.encoded())) == value)
            }
        }
    }

    /// A damaged document is refused or read, and what is read writes back as itself.
    @Test func damagedDocumentsNeverTrap() throws {
        var random = SplitMix64(seed: 0x5EED_0031)
        for _ in 0..<3_000 {
            var document = bytes(RandomJSON.text(&random))
            document[random.below(document.count)] = UInt8(truncatingIfNeeded: random.next())
            guard let value = try? JSONValue(parsing: document) else { continue }
            #expect(try JSONValue(parsing: value.encoded()) == value)
        }
    }

    /// The compact text of a random document is itself.
    @Test func writingWhatWasParsedIsTheIdentity() throws {
        var random = SplitMix64(seed: 0x5EED_0032)
        for _ in 0..<3_000 {
            let text = RandomJSON.text(&random)
            #expect(compact(try json(text)) == text)
        }
    }
}

func compact(_ value: JSONValue) -> String { text(value.encoded()) }

/// Random documents as compact text, with every kind of escape and number.
enum RandomJSON {
    static func text(_ random: inout SplitMix64, depth: Int = 4) -> String {
        switch random.below(depth > 0 ? 8 : 5) {
        case 0: return "null"
        case 1: return random.pick(["true", "false"])
        case 2, 3: return number(&random)
        case 4: return string(&random)
        case 5:
            return "[" + (0..<random.below(5)).map { _ in text(&random, depth: depth - 1) }.joined(separator: ",") + "]"
        default:
            let width = random.chance(1, in: 10) ? 20 : random.below(5)
            let members = (0..<width).map { "\"m\($0)\":" + text(&random, depth: depth - 1) }
            return "{" + members.joined(separator: ",") + "}"
        }
    }

    static func number(_ random: inout SplitMix64) -> String {
        let whole = random.pick(["0", "-0", "7", "-12", "9007199254740993", "18446744073709551616"])
        return whole + random.pick(["", "", ".5", ".000", ".10"]) + random.pick(["", "", "e3", "E-2", "e+0"])
    }

    static func string(_ random: inout SplitMix64) -> String {
        let pieces = ["a", "é", "🗝", "\\n", "\\\"", "\\\\", "\\/", "\\u0001", "\\uD83D\\uDDDD", "~", "/", " "]
        return "\"" + (0..<random.below(4)).map { _ in random.pick(pieces) }.joined() + "\""
    }
}
