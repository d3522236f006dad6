import Foundation
import Glibc
import Testing

extension Contract {
    /// File descriptors: what a node may have of them is divided before it begins, and running out ends nothing.
    @Suite(.serialized) struct DescriptorTests {
        private func limited(_ limit: Int) throws -> [String] {
            [try Programs.system("prlimit"), "--nofile=\(limit):\(limit)"]
        }

        private func refusal(_ node: TestNode) throws -> String {
            let process = try node.launch()
            #expect(process.wait(seconds: 40) == .exited(3), "\(process.errors)")
            let lines = process.errors.split(separator: "\n").filter { $0.hasPrefix("keystead:") }
            #expect(lines.count == 1, "one clear line:\n\(process.errors)")
            return lines.first.map(String.init) ?? ""
        }

        @Test func tooFewAreRefusedBeforeAnythingIsMade() throws {
            try withTestFolder("few") { folder in
                for (limit, shards) in [(100, 16), (2000, 4096)] {
                    let node = TestNode(
                        in: folder.path, dataDirectory: "\(folder.path)/a/data", flags: ["--shards", "\(shards)"],
                        launcher: try limited(limit))
                    let line = try refusal(node)
                    #expect(line.contains("\(limit) file descriptors") && line.contains("LimitNOFILE="), "\(line)")
                    #expect(!FileManager.default.fileExists(atPath: "\(folder.path)/a"))
                }
            }
        }

        /// Idle connections of somebody, more than there are descriptors: the node serves, and its health is told.
        @Test func aCrowdOfConnectionsTakesNothingThatTheNodeNeeds() throws {
            try withTestFolder("crowd") { folder in
                let node = TestNode(
                    in: folder.path, flags: ["--shards", "16", "--memory", "128MiB"], launcher: try limited(256))
                try node.start()
                let client = try node.client()
                expectWritten(try client.put("k/a", "before"))
                var crowd: [RawConnection] = []
                for _ in 0..<400 { if let one = try? node.connect() { crowd.append(one) } }
                for number in 0..<200 {
                    expectWritten(try client.put("k/\(number)", [UInt8](repeating: 7, count: 500_000)))
                }
                #expect(try node.admin("/livez").status == 200)
                #expect(node.log.contains("file descriptors"))
                #expect(try node.process.isRunning)
                crowd.removeAll()
                let served = try eventually(within: 10) { try node.client().get("k/a").status == 200 }
                #expect(served)
                #expect(try node.stop() == .exited(0))
            }
        }

        /// The number of shards is the cluster's: another one is an error and changes nothing.
        @Test func anotherNumberOfShardsIsRefused() throws {
            try withTestFolder("shards") { folder in
                let node = TestNode(in: folder.path, keepsPorts: true)
                try node.start()
                expectWritten(try node.client().put("k/a", "kept"))
                #expect(try node.stop() == .exited(0))
                let line = try refusal(TestNode(in: folder.path, flags: ["--shards", "64"]))
                #expect(line.contains("16 shards") && line.contains("64"), "\(line)")
                let unsaid = TestNode(in: folder.path, flags: [])
                try unsaid.start()
                expectFound(try unsaid.client().get("k/a"), "kept")
                try unsaid.crash()
            }
        }
    }
}
