import Foundation
import Testing

extension Contract {
    @Suite struct FramingTests {
        struct Attack: Sendable, CustomTestStringConvertible {
            let name: String
            /// Sent as ISO 8859-1, so that each scalar is one byte. `PUT` stands for the request line of a sound write.
            let text: String
            let codes: Set<String>

            var testDescription: String { name }

            init(_ name: String, _ text: String, _ codes: Set<String> = ["bad-request"]) {
                self.name = name
                self.text = text
                self.codes = codes
            }

            func bytes(_ path: String) -> [UInt8] {
                text.replacing("PUT!", with: "PUT \(path) HTTP/1.1\r\nHost: h\r\n").replacing("PATH", with: path)
                    .unicodeScalars.map { UInt8($0.value) }
            }
        }

        static let attacks: [Attack] = [
            // Lengths.
            Attack("both lengths", "PUT!Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            Attack(
                "both lengths, the other way round",
                "PUT!Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n"),
            Attack("two lengths", "PUT!Content-Length: 1\r\nContent-Length: 5\r\n\r\nx"),
            Attack("two equal lengths", "PUT!Content-Length: 1\r\nContent-Length: 1\r\n\r\nx"),
            Attack("a list of lengths", "PUT!Content-Length: 1, 1\r\n\r\nx"),
            Attack("a length with a plus", "PUT!Content-Length: +1\r\n\r\nx"),
            Attack("a negative length", "PUT!Content-Length: -1\r\n\r\nx"),
            Attack("a hexadecimal length", "PUT!Content-Length: 0x1\r\n\r\nx"),
            Attack("an empty length", "PUT!Content-Length: \r\n\r\nx"),
            Attack("a length with a letter", "PUT!Content-Length: 1a\r\n\r\nx"),
            Attack("a length with an underscore", "PUT!Content-Length: 1_0\r\n\r\n0123456789"),
            Attack("a length with a blank inside", "PUT!Content-Length: 1 0\r\n\r\n0123456789"),
            Attack("a fractional length", "PUT!Content-Length: 1.0\r\n\r\nx"),
            Attack(
                "a length beyond 64 bits", "PUT!Content-Length: 18446744073709551617\r\n\r\nx",
                ["bad-request", "entity-too-large"]),
            // Codings.
            Attack("an unknown coding", "PUT!Transfer-Encoding: gzip\r\n\r\n"),
            Attack("two codings", "PUT!Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
            Attack("chunked twice", "PUT!Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
            Attack("chunked not last", "PUT!Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"),
            Attack(
                "two fields of codings",
                "PUT!Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n"),
            Attack("identity", "PUT!Transfer-Encoding: identity\r\nContent-Length: 1\r\n\r\nx"),
            Attack("nearly chunked", "PUT!Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
            Attack("chunked with a vertical tab", "PUT!Transfer-Encoding: \u{b}chunked\r\n\r\n0\r\n\r\n"),
            Attack("an empty coding", "PUT!Transfer-Encoding: \r\n\r\n0\r\n\r\n"),
            Attack(
                "a coding in HTTP/1.0", "PUT PATH HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            // Chunks.
            Attack("a chunk size that is no number", "PUT!Transfer-Encoding: chunked\r\n\r\nzz\r\nx\r\n0\r\n\r\n"),
            Attack("a chunk size with a prefix", "PUT!Transfer-Encoding: chunked\r\n\r\n0x1\r\nx\r\n0\r\n\r\n"),
            Attack("a chunk size with a sign", "PUT!Transfer-Encoding: chunked\r\n\r\n+1\r\nx\r\n0\r\n\r\n"),
            Attack("a negative chunk size", "PUT!Transfer-Encoding: chunked\r\n\r\n-1\r\nx\r\n0\r\n\r\n"),
            Attack("an empty chunk size", "PUT!Transfer-Encoding: chunked\r\n\r\n\r\nx\r\n0\r\n\r\n"),
            Attack("a blank before a chunk size", "PUT!Transfer-Encoding: chunked\r\n\r\n 1\r\nx\r\n0\r\n\r\n"),
            Attack(
                "an enormous chunk size", "PUT!Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\nx\r\n0\r\n\r\n",
                ["bad-request", "entity-too-large"]),
            Attack("a chunk longer than it says", "PUT!Transfer-Encoding: chunked\r\n\r\n1\r\nxx\r\n0\r\n\r\n"),
            Attack("a chunk line with a bare LF", "PUT!Transfer-Encoding: chunked\r\n\r\n1\nx\r\n0\r\n\r\n"),
            Attack("a chunk ended by a bare LF", "PUT!Transfer-Encoding: chunked\r\n\r\n1\r\nx\n0\r\n\r\n"),
            Attack("a bare LF after the last chunk", "PUT!Transfer-Encoding: chunked\r\n\r\n0\n\n"),
            Attack("a bare CR in a chunk extension", "PUT!Transfer-Encoding: chunked\r\n\r\n1;a\rb\r\nx\r\n0\r\n\r\n"),
            Attack("a malformed trailer", "PUT!Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nbad trailer\r\n\r\n"),
            // Lines.
            Attack("bare LFs", "PUT PATH HTTP/1.1\nHost: h\nContent-Length: 1\n\nx"),
            Attack("one bare LF", "PUT!X-A: 1\nContent-Length: 1\r\n\r\nx"),
            Attack("a bare CR in a value", "PUT!X-A: 1\rX-B: 2\r\nContent-Length: 1\r\n\r\nx"),
            Attack("a bare CR in the request line", "PUT PATH\r HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx"),
            Attack("obs-fold", "PUT!X-A: 1\r\n 2\r\nContent-Length: 1\r\n\r\nx"),
            Attack("obs-fold by a tab", "PUT!X-A: 1\r\n\t2\r\nContent-Length: 1\r\n\r\nx"),
            Attack("a blank before the first field", "PUT PATH HTTP/1.1\r\n Host: h\r\nContent-Length: 1\r\n\r\nx"),
            Attack("a space before a colon", "PUT!Content-Length : 1\r\n\r\nx"),
            Attack("a tab before a colon", "PUT!Content-Length\t: 1\r\n\r\nx"),
            Attack("a field without a name", "PUT!: 1\r\nContent-Length: 1\r\n\r\nx"),
            Attack("a field without a colon", "PUT!X-A\r\nContent-Length: 1\r\n\r\nx"),
            Attack("a name with a bracket", "PUT!X(A): 1\r\nContent-Length: 1\r\n\r\nx"),
            Attack("a name beyond ASCII", "PUT!X-\u{e4}: 1\r\nContent-Length: 1\r\n\r\nx"),
            Attack("a zero byte in a value", "PUT!X-A: a\u{0}b\r\nContent-Length: 1\r\n\r\nx"),
            Attack("a control character in a value", "PUT!X-A: a\u{1}b\r\nContent-Length: 1\r\n\r\nx"),
            Attack("a delete character in a value", "PUT!X-A: a\u{7f}b\r\nContent-Length: 1\r\n\r\nx"),
            Attack("a zero byte in a name", "PUT!X\u{0}A: b\r\nContent-Length: 1\r\n\r\nx"),
            // Hosts.
            Attack("two hosts", "PUT!Host: other\r\nContent-Length: 1\r\n\r\nx"),
            Attack("no host", "PUT PATH HTTP/1.1\r\nContent-Length: 1\r\n\r\nx"),
            // The request line.
            Attack("two spaces", "PUT  PATH HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx"),
            Attack("two spaces before the version", "PUT PATH  HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx"),
            Attack("a tab", "PUT\tPATH HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx"),
            Attack("a space at the end", "PUT PATH HTTP/1.1 \r\nHost: h\r\nContent-Length: 1\r\n\r\nx"),
            Attack("a space in the target", "PUT PATH x HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx"),
            Attack("no version", "PUT PATH\r\nHost: h\r\nContent-Length: 1\r\n\r\nx"),
            Attack(
                "a version in small letters", "PUT PATH http/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx",
                ["bad-request", "version-not-supported"]),
            Attack(
                "a version without a dot", "PUT PATH HTTP/11\r\nHost: h\r\nContent-Length: 1\r\n\r\nx",
                ["bad-request", "version-not-supported"]),
            Attack("a method that is no token", "P@T PATH HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx"),
            Attack("bytes of TLS", "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}\u{1}\u{fc}\u{3}\u{3}\r\n\r\n"),
            Attack("HTTP/2.0", "PUT PATH HTTP/2.0\r\nHost: h\r\nContent-Length: 1\r\n\r\nx", ["version-not-supported"]),
            Attack("the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", ["version-not-supported"]),
        ]

        @Test(arguments: attacks)
        func ambiguousFramingIsRefusedAndNothingAfterItRuns(attack: Attack) throws {
            let kind = SharedNode.freshKind("framing")
            let connection = try SharedNode.connect()
            try connection.send(attack.bytes("/v1/entities/\(kind)/victim"))
            // Whatever is taken for the end of the bad message, this must not run.
            try? connection.send(EntityClient.request("PUT", "/v1/entities/\(kind)/smuggled", body: [1]))
            let answer = try connection.answer()
            let code = try #require(answer.problemCode, "\(answer)")
            #expect(attack.codes.contains(code), "\(answer)")
            if attack.codes.contains(code) { expectProblem(answer, code) }
            #expect(answer["Connection"]?.lowercased() == "close")
            #expect(try connection.isClosedByPeer())
            #expect(try SharedNode.client().listAll(kind).isEmpty)
        }

        @Test func blanksAroundAValueAndBytesBeyondASCIIInItAreSound() throws {
            let connection = try SharedNode.connect()
            try connection.send(
                Array("PUT /v1/entities/k/a HTTP/1.1\r\nHost:h\r\nX-A: \t a b\t\r\nX-B:\r\nX-C: ".utf8) + [0xe4, 0x80]
                    + Array("\r\ncontent-LENGTH:1\r\n\r\nx".utf8))
            expectWritten(try connection.answer())
        }

        @Test(arguments: [1, 2, 3, 7])
        func aRequestCutAnywhereIsTheSameRequest(step: Int) throws {
            let kind = SharedNode.freshKind("framing")
            let connection = try SharedNode.connect()
            let text =
                "PUT /v1/entities/\(kind)/a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                + "3;x=y\r\nabc\r\n4\r\ndefg\r\n0\r\nX-T: 1\r\n\r\n"
            let bytes = Array(text.utf8)
            for start in stride(from: 0, to: bytes.count, by: step) {
                try connection.send(Array(bytes[start..<min(start + step, bytes.count)]))
            }
            expectWritten(try connection.answer())
            expectFound(try SharedNode.client().get("\(kind)/a"), "abcdefg")
        }

        @Test func aChunkedBodyOverTheLimitIsTooLarge() throws {
            let connection = try SharedNode.connect()
            try connection.send("PUT /v1/entities/k/chunked HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
            let chunk = Array("40000\r\n".utf8) + [UInt8](repeating: 1, count: 0x40000) + Array("\r\n".utf8)
            for _ in 0..<5 { try? connection.send(chunk) }
            expectProblem(try connection.answer(), "entity-too-large")
            #expect((try? connection.isClosedByPeer()) == true)
            #expect(try SharedNode.client().get("k/chunked").status == 404)
        }

        @Test func manySmallChunksMakeOneState() throws {
            let kind = SharedNode.freshKind("framing")
            let connection = try SharedNode.connect()
            var text = "PUT /v1/entities/\(kind)/a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n"
            for _ in 0..<5000 { text += "1\r\nx\r\n" }
            try connection.send(text + "0\r\n\r\n")
            expectWritten(try connection.answer())
            #expect(try SharedNode.client().get("\(kind)/a").body.count == 5000)
        }
    }
}
