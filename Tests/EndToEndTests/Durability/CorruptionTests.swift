import Foundation
import Glibc
import Primitives
import Testing

extension Durability {
    /// A flipped bit is found, named and never served, and the shards that it does not touch go on.
    @Suite(.serialized) struct CorruptionTests {
        /// States that do not compress, so that their bytes stand in the files as they are.
        private struct Written {
            let key: String
            let state: [UInt8]
            let shard: Int
        }

        private func write(_ count: Int, bytes: Int, to node: TestNode) throws -> [Written] {
            var generator = SplitMix64(seed: 11)
            let client = try node.client()
            return try (0..<count).map { index in
                let state = incompressible(bytes, &generator)
                let answer = try client.put("k/\(index)", state)
                expectWritten(answer)
                return Written(key: "k/\(index)", state: state, shard: try #require(answer.position?.shard))
            }
        }

        /// The file under the data directory that holds `bytes`, and where.
        private func find(_ bytes: [UInt8], in node: TestNode, where condition: (String) -> Bool) throws -> (
            file: String, offset: Int
        ) {
            let names = FileManager.default.enumerator(atPath: node.dataDirectory)?.compactMap { $0 as? String } ?? []
            for name in names where condition(name) {
                let path = "\(node.dataDirectory)/\(name)"
                guard let data = try? Data(contentsOf: URL(fileURLWithPath: path), options: .alwaysMapped),
                    let range = data.range(of: Data(bytes))
                else { continue }
                return (path, range.lowerBound)
            }
            throw HarnessError("no file of \(node.dataDirectory) holds the state that was written")
        }

        private func flipBit(in file: String, at offset: Int) throws {
            let handle = try FileHandle(forUpdating: URL(fileURLWithPath: file))
            defer { try? handle.close() }
            try handle.seek(toOffset: UInt64(offset))
            let byte = try #require(try handle.read(upToCount: 1)?.first)
            try handle.seek(toOffset: UInt64(offset))
            try handle.write(contentsOf: Data([byte ^ 0x10]))
        }

        /// Each entity is what was acknowledged, or its shard says that it cannot answer.
        private func served(_ written: [Written], by node: TestNode) throws -> (shards: Set<Int>, refused: Set<Int>) {
            var (shards, refused): (Set<Int>, Set<Int>) = ([], [])
            for entity in written {
                let answer = try node.client().get(entity.key)
                if answer.status == 200 {
                    if answer.body != entity.state { throw HarnessError("\(entity.key) was served with wrong bytes") }
                    shards.insert(entity.shard)
                } else {
                    expectProblem(answer, "shard-unavailable")
                    refused.insert(entity.shard)
                }
            }
            return (shards, refused)
        }

        private func expectNamed(_ shard: Int, in node: TestNode) throws {
            let answer = try node.admin("/v1/shards/\(shard)")
            let healthy = try node.admin("/v1/shards/\((shard + 1) % 16)")
            #expect(answer.object["state"] as? String != healthy.object["state"] as? String, "\(answer)\n\(healthy)")
        }

        @Test func aFlippedBitInASealedSegmentIsFoundAndNeverServed() throws {
            try withTestFolder("segment") { folder in
                let node = TestNode(in: folder.path)
                try node.start()
                // More than one segment of 64 MiB, so that the first is sealed.
                let written = try write(150, bytes: 512 << 10, to: node)
                try node.crash()
                let victim = written[20]
                let place = try find(Array(victim.state[1000..<1064]), in: node) { !$0.hasSuffix(".sst") }
                try flipBit(in: place.file, at: place.offset)

                let verified = try ChildProcess.run(
                    Programs.server, ["wal", "verify", node.dataDirectory], in: folder.path, name: "verify")
                #expect(verified.ending == .exited(1), "\(verified)")
                let name = URL(fileURLWithPath: place.file).lastPathComponent
                #expect((verified.output + verified.errors).contains(name), "the segment is named: \(verified)")

                try node.start()
                let (shards, refused) = try served(written, by: node)
                #expect(
                    refused.isSubset(of: [victim.shard]), "only the shard of the damaged record is refused: \(refused)")
                #expect(shards.count >= 12, "the others serve on: \(shards.sorted())")
                #expect(
                    node.log.contains(name) || !refused.contains(victim.shard),
                    "the log names the segment:\n\(node.log)")
                if refused.contains(victim.shard) {
                    try expectNamed(victim.shard, in: node)
                    expectProblem(try node.client().put(victim.key, "new"), "shard-unavailable")
                    let page = try node.client().list("k", "limit=1000")
                    let harvest = try #require(page.object["harvest"] as? [String: Any])
                    #expect((harvest["missing"] as? [Int]) == [victim.shard])
                    expectProblem(try node.client().list("k", "require=full"), "shard-unavailable")
                }
                // It stays that way, and what goes on being written is kept.
                let healthy = try #require(written.last { shards.contains($0.shard) })
                expectWritten(try node.client().put(healthy.key, "later"))
                try node.crash()
                try node.start()
                expectFound(try node.client().get(healthy.key), "later")
                let again = try served(written.filter { $0.key != healthy.key }, by: node)
                #expect(again.refused == refused)
                try node.crash()
            }
        }

        @Test func aFlippedBitInASortedTableIsFoundAndNeverServed() throws {
            try withTestFolder("table") { folder in
                let node = TestNode(in: folder.path)
                try node.start()
                let written = try write(600, bytes: 2000, to: node)
                // A graceful stop writes everything to the stores' tables.
                #expect(try node.stop() == .exited(0))
                let victim = written[300]
                let place = try find(Array(victim.state[700..<732]), in: node) { $0.hasSuffix(".sst") }
                try flipBit(in: place.file, at: place.offset)

                try node.start()
                let answer = try node.client().get(victim.key)
                #expect(answer.status != 200, "a damaged state was served")
                expectProblem(answer, "shard-unavailable", positioned: nil)
                let (shards, refused) = try served(written, by: node)
                #expect(refused == [victim.shard])
                #expect(shards.count >= 12, "the others serve on: \(shards.sorted())")
                #expect(
                    node.log.lowercased().contains("corrupt") || node.log.contains("checksum"),
                    "the log names it:\n\(node.log)")
                try expectNamed(victim.shard, in: node)
                let list = try node.client().list("k", "limit=1000&values=true")
                #expect(list.status == 200)
                let harvest = try #require(list.object["harvest"] as? [String: Any])
                #expect((harvest["missing"] as? [Int]) == [victim.shard])
                try node.crash()
            }
        }

        /// A tail that was torn by a crash is no corruption: it is cut, and nothing acknowledged was in it.
        @Test func aTornTailIsCutAndTheNodeIsWhole() throws {
            try withTestFolder("tail") { folder in
                let node = TestNode(in: folder.path)
                try node.start()
                let written = try write(40, bytes: 3000, to: node)
                try node.crash()
                let last = written[39]
                let place = try find(Array(last.state[1000..<1064]), in: node) { !$0.hasSuffix(".sst") }
                // Rubbish where the next record would be, as a crash in the middle of a write leaves it.
                let handle = try FileHandle(forUpdating: URL(fileURLWithPath: place.file))
                try handle.seek(toOffset: UInt64(place.offset + 2100))
                try handle.write(contentsOf: Data((0..<777).map { UInt8(truncatingIfNeeded: $0 &* 13) }))
                try handle.close()
                try node.start()
                let (_, refused) = try served(written, by: node)
                #expect(refused.isEmpty)
                expectWritten(try node.client().put("k/after", "x"))
                try node.crash()
                try node.start()
                expectFound(try node.client().get("k/after"), "x")
                try node.crash()
            }
        }
    }
}
