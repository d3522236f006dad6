private import CPosixShims
import HTTPFront
import HashRing
import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import Primitives
import ServiceLifecycle

/// A node that serves, and how it stops.
struct RunningNode: Service {
    private let parts: NodeParts
    private let front: HTTPServer
    private let admin: HTTPServer
    private let status: NodeStatus
    private let logger: Logger

    /// Requests in flight get this long to be answered after SIGTERM.
    private static let drainLimit = TimeAmount.seconds(10)

    /// Opens the data, replays the log and begins to serve. The admin listener answers from the first moment, so that
    /// `/readyz` can say what the node waits for.
    static func start(_ configuration: NodeConfiguration, logger: Logger) async throws -> RunningNode {
        let group = MultiThreadedEventLoopGroup(
            numberOfThreads: configuration.eventLoops == 0 ? System.coreCount : configuration.eventLoops)
        let status = NodeStatus()
        let view = NIOLockedValueBox<NodeView?>(nil)
        let server = NIOLockedValueBox<HTTPServer?>(nil)
        let routes = AdminRoutes(
            status: status, view: { view.withLockedValue { $0 } },
            metrics: { await NodeMetrics(view: $0, front: server.withLockedValue { $0 }).text() })
        let admin = try await listening("admin-listen", configuration.adminListen) {
            try await HTTPServer.serveAdmin(
                on: group, host: $0.host, port: $0.port, options: options(configuration)
            ) { await routes.answer($0) }
        }
        let parts = try await NIOThreadPool.singleton.runIfActive {
            try NodeParts.open(configuration, group: group, logger: logger)
        }
        let front = try await listening("listen", configuration.listen) {
            try await HTTPServer.serve(
                parts.backend, on: group, host: $0.host, port: $0.port, options: options(configuration))
        }
        parts.begin()
        let clientAddress = configuration.advertise ?? HostPort(front.localAddress)
        let adminAddress = configuration.advertiseAdmin ?? HostPort(admin.localAddress)
        server.withLockedValue { $0 = front }
        view.withLockedValue { $0 = parts.view(listen: clientAddress, admin: adminAddress) }
        status.becomeReady()
        logger.notice(
            "serving",
            metadata: [
                "listen": "\(HostPort(front.localAddress))", "admin-listen": "\(HostPort(admin.localAddress))",
                "shards": "\(parts.table.ring.shardCount)", "data-dir": "\(configuration.dataDirectory)",
            ])
        return RunningNode(parts: parts, front: front, admin: admin, status: status, logger: logger)
    }

    private static func options(_ configuration: NodeConfiguration) -> HTTPServer.Options {
        HTTPServer.Options(
            wallSeconds: { ks_realtime_ns() / 1_000_000_000 }, connectionsMax: configuration.connectionsMax)
    }

    private static func listening(
        _ setting: String, _ address: HostPort, _ bind: (HostPort) async throws -> HTTPServer
    ) async throws -> HTTPServer {
        do {
            return try await bind(address)
        } catch {
            throw NodeStartError("cannot listen on \(address) (\(setting)): \(error)")
        }
    }

    /// Serves until the process is told to stop.
    func run() async throws {
        try? await gracefulShutdown()
        logger.notice("stopping: answering what is in flight")
        status.become(unreadyBecause: "shutting down")
        await front.shutDown(within: Self.drainLimit)
        try await parts.close()
        await admin.shutDown(within: .seconds(1))
        logger.notice("stopped")
    }
}

extension HostPort {
    init(_ address: SocketAddress) {
        self.init(host: address.ipAddress ?? "", port: address.port ?? 0)
    }
}
