public import HashRing
public import NIOCore
public import PeerWire
internal import Primitives
internal import Synchronization

/// Which of the two connections to a peer a request takes.
public enum PeerLane: UInt8, Sendable, CaseIterable {
    case requests
    /// Transfers, so that a copy never delays a request.
    case bulk
}

/// What the connections of a client hold at a moment.
public struct PeerClientCounters: Sendable, Equatable {
    /// Open and past their handshake.
    public var connections = 0
    /// Requests whose outcome is not known, and the bytes of their frames.
    public var inFlight = 0
    public var inFlightBytes = 0
    /// Of those, the written ones.
    public var pending = 0

    public init() {}
}

/// Requests to other nodes. Each event loop of the group has its own connection to a peer for each lane, made when it
/// is first needed, so that a request from one of those loops is sent and answered there without a hop.
///
/// A peer that hangs is found out while somebody waits for it: what was sent is lost then, and what comes after it
/// waits no longer than a moment, until the peer answers a new connection. A peer that lives may take its time.
///
/// After a failed attempt requests to that peer fail at once for a while. What one connection may have open is bounded;
/// beyond that requests are refused. A client must be closed.
public final class PeerClient: Sendable {
    private let loops: [PeerLoop]
    private let shared: PeerShared

    public init(group: any EventLoopGroup, identity: PeerIdentity, options: PeerOptions) {
        let shared = PeerShared(identity: identity, options: options)
        self.shared = shared
        loops = group.makeIterator().map { PeerLoop(shared: shared, eventLoop: $0) }
        precondition(!loops.isEmpty, "a group has an event loop")
    }

    /// Sends `request` and tells what became of it. Safe on any thread.
    ///
    /// - Parameters:
    ///   - deadline: noticed within `Limits.peerSweepMilliseconds` after it. It is not sent along: requests carry the
    ///     time they have left themselves.
    ///   - eventLoop: where `done` is called, exactly once, never before this returns.
    public func send(
        _ request: PeerRequest, to peer: PeerAddress, lane: PeerLane, deadline: NIODeadline,
        on eventLoop: any EventLoop, done: @escaping @Sendable (PeerOutcome) -> Void
    ) {
        let loop = loop(for: eventLoop)
        let asked = PendingRequest(
            done: done, otherLoop: loop.eventLoop === eventLoop ? nil : eventLoop, deadline: deadline,
            frameBytes: request.frameBytes,
            expectation: PeerExpectation(request, ring: shared.identity.ring))
        if loop.eventLoop.inEventLoop {
            loop.send(request, asked, to: peer, lane)
        } else {
            loop.eventLoop.execute { loop.send(request, asked, to: peer, lane) }
        }
    }

    /// Whether the last attempt to reach the node failed. False for one that nobody has tried to reach.
    public func isUnreachable(_ node: NodeID) -> Bool { shared.isUnreachable(node) }

    /// Closes every connection. What was sent and not answered is lost, and nothing is sent any more.
    public func close() async {
        for loop in loops {
            _ = try? await loop.eventLoop.submit { loop.close() }.get()
        }
    }

    /// What all loops hold, each asked on its own loop.
    public func counters() async -> PeerClientCounters {
        var sum = PeerClientCounters()
        for loop in loops {
            guard let one = try? await loop.eventLoop.submit({ loop.counters }).get() else { continue }
            sum.connections += one.connections
            sum.inFlight += one.inFlight
            sum.inFlightBytes += one.inFlightBytes
            sum.pending += one.pending
        }
        return sum
    }

    private func loop(for eventLoop: any EventLoop) -> PeerLoop {
        for loop in loops where loop.eventLoop === eventLoop { return loop }
        // A loop of another group keeps to one of ours.
        return loops[Int(UInt(bitPattern: ObjectIdentifier(eventLoop).hashValue) % UInt(loops.count))]
    }
}

/// What the loops of one client share.
final class PeerShared: Sendable {
    let identity: PeerIdentity
    let options: PeerOptions
    let paces: PeerPaces
    /// When each was last found to be so.
    private let unreachable = Mutex<[NodeID: NIODeadline]>([:])

    static let sweepInterval: TimeAmount = .milliseconds(Limits.peerSweepMilliseconds)
    /// Above the high mark requests wait, and a server stops reading, until it is below the low mark.
    static let socketQueue = ChannelOptions.Types.WriteBufferWaterMark(low: 256 << 10, high: 1 << 20)

    init(identity: PeerIdentity, options: PeerOptions) {
        self.identity = identity
        self.options = options
        func sweeps(_ time: TimeAmount) -> Int { max(1, Int(time.nanoseconds / Self.sweepInterval.nanoseconds)) }
        let ping = options.pingInterval
        let awaitedPing = min(options.awaitedPingInterval, ping)
        let awaitedSilence = min(options.awaitedSilence, .nanoseconds(3 * ping.nanoseconds))
        paces = PeerPaces(
            idle: PeerPace(ping: sweeps(ping), patience: 2 * sweeps(ping)),
            awaited: PeerPace(ping: sweeps(awaitedPing), patience: sweeps(awaitedSilence - awaitedPing)))
    }

    func mark(_ node: NodeID, reachable: Bool) {
        unreachable.withLock { nodes in
            nodes[node] = reachable ? nil : .now()
        }
    }

    func isUnreachable(_ node: NodeID) -> Bool {
        guard let since = unreachable.withLock({ $0[node] }) else { return false }
        return .now() - since < options.unreachableFor
    }
}

/// The links of one event loop.
// SAFETY: everything but `eventLoop`, which never changes, is touched on that loop only.
final class PeerLoop: @unchecked Sendable {
    private struct Links {
        var requests: PeerLink?
        var bulk: PeerLink?

        subscript(lane: PeerLane) -> PeerLink? {
            get {
                switch lane {
                case .requests: requests
                case .bulk: bulk
                }
            }
            set {
                switch lane {
                case .requests: requests = newValue
                case .bulk: bulk = newValue
                }
            }
        }
    }

    let eventLoop: any EventLoop
    private let shared: PeerShared
    private var links: [NodeID: Links] = [:]
    /// Runs while there are links.
    private var sweeping: RepeatedTask?
    private var isClosed = false

    init(shared: PeerShared, eventLoop: any EventLoop) {
        self.shared = shared
        self.eventLoop = eventLoop
    }

    func send(_ request: PeerRequest, _ asked: PendingRequest, to peer: PeerAddress, _ lane: PeerLane) {
        guard !isClosed else {
            return eventLoop.execute { asked.complete(.notSent("the node is going down")) }
        }
        if let link = links[peer.node]?[lane] { return link.send(request, asked, to: peer) }
        let link = PeerLink(shared: shared, eventLoop: eventLoop, address: peer)
        links[peer.node, default: Links()][lane] = link
        startSweeping()
        link.send(request, asked, to: peer)
    }

    func close() {
        isClosed = true
        sweeping?.cancel()
        sweeping = nil
        let closing = links
        links = [:]
        for lanes in closing.values {
            for lane in PeerLane.allCases { lanes[lane]?.close("the node is going down") }
        }
    }

    var counters: PeerClientCounters {
        var counters = PeerClientCounters()
        for lanes in links.values {
            for lane in PeerLane.allCases { lanes[lane]?.add(to: &counters) }
        }
        return counters
    }

    private func startSweeping() {
        guard sweeping == nil else { return }
        let interval = PeerShared.sweepInterval
        sweeping = eventLoop.scheduleRepeatedTask(initialDelay: interval, delay: interval) { _ in self.sweep() }
    }

    private func sweep() {
        let now = NIODeadline.now()
        // A copy, since outcomes may send more.
        for (node, lanes) in links {
            for lane in PeerLane.allCases {
                guard let link = lanes[lane], !link.sweep(now) else { continue }
                links[node]?[lane] = nil
            }
            if let left = links[node], left.requests == nil, left.bulk == nil { links[node] = nil }
        }
        if links.isEmpty {
            sweeping?.cancel()
            sweeping = nil
        }
    }
}
