import Entities
import JSON
import Primitives
import Testing

@Suite struct JSONNumberTests {
    static func number(_ text: String) throws -> JSONNumber {
        guard case .number(let number) = try json(text) else { throw Problem(.badRequest, text) }
        return number
    }

    @Test(arguments: [
        ("1", "1.0"), ("1", "1e0"), ("10", "1e1"), ("10", "100e-1"), ("0.1", "1e-1"), ("0", "-0"), ("0", "0.000e99"),
        ("100", "1.00E+2"), ("-5", "-5.0"), ("123.4500", "1.2345e2"), ("0.00120", "12e-4"), ("1e400", "10e399"),
    ])
    func equalByValue(left: String, right: String) throws {
        #expect(try Self.number(left) == Self.number(right))
        #expect(try Self.number(right) == Self.number(left))
    }

    /// Ascending, and each differs from all others.
    @Test func ordered() throws {
        let ascending = try [
            "-1e400", "-18446744073709551616", "-10", "-9.99", "-1", "-0.1", "-1e-400", "0", "1e-400", "0.099", "0.1",
            "0.11", "0.9", "1", "1.0000000000000000001", "2", "9.99", "10", "11", "100", "9007199254740992",
            "9007199254740993", "9007199254740993.5", "9223372036854775807", "9223372036854775808", "1e399", "1e400",
        ].map(Self.number)
        for (place, number) in ascending.enumerated() {
            for (otherPlace, other) in ascending.enumerated() {
                #expect((number < other) == (place < otherPlace))
                #expect((number == other) == (place == otherPlace))
            }
        }
    }

    @Test(arguments: [
        ("0", 0), ("-0", 0), ("7", 7), ("-7", -7), ("1e3", 1000), ("1.0", 1), ("1.50e1", 15), ("1200e-2", 12),
        ("9223372036854775807", Int64.max), ("-9223372036854775808", Int64.min),
        ("9007199254740993", 9_007_199_254_740_993),
        ("922337203685477580.7e1", Int64.max), ("0e99999999999999999999", 0),
        ("9223372036854775808", nil), ("-9223372036854775809", nil), ("1e19", nil), ("1e18", 1_000_000_000_000_000_000),
        ("0.5", nil), ("1e-1", nil), ("1.5", nil), ("1e99999999999999999999", nil), ("1e-99999999999999999999", nil),
        ("12345678901234567890123", nil),
    ])
    func integers(text: String, value: Int64?) throws {
        #expect(try Self.number(text).int64 == value)
    }

    @Test func writesIntegers() throws {
        for value in [0, 1, -1, Int64.max, Int64.min] {
            #expect(compact(.number(JSONNumber(value))) == String(value))
            #expect(try Self.number(String(value)).int64 == value)
        }
    }

    @Test func unsignedIntegers() throws {
        for value in [0, 1, UInt64(Int64.max), UInt64(Int64.max) + 1, UInt64.max] {
            #expect(compact(.number(JSONNumber(unsigned: value))) == String(value))
            #expect(try Self.number(String(value)).uint64 == value)
        }
        #expect(try Self.number("1e3").uint64 == 1000)
        for text in ["-1", "18446744073709551616", "0.5", "1e19"] {
            #expect(try Self.number(text).uint64 == nil)
        }
    }

    /// Numbers of few digits, where a `Double` is exact, are compared as it does.
    @Test func agreesWithDoubleWhereThatIsExact() throws {
        var random = SplitMix64(seed: 0x5EED_0040)
        func draw() -> String {
            (random.chance(1, in: 2) ? "-" : "") + "\(random.below(200))"
                + random.pick(["", ".5", ".25", ".50", ".0"]) + random.pick(["", "e0", "e2", "E+1"])
        }
        for _ in 0..<20_000 {
            let (left, right) = (draw(), draw())
            let (leftDouble, rightDouble) = (try #require(Double(left)), try #require(Double(right)))
            #expect(try (Self.number(left) < Self.number(right)) == (leftDouble < rightDouble), "\(left) \(right)")
            #expect(try (Self.number(left) == Self.number(right)) == (leftDouble == rightDouble), "\(left) \(right)")
        }
    }
}

@Suite struct JSONStringTests {
    static func string(_ text: String) throws -> JSONString {
        guard case .string(let string) = try json(text) else { throw Problem(.badRequest, text) }
        return string
    }

    @Test(arguments: [
        (#""""#, ""), (#""abc""#, "abc"), (#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{C}\n\r\t"), (#""\u0041\u00e9""#, "Aé"),
        (#""\uD83D\uDDDD!""#, "🗝!"), (#""\ud83d\udddd""#, "🗝"), (#""\u0000""#, "\0"), (#""é\u00E9""#, "éé"),
        (#""\uFFFF\uE000""#, "\u{FFFF}\u{E000}"),
    ])
    func contentIsUnescaped(text: String, content: String) throws {
        let string = try Self.string(text)
        #expect(Array(string.content) == bytes(content))
        #expect(string.contentEquals(bytes(content)))
        #expect(!string.contentEquals(bytes(content + "x")))
        #expect(string == JSONString(content: bytes(content)[...]))
        #expect(JSONString(content: bytes(content)[...]) == string)
    }

    @Test func contentThatNeedsEscapesIsEscaped() throws {
        let content = "a\"b\\c\n\u{1}\u{1F}\u{7F}é/"
        var output: [UInt8] = []
        JSONString.write(content: bytes(content)[...], into: &output)
        #expect(text(output) == #""a\"b\\c\n\u0001\u001f"# + "\u{7F}é/\"")
        #expect(compact(.string(JSONString(content: bytes(content)[...]))) == text(output))
        #expect(Array(try Self.string(text(output)).content) == bytes(content))
    }

    @Test func orderIsThatOfCodePoints() throws {
        let ascending = try [
            #""""#, #""A""#, #""a""#, #""aa""#, #""\u0061b""#, #""b""#, #""\u00e9""#, #""\uFFFD""#, "\"🗝\"",
        ]
        .map(Self.string)
        for (place, string) in ascending.enumerated() {
            for (otherPlace, other) in ascending.enumerated() {
                #expect((string < other) == (place < otherPlace))
                #expect((string == other) == (place == otherPlace))
            }
        }
    }
}

@Suite struct JSONEqualityTests {
    @Test(arguments: [
        ("{\"a\":1,\"b\":[2]}", "{\"b\":[2.0],\"a\":1e0}", true), ("[1,2]", "[2,1]", false), ("{}", "[]", false),
        ("{\"a\":1}", "{\"a\":1,\"b\":2}", false), ("{\"a\":1}", "{\"b\":1}", false), ("null", "false", false),
        ("\"1\"", "1", false), ("\"\\u0061\"", "\"a\"", true), ("{\"\\u0061\":null}", "{\"a\":null}", true),
        ("[null]", "[]", false), ("0", "false", false),
    ])
    func byValue(left: String, right: String, equal: Bool) throws {
        #expect(try (json(left) == json(right)) == equal)
        #expect(try (json(right) == json(left)) == equal)
    }

    @Test func lookUp() throws {
        let value = try json(#"{"a":1,"\u0062":{"c":true}}"#)
        #expect(value["b"]?["c"] == .bool(true))
        #expect(value["c"] == nil)
        #expect(try json("[1]")["a"] == nil)
    }
}

@Suite struct JSONObjectTests {
    /// An array of pairs, slow and plain.
    struct Model {
        var members: [(String, Int64)] = []

        mutating func set(_ name: String, _ value: Int64) {
            if let place = members.firstIndex(where: { $0.0 == name }) {
                members[place].1 = value
            } else {
                members.append((name, value))
            }
        }

        var text: String { "{" + members.map { "\"\($0.0)\":\($0.1)" }.joined(separator: ",") + "}" }
    }

    /// Grows past the width where the index begins and shrinks below it, again and again.
    @Test func agreesWithAPlainListOfPairs() {
        var random = SplitMix64(seed: 0x5EED_0050)
        for _ in 0..<60 {
            var object = JSONObject()
            var model = Model()
            let names = 4 + random.below(60)
            for step in 0..<300 {
                let name = "n\(random.below(names))"
                if random.chance(UInt64(step % 100 < 50 ? 1 : 3), in: 4) {
                    let wasThere = model.members.contains { $0.0 == name }
                    #expect((object.remove(bytes(name)[...]) != nil) == wasThere)
                    model.members.removeAll { $0.0 == name }
                } else if random.chance(1, in: 4) {
                    let isNew = object.append(JSONString(content: bytes(name)[...]), .number(JSONNumber(Int64(step))))
                    #expect(isNew == !model.members.contains { $0.0 == name })
                    if isNew { model.set(name, Int64(step)) }
                } else {
                    object.set(JSONString(content: bytes(name)[...]), .number(JSONNumber(Int64(step))))
                    model.set(name, Int64(step))
                }
                #expect(object.count == model.members.count && object.isEmpty == model.members.isEmpty)
                #expect(
                    object[bytes(name)[...]] == model.members.first { $0.0 == name }.map { .number(JSONNumber($0.1)) })
            }
            #expect(compact(.object(object)) == model.text)
        }
    }
}
