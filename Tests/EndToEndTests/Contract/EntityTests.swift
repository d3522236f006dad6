import Foundation
import Testing

extension Contract {
    @Suite struct EntityTests {
        let kind = SharedNode.freshKind()

        @Test func aStateIsStoredAndGivenBack() throws {
            let client = try SharedNode.client()
            let written = try client.put("\(kind)/a", "hello", type: "text/plain; x=y")
            expectWritten(written)
            let found = try client.get("\(kind)/a")
            expectFound(found, "hello", type: "text/plain; x=y", version: written.version64)
            #expect(found["Content-Length"] == "5")
        }

        @Test func aStateWithoutATypeIsBytes() throws {
            let client = try SharedNode.client()
            try client.put("\(kind)/a", "hello")
            #expect(try client.get("\(kind)/a")["Content-Type"] == "application/octet-stream")
        }

        @Test func everyByteComesBackAsItWas() throws {
            let client = try SharedNode.client()
            let state = (0..<3000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
            try client.put("\(kind)/bytes", state)
            #expect(try client.get("\(kind)/bytes").body == state)
        }

        @Test func anEmptyStateIsAState() throws {
            let client = try SharedNode.client()
            expectWritten(try client.put("\(kind)/empty", ""))
            let found = try client.get("\(kind)/empty")
            expectFound(found, "")
            #expect(found["Content-Length"] == "0")
        }

        @Test func headIsGetWithoutABody() throws {
            let client = try SharedNode.client()
            try client.put("\(kind)/a", "hello", type: "text/plain")
            let found = try client.get("\(kind)/a")
            let head = try client.head("\(kind)/a")
            #expect(head.status == 200)
            for name in ["ETag", "Content-Type", "Content-Length", "Last-Modified"] {
                #expect(head[name] == found[name] && head[name] != nil, "\(name)")
            }
            // The connection is still in step: nothing followed the head.
            #expect(try client.get("\(kind)/a").text == "hello")
        }

        @Test func versionsOnlyGrowThroughDeleteAndCreation() throws {
            let client = try SharedNode.client()
            var last: UInt64 = 0
            for round in 0..<4 {
                for answer in [
                    try client.put("\(kind)/a", "\(round)"), try client.put("\(kind)/a", "again"),
                    try client.delete("\(kind)/a"),
                ] {
                    expectWritten(answer)
                    #expect(try #require(answer.version64) > last)
                    last = answer.version64 ?? last
                }
                expectProblem(try client.get("\(kind)/a"), "not-found", positioned: true)
            }
        }

        @Test func whatIsNotThereIsNotFound() throws {
            let client = try SharedNode.client()
            for answer in [try client.get("\(kind)/none"), try client.delete("\(kind)/none")] {
                expectProblem(answer, "not-found", positioned: true)
                #expect(answer["ETag"] == nil)
            }
            let head = try client.head("\(kind)/none")
            #expect(head.status == 404 && head["Content-Length"] != nil && head.position != nil)
            #expect(try client.get("\(kind)/none").status == 404)
        }

        @Test func aPositionIsNeverBelowTheTagBesideIt() throws {
            let client = try SharedNode.client()
            let written = try client.put("\(kind)/a", "1")
            let found = try client.get("\(kind)/a")
            let refused = try client.put("\(kind)/a", "2", [("If-None-Match", "*")])
            let shard = try #require(written.position?.shard)
            for answer in [found, refused] {
                #expect(answer.position?.shard == shard)
                #expect(try #require(answer.position?.position) >= #require(written.version64))
            }
        }

        @Test(arguments: [(0, true), (1 << 20, true), ((1 << 20) + 1, false)])
        func aStateIsAtMostOneMebibyte(bytes: Int, accepted: Bool) throws {
            let client = try SharedNode.client()
            let answer = try client.put("\(kind)/large", [UInt8](repeating: 7, count: bytes))
            guard !accepted else {
                expectWritten(answer)
                return #expect(try client.get("\(kind)/large").body.count == bytes)
            }
            expectProblem(answer, "entity-too-large", positioned: true)
            #expect(try SharedNode.client().get("\(kind)/large").status == 404)
        }

        @Test func aRefusedLengthIsNotReadAndClosesTheConnection() throws {
            let connection = try SharedNode.connect()
            try connection.send(
                "PUT /v1/entities/\(kind)/large HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999\r\n\r\n")
            expectProblem(try connection.answer(), "entity-too-large", positioned: true)
            #expect(try connection.isClosedByPeer())
        }

        @Test(arguments: [(255, true), (256, false)])
        func aContentTypeIsAtMost255Bytes(bytes: Int, accepted: Bool) throws {
            let client = try SharedNode.client()
            let type = "text/" + String(repeating: "a", count: bytes - 5)
            let answer = try client.put("\(kind)/typed", "x", type: type)
            guard accepted else { return expectProblem(answer, "bad-request", positioned: true) }
            expectWritten(answer)
            #expect(try client.get("\(kind)/typed")["Content-Type"] == type)
        }

        @Test(arguments: ["PUT", "PATCH"])
        func aBodyWithoutALengthIsRefused(method: String) throws {
            let connection = try SharedNode.connect()
            try connection.send(
                "\(method) /v1/entities/\(kind)/a HTTP/1.1\r\nHost: h\r\n"
                    + "Content-Type: application/merge-patch+json\r\n\r\n"
            )
            expectProblem(try connection.answer(), "length-required", positioned: false)
        }

        @Test(arguments: [
            ("POST", "/v1/entities/k/a"), ("OPTIONS", "/v1/entities/k/a"), ("TRACE", "/v1/entities/k/a"),
            ("BREW", "/v1/entities/k/a"), ("get", "/v1/entities/k/a"), ("PUT", "/v1/batch"), ("GET", "/v1/batch"),
            ("DELETE", "/v1/entities/k"), ("POST", "/v1/outcomes/k/a"), ("PUT", "/v1/outcomes/k/a"),
        ])
        func methodsThatDoNotExistAreNamed(method: String, target: String) throws {
            let client = try SharedNode.client()
            let answer = try client.send(method, target, body: [])
            expectProblem(answer, "method-not-allowed", positioned: false)
            let allowed = Set(
                (answer["Allow"] ?? "").split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) })
            switch target {
            case "/v1/entities/k/a": #expect(allowed.isSuperset(of: ["GET", "HEAD", "PUT", "PATCH", "DELETE"]))
            case "/v1/batch": #expect(allowed.contains("POST") && !allowed.contains("GET"))
            default: #expect(allowed.contains("GET") && !allowed.contains("PUT"))
            }
        }

        @Test(arguments: ["/", "/v1", "/v1/entities", "/v1/nothing", "/v2/entities/k/a", "/v1/outcomes/k"])
        func otherPathsAreNotFound(target: String) throws {
            let answer = try SharedNode.client().send("GET", target)
            #expect(answer.status == 404 || answer.status == 400, "\(answer)")
            #expect(answer.problemCode == "not-found" || answer.problemCode == "bad-key", "\(answer)")
        }
    }
}
