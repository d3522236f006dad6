import ClusterCore
import Entities
import HTTPFront
import HashRing
import NIOConcurrencyHelpers
import NIOCore
import PeerTransport
import PeerWire
import Primitives
import ShardCore

/// Sends requests for shards of other nodes to their owners: one hop at most (DESIGN §4).
///
/// What was surely not executed is tried again while the request's time lasts, so that a shard that changes hands shows
/// as latency and never as an error (G8). A write whose answer was lost is answered `outcome-unknown` and never sent
/// again (G6).
final class Forwarder: ArrivalRouter {
    let view: ClusterView
    let peers: PeerClient
    /// Made with the forwarder in hand, so it is set afterwards: once, before any request.
    private let served = NIOLockedValueBox<NodeBackend?>(nil)

    /// Between two tries of a request whose shard is changing hands.
    private static let retryDelay = TimeAmount.milliseconds(5)
    /// A node that could not be reached is asked for this long before its shards count as unavailable, so that a
    /// restarted connection costs no error.
    private static let unreachablePatience = TimeAmount.milliseconds(200)

    init(view: ClusterView, peers: PeerClient) {
        self.view = view
        self.peers = peers
    }

    private var backend: NodeBackend? { served.withLockedValue { $0 } }

    func serve(for backend: NodeBackend) { served.withLockedValue { $0 = backend } }

    func redirect(_ arrival: Arrival) {
        if arrival.isForwarded {
            // A forwarded request is never forwarded again: the node it came from knows better, or waits.
            (arrival.target.sink as? ForwardedReply)?.notOwner(view.map.mapRevision)
            return
        }
        let deadline = NIODeadline.uptimeNanoseconds(0) + Self.remaining(of: arrival)
        send(arrival, firstFailure: nil, deadline: deadline)
    }

    /// The moment at which the request's time is over, by NIO's clock.
    private static func remaining(of arrival: Arrival) -> TimeAmount {
        let waited = NodeTime.monotonic().nanoseconds(since: arrival.time)
        let limit = Limits.requestSecondsMax * 1_000_000_000
        let left = limit > waited ? limit - waited : 0
        return .nanoseconds(Int64(NIODeadline.now().uptimeNanoseconds) + Int64(left))
    }

    private func send(_ arrival: Arrival, firstFailure: NIODeadline?, deadline: NIODeadline) {
        guard NIODeadline.now() < deadline else {
            return refuse(arrival, .shardUnavailable, "it is changing hands for longer than a request waits")
        }
        guard let peer = view.peer(of: arrival.shard) else {
            return refuse(arrival, .shardUnavailable, "no node that could be asked serves it")
        }
        // The map names this node, and the shard is not served here yet: it has just come, or is about to go.
        guard peer.node != view.node else { return tryAgain(arrival, firstFailure: firstFailure, deadline: deadline) }
        peers.send(
            Self.request(arrival, view.map.mapRevision, deadline), to: peer, lane: .requests, deadline: deadline,
            on: arrival.target.sink.eventLoop
        ) { outcome in
            self.finish(arrival, peer, outcome, firstFailure: firstFailure, deadline: deadline)
        }
    }

    private static func request(_ arrival: Arrival, _ map: MapRevision, _ deadline: NIODeadline) -> PeerRequest {
        let left = deadline.millisecondsFromNow
        return switch arrival.work {
        case .write(let operation): .write(operation, deadlineMilliseconds: left, mapRevision: map.rawValue)
        case .read(let request): .read(request, deadlineMilliseconds: left, mapRevision: map.rawValue)
        }
    }

    private func finish(
        _ arrival: Arrival, _ peer: PeerAddress, _ outcome: PeerOutcome, firstFailure: NIODeadline?,
        deadline: NIODeadline
    ) {
        switch outcome {
        case .response(.answer(let answer)): backend?.deliverLate(answer, arrival.target)
        case .response(.notOwner):
            view.refresh()
            tryAgain(arrival, firstFailure: nil, deadline: deadline)
        case .response(.refused(let refusal)) where refusal.code == .overloaded:
            refuse(arrival, .overloaded, "node \(peer.node), which serves it: \(refusal.text)")
        case .response(.refused(let refusal)) where refusal.surelyNotExecuted:
            unreachable(arrival, peer, refusal.text, firstFailure, deadline)
        case .notSent(let reason): unreachable(arrival, peer, reason, firstFailure, deadline)
        case .response(let other): lost(arrival, peer, "it answered \(other)")
        case .lost(let reason): lost(arrival, peer, reason)
        case .timedOut: lost(arrival, peer, "it did not answer in time")
        }
    }

    /// Nothing was executed.
    private func unreachable(
        _ arrival: Arrival, _ peer: PeerAddress, _ reason: String, _ firstFailure: NIODeadline?,
        _ deadline: NIODeadline
    ) {
        let first = firstFailure ?? .now()
        guard NIODeadline.now() - first < Self.unreachablePatience else {
            return refuse(
                arrival, .shardUnavailable, "node \(peer.node), which serves it, cannot be reached: \(reason)")
        }
        view.refresh()
        tryAgain(arrival, firstFailure: first, deadline: deadline)
    }

    /// It may have been executed: a read is asked again, a write is not.
    private func lost(_ arrival: Arrival, _ peer: PeerAddress, _ reason: String) {
        let detail = "node \(peer.node) had the request when its answer was lost: \(reason)"
        switch arrival.work {
        case .write: refuse(arrival, .outcomeUnknown, detail)
        case .read: refuse(arrival, .shardUnavailable, detail)
        }
    }

    private func tryAgain(_ arrival: Arrival, firstFailure: NIODeadline?, deadline: NIODeadline) {
        arrival.target.sink.eventLoop.scheduleTask(in: Self.retryDelay) {
            // The shard may be this node's by now.
            guard let backend = self.backend, case .elsewhere = backend.seat(of: arrival.shard) else {
                self.backend?.take(arrival)
                // The answer of a read is there at once, and no call of the connection is under way that would write
                // it.
                arrival.target.sink.flushAnswers()
                return
            }
            self.send(arrival, firstFailure: firstFailure, deadline: deadline)
        }
    }

    private func refuse(_ arrival: Arrival, _ code: ProblemCode, _ detail: String) {
        let problem = Problem(code, "shard \(arrival.shard): \(detail)")
        let place = ShardPosition(shard: arrival.shard, position: .zero)
        let refusal = Answer.refused(problem, currentVersion: nil, place)
        let target = arrival.target
        // Out of the call that brought the request, where it is still under way.
        target.sink.eventLoop.execute { [backend] in backend?.deliverLate(refusal, target) }
    }
}

/// The way back of a request that another node forwarded.
final class ForwardedReply: ReplySink {
    var eventLoop: any EventLoop { reply.eventLoop }
    private let reply: PeerReply

    init(_ reply: PeerReply) { self.reply = reply }

    func deliver(_ answer: Answer, slot: UInt64) { reply.send(.answer(answer)) }

    /// The transport flushes by itself at the end of a loop's turn.
    func flushAnswers() {}

    func notOwner(_ map: MapRevision) { reply.send(.notOwner(mapRevision: map.rawValue)) }
}
