import ClusterCore
import ClusterMetadata
import HashRing
import Logging
import NIOPosix
import Primitives
import ServiceLifecycle
import UnixSignals

/// Why a node did not start: one line.
public struct NodeStartError: Error, CustomStringConvertible {
    public let description: String
    /// The node was refused its data, rather than failing at it: exit code 3.
    public let isRefusal: Bool

    init(_ description: String, isRefusal: Bool = false) {
        self.description = description
        self.isRefusal = isRefusal
    }
}

/// Nodes of this process: the composition root, where every port meets its implementation.
public enum Node {
    /// Runs a node until SIGTERM or SIGINT, and then stops it gracefully: no new connections, what is in flight is
    /// answered, everything is flushed, and the directory is marked clean.
    ///
    /// Blocks its caller's task for the node's life. Ends the process where the log cannot be made durable (G4). The
    /// caller has called ``ProcessStart/prepare()``.
    ///
    /// - Parameter reload: reads the configuration again, where SIGHUP asks for it. May block.
    public static func run(
        _ given: NodeConfiguration, reload: @escaping @Sendable () throws -> NodeConfiguration
    ) async throws {
        try OpenBinds(configuration: given, hasPeers: given.metadata != .embedded).check()
        let level = LogLevelSwitch(given)
        let logger = bootstrapLogging(given, level)
        let configuration = try given.withSecretsRead()
        for warning in configuration.warnings { logger.warning("\(warning)") }
        let reloading = Reload(configuration, parts: [.logLevel(level)], logger: logger, read: reload)
        try await serve(logger, whenHungUp: { reloading.run() }) {
            let descriptors = try Descriptors(configuration, shards: StartRoom.shardsOfFirstStart(configuration))
            let metadata = try await MetadataOpener.open(configuration, logger)
            let node = try await RunningNode.start(
                configuration, metadata: metadata.store, descriptors: descriptors, logger: logger)
            return NodeService.Started(nodes: [node], metadata: metadata)
        }
    }

    /// Runs a whole cluster in this process, over one embedded metadata store, until SIGTERM or SIGINT: the quickest
    /// way to see one. Every node has its own directory below `directory`, and its own ports.
    ///
    /// - Parameters:
    ///   - configurations: of nodes with different names, directories and ports; the first one founds the cluster.
    ///   - spreadsShards: a new cluster has its shards on all nodes, else on the first. An old one stays as it is.
    ///   - whenReady: told the addresses of each node once all serve.
    public static func runTogether(
        _ configurations: [NodeConfiguration], directory: String, spreadsShards: Bool,
        whenReady: @escaping @Sendable ([(node: String, listen: HostPort, admin: HostPort)]) -> Void
    ) async throws {
        precondition(!configurations.isEmpty, "a cluster has a node")
        for configuration in configurations { try OpenBinds(configuration: configuration, hasPeers: true).check() }
        let logger = bootstrapLogging(configurations[0], LogLevelSwitch(configurations[0]))
        let descriptors = try Descriptors(
            configurations[0],
            shards: StartRoom.hasMetadata(directory) ? 0 : configurations[0].shards)
        let metadata: EmbeddedMetadata
        do {
            try DataDirectory.makeFolder(directory)
            metadata = try EmbeddedMetadata(path: directory + "/metadata", create: true)
        } catch {
            throw NodeStartError("\(error)", isRefusal: true)
        }
        let hungUp = { @Sendable in logger.notice("SIGHUP: there is nothing here to be read again") }
        try await serve(logger, whenHungUp: hungUp) {
            var nodes: [RunningNode] = []
            var staying = Self.staying(configurations, in: metadata, logger)
            if spreadsShards { staying[0].companions = staying.dropFirst().compactMap(\.awaited) }
            for configuration in staying {
                nodes.append(
                    try await RunningNode.start(
                        configuration, metadata: metadata, descriptors: descriptors, logger: logger))
            }
            whenReady(
                zip(staying, nodes).map {
                    (node: $0.nodeID, listen: $1.clientAddress, admin: $1.adminAddress)
                })
            return NodeService.Started(nodes: nodes, metadata: nil)
        }
    }

    /// Those that were not removed from the cluster; all, where that leaves none, so that a start says why.
    private static func staying(
        _ configurations: [NodeConfiguration], in metadata: EmbeddedMetadata, _ logger: Logger
    ) -> [NodeConfiguration] {
        let read = try? metadata.range(prefix: MetadataKey(""))
        guard let read, let map = try? ClusterMap(read) else { return configurations }
        let staying = configurations.filter { configuration in
            guard let id = NodeID(configuration.nodeID), map.node(id)?.state == .removed else { return true }
            logger.notice("a node was removed from the cluster and stays away", metadata: ["node": "\(id)"])
            return false
        }
        return staying.isEmpty ? configurations : staying
    }

    private static func serve(
        _ logger: Logger, whenHungUp: @escaping @Sendable () -> Void,
        _ start: @escaping @Sendable () async throws -> NodeService.Started
    ) async throws {
        let node = NodeService(logger: logger, start: start)
        let group = ServiceGroup(
            configuration: .init(
                services: [.init(service: node), .init(service: HangUpService(whenHungUp: whenHungUp))],
                gracefulShutdownSignals: [], logger: logger))
        EndSignals.shared.whenAsked {
            Task { await group.triggerGracefulShutdown() }
        }
        defer { LogPipe.standardError.drain() }
        try await group.run()
    }

    private static func bootstrapLogging(_ configuration: NodeConfiguration, _ level: LogLevelSwitch) -> Logger {
        AllocatorCare.configure()
        LoggingSystem.bootstrap { label in
            LineLogHandler(label: label, asJSON: configuration.logFormat == .json, level: level)
        }
        return Logger(label: "keystead")
    }
}

extension LogLevelSwitch {
    convenience init(_ configuration: NodeConfiguration) {
        self.init(Logger.Level(rawValue: configuration.logLevel) ?? .info)
    }
}

/// Hears SIGHUP, from before the nodes start until they stop: it never ends the process.
private struct HangUpService: Service {
    /// May block.
    let whenHungUp: @Sendable () -> Void

    func run() async throws {
        let signals = await UnixSignalsSequence(trapping: .sighup)
        for await _ in signals.cancelOnGracefulShutdown() {
            try? await NIOThreadPool.singleton.runIfActive { whenHungUp() }
        }
    }
}

/// The nodes of a process under its signals, which are heard from before the first node starts: whoever asks a node to
/// stop that has just become ready, or still waits for the metadata store, gets an orderly end.
private struct NodeService: Service {
    struct Started: Sendable {
        let nodes: [RunningNode]
        /// What is closed after the nodes.
        let metadata: MetadataOpener?
    }

    let logger: Logger
    let start: @Sendable () async throws -> Started

    func run() async throws {
        let started: Started
        do {
            started = try await cancelWhenGracefulShutdown(start)
        } catch {
            guard Task.isShuttingDownGracefully else { throw error }
            // What a start leaves behind is what a crash would: the next one goes on from there.
            logger.notice("stopped before it served")
            return
        }
        try? await gracefulShutdown()
        for node in started.nodes.reversed() { await node.stop() }
        await started.metadata?.close()
    }
}
