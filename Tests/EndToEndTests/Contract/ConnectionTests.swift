import Foundation
import Testing

extension Contract {
    /// Keep-alive, pipelining, HTTP/1.0, expectations and the bounds of a header.
    @Suite struct ConnectionTests {
        @Test func pipelinedRequestsAreAnsweredInOrder() throws {
            let kind = SharedNode.freshKind()
            let connection = try SharedNode.connect()
            var bytes: [UInt8] = []
            for index in 0..<200 {
                bytes += EntityClient.request("PUT", "/v1/entities/\(kind)/\(index % 7)", body: Array("\(index)".utf8))
                bytes += EntityClient.request("GET", "/v1/entities/\(kind)/\(index % 7)")
                bytes += EntityClient.request("HEAD", "/v1/entities/\(kind)/\(index % 7)")
                bytes += EntityClient.request("GET", "/v1/entities/\(kind)/none")
            }
            try connection.send(bytes)
            for index in 0..<200 {
                let written = try connection.answer()
                expectWritten(written)
                // RFC 9112 §9.3.2: only requests that are all safe may be carried out beside each other.
                let found = try connection.answer()
                try #require(found.text == "\(index)", "number \(index) does not see the write before it: \(found)")
                expectFound(found, "\(index)", version: written.version64)
                #expect(try connection.answer(toHead: true).version64 == written.version64)
                expectProblem(try connection.answer(), "not-found")
            }
        }

        @Test func aRefusalInAPipelineIsAnsweredInItsPlaceAndTheRestDropped() throws {
            let kind = SharedNode.freshKind()
            let connection = try SharedNode.connect()
            try connection.send(
                EntityClient.request("PUT", "/v1/entities/\(kind)/a", body: [1])
                    + EntityClient.request("GET", "/v1/entities/\(kind)/a", [("Bad Name", "x")])
                    + EntityClient.request("PUT", "/v1/entities/\(kind)/b", body: [1]))
            expectWritten(try connection.answer())
            expectProblem(try connection.answer(), "bad-request")
            #expect(try connection.isClosedByPeer())
            #expect(try SharedNode.client().get("\(kind)/b").status == 404)
        }

        /// Refusals that leave the framing sound keep the connection.
        @Test(arguments: [
            "GET /v1/entities/k/%FF HTTP/1.1\r\nHost: h\r\n\r\n", "GET /v1/nothing HTTP/1.1\r\nHost: h\r\n\r\n",
            "BREW /v1/entities/k/a HTTP/1.1\r\nHost: h\r\n\r\n", "GET /v1/entities/k/none HTTP/1.1\r\nHost: h\r\n\r\n",
            "PUT /v1/entities/k/a HTTP/1.1\r\nHost: h\r\nIf-Match: \r\nContent-Length: 1\r\n\r\nx",
            "PATCH /v1/entities/k/a HTTP/1.1\r\nHost: h\r\nContent-Type: a/b\r\nContent-Length: 1\r\n\r\nx",
        ])
        func otherRefusalsKeepTheConnection(text: String) throws {
            let connection = try SharedNode.connect()
            try connection.send(text)
            let refused = try connection.answer()
            #expect((400..<500).contains(refused.status))
            try connection.send(EntityClient.request("GET", "/v1/entities/k/none"))
            #expect(try connection.answer().status == 404)
        }

        @Test func closeIsObeyed() throws {
            let connection = try SharedNode.connect()
            try connection.send(EntityClient.request("GET", "/v1/entities/k/none", [("Connection", "close")]))
            let answer = try connection.answer()
            #expect(answer.status == 404 && answer["Connection"]?.lowercased() == "close")
            #expect(try connection.isClosedByPeer())
        }

        @Test func whatFollowsAHalfCloseIsStillAnswered() throws {
            let kind = SharedNode.freshKind()
            let connection = try SharedNode.connect()
            try connection.send(EntityClient.request("PUT", "/v1/entities/\(kind)/a", body: [1]))
            connection.finishSending()
            expectWritten(try connection.answer())
            #expect(try connection.isClosedByPeer())
        }

        @Test func aBodyCutShortChangesNothing() throws {
            let kind = SharedNode.freshKind()
            let connection = try SharedNode.connect()
            try connection.send("PUT /v1/entities/\(kind)/a HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc")
            connection.finishSending()
            #expect(try connection.remainder(within: 10) != nil, "the connection closes")
            #expect(try SharedNode.client().get("\(kind)/a").status == 404)
        }

        @Test func emptyLinesBeforeARequestAreNone() throws {
            let connection = try SharedNode.connect()
            try connection.send("\r\n")
            try connection.send(EntityClient.request("GET", "/v1/entities/k/none"))
            #expect(try connection.answer().status == 404)
        }

        // MARK: HTTP/1.0

        @Test func anHTTP10RequestIsAnsweredAndTheConnectionCloses() throws {
            let kind = SharedNode.freshKind()
            let connection = try SharedNode.connect()
            try connection.send("PUT /v1/entities/\(kind)/a HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi")
            expectWritten(try connection.answer())
            #expect(try connection.isClosedByPeer())
            let reading = try SharedNode.connect()
            try reading.send("GET /v1/entities/\(kind)/a HTTP/1.0\r\n\r\n")
            expectFound(try reading.answer(), "hi")
            #expect(try reading.isClosedByPeer())
        }

        @Test func anHTTP10ConnectionIsKeptWhereAskedFor() throws {
            let connection = try SharedNode.connect()
            for _ in 0..<2 {
                try connection.send("GET /v1/entities/k/none HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
                let answer = try connection.answer()
                #expect(answer.status == 404 && answer["Connection"]?.lowercased() == "keep-alive", "\(answer)")
            }
        }

        @Test func listsAndBatchesOverHTTP10HaveNoChunks() throws {
            let kind = SharedNode.freshKind()
            let line = #"{"op":"put","key":"\#(kind)/a","json":1}"#
            let connection = try SharedNode.connect()
            try connection.send("POST /v1/batch HTTP/1.0\r\nContent-Length: \(line.utf8.count)\r\n\r\n\(line)")
            let answer = try connection.answer()
            #expect(answer.status == 200 && answer["Transfer-Encoding"] == nil)
            #expect(try EntityClient.lines(of: answer.body).map { $0["status"] as? Int } == [204])
        }

        // MARK: Expect

        @Test func theBodyIsAskedForOnceTheLimitsAreChecked() throws {
            let kind = SharedNode.freshKind()
            let connection = try SharedNode.connect()
            try connection.send(
                "PUT /v1/entities/\(kind)/a HTTP/1.1\r\nHost: h\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\n")
            #expect(try connection.answer().status == 100)
            try connection.send("hi")
            expectWritten(try connection.answer())
            expectFound(try SharedNode.client().get("\(kind)/a"), "hi")
        }

        @Test(arguments: [
            ("PUT /v1/entities/k/a HTTP/1.1\r\nHost: h\r\nContent-Length: 2000000\r\n", "entity-too-large"),
            ("PUT /v1/entities/k/%FF HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n", "bad-key"),
            ("PUT /v1/entities/k/a?ttl=0 HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n", "bad-request"),
            ("PUT /v1/entities/k/a HTTP/1.1\r\nHost: h\r\nIf-Match: x\r\nContent-Length: 2\r\n", "bad-request"),
            ("BREW /v1/entities/k/a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n", "method-not-allowed"),
        ])
        func noBodyIsAskedForThatWouldBeRefused(head: String, code: String) throws {
            let connection = try SharedNode.connect()
            try connection.send(head + "Expect: 100-continue\r\n\r\n")
            expectProblem(try connection.answer(), code)
        }

        @Test func otherExpectationsFail() throws {
            let connection = try SharedNode.connect()
            try connection.send(EntityClient.request("PUT", "/v1/entities/k/e", [("Expect", "200-ok")], body: [1]))
            expectProblem(try connection.answer(), "expectation-failed", positioned: false)
            #expect(try SharedNode.client().get("k/e").status == 404)
        }

        // MARK: Bounds of a header

        @Test(arguments: [(8192, false), (8193, true), (20_000, true)])
        func aTargetIsAtMost8KiB(bytes: Int, refused: Bool) throws {
            let connection = try SharedNode.connect()
            let start = "/v1/entities/k?prefix="
            let target = start + String(repeating: "a", count: bytes - start.count)
            try connection.send(EntityClient.request("GET", target))
            let answer = try connection.answer()
            if refused {
                expectProblem(answer, "uri-too-long", positioned: false)
            } else {
                #expect(answer.status != 414, "\(answer)")
            }
        }

        @Test(arguments: [(8000, false), (8193, true)])
        func aFieldIsAtMost8KiB(bytes: Int, refused: Bool) throws {
            let connection = try SharedNode.connect()
            try connection.send(
                EntityClient.request("GET", "/v1/entities/k/none", [("X-A", String(repeating: "a", count: bytes))]))
            let answer = try connection.answer()
            if refused {
                expectProblem(answer, "fields-too-large", positioned: false)
            } else {
                #expect(answer.status == 404)
            }
        }

        @Test(arguments: [(2, false), (3, true)])
        func allFieldsAreAtMost16KiB(count: Int, refused: Bool) throws {
            let fields = (0..<count).map { ("X-\($0)", String(repeating: "a", count: 7000)) }
            let connection = try SharedNode.connect()
            try connection.send(EntityClient.request("GET", "/v1/entities/k/none", fields))
            let answer = try connection.answer()
            if refused {
                expectProblem(answer, "fields-too-large", positioned: false)
            } else {
                #expect(answer.status == 404)
            }
        }

        @Test(arguments: [(64, false), (65, true)])
        func thereAreAtMost64Fields(count: Int, refused: Bool) throws {
            // One of them is `Host`.
            let fields = (1..<count).map { ("X-\($0)", "a") }
            let connection = try SharedNode.connect()
            try connection.send(EntityClient.request("GET", "/v1/entities/k/none", fields))
            let answer = try connection.answer()
            if refused {
                expectProblem(answer, "fields-too-large", positioned: false)
            } else {
                #expect(answer.status == 404)
            }
        }
    }

    /// The documented deadlines, all waited for at once. Later by half a deadline is too late; earlier is never right.
    @Suite struct DeadlineTests {
        private struct Wait: Sendable {
            let name: String
            let seconds: Double
            /// Sent at once, and then a byte every quarter of a second where `drips`.
            let start: String
            let drips: Bool
        }

        private static let waits = [
            Wait(name: "a connection that never speaks", seconds: 60, start: "", drips: false),
            Wait(
                name: "a connection that has been answered", seconds: 60,
                start: "GET /v1/entities/k/none HTTP/1.1\r\nHost: h\r\n\r\n", drips: false),
            Wait(
                name: "a header that stops", seconds: 10, start: "GET /v1/entities/k/none HTTP/1.1\r\nHost:",
                drips: false),
            // A deadline for the whole header, not for the silence between two bytes.
            Wait(
                name: "a header that drips", seconds: 10,
                start: "GET /v1/entities/k/none HTTP/1.1\r\nHost: h\r\nX-Slow: ", drips: true),
            // A body must come at 1 KiB a second once ten seconds have passed.
            Wait(
                name: "a body that drips", seconds: 10,
                start: "PUT /v1/entities/k/slow HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n", drips: true),
        ]

        @Test func slowAndSilentConnectionsAreClosed() throws {
            let closed = try onThreads(Self.waits.count) { try Self.secondsUntilClosed(Self.waits[$0]) }
            for (wait, seconds) in zip(Self.waits, closed) {
                #expect(
                    seconds.map { ($0 >= wait.seconds - 0.5) && $0 <= wait.seconds * 1.5 } == true,
                    "\(wait.name): \(seconds ?? -1) s")
            }
            #expect(try SharedNode.client().get("k/slow").status == 404)
        }

        private static func secondsUntilClosed(_ wait: Wait) throws -> Double? {
            let connection = try SharedNode.connect()
            let start = ContinuousClock.now
            try connection.send(wait.start)
            let deadline = Deadline(seconds: wait.seconds * 1.6)
            while !deadline.hasPassed {
                if wait.drips { do { try connection.send("a") } catch { break } }
                if try connection.remainder(within: 0.25) != nil { break }
            }
            return deadline.hasPassed ? nil : start.duration(to: .now) / .seconds(1)
        }
    }
}
