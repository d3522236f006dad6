import Foundation
import Testing

extension Contract {
    @Suite struct BatchTests {
        let kind = SharedNode.freshKind()

        @Test func eachOperationAnswersInOrder() throws {
            let client = try SharedNode.client()
            let lines = try client.batch([
                #"{"op":"put","key":"\#(kind)/a","json":{"n":1}}"#, #"{"op":"get","key":"\#(kind)/a"}"#,
                #"{"op":"patch","key":"\#(kind)/a","patch":"merge","json":{"m":2}}"#,
                #"{"op":"get","key":"\#(kind)/a"}"#,
                #"{"op":"put","key":"\#(kind)/b","text":"grün"}"#, #"{"op":"get","key":"\#(kind)/b"}"#,
                #"{"op":"put","key":"\#(kind)/c","base64":"AP8Q","content-type":"image/x"}"#,
                #"{"op":"get","key":"\#(kind)/c"}"#,
                #"{"op":"delete","key":"\#(kind)/a"}"#, #"{"op":"get","key":"\#(kind)/a"}"#,
            ])
            #expect(lines.map { $0["status"] as? Int } == [204, 200, 204, 200, 204, 200, 204, 200, 204, 404])
            #expect((lines[1]["json"] as? [String: Any])?["n"] as? Int == 1)
            #expect((lines[3]["json"] as? [String: Any])?["m"] as? Int == 2)
            #expect(lines[5]["text"] as? String == "grün")
            #expect(lines[7]["base64"] as? String == "AP8Q")
            #expect(lines[0]["etag"] as? String == lines[1]["etag"] as? String)
            #expect(HTTPAnswer.version(lines[8]["etag"] as? String ?? "") != nil)
            for line in lines { #expect((line["position"] as? String)?.contains(":") == true, "\(line)") }
            expectProblem(line: lines[9], "not-found")
            // What each kind of content stores.
            #expect(try client.get("\(kind)/b")["Content-Type"] == "text/plain; charset=utf-8")
            #expect(try client.get("\(kind)/c")["Content-Type"] == "image/x")
            #expect(try client.get("\(kind)/c").body == [0, 255, 16])
            try client.batch([#"{"op":"put","key":"\#(kind)/d","json":[1.50, 12345678901234567890]}"#])
                .forEach { #expect($0["status"] as? Int == 204) }
            let found = try client.get("\(kind)/d")
            #expect(found["Content-Type"] == "application/json")
            #expect(found.text.replacing(" ", with: "") == "[1.50,12345678901234567890]")
        }

        @Test func linesTakeWhatRequestsTake() throws {
            let client = try SharedNode.client()
            let version = try #require(try client.put("\(kind)/e", #"{"n":1}"#, type: "application/json")["ETag"])
                .replacing("\"", with: "\\\"")
            let increment = #""patch":"update","json":{"do":[{"increment":"/n","by":1}]},"idempotency-key":"k""#
            let lines = try client.batch([
                #"{"op":"put","key":"\#(kind)/e","json":1,"if-none-match":"*"}"#,
                #"{"op":"patch","key":"\#(kind)/e",\#(increment),"if-match":"\#(version)"}"#,
                #"{"op":"patch","key":"\#(kind)/e",\#(increment)}"#,
                #"{"op":"get","key":"\#(kind)/e"}"#,
                #"{"op":"patch","key":"\#(kind)/e","patch":"json-patch","json":[{"op":"remove","path":"/n"}]}"#,
                #"{"op":"get","key":"\#(kind)/e"}"#,
                #"{"op":"put","key":"\#(kind)/ttl","text":"x","ttl":1}"#,
            ])
            expectProblem(line: lines[0], "precondition-failed")
            #expect((lines[0]["etag"] as? String)?.replacing("\"", with: "\\\"") == version)
            #expect(lines[1]["status"] as? Int == 204)
            #expect(lines[2]["status"] as? Int == 204 && lines[2]["etag"] as? String == lines[1]["etag"] as? String)
            #expect((lines[3]["json"] as? [String: Any])?["n"] as? Int == 2)
            #expect((lines[5]["json"] as? [String: Any])?.isEmpty == true)
            let expired = try eventually(within: 3) { try client.get("\(kind)/ttl").status == 404 }
            #expect(expired)
        }

        /// Each line with the code that it is refused with.
        static let badLines: [(line: String, code: String)] = [
            ("nonsense", "bad-request"), ("[]", "bad-request"), ("{", "bad-request"), ("{}", "bad-request"),
            (#"{"op":"put"}"#, "bad-request"), (#"{"op":"spin","key":"KIND/a"}"#, "bad-request"),
            (#"{"key":"KIND/a"}"#, "bad-request"), (#"{"op":"put","key":"KIND/a"}"#, "bad-request"),
            (#"{"op":"put","key":"KIND/a","json":1,"text":"x"}"#, "bad-request"),
            (#"{"op":"put","key":"KIND/a","base64":"A"}"#, "bad-request"),
            (#"{"op":"put","key":"KIND/a","base64":"AB=="}"#, "bad-request"),
            (#"{"op":"put","key":"KIND/a","text":7}"#, "bad-request"),
            (#"{"op":"put","key":7,"json":1}"#, "bad-request"),
            (#"{"op":"put","op":"get","key":"KIND/a"}"#, "bad-request"),
            (#"{"op":"put","key":"KIND/a","json":01}"#, "bad-request"),
            (#"{"op":"put","key":"KIND/a","json":1,"ttl":0}"#, "bad-request"),
            (#"{"op":"put","key":"KIND/a","json":1,"ttl":"5"}"#, "bad-request"),
            (#"{"op":"put","key":"KIND/a","json":1,"if-match":"x"}"#, "bad-request"),
            (#"{"op":"put","key":"KIND/a","json":1,"idempotency-key":""}"#, "bad-request"),
            (#"{"op":"patch","key":"KIND/a","patch":"spin","json":{}}"#, "bad-request"),
            (#"{"op":"patch","key":"KIND/a","patch":"json-patch","json":{}}"#, "bad-request"),
            (#"{"op":"put","key":"KIND","json":1}"#, "bad-key"), (#"{"op":"put","key":"KIND/","json":1}"#, "bad-key"),
            (#"{"op":"get","key":"BAD KIND/a"}"#, "bad-key"), (#"{"op":"put","key":"KIND/../a","json":1}"#, "bad-key"),
            (#"{"op":"put","key":"KIND/a\u0000","json":1}"#, "bad-key"),
            (#"{"op":"put","key":"","json":1}"#, "bad-key"),
            (#"{"op":"patch","key":"KIND/none","patch":"merge","json":{}}"#, "not-found"),
            (#"{"op":"delete","key":"KIND/none"}"#, "not-found"),
            (#"{"op":"put","key":"KIND/none","json":1,"if-match":"*"}"#, "precondition-failed"),
        ]

        @Test func aBadLineAnswersForItselfAndTheRestGoOn() throws {
            let client = try SharedNode.client()
            var request: [String] = []
            for (index, bad) in Self.badLines.enumerated() {
                request.append(bad.line.replacing("KIND", with: kind))
                request.append(#"{"op":"put","key":"\#(kind)/good-\#(index)","json":\#(index)}"#)
            }
            let lines = try client.batch(request)
            try #require(lines.count == request.count)
            for (index, bad) in Self.badLines.enumerated() {
                expectProblem(line: lines[2 * index], bad.code)
                #expect(lines[2 * index + 1]["status"] as? Int == 204, "after \(bad.line)")
            }
            #expect(try client.listAll(kind).count == Self.badLines.count)
        }

        @Test func keysAreNeverDecoded() throws {
            let client = try SharedNode.client()
            let lines = try client.batch([
                #"{"op":"put","key":"\#(kind)/a%2Fb","json":1}"#, #"{"op":"get","key":"\#(kind)/a/b"}"#,
            ])
            #expect(lines.map { $0["status"] as? Int } == [204, 404])
            #expect(try client.get("\(kind)/a%2Fb").status == 200)
        }

        @Test func linesOnOneEntityKeepTheirOrder() throws {
            let client = try SharedNode.client()
            let request = (0..<300).flatMap { index in
                [
                    #"{"op":"put","key":"\#(kind)/one","json":\#(index)}"#, #"{"op":"get","key":"\#(kind)/one"}"#,
                    #"{"op":"put","key":"\#(kind)/other-\#(index)","json":1}"#,
                ]
            }
            let lines = try client.batch(request)
            try #require(lines.count == request.count)
            var last: UInt64 = 0
            for index in 0..<300 {
                #expect(lines[3 * index + 1]["json"] as? Int == index)
                let version = HTTPAnswer.version(lines[3 * index]["etag"] as? String ?? "") ?? 0
                #expect(version > last)
                last = version
            }
        }

        @Test func blankLinesAreSkippedAndTheLastNeedsNoEnd() throws {
            let client = try SharedNode.client()
            let put = #"{"op":"put","key":"\#(kind)/x","json":1}"#
            #expect(try client.batch(["", put, "", "  ", put + "\r"], lastLineFeed: true).count == 2)
            let lines = try client.batch([put, put], lastLineFeed: false)
            #expect(lines.map { $0["status"] as? Int } == [204, 204])
            #expect(try client.batch([]).isEmpty)
        }

        @Test func aLineOverTheLimitIsItsOwnRefusal() throws {
            let client = try SharedNode.client()
            let text = String(repeating: "a", count: (1 << 20) + 1)
            let huge = String(repeating: "b", count: 8 << 20)
            let lines = try client.batch([
                #"{"op":"put","key":"\#(kind)/a","text":"\#(text)"}"#, #"{"op":"put","key":"\#(kind)/b","json":1}"#,
                #"{"op":"put","key":"\#(kind)/c","text":"\#(huge)"}"#, #"{"op":"put","key":"\#(kind)/d","json":1}"#,
            ])
            try #require(lines.count == 4)
            expectProblem(line: lines[0], "entity-too-large")
            expectProblem(line: lines[2], "entity-too-large")
            #expect([1, 3].map { lines[$0]["status"] as? Int } == [204, 204])
        }

        @Test func answersComeWhileLinesStillGoOut() throws {
            let connection = try SharedNode.connect()
            try connection.send("POST /v1/batch HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
            var head: HTTPAnswer?
            for index in 0..<5 {
                let line = #"{"op":"put","key":"\#(kind)/s","json":\#(index)}"# + "\n"
                try connection.send(String(line.utf8.count, radix: 16) + "\r\n\(line)\r\n")
                if head == nil { head = try connection.head() }
                let answer = try #require(try connection.chunk())
                #expect(try EntityClient.lines(of: answer).map { $0["status"] as? Int } == [204])
            }
            #expect(head?.status == 200)
            try connection.send("0\r\n\r\n")
            #expect(try connection.chunk() == nil)
        }
    }
}
