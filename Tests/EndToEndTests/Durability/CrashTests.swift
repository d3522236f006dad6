import Foundation
import Glibc
import Primitives
import Testing

extension Durability {
    /// Kills, stops and double starts of one node.
    @Suite(.serialized) struct CrashTests {
        static let cycles = Programs.setting("KEYSTEAD_KILL_CYCLES", default: 30)
        static let seed = UInt64(Programs.setting("KEYSTEAD_SEED", default: 1))

        @Test func killsLoseNothingThatWasAcknowledged() throws {
            try withTestFolder("kill") { folder in
                let node = TestNode(in: folder.path)
                let load = Load(node, seed: Self.seed)
                var generator = SplitMix64(seed: Self.seed)
                for _ in 0..<Self.cycles {
                    try node.start()
                    try load.verify()
                    let writes = 20 + generator.below(400)
                    try load.run {
                        try load.awaitProgress(writes)
                        try node.crash()
                    }
                }
                try node.start()
                try load.verify()
                try node.crash()
            }
        }

        /// The second crash hits while the first is still being recovered from.
        @Test func aCrashDuringRecoveryLosesNothing() throws {
            try withTestFolder("recovery") { folder in
                let node = TestNode(in: folder.path)
                let load = Load(node, seed: Self.seed &+ 1)
                try node.start()
                try load.run {
                    try load.awaitProgress(1500)
                    try node.crash()
                }
                var generator = SplitMix64(seed: Self.seed)
                for _ in 0..<6 {
                    let process = try node.launch()
                    usleep(UInt32(5_000 + generator.below(250_000)))
                    process.killAndWait()
                }
                try node.start()
                try load.verify()
                try node.crash()
            }
        }

        @Test func aGracefulStopUnderLoadEndsWithZeroAndLosesNothing() throws {
            try withTestFolder("stop") { folder in
                let node = TestNode(in: folder.path)
                let load = Load(node, seed: Self.seed &+ 2)
                for _ in 0..<3 {
                    try node.start()
                    try load.verify()
                    try load.run {
                        try load.awaitProgress(300)
                        #expect(try node.stop(within: 30) == .exited(0))
                    }
                }
                try node.start()
                try load.verify()
                #expect(try node.stop() == .exited(0))
            }
        }

        /// A supervisor may end a node in the moment in which it became ready, or while it still replays.
        @Test func aStopDuringTheStartEndsWithZeroToo() throws {
            try withTestFolder("early") { folder in
                let node = TestNode(in: folder.path)
                let load = Load(node, seed: Self.seed &+ 4)
                try node.start()
                try load.run { try load.awaitProgress(300) }
                try node.crash()
                for microseconds in [0, 1_000, 5_000, 20_000, 80_000] as [UInt32] {
                    try node.launch()
                    #expect(eventually(within: 30, every: 1) { (try? node.admin("/readyz")) != nil })
                    usleep(microseconds)
                    #expect(try node.stop() == .exited(0), "after \(microseconds) µs:\n\(node.log)")
                }
                try node.start()
                try load.verify()
                try node.crash()
            }
        }

        /// What was asked before the stop is answered; nothing is answered wrongly after it.
        @Test func requestsUnderWayAreFinishedByAGracefulStop() throws {
            try withTestFolder("drain") { folder in
                let node = TestNode(in: folder.path)
                try node.start()
                let connection = try node.connect()
                let requests = (0..<50).flatMap {
                    EntityClient.request("PUT", "/v1/entities/k/\($0)", body: Array("\($0)".utf8))
                }
                try connection.send(requests)
                var answers = [try connection.answer()]
                try node.process.send(signal: SIGTERM)
                while answers.count < 50, let answer = try? connection.answer() { answers.append(answer) }
                #expect(try node.process.wait(seconds: 30) == .exited(0))
                for answer in answers where answer.status != 204 { expectProblem(answer, "shutting-down") }
                try node.start()
                let client = try node.client()
                for (index, answer) in answers.enumerated() {
                    #expect(
                        (try client.get("k/\(index)").status == 200) == (answer.status == 204), "k/\(index): \(answer)")
                }
                try node.crash()
            }
        }

        @Test func aPausedNodeGoesOn() throws {
            try withTestFolder("pause") { folder in
                let node = TestNode(in: folder.path)
                let load = Load(node, seed: Self.seed &+ 3)
                try node.start()
                try load.run {
                    for _ in 0..<3 {
                        try load.awaitProgress(100)
                        try node.process.send(signal: SIGSTOP)
                        usleep(700_000)
                        try node.process.send(signal: SIGCONT)
                    }
                    try load.awaitProgress(100)
                }
                try load.verify()
                try node.crash()
            }
        }
    }

    /// A data directory belongs to one process, and to versions that know its format.
    @Suite(.serialized) struct DataDirectoryTests {
        private func refusal(_ node: TestNode) throws -> String {
            let process = try node.launch()
            let ending = try #require(process.wait(seconds: 30), "it went on:\n\(process.errors)")
            #expect(ending == .exited(3), "refused (Contract §3.2): \(ending)\n\(process.errors)")
            let lines = process.errors.split(separator: "\n").map(String.init)
            #expect(lines.count == 1, "one clear line:\n\(process.errors)")
            return process.errors
        }

        @Test func aSecondProcessIsRefused() throws {
            try withTestFolder("second") { folder in
                let node = TestNode(in: folder.path)
                try node.start()
                try node.client().put("k/a", "1")
                let second = TestNode(in: try folder.make("second"), dataDirectory: node.dataDirectory)
                let text = try refusal(second)
                #expect(text.contains(node.dataDirectory))
                expectFound(try node.client().get("k/a"), "1")
                try node.crash()
                // The lock ended with the process.
                try second.start()
                expectFound(try second.client().get("k/a"), "1")
                try second.crash()
            }
        }

        @Test func aNewerFormatIsRefusedAndLeftAlone() throws {
            try withTestFolder("format") { folder in
                let node = TestNode(in: folder.path)
                try node.start()
                try node.client().put("k/a", "1")
                #expect(try node.stop() == .exited(0))
                let mark = "\(node.dataDirectory)/FORMAT"
                let original = try String(contentsOfFile: mark, encoding: .utf8)
                try original.replacing(/[0-9]+/, with: "999").write(toFile: mark, atomically: false, encoding: .utf8)
                let text = try refusal(node)
                #expect(text.contains("999") && text.contains("newer"))
                try "something else\n".write(toFile: mark, atomically: false, encoding: .utf8)
                #expect(try refusal(node).contains("FORMAT"))
                try original.write(toFile: mark, atomically: false, encoding: .utf8)
                try node.start()
                expectFound(try node.client().get("k/a"), "1")
                try node.crash()
            }
        }

        @Test func aDirectoryOfSomethingElseIsRefused() throws {
            try withTestFolder("foreign") { folder in
                let node = TestNode(in: folder.path)
                try FileManager.default.createDirectory(atPath: node.dataDirectory, withIntermediateDirectories: true)
                let stranger = try folder.write("data/letter.txt", Array("dear reader".utf8))
                #expect(try refusal(node).contains(node.dataDirectory))
                #expect(FileManager.default.contents(atPath: stranger) == Data("dear reader".utf8))
            }
        }

        /// The store of a shard that has held entities is not made anew when it is gone.
        @Test func aShardWhoseStoreIsGoneIsNotServedEmpty() throws {
            try withTestFolder("gone") { folder in
                let node = TestNode(in: folder.path)
                try node.start()
                var shards: [Int: String] = [:]
                let client = try node.client()
                for index in 0..<200 {
                    let written = try client.put("k/\(index)", "x")
                    shards[try #require(written.position?.shard)] = "k/\(index)"
                }
                #expect(try node.stop() == .exited(0))
                try FileManager.default.removeItem(atPath: "\(node.dataDirectory)/shards/3")
                try FileManager.default.createDirectory(
                    atPath: "\(node.dataDirectory)/shards/3", withIntermediateDirectories: false)
                try node.start(within: 30)
                for (shard, key) in shards.sorted(by: { $0.key < $1.key }) {
                    let answer = try node.client().get(key)
                    if shard == 3 { expectProblem(answer, "shard-unavailable") } else { #expect(answer.status == 200) }
                }
                try node.crash()
            }
        }
    }
}
