internal import DequeModule
internal import NIOCore
internal import NIOPosix
internal import NIOSSL
internal import PeerWire
internal import Primitives

/// The way to one peer on one event loop for one lane: its connection, made when it is needed, and the requests that
/// wait for it.
// SAFETY: everything here is touched on the link's event loop only.
final class PeerLink: @unchecked Sendable {
    private struct Waiting {
        let request: PeerRequest
        let asked: PendingRequest
        /// It waits no longer for a connection.
        let until: NIODeadline

        func isOver(_ now: NIODeadline) -> Bool { asked.deadline <= now || until <= now }
    }

    private let shared: PeerShared
    private let eventLoop: any EventLoop
    private let memory: MemoryAccount
    private(set) var address: PeerAddress

    private var current: ClientConnection?
    private var opening: ClientConnection?
    private var openingSince: NIODeadline = .uptimeNanoseconds(0)
    private var openingDeadline: NIODeadline = .distantFuture
    /// Taking no new request, but with some open.
    private var retiring: [ClientConnection] = []
    /// In the order of their coming.
    private var waiting: Deque<Waiting> = []
    /// Not settled, waiting or written.
    private var inFlight = 0
    private var inFlightBytes = 0

    private var failures = 0
    /// Its last connection was closed for its silence, and none has been ready since.
    private var wasSilent = false
    private var notBefore: NIODeadline = .uptimeNanoseconds(0)
    private var lastFailure = "it was out of reach a moment ago"
    private var lastUse: NIODeadline
    private var isUsed = true

    init(shared: PeerShared, eventLoop: any EventLoop, address: PeerAddress) {
        self.shared = shared
        self.eventLoop = eventLoop
        memory = shared.options.memory(eventLoop)
        self.address = address
        lastUse = .now()
    }

    // MARK: Requests

    /// Never calls `done` before it returns.
    func send(_ request: PeerRequest, _ asked: PendingRequest, to address: PeerAddress) {
        if address != self.address { move(to: address) }
        guard inFlight < shared.options.inFlightMax,
            inFlight == 0 || inFlightBytes + asked.frameBytes <= shared.options.inFlightBytesMax
        else {
            let reason = "\(inFlight) requests to \(address.node) are open"
            return eventLoop.execute { asked.complete(.overloaded(reason)) }
        }
        if let current, waiting.isEmpty, current.canWrite, asked.frameBytes <= current.frameBytesMax {
            guard count(asked) else { return refuseForMemory(asked) }
            return current.write(request, asked)
        }
        var until = NIODeadline.distantFuture
        if current == nil {
            let now = NIODeadline.now()
            if opening == nil {
                guard now >= notBefore else { return refuse(asked, lastFailure) }
                connect(now)
            }
            // The attempt that is under way tells whether it is back. Who asks meanwhile is not held up by it.
            if failures > 0 || wasSilent || shared.isUnreachable(address.node) {
                until = openingSince + shared.options.reconnectWait
                guard now < until else { return refuse(asked, lastFailure) }
            }
        }
        guard count(asked) else { return refuseForMemory(asked) }
        waiting.append(Waiting(request: request, asked: asked, until: until))
        if current != nil { drain() }
    }

    /// Tells the outcome of a request that was counted.
    func settle(_ asked: PendingRequest, _ outcome: PeerOutcome) {
        inFlight -= 1
        inFlightBytes -= asked.frameBytes
        memory.refund(charge(of: asked), of: .frames)
        asked.complete(outcome)
    }

    private func charge(of asked: PendingRequest) -> Int { memory.budget.bounds.clamped(asked.frameBytes) }

    /// False where there is no memory for its frame.
    private func count(_ asked: PendingRequest) -> Bool {
        let bytes = charge(of: asked)
        guard memory.charge(bytes, for: .frames, as: MemoryRank(bytes: bytes, isRead: true)) else { return false }
        isUsed = true
        inFlight += 1
        inFlightBytes += asked.frameBytes
        return true
    }

    private func refuseForMemory(_ asked: PendingRequest) {
        let reason = "this node has no memory left for a request to \(address.node)"
        eventLoop.execute { asked.complete(.overloaded(reason)) }
    }

    private func refuse(_ asked: PendingRequest, _ reason: String) {
        eventLoop.execute { asked.complete(.notSent(reason)) }
    }

    /// Writes what waits, as far as the connection takes it.
    func drain() {
        while let current, current.canWrite, let next = waiting.popFirst() {
            guard next.asked.frameBytes <= current.frameBytesMax else {
                settleLater(next.asked, .notSent("\(address.node) takes no request of \(next.asked.frameBytes) bytes"))
                continue
            }
            current.write(next.request, next.asked)
        }
    }

    private func settleLater(_ asked: PendingRequest, _ outcome: PeerOutcome) {
        eventLoop.execute { self.settle(asked, outcome) }
    }

    private func failWaiting(_ reason: String) {
        let failed = waiting
        waiting = []
        for one in failed { settle(one.asked, .notSent(reason)) }
    }

    // MARK: Connecting

    private func connect(_ now: NIODeadline) {
        let connection = ClientConnection(
            link: self, eventLoop: eventLoop, identity: shared.identity, peer: address, memory: memory)
        opening = connection
        openingSince = now
        openingDeadline = now + shared.options.connectTimeout + shared.options.handshakeTimeout
        let address = address
        let tls = shared.options.tls
        let bootstrap = ClientBootstrap(group: eventLoop)
            .connectTimeout(shared.options.connectTimeout)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(.writeBufferWaterMark, value: PeerShared.socketQueue)
            .channelOption(.recvAllocator, value: SteppedReceiving())
            .channelOption(.maxMessagesPerRead, value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let tls { try channel.pipeline.syncOperations.addHandler(Self.secure(tls, address)) }
                    try channel.pipeline.syncOperations.addHandler(connection)
                }
            }
        // An address needs no resolver.
        let literal = try? SocketAddress(ipAddress: address.host, port: address.port)
        let connected =
            literal.map { bootstrap.connect(to: $0) } ?? bootstrap.connect(host: address.host, port: address.port)
        connected.whenFailure { error in
            connection.close(
                "\(address.node) at \(address.host):\(address.port) cannot be reached: \(NetworkFailure.words(error))")
        }
    }

    private static func secure(_ tls: PeerTLS, _ address: PeerAddress) throws -> NIOSSLClientHandler {
        // Without a name the certificate must carry the address itself.
        let isLiteral = (try? SocketAddress(ipAddress: address.host, port: address.port)) != nil
        return try NIOSSLClientHandler(context: tls.client, serverHostname: isLiteral ? nil : address.host)
    }

    /// The node listens elsewhere now: what waits goes there.
    private func move(to address: PeerAddress) {
        self.address = address
        failures = 0
        wasSilent = false
        notBefore = .uptimeNanoseconds(0)
        if let opening {
            self.opening = nil
            opening.abandon()
            connect(.now())
        }
        if let current {
            self.current = nil
            retiring.append(current)
            current.retire()
            if !waiting.isEmpty { connect(.now()) }
        }
    }

    // MARK: What a connection tells

    func connectionReady(_ connection: ClientConnection) {
        precondition(connection === opening, "a link opens one connection at a time")
        opening = nil
        current = connection
        failures = 0
        wasSilent = false
        shared.mark(address.node, reachable: true)
        drain()
    }

    /// It takes no more; it will close when its open requests have been answered.
    func connectionRetired(_ connection: ClientConnection) {
        guard connection === current else { return }
        current = nil
        retiring.append(connection)
        if !waiting.isEmpty { connect(.now()) }
    }

    /// Its requests have been settled.
    func connectionClosed(_ connection: ClientConnection, wasReady: Bool, _ reason: String) {
        if connection === opening {
            opening = nil
            failures += 1
            let doublings = min(failures - 1, 16)
            let pause = min(shared.options.backoffMin.nanoseconds << doublings, shared.options.backoffMax.nanoseconds)
            notBefore = .now() + .nanoseconds(pause)
            lastFailure = reason
            shared.mark(address.node, reachable: false)
            failWaiting(reason)
        } else if connection === current {
            current = nil
            failWaiting(reason)
        } else {
            retiring.removeAll { $0 === connection }
        }
    }

    /// The connection is about to be closed for its silence.
    func isSilent(_ reason: String) {
        wasSilent = true
        lastFailure = reason
        shared.mark(address.node, reachable: false)
    }

    // MARK: Time and end

    /// Deadlines, life signs, idleness. False: the link holds nothing and can be forgotten.
    func sweep(_ now: NIODeadline) -> Bool {
        if waiting.contains(where: { $0.isOver(now) }) {
            let expired = waiting.filter { $0.isOver(now) }
            waiting.removeAll { $0.isOver(now) }
            for one in expired {
                let reason = one.asked.deadline <= now ? "the deadline passed before it could be sent" : lastFailure
                settle(one.asked, .notSent(reason))
            }
        }
        if let opening, now >= openingDeadline {
            opening.close("\(address.node) at \(address.host):\(address.port) did not shake hands in time")
        }
        for connection in retiring { connection.sweep(now, shared.paces) }
        current?.sweep(now, shared.paces)
        if isUsed || inFlight > 0 { lastUse = now }
        isUsed = false
        guard now - lastUse >= shared.options.idleTimeout else { return true }
        if let current, current.pendingCount == 0, waiting.isEmpty {
            self.current = nil
            retiring.append(current)
            current.retire()
        }
        return current != nil || opening != nil || !retiring.isEmpty || inFlight > 0
    }

    func close(_ reason: String) {
        failWaiting(reason)
        for connection in retiring { connection.close(reason) }
        opening?.abandon()
        opening = nil
        current?.close(reason)
    }

    func add(to counters: inout PeerClientCounters) {
        counters.connections += (current == nil ? 0 : 1) + retiring.count
        counters.inFlight += inFlight
        counters.inFlightBytes += inFlightBytes
        counters.pending += (current?.pendingCount ?? 0) + retiring.reduce(0) { $0 + $1.pendingCount }
    }
}
