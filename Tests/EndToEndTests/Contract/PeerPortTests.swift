import Foundation
import Primitives
import Testing

extension Contract {
    /// The peer port beside the entities: whoever speaks its protocol gets no further than callers do, and takes
    /// nothing down.
    @Suite struct PeerPortTests {
        private struct Frame: Equatable {
            let type: UInt8
            let id: UInt64
        }

        private func little(_ value: UInt64, _ count: Int) -> [UInt8] {
            (0..<count).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * $0)) }
        }

        private func frame(_ type: UInt8, _ id: UInt64, _ body: [UInt8]) -> [UInt8] {
            let rest = little(UInt64(body.count), 4) + little(id, 8) + [type, 0, 0, 0] + body
            return little(UInt64(CRC32C.checksum(rest)), 4) + rest
        }

        private func hello(to node: TestNode) throws -> [UInt8] {
            let identity = try String(contentsOfFile: node.dataDirectory + "/IDENTITY", encoding: .utf8)
            let line = try #require(identity.split(separator: "\n").first { $0.hasPrefix("cluster ") })
            let digits = line.dropFirst("cluster ".count)
            let high = try #require(UInt64(digits.prefix(16), radix: 16))
            let low = try #require(UInt64(digits.suffix(16), radix: 16))
            var body = Array("KSPEER\r\n".utf8) + little(1, 2) + little(1, 2) + little(1 << 20, 4)
            for number in [high, low, 1, 2, 1] { body += little(number, 8) }
            return frame(1, 0, body + little(8, 2) + Array("stranger".utf8))
        }

        /// Every frame that the node answers with, until it closes.
        private func frames(in bytes: [UInt8]) -> [Frame] {
            func number(_ range: Range<Int>) -> UInt64 {
                bytes[range].reversed().reduce(0) { $0 << 8 | UInt64($1) }
            }
            var frames: [Frame] = []
            var offset = 0
            while offset + 20 <= bytes.count {
                frames.append(Frame(type: bytes[offset + 16], id: number(offset + 8..<offset + 16)))
                offset += 20 + Int(number(offset + 4..<offset + 8))
            }
            return frames
        }

        private func put(type: String, ttl: UInt64? = nil, key: String = "peer/x") -> [UInt8] {
            little(10_000, 4) + little(1, 8) + [1, ttl == nil ? 0 : 1, 0, 0] + little(UInt64(key.utf8.count), 2)
                + Array(key.utf8) + (ttl.map { little($0, 8) } ?? []) + little(UInt64(type.utf8.count), 2)
                + Array(type.utf8) + little(1, 4) + [120]
        }

        private func move(_ shard: UInt64, _ numbers: [(UInt64, Int)]) -> [UInt8] {
            little(shard, 4) + numbers.flatMap { little($0.0, $0.1) }
        }

        /// Numbers at and beyond their ends, and operations that no caller could have sent.
        private var nonsense: [(UInt8, [UInt8])] {
            var frames: [(UInt8, [UInt8])] = [
                (0x10, put(type: "a\r\nSet-Cookie: b")), (0x10, put(type: "", ttl: 0)),
                (0x10, put(type: "", ttl: .max)), (0x10, put(type: "", key: "peer/..")),
                (0x10, put(type: "", key: "Peer/x")), (0x11, little(1, 4) + little(1, 8) + [2, 0, 0] + little(3, 2)),
                (0x3F, []),
            ]
            for (first, last) in [(0, 16), (16, 16), (3, 2), (0, UInt64.max)] as [(UInt64, UInt64)] {
                frames.append((0x12, little(1, 4) + little(first, 4) + little(last, 4) + [0] + little(1, 4) + [0, 0]))
            }
            for shard in [16, 64, UInt64(UInt32.max)] {
                frames.append((0x20, move(shard, [(1, 8), (0, 2)])))
                frames.append((0x21, move(shard, [(1, 8), (0, 4), (0, 8), (1, 4)])))
                frames.append((0x22, move(shard, [(1, 8), (0, 8), (0, 8), (1, 4), (1, 4)])))
                frames.append((0x23, move(shard, [(1, 8)])))
            }
            for (offset, length) in [(UInt64.max, 1), (0, 0), (0, UInt64(UInt32.max)), (1 << 63, 1 << 20)] {
                frames.append((0x21, move(3, [(1, 8), (.max, 4), (offset, 8), (length, 4)])))
            }
            frames.append((0x22, move(3, [(.max, 8), (.max, 8), (.max, 8), (.max, 4), (.max, 4)])))
            return frames
        }

        @Test func nonsenseIsRefusedAndTheNodeServesOn() throws {
            try withTestFolder("peer-port") { folder in
                let node = TestNode(in: folder.path)
                try node.start()
                defer { _ = try? node.process.killAndWait() }
                let client = try node.client()
                expectWritten(try client.put("peer/kept", "kept"))

                let connection = try RawConnection(host: node.host, port: node.peerPort)
                try connection.send(try hello(to: node))
                for (index, (type, body)) in nonsense.enumerated() {
                    try connection.send(frame(type, UInt64(index) + 1, body))
                }
                // The last word has a wrong checksum, so that the node closes.
                try connection.send([UInt8](repeating: 0xFF, count: 3) + frame(3, 9, []))
                let answered = frames(in: try #require(try connection.remainder(within: 30)))
                #expect(answered.first == Frame(type: 1, id: 0))
                for index in nonsense.indices {
                    let answer = answered.first { $0.id == UInt64(index) + 1 }
                    #expect(answer?.type == 0x42, "frame \(index), \(nonsense[index]): \(String(describing: answer))")
                }

                #expect(try node.process.isRunning)
                expectFound(try client.get("peer/kept"), "kept")
                #expect(try client.listAll("peer").count == 1, "nothing was stored")
            }
        }
    }
}
