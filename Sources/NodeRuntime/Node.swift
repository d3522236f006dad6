import Entities
import HTTPFront
import HashRing
import LogFiles
import LogFormat
import Logging
import NIOCore
import NIOPosix
import Primitives
import RocksStore
import ServiceLifecycle
import ShardCore
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

/// One node: the composition root, where every port meets its implementation.
public enum Node {
    /// Runs a node until SIGTERM or SIGINT, and then stops it gracefully: no new connections, what is in flight is
    /// answered, everything is flushed, and the directory is marked clean.
    ///
    /// Blocks its caller's task for the node's life. Ends the process where the log cannot be made durable (G4).
    public static func run(_ configuration: NodeConfiguration) async throws {
        LoggingSystem.bootstrap { label in
            var handler = LineLogHandler(label: label, asJSON: configuration.logFormat == .json)
            handler.logLevel = Logger.Level(rawValue: configuration.logLevel) ?? .info
            return handler
        }
        let logger = Logger(label: "keystead")
        let node = try await RunningNode.start(configuration, logger: logger)
        let group = ServiceGroup(
            configuration: .init(
                services: [.init(service: node)], gracefulShutdownSignals: [.sigterm, .sigint], logger: logger))
        try await group.run()
    }
}
