import Foundation
import Glibc
import Testing

extension Cluster {
    /// `keystead dev`: a cluster in one process, with nothing to install.
    @Suite(.serialized) struct DevelopmentClusterTests {
        /// The process, and its nodes by the ports that the contract counts.
        private struct Development {
            let process: ChildProcess
            let nodes: [Endpoint]

            /// - Parameter whileStarting: told what nodes say of the cluster before all are ready.
            init(
                in folder: String, basePort: UInt16, nodes count: Int = 3, life: Int, flags: [String] = [],
                whileStarting: (ClusterPicture) -> Void = { _ in }
            ) throws {
                try self.init(launchedIn: folder, basePort: basePort, nodes: count, life: life, flags: flags)
                let (process, nodes) = (process, nodes)
                let isReady = try eventually(within: 90, every: 20) {
                    if !process.isRunning { throw HarnessError("it ended:\n\(process.errors)\(process.output)") }
                    for node in nodes { if let picture = try? node.picture() { whileStarting(picture) } }
                    return nodes.allSatisfy { (try? $0.admin("/readyz"))?.status == 200 }
                }
                guard isReady else { throw HarnessError("it was not ready:\n\(process.errors)") }
            }

            /// Waits for nothing.
            init(launchedIn folder: String, basePort: UInt16, nodes count: Int = 3, life: Int, flags: [String] = [])
                throws
            {
                process = try ChildProcess(
                    Programs.server,
                    [
                        "dev", "--nodes", "\(count)", "--data-dir", "\(folder)/dev", "--base-port", "\(basePort)",
                    ] + flags, in: folder, name: "dev-\(life)")
                nodes = (0..<count).map { index in
                    let port = basePort + UInt16(index * 10)
                    return Endpoint(id: "n\(index + 1)", host: "127.0.0.1", port: port, adminPort: port + 1)
                }
            }

            var shardCounts: [String: Int] {
                get throws { try nodes[0].picture().shardsByNode.mapValues(\.count) }
            }
        }

        private static let allOnFirst = ["n1": 64, "n2": 0, "n3": 0]

        /// Three nodes with 64 shards.
        private func expectEven(_ counts: [String: Int]) {
            #expect(counts.values.sorted() == [21, 21, 22], "\(counts)")
        }

        @Test func threeNodesInOneProcess() throws {
            try withTestFolder("dev") { folder in
                let port = try FreePort.stretch(of: 30)
                var states: Set<String> = []
                var dev = try Development(in: folder.path, basePort: port, life: 1) { picture in
                    states.formUnion(picture.nodes.map(\.state))
                }
                defer { dev.process.killAndWait() }
                #expect(states.isSubset(of: ["joining", "active"]), "nobody was up before: \(states)")
                expectEven(try dev.shardCounts)
                func control(_ arguments: String..., on index: Int = 0) throws -> ControlResult {
                    try dev.nodes[index].control(arguments, in: folder.path)
                }
                let status = try control("status").ended()
                #expect(status.output.hasPrefix("HEALTHY"), "\(status)")
                for index in 0..<60 {
                    expectWritten(try dev.nodes[index % 3].client().put("user/\(index)", "\(index)"))
                }
                let idle = try control("rebalance", "--wait", on: 1).ended()
                #expect(idle.output.contains("nothing to move"), "\(idle)")
                try control("node", "drain", "n2", "--wait", on: 2).ended()
                #expect(try dev.nodes[0].picture().shardsByNode["n2"]?.isEmpty == true)
                for node in dev.nodes {
                    for index in 0..<60 { expectFound(try node.client().get("user/\(index)"), "\(index)") }
                }
                let ring = try control("ring").ended()
                #expect(ring.output.contains("n1") && ring.output.contains("n3"), "\(ring)")

                // All of it dies at once, and is back with one command.
                let before = try dev.nodes[0].picture()
                dev.process.killAndWait()
                dev = try Development(in: folder.path, basePort: port, life: 2)
                let after = try dev.nodes[1].picture()
                #expect(after.placement == before.placement && after.mapRevision == before.mapRevision)
                #expect(try after.node("n2").state == "drained")
                for node in dev.nodes {
                    for index in 0..<60 { expectFound(try node.client().get("user/\(index)"), "\(index)") }
                }
                try control("node", "uncordon", "n2").ended()
                try control("rebalance", "--wait").ended()
                expectEven(try dev.shardCounts)
                dev.process.send(signal: SIGTERM)
                #expect(dev.process.wait(seconds: 40) == .exited(0), "\(dev.process.errors)")
            }
        }

        /// All shards on the first node, as in a cluster that grows from one; later starts leave them alone.
        @Test func withoutSpreadingTheFirstNodeHasAll() throws {
            try withTestFolder("dev-none") { folder in
                let port = try FreePort.stretch(of: 30)
                var dev = try Development(in: folder.path, basePort: port, life: 1, flags: ["--spread", "none"])
                defer { dev.process.killAndWait() }
                #expect(try dev.shardCounts == Self.allOnFirst)
                dev.process.killAndWait()
                dev = try Development(in: folder.path, basePort: port, life: 2)
                #expect(try dev.shardCounts == Self.allOnFirst, "a later start changes nothing")

                for index in 0..<40 { expectWritten(try dev.nodes[0].client().put("user/\(index)", "\(index)")) }
                let dry = try dev.nodes[1].control(["rebalance", "--dry-run"], in: folder.path).ended()
                #expect(dry.output.contains("nothing has changed"), "\(dry)")
                #expect(try dev.shardCounts == Self.allOnFirst)
                let operation: OperationPicture = try dev.nodes[1].control(
                    ["rebalance", "--wait", "--output", "json"], in: folder.path
                ).ended().read()
                #expect(operation.state == "done" && operation.kind == "rebalance", "\(operation)")
                expectEven(try dev.shardCounts)
                for node in dev.nodes {
                    for index in 0..<40 { expectFound(try node.client().get("user/\(index)"), "\(index)") }
                }
            }
        }

        /// Wherever the first start dies, the next one comes to the same cluster, whole.
        @Test func aFirstStartThatDiesIsTakenUpAgain() throws {
            try withTestFolder("dev-dies") { folder in
                let port = try FreePort.stretch(of: 30)
                for life in 1...4 {
                    let dev = try Development(launchedIn: folder.path, basePort: port, life: life)
                    defer { dev.process.killAndWait() }
                    _ = eventually(within: 60, every: 5) {
                        (try? dev.nodes[max(0, life - 2)].admin(life == 1 ? "/livez" : "/v1/cluster"))?.status == 200
                    }
                }
                let dev = try Development(in: folder.path, basePort: port, life: 5)
                defer { dev.process.killAndWait() }
                expectEven(try dev.shardCounts)
                let isHealthy = try eventually(within: 30) {
                    try dev.nodes[2].control(["status", "--check"], in: folder.path).code == 0
                }
                #expect(isHealthy)
                for index in 0..<60 {
                    let key = "user/\(index)"
                    expectWritten(try dev.nodes[index % 3].client().put(key, "\(index)"))
                    expectFound(try dev.nodes[(index + 1) % 3].client().get(key), "\(index)")
                }
                // The safety stays: an emptied directory is not filled again.
                dev.process.send(signal: SIGTERM)
                #expect(dev.process.wait(seconds: 40) == .exited(0), "\(dev.process.errors)")
                try FileManager.default.removeItem(atPath: "\(folder.path)/dev/n2")
                let robbed = try Development(launchedIn: folder.path, basePort: port, life: 6)
                defer { robbed.process.killAndWait() }
                #expect(robbed.process.wait(seconds: 40) == .exited(3), "\(robbed.process.errors)")
            }
        }
    }
}
