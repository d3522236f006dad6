import Foundation
import Testing

extension Contract {
    @Suite struct KeyTests {
        /// Each path is written and read back by itself; the key is what a list shows: plain text, decoded once.
        static let soundPaths: [(path: String, id: String)] = [
            ("a", "a"), ("A.b_c-~d", "A.b_c-~d"), ("a/b", "a/b"), ("a%2Fb2", "a/b2"), ("a%2fb3", "a/b3"),
            ("%41bc", "Abc"),
            ("a%20b", "a b"), ("100%25", "100%"), ("%252F", "%2F"), ("gr%C3%BCn", "grün"), ("%F0%9F%97%9D", "🗝"),
            ("a//b", "a//b"), ("a/", "a/"), ("/a", "/a"), ("//", "//"), ("...", "..."), (".a", ".a"), ("a.", "a."),
            ("a/..b", "a/..b"),
            ("a:b@c!$&'()*+,;=", "a:b@c!$&'()*+,;="), ("%3F%23", "?#"), ("%22%5C", "\"\\"), ("%C2%A0", "\u{a0}"),
            ("e%CC%81", "e\u{301}"), ("%C3%A9", "\u{e9}"), ("%EF%BF%BF", "\u{ffff}"),
            ("x" + String(repeating: "y", count: 511), "x" + String(repeating: "y", count: 511)),
            (String(repeating: "%C3%A4", count: 256), String(repeating: "ä", count: 256)),
        ]

        @Test func soundKeysAreStoredUnderTheirDecodedName() throws {
            let kind = SharedNode.freshKind()
            let client = try SharedNode.client()
            for (path, id) in Self.soundPaths {
                let target = "/v1/entities/\(kind)/\(path)"
                expectWritten(try client.send("PUT", target, body: Array(id.utf8)))
                expectFound(try client.send("GET", target), id)
            }
            // Two spellings of one sequence of characters are two keys: keys are bytes.
            let listed = try client.listAll(kind).compactMap { $0["key"] as? String }.map { Array($0.utf8) }
            #expect(Set(listed) == Set(Self.soundPaths.map { Array("\(kind)/\($0.id)".utf8) }))
            #expect(listed.count == Self.soundPaths.count)
        }

        @Test(arguments: [("a/b", "a%2Fb"), ("a%2fb", "a/b"), ("%61", "a"), ("a//b", "a%2F/b"), ("x%7Ey", "x~y")])
        func twoSpellingsAreOneEntity(written: String, read: String) throws {
            let kind = SharedNode.freshKind()
            let client = try SharedNode.client()
            let first = try client.send("PUT", "/v1/entities/\(kind)/\(written)", body: Array("s".utf8))
            expectFound(try client.send("GET", "/v1/entities/\(kind)/\(read)"), "s", version: first.version64)
        }

        static let badPaths = [
            // The id.
            "k/", "k/.", "k/..", "k/./a", "k/../a", "k/a/.", "k/a/..", "k/a/./b", "k/a/../b", "k/%2E", "k/%2e%2E",
            "k/a/%2e",
            "k/a%2F..", "k/a%2F%2E%2Fb", "k/%00", "k/a%01", "k/%1F", "k/%7F", "k/%0A", "k/%0D", "k/%09", "k/%C2%80",
            "k/%C2%9F",
            "k/%", "k/%4", "k/%GG", "k/a%2", "k/%FF", "k/%C3", "k/%C3%28", "k/%C0%AF", "k/%E0%80%AF", "k/%ED%A0%80",
            "k/%F4%90%80%80", "k/%F5%80%80%80", "k/%80", "k/" + String(repeating: "y", count: 513),
            "k/" + String(repeating: "%C3%A4", count: 257), "k/\u{e9}\u{85}",
            // The kind.
            "K/a", "-k/a", ".k/a", "_k/a", "%6B/a", "k%2E/a", "k%2Fa/b", "kind!/a", "k\u{fc}/a", "/a", "k~/a", "k:k/a",
            String(repeating: "k", count: 65) + "/a",
        ]

        @Test(arguments: badPaths)
        func badKeysAreRefused(path: String) throws {
            let client = try SharedNode.client()
            for method in ["GET", "PUT", "DELETE"] {
                let answer = try client.send(method, "/v1/entities/\(path)", body: method == "PUT" ? [1] : nil)
                expectProblem(answer, "bad-key")
            }
            expectProblem(
                try client.send("GET", "/v1/outcomes/\(path)", [("Idempotency-Key", "k")]), "bad-key")
        }

        @Test(arguments: ["k", "0", "a.b_c-d", "k" + String(repeating: "-", count: 63)])
        func soundKindsAreAccepted(kind: String) throws {
            let client = try SharedNode.client()
            expectWritten(try client.put("\(kind)/kinds", "x"))
            expectFound(try client.get("\(kind)/kinds"), "x")
        }

        @Test func controlCharactersInTheTargetAreNoRequest() throws {
            for byte in [UInt8(0), 1, 9, 0x1f, 0x7f] {
                let connection = try SharedNode.connect()
                try connection.send(
                    Array("GET /v1/entities/k/a".utf8) + [byte] + Array("b HTTP/1.1\r\nHost: h\r\n\r\n".utf8))
                expectProblem(try connection.answer(), "bad-request")
                #expect(try connection.isClosedByPeer())
            }
        }
    }
}
