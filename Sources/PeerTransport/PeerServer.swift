public import HashRing
public import NIOCore
internal import NIOPosix
internal import NIOSSL
public import PeerWire
internal import Primitives
internal import Synchronization

/// What a node does for its peers.
public protocol PeerService: AnyObject, Sendable {
    /// On the connection's event loop; must not block. `reply` is used exactly once, from any thread, now or later;
    /// until then the request counts against the connection's bounds.
    func handle(_ request: PeerRequest, from node: NodeID, reply: PeerReply)
}

/// The way back for one request.
public struct PeerReply: Sendable {
    let connection: ServerConnection
    let id: UInt64

    /// The loop of the connection that the request came on.
    public var eventLoop: any EventLoop { connection.eventLoop }

    /// Calls `body` where the connection ends before the request has been answered; not where it has been answered. On
    /// the loop.
    public func whenLost(_ body: @escaping @Sendable () -> Void) { connection.whenLost(id, body) }

    /// Answers. Where the connection is gone, nothing happens.
    public func send(_ response: PeerResponse) {
        if connection.eventLoop.inEventLoop { return connection.answer(id, response) }
        connection.eventLoop.execute { connection.answer(id, response) }
    }
}

/// One listener for the other nodes of the cluster, and its connections.
public final class PeerServer: Sendable {
    /// Where it listens; the port is the real one where 0 was asked for.
    public let localAddress: SocketAddress

    private let channel: any Channel
    private let connections: ServerConnections

    private init(channel: any Channel, localAddress: SocketAddress, connections: ServerConnections) {
        self.channel = channel
        self.localAddress = localAddress
        self.connections = connections
    }

    /// Binds and serves until ``shutDown(within:)``. Connections are spread over the loops of `group`.
    public static func serve(
        _ service: any PeerService, on group: any EventLoopGroup, host: String, port: Int, identity: PeerIdentity,
        options: PeerOptions
    ) async throws -> PeerServer {
        let connections = ServerConnections(max: options.connectionsMax)
        let receiving = SteppedReceiving()
        let channel = try await ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 256)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelInitializer { channel in
                // Where the process is out of descriptors, accepting pauses instead of spinning.
                channel.eventLoop.makeCompletedFuture {
                    let backoff = AcceptBackoffHandler(shouldForwardIOErrorCaught: false) { error in
                        options.acceptFailed(error)
                        return .milliseconds(Limits.acceptPauseMilliseconds)
                    }
                    try channel.pipeline.syncOperations.addHandler(backoff)
                }
            }
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.writeBufferWaterMark, value: PeerShared.socketQueue)
            .childChannelOption(.recvAllocator, value: receiving)
            .childChannelOption(.maxMessagesPerRead, value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    guard let leave = options.admit() else { throw TooManyConnections() }
                    channel.closeFuture.whenComplete { _ in leave() }
                    if let tls = options.tls {
                        try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: tls.server))
                    }
                    let connection = ServerConnection(
                        service: service, eventLoop: channel.eventLoop, identity: identity, options: options,
                        connections: connections)
                    try channel.pipeline.syncOperations.addHandler(connection)
                }
            }
            .bind(host: host, port: port).get()
        guard let localAddress = channel.localAddress else { throw ChannelError.unknownLocalAddress }
        return PeerServer(channel: channel, localAddress: localAddress, connections: connections)
    }

    /// Stops accepting, answers what is in flight, refuses what still comes, and returns when the peers have closed
    /// their connections, as the goodbye asks them to. What is still open after `limit` is cut off.
    public func shutDown(within limit: TimeAmount) async {
        try? await channel.close()
        let eventLoop = channel.eventLoop
        let emptied = eventLoop.makePromise(of: Void.self)
        let connections = connections
        connections.drain(emptied)
        let cut = eventLoop.scheduleTask(in: limit) { connections.cut() }
        try? await emptied.futureResult.get()
        cut.cancel()
    }

    /// Open connections, handshakes included.
    public var connectionCount: Int { connections.count }
}

/// Upon which a connection that has just come is closed.
private struct TooManyConnections: Error {}

/// The open connections of one server. Safe on any thread; touched where a connection begins and ends.
final class ServerConnections: Sendable {
    private struct State {
        var open: [ObjectIdentifier: ServerConnection] = [:]
        var emptied: [EventLoopPromise<Void>] = []
        var isDraining = false
    }

    private let max: Int
    private let state = Mutex(State())

    init(max: Int) { self.max = max }

    var count: Int { state.withLock { $0.open.count } }

    /// False where there are too many, or where the server is going down.
    func add(_ connection: ServerConnection) -> Bool {
        state.withLock { state in
            guard !state.isDraining, state.open.count < max else { return false }
            state.open[ObjectIdentifier(connection)] = connection
            return true
        }
    }

    func remove(_ connection: ServerConnection) {
        let emptied = state.withLock { state -> [EventLoopPromise<Void>] in
            state.open[ObjectIdentifier(connection)] = nil
            guard state.open.isEmpty else { return [] }
            defer { state.emptied = [] }
            return state.emptied
        }
        for promise in emptied { promise.succeed() }
    }

    func drain(_ emptied: EventLoopPromise<Void>) {
        let open = state.withLock { state -> [ServerConnection] in
            state.isDraining = true
            if !state.open.isEmpty { state.emptied.append(emptied) }
            return Array(state.open.values)
        }
        if open.isEmpty { return emptied.succeed() }
        for connection in open { connection.eventLoop.execute { connection.drain() } }
    }

    func cut() {
        let open = state.withLock { Array($0.open.values) }
        for connection in open { connection.eventLoop.execute { connection.close() } }
    }
}
