import Foundation
import Primitives
import Testing

extension Durability {
    /// Callers who take what they can from a node with little memory. It stays within its bound, serves small callers
    /// beside them, and gives the memory back when they have gone.
    @Suite(.serialized) struct MemoryBudgetTests {
        /// `--memory` and a quarter, and 64 MiB.
        private static let residentBytesMax = 224 << 20

        private func withNode(_ name: String, _ body: (TestNode) throws -> Void) throws {
            try withTestFolder(name) { folder in
                let node = TestNode(in: folder.path, flags: ["--shards", "64", "--memory", "128MiB"])
                try node.start()
                try body(node)
                try node.crash()
            }
        }

        /// What a gauge of the node says of all its uses.
        private func charged(_ node: TestNode) throws -> Int {
            let lines = try node.admin("/metrics").text.split(separator: "\n")
            let values = lines.filter { $0.hasPrefix("keystead_memory_charged_bytes{") && !$0.contains("connections") }
            #expect(values.count == 6, "one for each use")
            return values.reduce(0) { $0 + (Int($1.split(separator: " ").last ?? "") ?? 0) }
        }

        private func checkAfterwards(_ node: TestNode, peak: Int) throws {
            #expect(peak < Self.residentBytesMax, "resident memory came to \(peak >> 20) MiB")
            let isFree = try eventually(within: 30, every: 100) { try charged(node) < 64 << 10 }
            let left = try charged(node)
            #expect(isFree, "callers have gone, and \(left) bytes are still charged")
            let client = try node.client()
            try client.put("k/after", "x")
            #expect(try client.get("k/after").status == 200)
        }

        private static func state(_ bytes: Int) -> [UInt8] {
            var generator = SplitMix64(seed: 4)
            return (0..<bytes).map { _ in UInt8(97 + generator.below(26)) }
        }

        @Test func pipelinedListsAndReadsThatNobodyTakes() throws {
            try withNode("unread") { node in
                let client = try node.client()
                let state = Self.state(900_000)
                for index in 0..<20 { try client.put("k/\(index)", state, type: "text/plain") }
                var connections: [RawConnection] = []
                let list = EntityClient.request("GET", "/v1/entities/k?values=true&limit=1000")
                let read = EntityClient.request("GET", "/v1/entities/k/3")
                for request in [list, read] {
                    for _ in 0..<8 {
                        let connection = try node.connect()
                        try connection.send([[UInt8]](repeating: request, count: 64).flatMap { $0 })
                        connections.append(connection)
                    }
                }
                let watched = Date()
                while Date().timeIntervalSince(watched) < 4 {
                    try client.put("k/small", "x")
                    #expect(try client.get("k/small").status == 200, "a small read beside them")
                }
                // Whoever reads after all gets every answer, in order.
                for _ in 0..<64 { #expect([200, 503].contains(try connections[8].answer().status)) }
                let peak = try node.memory("VmHWM")
                connections = []
                try checkAfterwards(node, peak: peak)
            }
        }

        @Test func representationsThatNobodyTakes() throws {
            try withNode("patches") { node in
                let client = try node.client()
                let state = Array("{\"a\":\"".utf8) + Self.state(900_000) + Array("\"}".utf8)
                var connections: [RawConnection] = []
                for index in 0..<8 {
                    try client.put("k/\(index)", state, type: "application/json")
                    let connection = try node.connect()
                    let patch = EntityClient.request(
                        "PATCH", "/v1/entities/k/\(index)",
                        [("Content-Type", "application/merge-patch+json"), ("Prefer", "return=representation")],
                        body: Array("{\"b\":\(index)}".utf8))
                    try connection.send([[UInt8]](repeating: patch, count: 64).flatMap { $0 })
                    connections.append(connection)
                }
                let watched = Date()
                while Date().timeIntervalSince(watched) < 4 { #expect(try client.get("k/none").status == 404) }
                let peak = try node.memory("VmHWM")
                connections = []
                try checkAfterwards(node, peak: peak)
            }
        }

        /// Bodies that are announced and come only in part: those without room are refused by their heads.
        @Test func unfinishedBodies() throws {
            try withNode("bodies") { node in
                var connections: [RawConnection] = []
                let head = "PUT /v1/entities/k/1 HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n"
                for _ in 0..<400 {
                    let connection = try node.connect()
                    try connection.send(head)
                    try connection.send(Self.state(8 << 10))
                    connections.append(connection)
                }
                var refused = 0
                for connection in connections.suffix(100) {
                    let answer = try connection.answer()
                    if answer.status == 503, answer["Retry-After"] != nil { refused += 1 }
                }
                #expect(refused == 100)
                let client = try node.client()
                try client.put("k/small", "x")
                #expect(try client.get("k/small").status == 200)
                let peak = try node.memory("VmHWM")
                connections = []
                try checkAfterwards(node, peak: peak)
            }
        }
    }
}
