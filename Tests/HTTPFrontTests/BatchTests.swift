import Entities
import NIOCore
import Primitives
import Testing

@testable import HTTPFront

/// `POST /v1/batch`: lines in, answers out in the order of the lines.
@Suite struct BatchTests {
    static func batch(_ lines: String) -> String {
        EntityRouteTests.request("POST /v1/batch", "Content-Type: application/x-ndjson", body: lines)
    }

    static let chunkedHead = "POST /v1/batch HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"

    static func chunk(_ text: String) -> String { "\(String(text.utf8.count, radix: 16))\r\n\(text)\r\n" }

    private func lines(_ response: Response) -> [String] {
        response.text.split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(String.init)
    }

    @Test func runsEveryOperation() throws {
        let front = try FrontChannel()
        let response = try front.ask(
            Self.batch(
                """
                {"op":"put","key":"user/a","json":{"b" : [1.0, "é"]}}
                {"op":"get","key":"user/a"}
                {"op":"put","key":"user/t","text":"x\\n\\"é","ttl":60}
                {"op":"get","key":"user/t"}
                {"op":"put","key":"user/b","base64":"AAH/","content-type":"image/x"}
                {"op":"get","key":"user/b"}
                {"op":"patch","key":"user/a","patch":"update","json":{}}
                {"op":"delete","key":"user/b"}
                {"op":"delete","key":"user/b"}
                """))
        #expect(response.status == 200)
        #expect(response["Content-Type"] == "application/x-ndjson")
        #expect(response["Transfer-Encoding"] == "chunked")
        #expect(response["Keystead-Position"] == nil)
        let notFound = """
            {"type":"urn:keystead:error:not-found","title":"Not found","status":404,"detail":"no such entity",\
            "applied":"no","retry":"never"}
            """
        #expect(
            lines(response) == [
                #"{"status":204,"etag":"\"101\"","position":"3:101"}"#,
                #"{"status":200,"etag":"\"101\"","position":"3:101","json":{"b" : [1.0, "é"]}}"#,
                #"{"status":204,"etag":"\"102\"","position":"3:102"}"#,
                #"{"status":200,"etag":"\"102\"","position":"3:102","text":"x\n\"é"}"#,
                #"{"status":204,"etag":"\"103\"","position":"3:103"}"#,
                #"{"status":200,"etag":"\"103\"","position":"3:103","base64":"AAH/"}"#,
                #"{"status":204,"etag":"\"104\"","position":"3:104"}"#,
                #"{"status":204,"etag":"\"105\"","position":"3:105"}"#,
                #"{"status":404,"position":"3:105","error":"# + notFound + "}",
            ])
        #expect(!front.backend.reads.contains { !$0.inQueueOrder })
        guard case .put(let json, let jsonType, nil) = front.backend.writes[0].action,
            case .put(let text, let textType, 60) = front.backend.writes[1].action,
            case .put(let bytes, let bytesType, nil) = front.backend.writes[2].action,
            case .patch(.update, let document) = front.backend.writes[3].action
        else {
            Issue.record("three puts and a patch were expected")
            return
        }
        #expect(json == Array(#"{"b" : [1.0, "é"]}"#.utf8))
        #expect(jsonType == Array("application/json".utf8))
        #expect(text == Array("x\n\"é".utf8))
        #expect(textType == Array("text/plain; charset=utf-8".utf8))
        #expect(bytes == [0, 1, 255])
        #expect(bytesType == Array("image/x".utf8))
        #expect(document == Array("{}".utf8))
    }

    static let badLines: [(String, ProblemCode, String)] = [
        ("nonsense", .badRequest, "not one JSON object"),
        ("[1]", .badRequest, "not one JSON object"),
        ("{", .badRequest, "not one JSON object"),
        (#"{"op":"get","key":"user/a"}}"#, .badRequest, "not one JSON object"),
        (#"{"op":"get","key":"user/a",}"#, .badRequest, "not one JSON object"),
        (#"{"op":"get","key":}"#, .badRequest, "not one JSON object"),
        (#"{"op":"get" "key":"user/a"}"#, .badRequest, ""),
        (#"{"op":"get"}"#, .badRequest, "key is missing"),
        (#"{"key":"user/a"}"#, .badRequest, "op is missing"),
        (#"{"op":"GET","key":"user/a"}"#, .badRequest, "op must be"),
        (#"{"op":1,"key":"user/a"}"#, .badRequest, "op must be a string"),
        (#"{"op":"get","key":null}"#, .badRequest, "key must be a string"),
        (#"{"op":"get","key":"user/a","x":1}"#, .badRequest, "unknown field"),
        (#"{"op":"get","key":"user/a","key":"user/a"}"#, .badRequest, "key must appear once"),
        (#"{"op":"get","key":"user/a","json":1}"#, .badRequest, "json does not go with get"),
        (#"{"op":"get","key":"user/a","idempotency-key":"k"}"#, .badRequest, "idempotency-key does not go with get"),
        (#"{"op":"delete","key":"user/a","ttl":1}"#, .badRequest, "ttl does not go with delete"),
        (#"{"op":"patch","key":"user/a","json":{},"content-type":"a/b"}"#, .badRequest, "content-type does not go"),
        (#"{"op":"patch","key":"user/a","json":{},"patch":"other"}"#, .badRequest, "patch must be"),
        (#"{"op":"put","key":"user/a"}"#, .badRequest, "exactly one of"),
        (#"{"op":"put","key":"user/a","json":1,"text":"x"}"#, .badRequest, "exactly one of"),
        (#"{"op":"put","key":"user/a","json":{"a":1,"a":2}}"#, .badRequest, "json is not JSON"),
        (#"{"op":"put","key":"user/a","json":01}"#, .badRequest, "json is not JSON"),
        (#"{"op":"put","key":"user/a","text":1}"#, .badRequest, "text must be a string"),
        (#"{"op":"put","key":"user/a","text":"\ud800"}"#, .badRequest, ""),
        (#"{"op":"put","key":"user/a","base64":"AA"}"#, .badRequest, "base64"),
        (#"{"op":"put","key":"user/a","text":"x","ttl":0}"#, .badRequest, "ttl must be"),
        (#"{"op":"put","key":"user/a","text":"x","ttl":"1"}"#, .badRequest, "ttl must be"),
        (#"{"op":"put","key":"user/a","text":"x","content-type":"a\nb"}"#, .badRequest, "Content-Type"),
        (#"{"op":"put","key":"user/a","text":"x","idempotency-key":"a b"}"#, .badRequest, "Idempotency-Key"),
        (#"{"op":"put","key":"user/a","text":"x","if-match":""}"#, .badRequest, ""),
        (#"{"op":"get","key":"user/a","if-none-match":"7"}"#, .badRequest, ""),
        (#"{"op":"put","key":"User/a","text":"x"}"#, .badKey, ""),
        (#"{"op":"put","key":"user","text":"x"}"#, .badKey, ""),
        (#"{"op":"put","key":"user/..","text":"x"}"#, .badKey, ""),
    ]

    /// A bad line answers for itself, and the lines round it run.
    @Test(arguments: badLines)
    func badLine(line: String, code: ProblemCode, says: String) throws {
        let front = try FrontChannel()
        let good = #"{"op":"put","key":"user/good","text":"x"}"#
        let answers = lines(try front.ask(Self.batch("\(good)\n\(line)\n\(good)\n")))
        #expect(answers.count == 3)
        #expect(answers.first?.hasPrefix(#"{"status":204,"#) == true)
        #expect(answers.last?.hasPrefix(#"{"status":204,"#) == true)
        #expect(answers[1].hasPrefix(#"{"status":\#(code.status),"#))
        #expect(answers[1].contains(#""error":{"type":"urn:keystead:error:\#(code.name)""#))
        #expect(says.isEmpty || answers[1].contains(says))
        #expect(front.backend.writes.count == 2)
    }

    @Test func positionsStandWhereTheKeyIsSound() throws {
        let front = try FrontChannel()
        let answers = lines(
            try front.ask(
                Self.batch(
                    """
                    {"op":"put","key":"user/a"}
                    {"op":"put","key":"User/a"}

                    """)))
        #expect(answers[0].contains(#""position":"3:100""#))
        #expect(!answers[1].contains("position"))
    }

    @Test func preconditionsAndReplays() throws {
        let front = try FrontChannel()
        front.backend.store("user/a", "x")
        let answers = lines(
            try front.ask(
                Self.batch(
                    #"""
                    {"op":"put","key":"user/a","text":"y","if-none-match":"*"}
                    {"op":"get","key":"user/a","if-none-match":"*"}
                    {"op":"delete","key":"user/a","if-match":"\"101\"","idempotency-key":"k"}
                    """#)))
        #expect(answers[0].hasPrefix(#"{"status":412,"etag":"\"101\"","position":"3:101","error":{"#))
        #expect(answers[1] == #"{"status":304,"etag":"\"101\"","position":"3:101"}"#)
        #expect(answers[2] == #"{"status":204,"etag":"\"102\"","position":"3:102"}"#)
        #expect(front.backend.writes.last?.preconditions.ifMatch == .versions([101]))
        #expect(front.backend.writes.last?.idempotencyKey == Array("k".utf8))
    }

    @Test func blankLinesAndTheLastLine() throws {
        let front = try FrontChannel()
        let get = #"{"op":"get","key":"user/a"}"#
        let answers = lines(try front.ask(Self.batch("\n \t\r\n\(get)\r\n\n\n\(get)")))
        #expect(answers.count == 2)
        #expect(lines(try front.ask(Self.batch(""))).isEmpty)
        #expect(lines(try front.ask(Self.batch("\n"))).isEmpty)
    }

    @Test func oversizedLinesAreTheirOwn413() throws {
        let front = try FrontChannel()
        front.backend.limits.entityBytesMax = 100
        let get = #"{"op":"get","key":"user/a"}"#
        let atLimit = #"{"op":"put","key":"user/b","text":"\#(String(repeating: "x", count: 100))"}"#
        let over = #"{"op":"put","key":"user/b","text":"\#(String(repeating: "x", count: 101))"}"#
        let huge = String(repeating: "x", count: 40_000)
        let answers = lines(try front.ask(Self.batch("\(get)\n\(atLimit)\n\(over)\n\(huge)\n\(get)\n\(huge)")))
        #expect(answers.map { $0.prefix(13) } == [404, 204, 413, 413, 404, 413].map { #"{"status":\#($0)"# })
    }

    /// Answers stream: each comes when its line has been run, in the order of the lines.
    @Test func streamsInOrder() throws {
        let front = try FrontChannel()
        front.backend.isHolding = true
        try front.send(Self.chunkedHead)
        #expect(try front.takeFlushes().isEmpty)
        try front.send(Self.chunk("{\"op\":\"put\",\"key\":\"user/a\",\"text\":\"x\"}\n{\"op\":\"get\",\"k"))
        try front.send(Self.chunk("ey\":\"user/a\"}\n"))
        #expect(front.backend.heldCount == 2)
        front.release(1)
        #expect(try front.takeFlushes().isEmpty)
        front.release(0)
        let first = String(decoding: try #require(try front.takeFlushes().first), as: UTF8.self)
        #expect(first.hasPrefix("HTTP/1.1 200 OK\r\n"))
        #expect(first.contains("404"))
        #expect(first.hasSuffix("}\n\r\n"))
        try front.send("0\r\n\r\n" + EntityRouteTests.request("GET /v1/entities/user/a"))
        #expect(try front.takeFlushes().joined().starts(with: Array("0\r\n\r\n".utf8)))
        #expect(front.backend.heldCount == 1)
    }

    @Test func requestsBehindABatchWait() throws {
        let front = try FrontChannel()
        front.backend.isHolding = true
        let get = EntityRouteTests.request("GET /v1/entities/user/a")
        try front.send(get + Self.batch(#"{"op":"get","key":"user/b"}"#) + get)
        #expect(front.backend.heldCount == 1)
        front.release(0)
        #expect(front.backend.heldCount == 1)
        front.release(0)
        #expect(front.backend.heldCount == 1)
        front.release(0)
        let responses = try front.takeResponses()
        #expect(responses.map(\.status) == [404, 200, 404])
    }

    /// Lines in flight are bounded, and go on as answers come.
    @Test func boundsLinesInFlight() throws {
        let front = try FrontChannel()
        front.backend.isHolding = true
        let line = "{\"op\":\"delete\",\"key\":\"user/a\"}\n"
        try front.send(Self.batch(String(repeating: line, count: 600)))
        #expect(front.backend.heldCount == Limits.batchLinesInFlightMax)
        front.backend.release(Array(0..<100), to: front.sink)
        front.nextTurn()
        #expect(front.backend.heldCount == Limits.batchLinesInFlightMax)
        while front.backend.heldCount > 0 {
            front.backend.release(Array(0..<front.backend.heldCount), to: front.sink)
            front.nextTurn()
        }
        let response = try #require(try front.takeResponses().first)
        #expect(lines(response).count == 600)
    }

    /// However many lines come at once, others of the loop go between them.
    @Test func manyShortLinesTakeTurns() throws {
        let front = try FrontChannel()
        try front.send(Self.batch(String(repeating: "x\n", count: 3 * Limits.batchTurnLinesMax + 1)))
        func linesSoFar() throws -> Int { try front.takeFlushes().joined().count { $0 == UInt8(ascii: "{") } / 2 }
        for _ in 0..<3 {
            #expect(try linesSoFar() == Limits.batchTurnLinesMax)
            front.nextTurn()
        }
        #expect(try linesSoFar() == 1)
        #expect(try front.ask(EntityRouteTests.request("GET /v1/entities/user/a")).status == 404)
    }

    /// Long lines and long answers go off the loop; what comes behind them waits for its turn all the same.
    @Test func longLinesAndAnswersKeepTheirOrder() throws {
        let front = try FrontChannel()
        let long = String(repeating: "é", count: Limits.loopTextBytesMax)
        let answers = lines(
            try front.ask(
                Self.batch(
                    """
                    {"op":"put","key":"user/a","text":"\(long)"}
                    {"op":"get","key":"user/a"}
                    {"op":"put","key":"user/a","text":"short"}
                    {"op":"get","key":"user/a"}
                    \(long)
                    {"op":"delete","key":"user/a"}
                    """)))
        #expect(answers.map { $0.prefix(13) } == [204, 200, 204, 200, 400, 204].map { #"{"status":\#($0)"# })
        #expect(answers[1].hasSuffix(#""text":"\#(long)"}"#) && answers[3].hasSuffix(#""text":"short"}"#))
    }

    /// A long text of controls would be six times as long as JSON.
    @Test func aLongTextOfControlsIsBase64() throws {
        let front = try FrontChannel()
        for (count, isText) in [(Limits.loopTextBytesMax, true), (Limits.loopTextBytesMax + 1, false)] {
            front.backend.store("user/a", String(repeating: "\u{1}", count: count), contentType: "text/plain")
            let answer = lines(try front.ask(Self.batch(#"{"op":"get","key":"user/a"}"#)))[0]
            #expect(answer.contains(isText ? #""text":"\u0001"# : #""base64":"AQEB"#), "\(answer.prefix(100))")
        }
    }

    /// Where requests may overtake each other, a line waits for the one before it on its entity, and only for that.
    @Test func linesOnOneEntityWaitForEachOther() throws {
        let front = try FrontChannel()
        front.backend.isHolding = true
        front.backend.requestsMayOvertake = true
        let puts = [("a", 1), ("b", 2), ("a", 3), ("c", 4)].map { name, text in
            #"{"op":"put","key":"user/\#(name)","text":"\#(text)"}"# + "\n"
        }
        try front.send(Self.batch(puts.joined() + #"{"op":"get","key":"user/a"}"#))
        #expect(front.backend.writes.map(\.key.bytes) == ["user/a", "user/b"].map { Array($0.utf8) })
        front.release(1)
        #expect(front.backend.heldCount == 1)
        front.release(0)
        #expect(front.backend.writes.count == 4)
        #expect(front.backend.reads.isEmpty)
        front.release(0)
        #expect(front.backend.reads.count == 1)
        front.release(0)
        front.release(0)
        let answers = lines(try #require(try front.takeResponses().first))
        #expect(answers.map { $0.prefix(13) } == [204, 204, 204, 204, 200].map { #"{"status":\#($0)"# })
        #expect(answers.last?.contains(#""text":"3""#) == true)
    }

    /// A body that breaks off behind a line that waits is told after that line's answer.
    @Test func aBreakWaitsForTheLineBeforeIt() throws {
        let front = try FrontChannel()
        front.backend.isHolding = true
        front.backend.requestsMayOvertake = true
        let get = "{\"op\":\"get\",\"key\":\"user/a\"}\n"
        try front.send(Self.chunkedHead + Self.chunk(get + get))
        try front.send("zz\r\n")
        #expect(front.backend.heldCount == 1)
        front.release(0)
        front.release(0)
        let response = try #require(try front.takeResponses().first)
        #expect(lines(response).map { $0.prefix(13) } == [404, 404, 400].map { #"{"status":\#($0)"# })
    }

    /// Whoever goes on with a batch of yesterday can tell whether this is the same cluster, before it sends a line.
    @Test func theAnswerNamesTheCluster() throws {
        let front = try FrontChannel(clusterID: "0123")
        let response = try front.ask("POST /v1/batch HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n\n")
        #expect(response.status == 200)
        #expect(response["Keystead-Cluster"] == "0123")
        #expect(response.text.isEmpty)
        #expect(try FrontChannel().ask(Self.batch(""))["Keystead-Cluster"] == nil)
    }

    @Test func oldVersionEndsWithTheConnection() throws {
        let front = try FrontChannel()
        let line = #"{"op":"get","key":"user/a"}"#
        try front.send("POST /v1/batch HTTP/1.0\r\nContent-Length: \(line.utf8.count)\r\n\r\n\(line)")
        let text = String(decoding: try front.takeFlushes().joined(), as: UTF8.self)
        #expect(text.contains("Connection: close\r\n\r\n{\"status\":404,"))
        #expect(!text.contains("Transfer-Encoding"))
        #expect(!front.isOpen)
    }

    @Test func brokenBodies() throws {
        let untouched = try FrontChannel()
        let refused = try untouched.ask(Self.chunkedHead + "zz\r\n")
        #expect(refused.status == 400)
        #expect(!untouched.isOpen)

        let touched = try FrontChannel()
        let line = "{\"op\":\"get\",\"key\":\"user/a\"}\n"
        let response = try touched.ask(Self.chunkedHead + Self.chunk(line) + "zz\r\n")
        #expect(response.status == 200)
        #expect(lines(response).map { $0.prefix(13) } == [#"{"status":404"#, #"{"status":400"#])
        #expect(!touched.isOpen)
    }

    @Test func linesExpire() throws {
        let front = try FrontChannel()
        front.backend.isHolding = true
        try front.send(
            Self.batch("{\"op\":\"put\",\"key\":\"user/a\",\"text\":\"x\"}\n{\"op\":\"get\",\"key\":\"user/a\"}\n"))
        front.advance(seconds: 31)
        let response = try #require(try front.takeResponses().first)
        #expect(lines(response).map { $0.prefix(13) } == [#"{"status":504"#, #"{"status":503"#])
        front.release(0, 1)
        #expect(try front.takeFlushes().isEmpty)
    }

    @Test func drainingRefusesFurtherLines() throws {
        let front = try FrontChannel()
        let line = "{\"op\":\"put\",\"key\":\"user/a\",\"text\":\"x\"}\n"
        try front.send(Self.chunkedHead + Self.chunk(line))
        front.drain()
        try front.send(Self.chunk(line) + "0\r\n\r\n")
        let response = try #require(try front.takeResponses().first)
        #expect(lines(response).map { $0.prefix(13) } == [#"{"status":204"#, #"{"status":503"#])
        #expect(!front.isOpen)
    }
}
