private import CPosixShims
import ClusterCore
import ClusterMetadata
import HTTPFront
import HashRing
import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import PeerTransport
import Primitives

/// A node that serves, and how it stops.
struct RunningNode {
    private let parts: NodeParts
    private let front: HTTPServer
    private let admin: HTTPServer
    private let peerServer: PeerServer
    private let peerDesk: PeerDesk
    private let status: NodeStatus
    private let logger: Logger
    let clientAddress: HostPort
    let adminAddress: HostPort

    /// Requests in flight get this long to be answered after SIGTERM.
    private static let drainLimit = TimeAmount.seconds(10)

    /// Opens the data, replays the log and begins to serve. The admin listener answers from the first moment, so that
    /// `/readyz` can say what the node waits for.
    ///
    /// - Parameter metadata: the cluster's store; `nil` is the embedded one in the node's directory.
    static func start(
        _ configuration: NodeConfiguration, metadata: (any MetadataStore)?, logger: Logger
    ) async throws -> RunningNode {
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
        let parts = try await NodeParts.open(configuration, metadata: metadata, group: group, logger: logger)
        let desk = PeerDesk()
        let peerServer = try await listening("peer-listen", configuration.peerListen) {
            try await PeerServer.serve(
                desk, on: group, host: $0.host, port: $0.port, identity: parts.cluster.identity,
                options: try PeerOptions(configuration))
        }
        let frontOptions = options(configuration, of: parts.membership.config.clusterID)
        let front = try await listening("listen", configuration.listen) {
            try await HTTPServer.serve(parts.backend, on: group, host: $0.host, port: $0.port, options: frontOptions)
        }
        let node = RunningNode(
            parts: parts, front: front, admin: admin, peerServer: peerServer, peerDesk: desk, status: status,
            logger: logger, clientAddress: configuration.advertise ?? HostPort(front.localAddress),
            adminAddress: configuration.advertiseAdmin ?? HostPort(admin.localAddress))
        desk.open(
            PeerDesk.Parts(
                backend: parts.backend, lister: Lister(table: parts.table, time: parts.time),
                readPool: parts.readPool, view: parts.cluster.view, keeper: parts.cluster.keeper))
        server.withLockedValue { $0 = front }
        view.withLockedValue { $0 = parts.view(listen: node.clientAddress, admin: node.adminAddress) }
        let addresses = NodeAddresses(
            listen: node.clientAddress.description, admin: node.adminAddress.description,
            peer: (configuration.advertisePeer ?? HostPort(peerServer.localAddress)).description)
        parts.begin(addresses)
        await parts.cluster.session.becomeKnown(addresses)
        status.becomeReady()
        parts.cluster.view.observe { [id = parts.cluster.view.node] map in
            guard map.node(id)?.state == .removed else { return }
            status.become(unreadyBecause: "the node was removed from the cluster")
        }
        node.announce(configuration)
        return node
    }

    private func announce(_ configuration: NodeConfiguration) {
        logger.notice(
            "serving",
            metadata: [
                "node": "\(parts.membership.node.id)", "listen": "\(HostPort(front.localAddress))",
                "admin-listen": "\(HostPort(admin.localAddress))",
                "peer-listen": "\(HostPort(peerServer.localAddress))",
                "shards": "\(parts.table.hosts.count) of \(parts.table.ring.shardCount)",
                "data-dir": "\(configuration.dataDirectory)",
            ])
    }

    private static func options(
        _ configuration: NodeConfiguration, of cluster: UniqueID? = nil
    ) -> HTTPServer.Options {
        var options = HTTPServer.Options(
            wallSeconds: { ks_realtime_ns() / 1_000_000_000 }, connectionsMax: configuration.connectionsMax)
        options.clusterID = cluster?.description
        return options
    }

    private static func listening<Server>(
        _ setting: String, _ address: HostPort, _ bind: (HostPort) async throws -> Server
    ) async throws -> Server {
        do {
            return try await bind(address)
        } catch {
            throw NodeStartError("cannot listen on \(address) (\(setting)): \(NetworkFailure.words(error))")
        }
    }

    /// No new connections; what is in flight is answered; everything is flushed.
    func stop() async {
        logger.notice("stopping: answering what is in flight", metadata: ["node": "\(parts.membership.node.id)"])
        status.become(unreadyBecause: "shutting down")
        await front.shutDown(within: Self.drainLimit)
        peerDesk.close()
        await peerServer.shutDown(within: .seconds(2))
        do {
            try await parts.close()
        } catch {
            logger.error("the node did not close in order", metadata: ["reason": "\(error)"])
        }
        await admin.shutDown(within: .seconds(1))
        logger.notice("stopped", metadata: ["node": "\(parts.membership.node.id)"])
    }
}

extension HostPort {
    init(_ address: SocketAddress) {
        self.init(host: address.ipAddress ?? "", port: address.port ?? 0)
    }
}
