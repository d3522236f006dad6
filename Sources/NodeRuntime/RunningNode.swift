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

    /// Opens the data, replays the log and begins to serve. The admin listener answers from the first moment, so that
    /// `/readyz` can say what the node waits for.
    ///
    /// - Parameter metadata: the cluster's store; `nil` is the embedded one in the node's directory.
    static func start(
        _ configuration: NodeConfiguration, metadata: (any MetadataStore)?, descriptors: Descriptors, logger: Logger
    ) async throws -> RunningNode {
        let scarce = ScarceThings(configuration, descriptors, logger: logger)
        let group = MultiThreadedEventLoopGroup(
            numberOfThreads: configuration.eventLoops == 0 ? System.coreCount : configuration.eventLoops)
        // Whoever has become ready on a loop goes before what computes, here or in another process.
        for loop in group.makeIterator() { loop.execute { ks_set_slice(Limits.loopSliceNanoseconds) } }
        let memory = NodeMemory(configuration, group)
        let status = NodeStatus()
        let view = NIOLockedValueBox<NodeView?>(nil)
        let server = NIOLockedValueBox<HTTPServer?>(nil)
        let routes = AdminRoutes(
            status: status, view: { view.withLockedValue { $0 } },
            metrics: { await NodeMetrics(view: $0, front: server.withLockedValue { $0 }).text() })
        let admin = try await listening("admin-listen", configuration.adminListen) {
            try await HTTPServer.serveAdmin(
                on: group, host: $0.host, port: $0.port, options: options(configuration, scarce, .admin, memory)
            ) { await routes.answer($0) }
        }
        let parts = try await NodeParts.open(
            configuration, metadata: metadata, scarce: scarce, group: group, memory: memory, logger: logger)
        let desk = PeerDesk()
        let peerServer = try await listening("peer-listen", configuration.peerListen) {
            var options = try PeerOptions(configuration, memory)
            options.admit(under: scarce.connections)
            return try await PeerServer.serve(
                desk, on: group, host: $0.host, port: $0.port, identity: parts.cluster.identity, options: options)
        }
        let frontOptions = options(configuration, scarce, .client, memory, of: parts.membership.config.clusterID)
        let front = try await listening("listen", configuration.listen) {
            try await HTTPServer.serve(parts.backend, on: group, host: $0.host, port: $0.port, options: frontOptions)
        }
        let node = RunningNode(
            parts: parts, front: front, admin: admin, peerServer: peerServer, peerDesk: desk, status: status,
            logger: logger, clientAddress: configuration.advertise ?? HostPort(front.localAddress).forOthers,
            adminAddress: configuration.advertiseAdmin ?? HostPort(admin.localAddress).forOthers)
        desk.open(
            PeerDesk.Parts(
                backend: parts.backend, lists: parts.lists, memory: memory, view: parts.cluster.view,
                keeper: parts.cluster.keeper))
        server.withLockedValue { $0 = front }
        view.withLockedValue { $0 = parts.view(listen: node.clientAddress, admin: node.adminAddress) }
        let addresses = NodeAddresses(
            listen: node.clientAddress.description, admin: node.adminAddress.description,
            peer: (configuration.advertisePeer ?? HostPort(peerServer.localAddress).forOthers).description)
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
        guard configuration.advertise == nil, configuration.listen.isWildcard else { return }
        logger.warning(
            "listening on every address: callers are told one of them; name the right one with --advertise",
            metadata: ["told": "\(clientAddress)"])
    }

    private static func options(
        _ configuration: NodeConfiguration, _ scarce: ScarceThings, _ listener: ConnectionBudget.Listener,
        _ memory: NodeMemory, of cluster: UniqueID? = nil
    ) -> HTTPServer.Options {
        var options = HTTPServer.Options(
            wallSeconds: { ks_wall_ms() / 1000 }, memory: { memory.loops.account(of: $0) },
            connectionsMax: min(configuration.connectionsMax, scarce.connections.connectionsMax),
            admission: ListenerAdmission(budget: scarce.connections, listener: listener))
        options.door = configuration.door
        options.clusterID = cluster?.description
        options.pageTextBytesMax = memory.shares.listPageBytes
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

    /// No new connections; what is in flight is answered; everything is flushed. Each part is given its time, so that
    /// the disk has what is left of ``Limits/endSecondsMax``.
    func stop() async {
        logger.notice("stopping: answering what is in flight", metadata: ["node": "\(parts.membership.node.id)"])
        status.become(unreadyBecause: "shutting down")
        parts.lists.close()
        EndSignals.shared.note(.answers)
        await front.shutDown(within: .seconds(Int64(Limits.endAnswersSecondsMax)))
        EndSignals.shared.note(.peers)
        peerDesk.close()
        await peerServer.shutDown(within: .seconds(Int64(Limits.endPeersSecondsMax)))
        do {
            try await parts.close()
        } catch {
            logger.error("the node did not close in order", metadata: ["reason": "\(error)"])
        }
        EndSignals.shared.note(.admin)
        await admin.shutDown(within: .seconds(Int64(Limits.endAdminSecondsMax)))
        logger.notice("stopped", metadata: ["node": "\(parts.membership.node.id)"])
    }
}

extension HostPort {
    init(_ address: SocketAddress) {
        self.init(host: address.ipAddress ?? "", port: address.port ?? 0)
    }

    /// What others are told of an address that a listener has: where it stands for every address of this machine, one
    /// of those, since nobody can connect to "every address of mine". Loopback where the machine has no other.
    var forOthers: HostPort {
        guard isWildcard else { return self }
        let devices = (try? System.enumerateDevices()) ?? []
        let addresses = devices.compactMap(\.address).map { HostPort(host: $0.ipAddress ?? "", port: port) }
        let usable = addresses.filter { !$0.host.isEmpty && !$0.isLoopback && !$0.isLinkLocal }
        let fitting = usable.first { !$0.isIPv6 } ?? (isIPv6 ? usable.first : nil)
        return fitting ?? HostPort(host: "127.0.0.1", port: port)
    }

    private var isLinkLocal: Bool { host.hasPrefix("169.254.") || host.lowercased().hasPrefix("fe80:") }
}

/// What a listener for HTTP asks.
private struct ListenerAdmission: ConnectionAdmission {
    let budget: ConnectionBudget
    let listener: ConnectionBudget.Listener

    func enter(from address: SocketAddress?) -> (@Sendable () -> Void)? {
        guard let place = budget.enter(listener) else { return nil }
        return { budget.leave(listener, place) }
    }

    func acceptFailed(_ error: IOError) { budget.acceptFailed(error) }
}
