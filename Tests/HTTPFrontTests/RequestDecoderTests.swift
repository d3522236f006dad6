import Entities
import NIOCore
import Primitives
import Testing

@testable import HTTPFront

/// Every rule of RFC 9112 that the decoder holds messages to, each stream fed whole, byte by byte and at random cuts.
@Suite struct RequestDecoderTests {
    struct Case: CustomTestStringConvertible {
        let name: String
        let stream: [UInt8]
        let refusal: ProblemCode?

        var testDescription: String { name }

        init(_ name: String, _ stream: String, _ refusal: ProblemCode? = .badRequest) {
            self.name = name
            self.stream = Array(stream.utf8)
            self.refusal = refusal
        }
    }

    static func fields(_ lines: String...) -> String {
        "PUT /v1/entities/a/b HTTP/1.1\r\nHost: h\r\n" + lines.joined(separator: "\r\n") + "\r\n\r\n"
    }

    static func get(_ line: String) -> String { line + "\r\nHost: h\r\n\r\n" }

    static let refusedLines: [Case] = [
        Case("bare LF after the request line", "GET / HTTP/1.1\nHost: h\r\n\r\n"),
        Case("bare LF first", "\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"),
        Case("bare CR in the request line", "GET /\rx HTTP/1.1\r\nHost: h\r\n\r\n"),
        Case("two empty lines first", "\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"),
        Case("NUL in the target", get("GET /a\0b HTTP/1.1")),
        Case("DEL in the target", get("GET /a\u{7F}b HTTP/1.1")),
        Case("TLS greeting", "\u{16}\u{03}\u{01}\u{02}"),
        Case("tab for a space", get("GET\t/ HTTP/1.1")),
        Case("two spaces before the target", get("GET  / HTTP/1.1")),
        Case("two spaces before the version", get("GET /  HTTP/1.1")),
        Case("space at the end", get("GET / HTTP/1.1 ")),
        Case("space at the start", get(" GET / HTTP/1.1")),
        Case("space in the target", get("GET /a b HTTP/1.1")),
        Case("no version", get("GET /")),
        Case("no target", get("GET HTTP/1.1")),
        Case("method is no token", get("G(T / HTTP/1.1")),
        Case("version in lower case", get("GET / http/1.1")),
        Case("version with two minor digits", get("GET / HTTP/1.10")),
        Case("version without a dot", get("GET / HTTP/11")),
        Case("version with a comma", get("GET / HTTP/1,1")),
        Case("fragment", get("GET /a#b HTTP/1.1")),
        Case("target without a slash", get("GET a/b HTTP/1.1")),
        Case("asterisk with GET", get("GET * HTTP/1.1")),
        Case("absolute target of another scheme", get("GET ftp://h/a HTTP/1.1")),
        Case("absolute target without authority", get("GET http:///a HTTP/1.1")),
        Case("absolute target with user info", get("GET http://u@h/a HTTP/1.1")),
        Case("HTTP/2.0", get("GET / HTTP/2.0"), .versionNotSupported),
        Case("HTTP/0.9", get("GET / HTTP/0.9"), .versionNotSupported),
        Case("HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", .versionNotSupported),
    ]

    static let refusedFields: [Case] = [
        Case("bare LF after a field", "GET / HTTP/1.1\r\nHost: h\nA: b\r\n\r\n"),
        Case("bare LF for the empty line", "GET / HTTP/1.1\r\nHost: h\r\n\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"),
        Case("bare CR in a value", fields("A: b\rc")),
        Case("CR CR LF", fields("A: b\r")),
        Case("NUL in a value", fields("A: b\0c")),
        Case("control character in a value", fields("A: b\u{01}c")),
        Case("obs-fold by space", fields("A: b", " c")),
        Case("obs-fold by tab", fields("A: b", "\tc")),
        Case("space before the first field", "GET / HTTP/1.1\r\n Host: h\r\n\r\n"),
        Case("space before the colon", fields("A : b")),
        Case("tab before the colon", fields("A\t: b")),
        Case("no colon", fields("A b")),
        Case("empty name", fields(": b")),
        Case("name is no token", fields("A(b: c")),
        Case("name above ASCII", fields("Ä: c")),
        Case("no Host", "GET / HTTP/1.1\r\n\r\n"),
        Case("two Hosts", fields("Host: h")),
        Case("Host with a space", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
        Case("Host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
        Case("Host with user info", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"),
        Case("both lengths", fields("Content-Length: 3", "Transfer-Encoding: chunked")),
        Case("both lengths, the other order", fields("Transfer-Encoding: chunked", "Content-Length: 3")),
        Case("two equal lengths", fields("Content-Length: 3", "Content-Length: 3")),
        Case("two lengths", fields("Content-Length: 3", "content-length: 4")),
        Case("list of lengths", fields("Content-Length: 3, 3")),
        Case("empty length", fields("Content-Length:")),
        Case("signed length", fields("Content-Length: +3")),
        Case("negative length", fields("Content-Length: -3")),
        Case("hexadecimal length", fields("Content-Length: 0x3")),
        Case("length with an underscore", fields("Content-Length: 1_0")),
        Case("length with a space", fields("Content-Length: 1 0")),
        Case("fractional length", fields("Content-Length: 1.0")),
        Case("length with a leading zero", fields("Content-Length: 03")),
        Case("length beyond 64 bits", fields("Content-Length: 18446744073709551617")),
        Case("unknown coding", fields("Transfer-Encoding: gzip")),
        Case("coding before chunked", fields("Transfer-Encoding: gzip, chunked")),
        Case("chunked twice", fields("Transfer-Encoding: chunked, chunked")),
        Case("chunked in two fields", fields("Transfer-Encoding: chunked", "Transfer-Encoding: chunked")),
        Case("quoted chunked", fields("Transfer-Encoding: \"chunked\"")),
        Case("chunked with a parameter", fields("Transfer-Encoding: chunked;a=b")),
        Case("identity", fields("Transfer-Encoding: identity")),
        Case("empty coding", fields("Transfer-Encoding:")),
        Case("vertical tab before chunked", fields("Transfer-Encoding: \u{0B}chunked")),
        Case("coding in HTTP/1.0", "PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ]

    static let refusedChunks: [Case] = [
        ("no size", "\r\n"), ("no hexadecimal", "g\r\n"), ("signed size", "+3\r\nabc\r\n"),
        ("prefixed size", "0x3\r\nabc\r\n"), ("size with an underscore", "1_0\r\n"),
        ("space before the size", " 3\r\nabc\r\n"), ("space after the size", "3 \r\nabc\r\n"),
        ("tab after the size", "3\t\r\nabc\r\n"),
        ("bare LF after the size", "3\nabc\r\n"), ("bare CR in the size line", "3\r;a\r\n"),
        ("bare LF after the data", "3\r\nabc\n"), ("data too long", "3\r\nabcd\r\n"),
        ("data too short", "5\r\nabc\r\n0\r\n\r\n"), ("CR and no LF after the data", "3\r\nabc\rX"),
        ("empty extension", "3;\r\nabc\r\n"), ("space in an extension", "3; a\r\nabc\r\n"),
        ("open quote", "3;a=\"b\r\nabc\r\n"), ("control character in an extension", "3;a=\u{01}\r\nabc\r\n"),
        ("size line too long", "3;a=" + String(repeating: "b", count: 300) + "\r\nabc\r\n"),
        ("bare LF in a trailer", "0\r\nA: b\n\r\n"), ("space before a trailer's colon", "0\r\nA : b\r\n\r\n"),
        ("folded trailer", "0\r\nA: b\r\n c\r\n\r\n"), ("bare LF for the end", "0\r\n\n"),
    ].map { Case($0.0, fields("Transfer-Encoding: chunked") + $0.1) }

    static let tooLarge: [Case] = [
        Case("target over 8 KiB", get("GET /" + String(repeating: "a", count: 8192) + " HTTP/1.1"), .uriTooLong),
        Case("target without an end", "GET /" + String(repeating: "a", count: 9000), .uriTooLong),
        Case("field over 8 KiB", fields("A: " + String(repeating: "a", count: 8190)), .fieldsTooLarge),
        Case("field without an end", "GET / HTTP/1.1\r\nA: " + String(repeating: "a", count: 9000), .fieldsTooLarge),
        Case(
            "fields over 16 KiB",
            fields(
                "A: " + String(repeating: "a", count: 8000), "B: " + String(repeating: "b", count: 8000),
                "C: " + String(repeating: "c", count: 400)), .fieldsTooLarge),
        Case("65 fields", getWithFields(65), .fieldsTooLarge),
        Case(
            "65 trailers",
            fields("Transfer-Encoding: chunked") + "0\r\n" + String(repeating: "A: b\r\n", count: 65) + "\r\n",
            .fieldsTooLarge),
        Case("a control character before the limit", "GET /\u{01}" + String(repeating: "a", count: 9000)),
    ]

    static func getWithFields(_ count: Int) -> String {
        "GET / HTTP/1.1\r\nHost: h\r\n" + String(repeating: "A: b\r\n", count: count - 1) + "\r\n"
    }

    /// Nothing after a refusal is decoded, whatever follows it.
    @Test(arguments: refusedLines + refusedFields + refusedChunks + tooLarge)
    func refuses(_ test: Case) {
        let stream = test.stream + Array(Self.get("GET /smuggled HTTP/1.1").utf8)
        for split in Split.all {
            let decoded = decode(stream, split)
            #expect(decoded.refusal == test.refusal, "\(split)")
            #expect(!decoded.requests.contains { $0.path == "/smuggled" }, "\(split)")
            #expect(!decoded.requests.contains { $0.isComplete }, "\(split)")
        }
    }

    @Test func refusesOnlyOnce() {
        for split in Split.all {
            let decoded = decode(Array("GET / HTTP/1.1\nGET / HTTP/1.1\n\r\n\r\n".utf8), split)
            #expect(decoded == Decoded(requests: [], refusal: .badRequest))
        }
    }

    static let accepted: [(String, String, Decoded.Request)] = [
        ("plain", get("GET /a?b=c HTTP/1.1"), request("GET", "/a", "b=c")),
        ("empty line first", "\r\n" + get("GET /a HTTP/1.1"), request("GET", "/a")),
        ("empty query", get("GET /a? HTTP/1.1"), request("GET", "/a", "")),
        ("two question marks", get("GET /a?b?c HTTP/1.1"), request("GET", "/a", "b?c")),
        ("raw UTF-8", get("GET /é HTTP/1.1"), request("GET", "/é")),
        ("unknown method", get("BREW /a HTTP/1.1"), request("BREW", "/a")),
        ("method in lower case", get("get /a HTTP/1.1"), request("get", "/a")),
        ("absolute form", get("GET http://h:1/a?b HTTP/1.1"), request("GET", "/a", "b")),
        ("absolute form in upper case", get("GET HTTPS://[::1]/a HTTP/1.1"), request("GET", "/a")),
        ("absolute form without a path", get("GET http://h?b HTTP/1.1"), request("GET", "", "b")),
        ("HTTP/1.2 is read as 1.1", get("GET /a HTTP/1.2"), request("GET", "/a")),
        ("empty Host", "GET /a HTTP/1.1\r\nHost:\r\n\r\n", request("GET", "/a")),
        ("Host with a port", "GET /a HTTP/1.1\r\nhOST: [::1]:7070\r\n\r\n", request("GET", "/a")),
        ("tabs and spaces round a value", fields("A:\t b\tc \t"), request("PUT", "/v1/entities/a/b")),
        ("bytes from 0x80 in a value", fields("A: é"), request("PUT", "/v1/entities/a/b")),
        ("closing", fields("Connection: a , Close"), request("PUT", "/v1/entities/a/b", keepsAlive: false)),
        ("length 0", fields("Content-Length: 0"), request("PUT", "/v1/entities/a/b")),
        ("length 3", fields("CONTENT-LENGTH:3") + "abc", request("PUT", "/v1/entities/a/b", body: "abc")),
        ("64 fields", getWithFields(64), request("GET", "/")),
        (
            "target of 8 KiB", get("GET /" + String(repeating: "a", count: 8191) + " HTTP/1.1"),
            request("GET", "/" + String(repeating: "a", count: 8191))
        ),
        ("field of 8 KiB", fields("A:" + String(repeating: "a", count: 8190)), request("PUT", "/v1/entities/a/b")),
        ("HTTP/1.0", "GET /a HTTP/1.0\r\n\r\n", request("GET", "/a", minor: 0, keepsAlive: false)),
        (
            "HTTP/1.0 kept alive", "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
            request("GET", "/a", minor: 0, keepsAlive: true)
        ),
        (
            "chunks",
            fields("Transfer-Encoding: Chunked") + "3\r\nabc\r\n00A;x=y;z=\"q\\\";\";w\r\n0123456789\r\n0\r\n\r\n",
            request("PUT", "/v1/entities/a/b", body: "abc0123456789")
        ),
        (
            "trailers", fields("Transfer-Encoding: chunked") + "1\r\na\r\n000\r\nContent-Length: 9\r\nX: y\r\n\r\n",
            request("PUT", "/v1/entities/a/b", body: "a")
        ),
    ]

    static func request(
        _ method: String, _ path: String, _ query: String? = nil, minor: UInt8 = 1, keepsAlive: Bool = true,
        body: String = ""
    ) -> Decoded.Request {
        Decoded.Request(
            method: method, path: path, query: query, minorVersion: minor, keepsAlive: keepsAlive,
            body: Array(body.utf8), isComplete: true)
    }

    /// A request is read as it was meant, and the one behind it on the connection too.
    @Test(arguments: accepted)
    func accepts(name: String, stream: String, request: Decoded.Request) {
        let next = Self.request("DELETE", "/next")
        for split in Split.all {
            let decoded = decode(Array((stream + Self.get("DELETE /next HTTP/1.1")).utf8), split)
            #expect(decoded == Decoded(requests: [request, next], refusal: nil), "\(name), \(split)")
        }
    }

    /// A larger one is copied by calls, some six times a request.
    @Test func aHeadIsSmallEnoughToBeCopiedInPlace() { #expect(MemoryLayout<RequestHead>.size <= 128) }

    @Test func keepsTheFieldsThatMatter() {
        let stream = Self.fields(
            "If-Match: \"1\"", "IF-NONE-MATCH: *", "if-match: \"2\"", "Content-Type: text/plain ", "Idempotency-Key: k",
            "Prefer: a", "Prefer: return=representation", "Expect: 100-Continue")
        var decoder = RequestDecoder()
        var input = ByteBuffer(string: stream)
        guard case .head = decoder.next(&input) else {
            Issue.record("a head was expected")
            return
        }
        let head = decoder.head
        func values(_ field: FieldValues) -> [String] { head.arrays(field).map { String(decoding: $0, as: UTF8.self) } }
        #expect(values(head.ifMatch) == ["\"1\"", "\"2\""])
        #expect(values(head.ifNoneMatch) == ["*"])
        #expect(head.contentType.value.map { head.array($0) } == Array("text/plain".utf8))
        #expect(head.idempotencyKey.value.map { head.array($0) } == Array("k".utf8))
        #expect(values(head.prefer) == ["a", "return=representation"])
        #expect(head.expectation == .hundredContinue)
    }
}
