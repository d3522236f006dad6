import Foundation
import Primitives
import Testing

extension Durability {
    @Suite(.serialized) struct BoundedMemoryTests {
        /// Ten thousand lines whose answers come to 80 MB, to a reader that takes its time: neither side of the batch
        /// is held in memory.
        @Test func aLongBatchStreams() throws {
            try withTestFolder("batch") { folder in
                let node = TestNode(in: folder.path)
                try node.start()
                let client = try node.client()
                var generator = SplitMix64(seed: 3)
                let state = (0..<(8 << 10)).map { _ in UInt8(97 + generator.below(26)) }
                for index in 0..<10 { try client.put("k/\(index)", state, type: "text/plain") }
                let before = try node.memory("VmRSS")

                let connection = try node.connect()
                try connection.send("POST /v1/batch HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
                let lines = 10_000
                // Twice what the node holds of one batch goes out before anything is read.
                let early = 200
                func send(_ range: Range<Int>) throws {
                    for start in stride(from: range.lowerBound, to: range.upperBound, by: 50) {
                        let text = (start..<min(start + 50, range.upperBound))
                            .map { #"{"op":"get","key":"k/\#($0 % 10)"}"# + "\n" }.joined()
                        try connection.send(String(text.utf8.count, radix: 16) + "\r\n\(text)\r\n")
                    }
                }
                try send(0..<early)
                #expect(try connection.head().status == 200)
                var answered = 0
                var sent = early
                while answered < lines {
                    if sent < lines, sent - answered < early {
                        let next = min(sent + 50, lines)
                        try send(sent..<next)
                        sent = next
                        if sent == lines { try connection.send("0\r\n\r\n") }
                    }
                    let chunk = try #require(try connection.chunk(), "the answer ended after \(answered) lines")
                    answered += chunk.count { $0 == UInt8(ascii: "\n") }
                }
                #expect(answered == lines)
                #expect(try connection.chunk() == nil)
                let grown = try node.memory("VmHWM") - before
                #expect(grown < 48 << 20, "the batch of 80 MB grew the node by \(grown >> 20) MiB")
                try node.crash()
            }
        }
    }
}
