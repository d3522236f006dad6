import Foundation
import Testing

extension Durability {
    /// More lists than a node can make: what is beyond its bound is refused, and what nobody waits for ends.
    @Suite(.serialized) struct ListLoadTests {
        private static let entities = 60_000
        /// A connection has few lists under way, since their answers are large: it takes many to flood a node.
        private static let connections = 330
        private static let pipelined = 1

        /// One node for the suite, with enough rows that a list which matches none of them takes a while.
        private static let node = Result {
            let folder = try TestFolder("lists")
            let node = TestNode(in: folder.path)
            try node.start()
            let client = try node.client()
            for start in stride(from: 0, to: entities, by: 10_000) {
                let lines = (start..<start + 10_000).map { #"{"op":"put","key":"k/\#($0)","text":"v"}"# }
                let answers = try client.batch(lines)
                guard answers.allSatisfy({ $0["status"] as? Int == 204 }) else { throw HarnessError("not loaded") }
            }
            return node
        }

        private static let fruitless = EntityClient.request("GET", "/v1/entities/rare?prefix=none")

        /// Connections that have each asked for as many lists as they may at once.
        private func flood(_ node: TestNode) throws -> [RawConnection] {
            let all = [[UInt8]](repeating: Self.fruitless, count: Self.pipelined).flatMap { $0 }
            return try (0..<Self.connections).map { _ in
                let connection = try node.connect()
                try connection.send(all)
                return connection
            }
        }

        private func metric(_ name: String, _ node: TestNode) throws -> Int {
            let line = try node.admin("/metrics").text.split(separator: "\n")
                .first { $0.hasPrefix("keystead_\(name){for=\"callers\"} ") }
            return try #require(line?.split(separator: " ").last.flatMap { Int($0) }, "no metric \(name)")
        }

        @Test func listsBeyondTheBoundAreRefusedAndTheOthersMade() throws {
            let node = try Self.node.get()
            let connections = try flood(node)
            // Entities do not wait for lists.
            #expect(try node.client().get("k/77").status == 200)
            var made = 0
            for connection in connections {
                for _ in 0..<Self.pipelined {
                    let answer = try connection.answer(seconds: 60)
                    if answer.status == 200 {
                        made += 1
                        // On a busy machine a page may end by its time, with a cursor.
                        #expect(answer.object["items"] as? [Any] != nil)
                    } else {
                        expectProblem(answer, "overloaded")
                        #expect(answer["Retry-After"] != nil)
                    }
                }
            }
            #expect(made > 0)
            #expect(made < Self.connections * Self.pipelined)
            #expect(try metric("lists_refused_total", node) >= Self.connections * Self.pipelined - made)
            #expect(try metric("lists_running", node) == 0 && metric("lists_queued", node) == 0)
        }

        @Test func callersThatLeaveEndTheirLists() throws {
            let node = try Self.node.get()
            let before = try metric("lists_cancelled_total", node)
            // Released at the end, which closes their sockets: with nothing unread that is an end, and no reset.
            try withExtendedLifetime(try flood(node)) {
                let isFlooded = try eventually(within: 10) { try metric("lists_queued", node) > 200 }
                #expect(isFlooded)
            }
            let isQuiet = try eventually(within: 10) {
                try metric("lists_running", node) == 0 && metric("lists_queued", node) == 0
            }
            #expect(isQuiet, "lists go on that nobody waits for")
            #expect(try metric("lists_cancelled_total", node) > before)
        }

        /// A client may shut its side and wait.
        @Test func whoShutsItsSideStillGetsItsLists() throws {
            let node = try Self.node.get()
            let connection = try node.connect()
            try connection.send(Self.fruitless + Self.fruitless)
            connection.finishSending()
            var statuses: [Int] = []
            while statuses.count < 2 {
                let answer = try connection.answer(seconds: 60)
                if answer.status != 100 { statuses.append(answer.status) }
            }
            #expect(statuses == [200, 200])
            #expect(try connection.isClosedByPeer())
        }

        @Test func aStopRefusesTheListsThatWait() throws {
            try withTestFolder("lists-stop") { folder in
                let node = TestNode(in: folder.path)
                try node.start()
                let client = try node.client()
                let lines = (0..<20_000).map { #"{"op":"put","key":"k/\#($0)","text":"v"}"# }
                _ = try client.batch(lines)
                let connections = try flood(node)
                let isFlooded = try eventually(within: 10) { try metric("lists_queued", node) > 100 }
                #expect(isFlooded)
                let end = try node.stop(within: 20)
                #expect(end == .exited(0), "\(String(describing: end))")
                var codes: Set<String> = []
                for connection in connections {
                    let text = String(decoding: try connection.remainder(within: 5) ?? [], as: UTF8.self)
                    for code in ["shutting-down", "overloaded"] where text.contains(code) { codes.insert(code) }
                }
                #expect(codes.contains("shutting-down"))
            }
        }
    }
}
