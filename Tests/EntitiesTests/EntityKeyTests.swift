import Entities
import Primitives
import Testing

@Suite struct EntityKeyTests {
    static func path(_ text: String) throws -> EntityKey {
        try EntityKey(path: bytes(text)[...], seed: ringSeed)
    }

    @Test(arguments: [
        ("user/42", "user/42"), ("user/a%20b", "user/a b"), ("user/a%2Fb", "user/a/b"), ("user/a%2fb", "user/a/b"),
        ("user/a/b", "user/a/b"), ("user/a//b", "user/a//b"), ("user/a/", "user/a/"), ("user//", "user//"),
        ("user/%25", "user/%"), ("user/%2541", "user/%41"), ("user/...", "user/..."), ("user/.a", "user/.a"),
        ("user/a..", "user/a.."), ("user/a/.../b", "user/a/.../b"), ("user/%C3%A9", "user/é"), ("user/é", "user/é"),
        ("user/%F0%9F%97%9D", "user/🗝"), ("user/%C2%A0", "user/\u{A0}"), ("0._-/x", "0._-/x"),
        ("user/a+b", "user/a+b"), ("user/?", "user/?"),
    ])
    func readsPaths(path: String, plain: String) throws {
        let key = try Self.path(path)
        #expect(key.bytes == bytes(plain))
        #expect(key == (try Entities.EntityKey(plain: bytes(plain)[...], seed: ringSeed)))
        #expect(text(key.kind) + "/" + text(key.id) == plain)
        #expect(key.ringHash == XXH64.hash(bytes(plain), seed: ringSeed))
    }

    @Test(arguments: [
        "", "/", "user", "user/", "/x", "User/x", "-user/x", ".user/x", "_user/x", "us er/x", "usér/x", "u%73er/x",
        "%75ser/x", "user%2Fx", "user%2fx/y", "user/.", "user/..", "user/./a", "user/../a", "user/a/.", "user/a/..",
        "user/a/./b", "user/%2e", "user/%2E%2e", "user/a/.%2E/b", "user/a%2F..%2Fb", "user/%", "user/%4", "user/%4g",
        "user/%g4", "user/a%", "user/%00", "user/a%0Ab", "user/%1F", "user/%7F", "user/%C2%80", "user/%C2%9F",
        "user/\u{85}", "user/\t", "user/%C0%AF", "user/%C1%81", "user/%E0%80%AF", "user/%E0%9F%BF", "user/%ED%A0%80",
        "user/%ED%BF%BF", "user/%F0%80%80%AF", "user/%F4%90%80%80", "user/%F5%80%80%80", "user/%FF", "user/%80",
        "user/%C3", "user/%C3x", "user/%E2%82", "user/%E2%82/", "user/%F0%9F%97", "user/%C3%C3%A9",
    ])
    func refusesPaths(path: String) {
        #expect(problemCode { _ = try Self.path(path) } == .badKey)
    }

    @Test func plainTextIsNotDecoded() throws {
        #expect(try key("user/%41").bytes == bytes("user/%41"))
        #expect(try key("user/%").bytes == bytes("user/%"))
        #expect(try key("user/%2e%2e").bytes == bytes("user/%2e%2e"))
        #expect(problemCode { _ = try key("user%/x") } == .badKey)
        #expect(problemCode { _ = try key("user/a/../b") } == .badKey)
    }

    @Test func lengthsAreCountedAfterDecoding() throws {
        let kind = String(repeating: "k", count: 64)
        #expect(try Self.path(kind + "/x").kindLength == 64)
        #expect(problemCode { _ = try Self.path(kind + "k/x") } == .badKey)
        #expect(try Self.path("k/" + String(repeating: "i", count: 512)).bytes.count == 514)
        #expect(problemCode { _ = try Self.path("k/" + String(repeating: "i", count: 513)) } == .badKey)
        let escaped = String(repeating: "%69", count: 512)
        #expect(try Self.path(kind + "/" + escaped).id.elementsEqual(repeatElement(UInt8(ascii: "i"), count: 512)))
        #expect(problemCode { _ = try Self.path("k/" + escaped + "%69") } == .badKey)
        #expect(problemCode { _ = try key("k/" + String(repeating: "é", count: 257)) } == .badKey)
        #expect(try key("k/" + String(repeating: "é", count: 256)).id.count == 512)
    }

    @Test func readsTheMiddleOfALargerBuffer() throws {
        let line = bytes("GET /v1/entities/user/a%2Fb?x=1")
        let key = try EntityKey(path: line[17..<27], seed: ringSeed)
        #expect(key.bytes == bytes("user/a/b"))
    }

    @Test(arguments: [
        ("a", true), ("0", true), ("a.b_c-d", true), ("", false), ("-a", false), ("A", false), ("a/", false),
    ])
    func kinds(kind: String, isKind: Bool) {
        #expect(EntityKey.isKind(bytes(kind)[...]) == isKind)
        #expect(EntityKey.isKind(bytes(kind + String(repeating: "x", count: 65))[...]) == false)
    }

    /// The standard library's own validation is the model of what is UTF-8.
    @Test func agreesWithTheStandardLibraryOnUTF8() {
        var random = SplitMix64(seed: 0x5EED_0001)
        let interesting: [UInt8] = [0x41, 0x80, 0x9F, 0xA0, 0xBF, 0xC2, 0xC3, 0xE0, 0xE1, 0xED, 0xEF, 0xF0, 0xF4, 0xF5]
        var accepted = 0
        for _ in 0..<50_000 {
            let id = (0..<(1 + random.below(5))).map { _ in random.pick(interesting) }
            let isUTF8 = String(validating: id, as: UTF8.self) != nil
            let hasC1 = zip(id, id.dropFirst()).contains { $0 == 0xC2 && $1 <= 0x9F }
            let code = problemCode { _ = try EntityKey(plain: (bytes("k/") + id)[...], seed: 1) }
            #expect((code == nil) == (isUTF8 && !hasC1), "id \(id)")
            accepted += code == nil ? 1 : 0
        }
        #expect(accepted > 1000)
    }

    /// Whatever a key is made of, writing it with every byte escaped names it again.
    @Test func escapedSpellingIsTheSameKey() throws {
        var random = SplitMix64(seed: 0x5EED_0002)
        let scalars: [Unicode.Scalar] = ["a", "/", ".", "%", "é", "\u{A0}", "\u{FFFD}", "🗝", " ", "~"]
        for _ in 0..<5_000 {
            var id = String.UnicodeScalarView()
            for _ in 0..<(1 + random.below(12)) { id.append(random.pick(scalars)) }
            let plain = "k/" + String(id)
            let escaped = "k/" + id.flatMap { Array(String($0).utf8) }.map(percentEncoded).joined()
            let fromPlain = try? key(plain)
            #expect(fromPlain == (try? Self.path(escaped)), "\(plain)")
        }
    }

    private func percentEncoded(_ byte: UInt8) -> String {
        "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: byte % 2 == 0)
    }

    @Test func randomBytesNeverTrap() {
        var random = SplitMix64(seed: 0x5EED_0003)
        for _ in 0..<20_000 {
            let text = bytes("k/%2") + random.bytes(random.below(24))
            let start = random.below(text.count)
            _ = try? EntityKey(path: text[start...], seed: 1)
            _ = try? EntityKey(plain: text[start...], seed: 1)
        }
    }
}
