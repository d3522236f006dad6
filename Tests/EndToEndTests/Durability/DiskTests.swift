import Foundation
import Glibc
import Primitives
import Testing

extension Durability {
    /// Disks that lose power, fail or fill up.
    @Suite(.serialized) struct DiskTests {
        static let powerCuts = Programs.setting("KEYSTEAD_POWER_CUTS", default: 5)
        static let seed = UInt64(Programs.setting("KEYSTEAD_SEED", default: 1))

        @Test func powerCutsLoseNothingThatWasAcknowledged() throws {
            try withTestFolder("power") { folder in
                let disk = try LoopDisk(in: folder, mebibytes: 1024)
                let node = TestNode(in: folder.path, dataDirectory: "\(disk.mountPoint)/data")
                let load = Load(node, seed: Self.seed)
                var generator = SplitMix64(seed: Self.seed)
                for _ in 0..<Self.powerCuts {
                    try node.start()
                    try load.verify()
                    let writes = 50 + generator.below(600)
                    try load.run {
                        try load.awaitProgress(writes)
                        try disk.cutPower()
                        // Errors of the log end the process; what still runs is as good as unplugged.
                        if try node.process.wait(seconds: 2) == nil { try node.crash() }
                    }
                    try disk.unmount()
                    try disk.mount()
                }
                try node.start()
                try load.verify()
                try node.crash()
                try disk.unmount()
            }
        }

        /// One failed fdatasync ends the process: no retry, and nothing that was acknowledged is lost.
        @Test func aFailedSyncEndsTheProcessAndLosesNothing() throws {
            try withTestFolder("sync-error") { folder in
                let strace = try Programs.system("strace")
                let node = TestNode(in: folder.path)
                let load = Load(node, seed: Self.seed &+ 7)
                for call in [1, 7, 40] {
                    try node.start()
                    try load.verify()
                    try load.run {
                        try load.awaitProgress(50)
                        let tracer = try ChildProcess(
                            strace,
                            [
                                "-f", "-qq", "-p", "\(try node.process.pid)", "-e",
                                "trace=fdatasync,fsync,sync_file_range",
                                "-e", "inject=fdatasync:error=EIO:when=\(call)",
                            ], in: folder.path, name: "strace-\(call)")
                        defer { tracer.killAndWait() }
                        let ending = try node.process.wait(seconds: 40)
                        guard let ending else {
                            throw HarnessError(
                                "the node went on after failed fdatasync \(call); strace said:\n\(tracer.errors)"
                            )
                        }
                        #expect(ending != .exited(0), "\(ending)")
                        #expect(ending != .signalled(SIGKILL), "\(ending)")
                        #expect(
                            node.log.contains("sync") || node.log.contains("Input/output error"),
                            "the log names it:\n\(node.log)")
                    }
                }
                try node.start()
                try load.verify()
                try node.crash()
            }
        }

        @Test func aFullDiskRefusesWritesReadsOnAndHealsByItself() throws {
            try withTestFolder("full") { folder in
                let disk = try LoopDisk(in: folder, mebibytes: 1024)
                let node = TestNode(in: folder.path, dataDirectory: "\(disk.mountPoint)/data")
                try node.start()
                let client = try node.client()
                var generator = SplitMix64(seed: Self.seed)
                func state() -> [UInt8] { incompressible(256 << 10, &generator) }
                var written: [(key: String, sum: UInt32)] = []
                func put() throws -> HTTPAnswer {
                    let bytes = state()
                    let answer = try client.put("k/\(written.count)", bytes)
                    if answer.status == 204 { written.append(("k/\(written.count)", CRC32C.checksum(bytes))) }
                    return answer
                }
                for _ in 0..<20 { expectWritten(try put()) }
                try disk.fill(leaving: 4 << 20)
                var refused: HTTPAnswer?
                for _ in 0..<1500 where refused == nil {
                    let answer = try put()
                    if answer.status != 204 { refused = answer }
                }
                expectProblem(try #require(refused, "400 MB went onto a full disk"), "storage-full", positioned: true)
                #expect(try node.process.isRunning)
                expectProblem(try client.delete("k/0"), "storage-full")
                expectProblem(try client.put("k/other", "x"), "storage-full")
                try expectAll(written, client)
                #expect(try client.get("k/other").status == 404)
                #expect(try client.list("k").status == 200)

                disk.giveSpaceBack()
                let heals = try eventually(within: 60, every: 200) { try put().status == 204 }
                #expect(heals, "60 s after there was space again, writes were still refused")
                try expectAll(written, client)
                #expect(try node.stop() == .exited(0))
                try node.start()
                try expectAll(written, try node.client())
                try node.crash()
                try disk.unmount()
            }
        }

        private func expectAll(_ written: [(key: String, sum: UInt32)], _ client: EntityClient) throws {
            for (key, sum) in written {
                let found = try client.get(key)
                if found.status != 200 || CRC32C.checksum(found.body) != sum {
                    throw HarnessError("\(key) is not what was acknowledged: \(found.status) \(found.fields)")
                }
            }
        }
    }
}
