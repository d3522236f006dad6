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

            init(in folder: String, basePort: UInt16, nodes count: Int, life: Int) throws {
                process = try ChildProcess(
                    Programs.server,
                    [
                        "dev", "--nodes", "\(count)", "--data-dir", "\(folder)/dev", "--base-port", "\(basePort)",
                    ], in: folder, name: "dev-\(life)")
                nodes = (0..<count).map { index in
                    let port = basePort + UInt16(index * 10)
                    return Endpoint(id: "n\(index + 1)", host: "127.0.0.1", port: port, adminPort: port + 1)
                }
                let (process, nodes) = (process, nodes)
                let isReady = try eventually(within: 90, every: 100) {
                    if !process.isRunning { throw HarnessError("it ended:\n\(process.errors)\(process.output)") }
                    return nodes.allSatisfy { (try? $0.admin("/readyz"))?.status == 200 }
                }
                guard isReady else { throw HarnessError("it was not ready:\n\(process.errors)") }
            }
        }

        @Test func threeNodesInOneProcess() throws {
            try withTestFolder("dev") { folder in
                let port = try FreePort.stretch(of: 30)
                var dev = try Development(in: folder.path, basePort: port, nodes: 3, life: 1)
                defer { dev.process.killAndWait() }
                func control(_ arguments: String..., on index: Int = 0) throws -> ControlResult {
                    try dev.nodes[index].control(arguments, in: folder.path)
                }
                let status = try control("status").ended()
                #expect(status.output.hasPrefix("HEALTHY"), "\(status)")
                for index in 0..<60 {
                    expectWritten(try dev.nodes[index % 3].client().put("user/\(index)", "\(index)"))
                }
                let first: PlanPicture = try control("rebalance", "plan", "--output", "json").ended().read()
                if !first.moves.isEmpty {
                    try control("rebalance", "commit", first.plan, "--wait", on: 1).ended()
                }
                let counts = try dev.nodes[2].picture().shardsByNode.mapValues(\.count)
                #expect(counts.count == 3 && counts.values.max()! - counts.values.min()! <= 1, "\(counts)")
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
                dev = try Development(in: folder.path, basePort: port, nodes: 3, life: 2)
                let after = try dev.nodes[1].picture()
                #expect(after.placement == before.placement && after.mapRevision == before.mapRevision)
                #expect(try after.node("n2").state == "drained")
                for node in dev.nodes {
                    for index in 0..<60 { expectFound(try node.client().get("user/\(index)"), "\(index)") }
                }
                try control("node", "uncordon", "n2").ended()
                let second: PlanPicture = try control("rebalance", "plan", "--output", "json").ended().read()
                try control("rebalance", "commit", second.plan, "--wait").ended()
                dev.process.send(signal: SIGTERM)
                #expect(dev.process.wait(seconds: 40) == .exited(0), "\(dev.process.errors)")
            }
        }
    }
}
