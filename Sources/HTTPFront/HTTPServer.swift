internal import Glibc
public import NIOCore
internal import NIOPosix
public import Primitives
public import Serving

/// One HTTP/1.1 listener and its connections.
public final class HTTPServer: Sendable {
    /// What an operator may set.
    public struct Options: Sendable {
        /// `Limits.connectionsMax` unless it is given.
        public var connectionsMax: Int
        /// Connections that the kernel may hold before they are accepted.
        public var backlog: CInt = 1024
        /// Of the jitter in `Retry-After`.
        public var seed: UInt64 = 0
        /// Whom the listener serves: by addresses and as `localhost`, and no foreign page, unless it is said.
        public var door = DoorPolicy()
        /// Names the cluster for ever, printable ASCII: the answer to a batch carries it as `Keystead-Cluster`.
        public var clusterID: String?

        /// A page's text ends early behind the item that brings it here.
        public var pageTextBytesMax = Limits.listBytesMax
        /// The account of a loop, which what its connections hold is charged to. Called once for each loop.
        public var memory: @Sendable (any EventLoop) -> MemoryAccount

        /// The wall clock in seconds since 1970, for `Date`. Called once an answer, on any loop.
        public var wallSeconds: @Sendable () -> UInt64

        /// Whether a connection is taken at all; beside ``connectionsMax``, which is this listener's alone.
        public var admission: any ConnectionAdmission

        public init(
            wallSeconds: @escaping @Sendable () -> UInt64,
            memory: @escaping @Sendable (any EventLoop) -> MemoryAccount, connectionsMax: Int? = nil,
            admission: any ConnectionAdmission = OpenAdmission()
        ) {
            self.memory = memory
            self.wallSeconds = wallSeconds
            self.connectionsMax = connectionsMax ?? Limits.connectionsMax
            self.admission = admission
        }
    }

    /// Where it listens; the port is the real one where 0 was asked for.
    public let localAddress: SocketAddress

    private let channel: any Channel
    private let loops: LoopContexts

    private init(channel: any Channel, localAddress: SocketAddress, loops: LoopContexts) {
        self.channel = channel
        self.localAddress = localAddress
        self.loops = loops
    }

    /// Binds and serves the entity routes (Contract §1) until ``shutDown(within:)``. Connections are spread over the
    /// loops of `group`; `backend` is called on each connection's own loop, whose number is its place in `group`.
    public static func serve<Backend: EntityBackend>(
        _ backend: Backend, on group: any EventLoopGroup, host: String, port: Int, options: Options
    ) async throws -> HTTPServer {
        try await bind(EntityService(backend: backend), on: group, host: host, port: port, options: options)
    }

    /// Binds and serves an admin listener: the same decoder, limits and problem documents, with routes of the caller's.
    public static func serveAdmin(
        on group: any EventLoopGroup, host: String, port: Int, options: Options, handler: @escaping AdminHandler
    ) async throws -> HTTPServer {
        try await bind(AdminService(handler: handler), on: group, host: host, port: port, options: options)
    }

    private static func bind<Service: RequestService>(
        _ service: Service, on group: any EventLoopGroup, host: String, port: Int, options: Options
    ) async throws -> HTTPServer {
        let loops = LoopContexts(group, options)
        let door = ConnectionDoor(options.admission)
        let marks = ChannelOptions.Types.WriteBufferWaterMark(
            low: FrontLimits.socketQueueBytesLow, high: FrontLimits.socketQueueBytesHigh)
        let channel = try await ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: options.backlog)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            // Connections have it from their listener. The kernel keeps no more for a client that does not read.
            .serverChannelOption(.tcpOption(.init(rawValue: TCP_NOTSENT_LOWAT)), value: Limits.socketUnsentBytesMax)
            .serverChannelInitializer { channel in
                // Where the process is out of descriptors, accepting pauses instead of spinning.
                channel.eventLoop.makeCompletedFuture {
                    let backoff = AcceptBackoffHandler(shouldForwardIOErrorCaught: false) { error in
                        options.admission.acceptFailed(error)
                        return .milliseconds(Limits.acceptPauseMilliseconds)
                    }
                    try channel.pipeline.syncOperations.addHandler(backoff)
                }
            }
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelOption(.writeBufferWaterMark, value: marks)
            .childChannelOption(.recvAllocator, value: SteppedReceiving())
            .childChannelOption(.maxMessagesPerRead, value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let isAdmitted = try door.enter(channel)
                    let handler = ConnectionHandler(
                        service: service, loop: loops.context(of: channel.eventLoop), isAdmitted: isAdmitted)
                    try channel.pipeline.syncOperations.addHandler(handler)
                }
            }
            .bind(host: host, port: port).get()
        guard let localAddress = channel.localAddress else { throw ChannelError.unknownLocalAddress }
        return HTTPServer(channel: channel, localAddress: localAddress, loops: loops)
    }

    /// Stops accepting, lets every connection answer what is in flight (with `Connection: close`), and returns when all
    /// have closed. What is still open after `limit` is cut off.
    public func shutDown(within limit: TimeAmount) async {
        try? await channel.close()
        await loops.drain(within: limit)
    }

    /// What all loops have counted, each asked on its own loop.
    public func counters() async -> HTTPCounters { await loops.counters() }
}

/// The contexts of all loops of one listener.
// SAFETY: the array never changes, and each context is used on its own event loop only.
final class LoopContexts: @unchecked Sendable {
    private let contexts: [LoopContext]

    init(_ group: any EventLoopGroup, _ options: HTTPServer.Options) {
        let accounts = group.makeIterator().map { ($0, options.memory($0)) }
        // Connections alone leave half of the budget to what they ask for.
        let capacity = accounts.first.map { $0.1.budget.bounds.capacityBytes } ?? 0
        let cap = ConnectionCap(
            max: min(options.connectionsMax, max(1, capacity / 2 / Limits.memoryConnectionBytes)))
        var seeds = SplitMix64(seed: options.seed)
        var contexts: [LoopContext] = []
        for (index, (eventLoop, memory)) in accounts.enumerated() {
            contexts.append(
                LoopContext(
                    eventLoop: eventLoop, number: LoopNumber(index), cap: cap, door: options.door, memory: memory,
                    pageTextBytesMax: options.pageTextBytesMax, seed: seeds.next(), clusterID: options.clusterID,
                    wallSeconds: options.wallSeconds))
        }
        self.contexts = contexts
    }

    func context(of eventLoop: any EventLoop) -> LoopContext {
        for context in contexts where context.eventLoop === eventLoop { return context }
        preconditionFailure("a connection lives on a loop of its listener's group")
    }

    private var eventLoops: [any EventLoop] { contexts.map(\.eventLoop) }

    func drain(within limit: TimeAmount) async {
        let drained = eventLoops.map { eventLoop in
            let cut = eventLoop.scheduleTask(in: limit) { self.context(of: eventLoop).abandonAll() }
            let drained = eventLoop.flatSubmit { self.context(of: eventLoop).drain() }
            drained.whenComplete { _ in cut.cancel() }
            return drained
        }
        for future in drained { try? await future.get() }
    }

    func counters() async -> HTTPCounters {
        var sum = HTTPCounters()
        for eventLoop in eventLoops {
            let counted = try? await eventLoop.submit { self.context(of: eventLoop).counters }.get()
            if let counted { sum.add(counted) }
        }
        return sum
    }

}
