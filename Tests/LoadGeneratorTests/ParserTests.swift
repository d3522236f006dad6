import Testing

@testable import LoadGenerator

@Suite struct HTTPAnswerParserTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let name: String
        let text: String
        let status: Int
        var etag = ""
        var body = ""
        var keepsAlive = true
        var testDescription: String { name }
    }

    static let cases = [
        Case(
            name: "length", text: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: \"12\"\r\n\r\nhello", status: 200,
            etag: "\"12\"", body: "hello"),
        Case(name: "no content", text: "HTTP/1.1 204 No Content\r\neTaG:\"7\"  \r\n\r\n", status: 204, etag: "\"7\""),
        Case(name: "not modified with a length", text: "HTTP/1.1 304 X\r\nContent-Length: 9\r\n\r\n", status: 304),
        Case(name: "empty body", text: "HTTP/1.1 404 Not Found\r\nCONTENT-LENGTH:0\r\n\r\n", status: 404),
        Case(
            name: "chunks",
            text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                + "5\r\nhello\r\n00A;x=1\r\n, world!\r\n\r\n0\r\nT: 1\r\n\r\n", status: 200,
            body: "hello, world!\r\n"),
        Case(
            name: "interim first", text: "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
            status: 200, body: "x"),
        Case(
            name: "close", text: "HTTP/1.1 503 Busy\r\nConnection: Close\r\nContent-Length: 2\r\n\r\nno", status: 503,
            body: "no", keepsAlive: false),
        Case(
            name: "1.0", text: "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", status: 200, keepsAlive: false),
        Case(name: "bare LF, no reason", text: "HTTP/1.1 200\nContent-Length: 3\n\na\r\n", status: 200, body: "a\r\n"),
    ]

    @Test(arguments: cases)
    func everySplit(expected: Case) throws {
        let whole = Array(expected.text.utf8)
        for cut in 0...whole.count {
            try check(expected, whole, cuts: [cut])
        }
        try check(expected, whole, cuts: Array(0..<whole.count))
    }

    /// Feeds growing beginnings, then the whole with the next answer's first bytes behind it.
    private func check(_ expected: Case, _ whole: [UInt8], cuts: [Int]) throws {
        var parser = HTTPAnswerParser()
        for cut in cuts where cut < whole.count {
            let early = try parser.feed(Array(whole[..<cut]))
            #expect(early == nil)
        }
        let received = whole + Array("HTTP/1.1 2".utf8)
        let answer = try #require(try parser.feed(received))
        let body = answer.isChunked ? parser.dechunked : Array(received[answer.body])
        #expect(answer.length == whole.count)
        #expect(answer.status == expected.status)
        #expect(String(decoding: received[answer.etag], as: UTF8.self) == expected.etag)
        #expect(String(decoding: body, as: UTF8.self) == expected.body)
        #expect(answer.keepsAlive == expected.keepsAlive)
    }

    @Test func answersInARow() throws {
        var parser = HTTPAnswerParser()
        var rest = Array(Self.cases.map(\.text).joined().utf8)
        for expected in Self.cases {
            let answer = try #require(try parser.feed(rest))
            #expect(answer.status == expected.status)
            rest.removeFirst(answer.length)
        }
        #expect(rest.isEmpty)
    }

    @Test(arguments: [
        ("RESP/1.1 200 OK\r\n", "not HTTP/1.1"), ("HTTP/1.1 2x0 OK\r\n", "bad number"),
        ("HTTP/1.1 600 OK\r\n", "bad status"), ("HTTP/1.1 200 OK\r\nnocolon\r\n", "field without colon"),
        ("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n", "bad number"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n", "bad number"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n", "body too long"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n", "unknown transfer coding"),
        ("HTTP/1.1 200 OK\r\n\r\n", "answer without length"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "bad chunk size"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n", "bad chunk size"),
    ])
    func violations(text: String, name: String) {
        var parser = HTTPAnswerParser()
        #expect(throws: ProtocolViolation(name: name)) { try parser.feed(Array(text.utf8)) }
    }
}

@Suite struct RESPReplyParserTests {
    @Test(arguments: [
        ("+OK\r\n", RESPReply.Kind.simple, "OK"), ("-ERR no\r\n", .error, "ERR no"), (":-12\r\n", .integer, "-12"),
        ("$5\r\nhe\r\no\r\n", .bulk, "he\r\no"), ("$0\r\n\r\n", .bulk, ""), ("$-1\r\n", .null, ""),
        ("*-1\r\n", .null, "-1"),
        ("*0\r\n", .array, ""), ("*2\r\n$1\r\na\r\n*1\r\n:1\r\n", .array, ""),
    ])
    func everySplit(text: String, kind: RESPReply.Kind, payload: String) throws {
        let whole = Array(text.utf8)
        for cut in 0...whole.count {
            var parser = RESPReplyParser()
            let early = cut < whole.count ? try parser.feed(Array(whole[..<cut])) : nil
            #expect(early == nil)
            let received = whole + Array("+PO".utf8)
            let reply = try #require(try parser.feed(received))
            #expect(reply.kind == kind && reply.length == whole.count)
            #expect(String(decoding: received[reply.payload], as: UTF8.self) == payload)
        }
    }

    @Test(arguments: ["?\r\n", "\r\n", "+OK\n", "$x\r\n", "$\r\n", "$1\r\nabc", "*1x\r\n", "$999999999999\r\n"])
    func violations(text: String) {
        var parser = RESPReplyParser()
        #expect(throws: ProtocolViolation.self) { try parser.feed(Array(text.utf8)) }
    }
}

// The macros of the tests cannot hold a span.

extension HTTPAnswerParser {
    fileprivate mutating func feed(_ bytes: [UInt8]) throws -> HTTPAnswer? { try parse(bytes.span) }
}

extension RESPReplyParser {
    fileprivate mutating func feed(_ bytes: [UInt8]) throws -> RESPReply? { try parse(bytes.span) }
}
