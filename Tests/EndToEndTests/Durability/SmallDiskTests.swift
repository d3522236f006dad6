import Foundation
import Glibc
import Primitives
import Testing

extension Durability {
    /// Disks that fill at any moment: writes are answered 507, reads go on, nothing is lost, and space brings it back.
    @Suite(.serialized) struct SmallDiskTests {
        static let rounds = Programs.setting("KEYSTEAD_FULL_DISKS", default: 4)
        static let seed = UInt64(Programs.setting("KEYSTEAD_SEED", default: 1))

        /// Writers that overwrite and delete, while all space is taken away at random moments, bit by bit or at once;
        /// and starts and ends in that state.
        @Test func aDiskThatFillsUnderLoadLosesNothing() throws {
            try withTestFolder("filling") { folder in
                let disk = try LoopDisk(in: folder, mebibytes: 400)
                let node = TestNode(
                    in: folder.path, dataDirectory: "\(disk.mountPoint)/data",
                    flags: ["--shards", "16", "--memory", "128MiB"])
                let load = Load(node, seed: Self.seed &+ 31)
                try node.start()
                for round in 0..<Self.rounds {
                    var generator = SplitMix64(seed: Self.seed &+ UInt64(round))
                    let (writes, pause) = (1 + generator.below(300), UInt32(generator.below(400_000)))
                    try load.run {
                        try load.awaitProgress(writes)
                        if round % 2 == 1 { try disk.fill(leaving: 20 << 20) }
                        usleep(pause)
                        try disk.fillWhole()
                        usleep(1_500_000)
                    }
                    #expect(try node.process.isRunning, "\(node.log)")
                    let client = try node.client()
                    expectProblem(try client.put("k/refused", "x"), "storage-full")
                    let ready = try node.admin("/readyz")
                    #expect(ready.status == 200 && ready.object["reasons"] as? [String] == ["storage-full"])
                    try load.verify()
                    try restart(node, crashes: round % 2 == 0)
                    expectProblem(try node.client().put("k/refused", "x"), "storage-full")
                    try load.verify()
                    disk.giveSpaceBack()
                    let heals = try eventually(within: 30, every: 50) {
                        try node.client().put("k/healed", "\(round)").status == 204
                    }
                    #expect(heals, "30 s after there was space again, writes were still refused:\n\(node.log)")
                    try load.verify()
                }
                #expect(try node.stop() == .exited(0))
                try disk.unmount()
            }
        }

        private func restart(_ node: TestNode, crashes: Bool) throws {
            if crashes {
                try node.crash()
            } else {
                #expect(try node.stop() == .exited(0), "on a full disk too:\n\(node.log)")
            }
            try node.start()
        }

        /// Blocks in plenty, and no file more.
        @Test func aDiskThatTakesNoMoreFilesIsFull() throws {
            try withTestFolder("files") { folder in
                let disk = try LoopDisk(in: folder, mebibytes: 600, files: 1200)
                let node = TestNode(
                    in: folder.path, dataDirectory: "\(disk.mountPoint)/data",
                    flags: ["--shards", "16", "--memory", "128MiB"])
                try node.start()
                let client = try node.client()
                expectWritten(try client.put("k/a", "before"))
                try disk.takeFiles()
                let isRefused = try eventually(within: 10) { try client.put("k/b", "x").status == 507 }
                #expect(isRefused)
                expectFound(try client.get("k/a"), "before")
                disk.giveFilesBack()
                let heals = try eventually(within: 10) { try node.client().put("k/b", "x").status == 204 }
                #expect(heals)
                #expect(try node.stop() == .exited(0))
                try disk.unmount()
            }
        }

        /// Refused in one line, and nothing is there that was not there before.
        @Test func aFirstStartWithoutRoomIsRefusedAndLeavesNothing() throws {
            try withTestFolder("no-room") { folder in
                let disk = try LoopDisk(in: folder, mebibytes: 100)
                let node = TestNode(in: folder.path, dataDirectory: "\(disk.mountPoint)/a/b/data")
                let before = try FileManager.default.contentsOfDirectory(atPath: disk.mountPoint)
                let process = try node.launch()
                #expect(process.wait(seconds: 40) == .exited(3), "\(process.errors)")
                let lines = process.errors.split(separator: "\n").filter { $0.hasPrefix("keystead:") }
                #expect(lines.count == 1 && lines[0].contains("no room"), "one clear line:\n\(process.errors)")
                #expect(try FileManager.default.contentsOfDirectory(atPath: disk.mountPoint) == before)
                try disk.unmount()
            }
        }
    }
}
