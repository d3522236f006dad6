import ArgumentParser
import Foundation
import NodeRuntime

/// `keystead dev`: a cluster in one process, to look at.
struct Dev: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run a cluster of several nodes in this process.",
        discussion: """
            The nodes n1, n2, … share one embedded metadata store and keep their data below the data directory. \
            Node n1 listens on the base port (clients), the next (admin) and the one after that (peers); each further \
            node's ports are higher by 10. The first start spreads the shards over the nodes; later starts find them \
            where they are.
            """)

    @Option(help: "How many nodes.") var nodes = 3
    @Option(help: "Directory of the cluster's data.") var dataDir = "keystead-dev"
    @Option(help: "Port of the first node for clients.") var basePort = 7070
    @Option(help: "Shards of a new cluster: a power of two, 16 to 4096. (default: 64)") var shards: String?
    @Option(help: "Where the shards of a new cluster are: on all nodes (even), or all on the first (none).")
    var spread = Spread.even
    @Option(help: "Memory of all nodes together. (default: 1GiB)") var memory: String?
    @Option(help: "Least level logged: trace, debug, info, notice, warning, error. (default: notice)")
    var logLevel: String?
    @Flag(help: "Start although the clock is more than 366 days ahead of the newest data.") var acceptClock = false

    enum Spread: String, ExpressibleByArgument, CaseIterable {
        case even
        case none
    }

    /// More nodes than this would be a load test, not a look.
    static let nodesMax = 16
    private static let portStep = 10

    func validate() throws {
        guard (1...Self.nodesMax).contains(nodes) else {
            throw ValidationError("--nodes must be from 1 to \(Self.nodesMax)")
        }
        guard (1...(65_535 - Self.portStep * nodes)).contains(basePort) else {
            throw ValidationError("--base-port leaves no room for the ports of \(nodes) nodes")
        }
    }

    func run() async throws {
        ProcessStart.prepare()
        do {
            let configurations = try (0..<nodes).map { try configuration(of: $0) }
            try await Node.runTogether(
                configurations, directory: dataDir, spreadsShards: spread == .even
            ) { addresses in
                for (node, listen, admin) in addresses {
                    print("node \(node) serves on http://\(listen), admin http://\(admin)")
                }
                print("")
                print("  keysteadctl status --admin http://\(addresses[0].admin)")
                print("  keysteadctl ring --admin http://\(addresses[0].admin)")
                print("")
                fflush(nil)
            }
        } catch let error as ConfigurationError {
            Exit.usage("keystead: \(error)")
        } catch let error as NodeStartError {
            error.isRefusal ? Exit.refused("keystead: \(error)") : Exit.failed("keystead: \(error)")
        } catch {
            Exit.failed("keystead: \(error)")
        }
    }

    private func configuration(of index: Int) throws(ConfigurationError) -> NodeConfiguration {
        let port = basePort + Self.portStep * index
        var flags = [
            "node-id": "n\(index + 1)", "data-dir": "\(dataDir)/n\(index + 1)", "listen": "127.0.0.1:\(port)",
            "admin-listen": "127.0.0.1:\(port + 1)", "peer-listen": "127.0.0.1:\(port + 2)", "event-loops": "1",
            "log-level": logLevel ?? "notice",
        ]
        flags["shards"] = shards
        flags["memory"] = memory
        if acceptClock { flags["accept-clock"] = "true" }
        var configuration = try ConfigurationLoader.load(flags: flags, environment: [:], yaml: nil)
        configuration.shareProcess(among: nodes)
        return configuration
    }
}
