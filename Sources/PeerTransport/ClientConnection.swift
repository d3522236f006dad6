internal import NIOCore
internal import NIOSSL
internal import PeerWire
internal import Primitives

/// One connection to a peer, from the client's side: its handshake, the requests that are open on it, its life signs.
// SAFETY: everything here is touched on the connection's event loop only.
final class ClientConnection: ChannelInboundHandler, @unchecked Sendable {
    typealias InboundIn = ByteBuffer

    private enum Stage {
        case shakingHands
        case ready
        case closed
    }

    /// `nil` once it is closed or given up: then nobody waits for anything here.
    private var link: PeerLink?
    private let identity: PeerIdentity
    private let peer: PeerAddress
    private var stage: Stage = .shakingHands
    private var context: ChannelHandlerContext?
    private var reader: FrameReader
    private let writer: FrameWriter
    private var pending = PendingRequests()
    /// What the peer takes.
    private(set) var frameBytesMax = Limits.peerHelloBytesMax
    private(set) var isRetired = false
    private var isWritable = true
    private var silence = PeerSilence()

    init(link: PeerLink, eventLoop: any EventLoop, identity: PeerIdentity, peer: PeerAddress, memory: MemoryAccount) {
        self.link = link
        writer = FrameWriter(eventLoop: eventLoop, memory: memory)
        self.identity = identity
        self.peer = peer
        // What was asked for is taken: the asker answers for its size.
        reader = FrameReader(
            frameBytesMax: Limits.peerHelloBytesMax, ring: identity.ring, memory: memory, mayRefuse: false)
    }

    var pendingCount: Int { pending.count }

    /// Whether a request would go out now, and not into the socket's queue behind others.
    var canWrite: Bool { stage == .ready && isWritable && !isRetired }

    // MARK: Requests

    /// Writes a request. It leaves at the end of the loop's tick.
    func write(_ request: PeerRequest, _ asked: PendingRequest) {
        precondition(canWrite, "requests are written to a ready connection")
        let id = pending.insert(asked, flush: writer.flushes + 1)
        writer.write(asked.frameBytes) { request.encodeFrame(id: id, into: $0) }
    }

    // MARK: Ends

    /// Takes no new request and closes when those that are open have been answered.
    func retire() {
        isRetired = true
        closeIfDone()
    }

    /// Closes now; whatever is open is settled.
    func close(_ reason: String) {
        guard stage != .closed else { return }
        let wasReady = stage == .ready
        stage = .closed
        reader.close()
        let (sent, unsent) = pending.removeAll(flushed: writer.flushes)
        let link = link
        self.link = nil
        context?.close(promise: nil)
        for asked in unsent { link?.settle(asked, .notSent(reason)) }
        for asked in sent { link?.settle(asked, .lost(reason)) }
        link?.connectionClosed(self, wasReady: wasReady, reason)
    }

    /// Forgets a connection that is still being made.
    func abandon() {
        link = nil
        close("given up")
    }

    private func closeIfDone() {
        guard isRetired, pending.count == 0 else { return }
        writer.flush()
        close("retired")
    }

    // MARK: Time

    /// A sweep: deadlines and life signs.
    func sweep(_ now: NIODeadline, _ paces: PeerPaces) {
        for asked in pending.removeExpired(now) { link?.settle(asked, .timedOut) }
        closeIfDone()
        guard stage == .ready else { return }
        switch silence.sweep(pending.count > 0 ? paces.awaited : paces.idle) {
        case .wait: break
        case .ping(let number): writer.write(.ping, id: number)
        case .giveUp:
            let reason = "\(peer.node) has not been heard of and answers no ping"
            link?.isSilent(reason)
            close(reason)
        }
    }

    private func showLife() { silence = PeerSilence() }

    // MARK: Channel

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        writer.context = context
        if context.channel.isActive { greet() }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        writer.context = nil
    }

    func channelActive(context: ChannelHandlerContext) {
        greet()
        context.fireChannelActive()
    }

    private func greet() {
        guard stage == .shakingHands else {
            context?.close(promise: nil)
            return
        }
        writer.write(.hello(identity.hello), id: 0)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        showLife()
        reader.add(unwrapInboundIn(data))
        do throws(PeerWireError) {
            while stage != .closed, let (id, _, frame) = try reader.next() { take(id, frame) }
        } catch {
            close("\(peer.node) at \(peer.host):\(peer.port) does not speak the peer protocol: \(error)")
        }
    }

    private func take(_ id: UInt64, _ frame: InboundFrame) {
        switch frame {
        case .response(let response):
            guard let asked = pending.remove(id) else { return }
            if let objection = asked.expectation.objection(to: response) {
                link?.settle(asked, .lost("\(peer.node) gave \(objection)"))
            } else {
                link?.settle(asked, .response(response))
            }
            closeIfDone()
        case .unreadable(let type, let error):
            if type.isControl { return close("\(peer.node) cannot be understood: \(error)") }
            guard let asked = pending.remove(id) else { return }
            link?.settle(asked, .lost("the answer of \(peer.node) cannot be read: \(error)"))
            closeIfDone()
        case .control(.some(let control)): take(control, id)
        case .tooMuch: preconditionFailure("a client passes over no answer")
        case .control(nil), .request: break
        }
    }

    private func take(_ control: PeerControl, _ id: UInt64) {
        switch control {
        case .hello(let hello): takeHello(hello)
        case .refuse(let text): close("\(peer.node) refused the connection: \(text)")
        case .ping: writer.write(.pong, id: id)
        case .pong: break
        case .bye:
            guard stage == .ready, !isRetired else { return }
            isRetired = true
            link?.connectionRetired(self)
            closeIfDone()
        }
    }

    private func takeHello(_ hello: PeerHello) {
        guard stage == .shakingHands else { return }
        if let objection = identity.objection(to: hello) { return close(objection) }
        guard hello.node == peer.node else {
            return close("\(peer.host):\(peer.port) is \(hello.node), not \(peer.node)")
        }
        stage = .ready
        frameBytesMax = hello.frameBytesMax
        reader.frameBytesMax = Limits.peerFrameBytesMax
        link?.connectionReady(self)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        isWritable = context.channel.isWritable
        // The other side has taken bytes.
        if isWritable { showLife() }
        if canWrite { link?.drain() }
        context.fireChannelWritabilityChanged()
    }

    func channelInactive(context: ChannelHandlerContext) {
        close("the connection to \(peer.node) was lost")
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        close("the connection to \(peer.node) failed: \(NetworkFailure.words(error))")
    }
}
