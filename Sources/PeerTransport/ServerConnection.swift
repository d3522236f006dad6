internal import HashRing
internal import NIOCore
internal import PeerWire
internal import Primitives

/// One connection of a peer, from the server's side. It reads no further while it has as many requests open as it may,
/// or while the peer does not take its answers.
// SAFETY: everything but `eventLoop`, which never changes, is touched on that loop only.
final class ServerConnection: ChannelDuplexHandler, @unchecked Sendable {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer

    private enum Stage {
        case shakingHands
        case serving(NodeID)
        case closed
    }

    let eventLoop: any EventLoop
    private let service: any PeerService
    private let identity: PeerIdentity
    private let options: PeerOptions
    private let connections: ServerConnections
    private let memory: MemoryAccount
    private var isCharged = false

    private var stage: Stage = .shakingHands
    private var context: ChannelHandlerContext?
    private var reader: FrameReader
    private let writer: FrameWriter
    /// The bytes of each request that has not been answered, by id: of all that the service still has, also when the
    /// connection is closed.
    private var open: [UInt64: Int] = [:]
    private var openBytes = 0
    /// What is done where the connection ends before a request has been answered, by id.
    private var whenLost: [UInt64: @Sendable () -> Void] = [:]
    private var frameBytesMax = Limits.peerHelloBytesMax
    private var isWritable = true
    private var isTaking = false
    /// The channel wants to read and may not yet.
    private var isReadHeld = false
    private var isDraining = false
    private var handshake: Scheduled<Void>?
    private var ticking: RepeatedTask?
    private var silentTicks = 0

    init(
        service: any PeerService, eventLoop: any EventLoop, identity: PeerIdentity, options: PeerOptions,
        connections: ServerConnections
    ) {
        self.service = service
        self.eventLoop = eventLoop
        memory = options.memory(eventLoop)
        writer = FrameWriter(eventLoop: eventLoop, memory: memory)
        self.identity = identity
        self.options = options
        self.connections = connections
        reader = FrameReader(
            frameBytesMax: Limits.peerHelloBytesMax, ring: identity.ring, memory: memory, mayRefuse: true)
    }

    // MARK: Answers

    /// On the loop.
    func answer(_ id: UInt64, _ response: PeerResponse) {
        guard let bytes = open.removeValue(forKey: id) else {
            preconditionFailure("request \(id) of a peer is answered once")
        }
        openBytes -= bytes
        memory.refund(bytes, of: .frames)
        whenLost[id] = nil
        if case .closed = stage { return }
        write(response, id: id)
        takeFrames()
    }

    /// On the loop.
    func whenLost(_ id: UInt64, _ body: @escaping @Sendable () -> Void) {
        if isClosed { return body() }
        if open[id] != nil { whenLost[id] = body }
    }

    private func write(_ response: PeerResponse, id: UInt64) {
        let count = response.frameBytes
        guard count <= frameBytesMax else {
            let text = "the answer has \(count) bytes; \(frameBytesMax) at most are taken"
            return write(.refused(PeerRefusal(.answerTooLong, text)), id: id)
        }
        guard !response.isRefusable || hasMemory(for: count) else {
            return write(.refused(PeerRefusal(.overloaded, Self.noMemory)), id: id)
        }
        writer.write(count) { response.encodeFrame(id: id, into: $0) }
    }

    private static let noMemory = "the node has no memory left for this request"

    /// Whether an answer may be encoded; what is encoded is charged until the socket has taken it.
    private func hasMemory(for count: Int) -> Bool {
        let bytes = memory.budget.bounds.clamped(count)
        guard memory.charge(bytes, for: .frames, as: MemoryRank(bytes: bytes, isRead: true)) else { return false }
        memory.refund(bytes, of: .frames)
        return true
    }

    // MARK: Requests

    /// Below this the connection may hand one more request to the service.
    private var hasRoom: Bool {
        isWritable && open.count < options.inFlightMax
            && (open.isEmpty || openBytes < options.inFlightBytesMax)
    }

    /// Takes what has come, as far as there is room, and then lets the channel read on.
    private func takeFrames() {
        // An answer given while a request is taken: the loop below goes on anyway.
        guard !isTaking else { return }
        isTaking = true
        defer { isTaking = false }
        do throws(PeerWireError) {
            while hasRoom, !isClosed {
                guard let (id, bytes, frame) = try reader.next() else {
                    if isReadHeld {
                        isReadHeld = false
                        context?.read()
                    }
                    return
                }
                take(id, bytes, frame)
            }
        } catch {
            refuse("this is no stream of the peer protocol: \(error)")
        }
    }

    private var isClosed: Bool {
        if case .closed = stage { return true }
        return false
    }

    private func take(_ id: UInt64, _ bytes: Int, _ frame: InboundFrame) {
        switch (stage, frame) {
        case (.serving(let node), .request(let request)):
            guard !isDraining else {
                return write(.refused(PeerRefusal(.shuttingDown, "\(identity.node) is going down")), id: id)
            }
            guard open[id] == nil else { return refuse("two open requests have the id \(id)") }
            guard memory.charge(bytes, for: .frames, as: MemoryRank(bytes: bytes, isRead: request.isRead)) else {
                return write(.refused(PeerRefusal(.overloaded, Self.noMemory)), id: id)
            }
            open[id] = bytes
            openBytes += bytes
            service.handle(request, from: node, reply: PeerReply(connection: self, id: id))
        case (.serving, .unreadable(let type, let error)) where type.isRequest:
            let code: PeerRefusal.Code =
                if case .unknownType = error { .unsupported } else { .malformed }
            write(.refused(PeerRefusal(code, "\(identity.node) cannot read the request: \(error)")), id: id)
        case (.serving, .tooMuch(let type)) where type.isRequest:
            write(.refused(PeerRefusal(.overloaded, Self.noMemory)), id: id)
        case (.serving, .control(.ping)): writer.write(.pong, id: id)
        case (.serving, _): break
        case (.shakingHands, .control(.hello(let hello))): greet(hello)
        case (.shakingHands, .unreadable(_, let error)): refuse("\(identity.node) cannot read the hello: \(error)")
        case (.shakingHands, _): refuse("a connection begins with a hello")
        case (.closed, _): break
        }
    }

    private func greet(_ hello: PeerHello) {
        if let objection = identity.objection(to: hello) { return refuse(objection) }
        guard !isDraining else { return refuse("\(identity.node) is going down") }
        stage = .serving(hello.node)
        handshake?.cancel()
        frameBytesMax = hello.frameBytesMax
        reader.frameBytesMax = Limits.peerRequestBytesMax
        writer.write(.hello(identity.hello), id: 0)
    }

    // MARK: Ends

    /// Says why and closes.
    private func refuse(_ reason: String) {
        writer.write(.refuse(reason), id: 0)
        writer.flush()
        close()
    }

    func close() {
        guard !isClosed else { return }
        stage = .closed
        reader.close()
        let lost = whenLost.values
        whenLost = [:]
        for body in lost { body() }
        handshake?.cancel()
        ticking?.cancel()
        context?.close(promise: nil)
    }

    /// Answers what is open, refuses what still comes, and asks the peer to close.
    func drain() {
        isDraining = true
        switch stage {
        case .shakingHands: refuse("\(identity.node) is going down")
        case .serving: writer.write(.bye, id: 0)
        case .closed: break
        }
    }

    // MARK: Time

    private func startTicking() {
        handshake = eventLoop.scheduleTask(in: options.handshakeTimeout) {
            if case .shakingHands = self.stage { self.close() }
        }
        let interval = options.pingInterval
        ticking = eventLoop.scheduleRepeatedTask(initialDelay: interval, delay: interval) { _ in
            self.tick()
        }
    }

    /// A client that is there pings after one interval of silence. What it sends while reading is held is not seen.
    private func tick() {
        silentTicks = isReadHeld ? 0 : silentTicks + 1
        if silentTicks > 3 { close() }
    }

    // MARK: Channel

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        writer.context = context
        isCharged = memory.charge(Limits.memoryConnectionBytes, for: .connections, as: .small)
        guard isCharged, connections.add(self) else {
            // Refused without a word: over the bound there is no reading of hellos either.
            stage = .closed
            context.close(promise: nil)
            return
        }
        startTicking()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        writer.context = nil
        close()
        if isCharged { memory.refund(Limits.memoryConnectionBytes, of: .connections) }
        isCharged = false
        connections.remove(self)
    }

    func read(context: ChannelHandlerContext) {
        if hasRoom || isClosed { context.read() } else { isReadHeld = true }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        silentTicks = 0
        reader.add(unwrapInboundIn(data))
        takeFrames()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        isWritable = context.channel.isWritable
        if isWritable {
            silentTicks = 0
            takeFrames()
        }
        context.fireChannelWritabilityChanged()
    }

    func channelInactive(context: ChannelHandlerContext) {
        close()
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { close() }
}
