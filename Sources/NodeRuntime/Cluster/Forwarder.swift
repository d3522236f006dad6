import ClusterCore
import Entities
import HashRing
import NIOConcurrencyHelpers
import NIOCore
import PeerTransport
import PeerWire
import Primitives
import Serving
import ShardCore

/// Brings requests for shards of other nodes to their owners, each by its ``ClusterCore/RequestRoute``, which decides
/// every step: this carries them out.
final class Forwarder: ArrivalRouter {
    let view: ClusterView
    let peers: PeerClient
    /// Of the node, by number.
    private let loops: [any EventLoop]
    /// Made with the forwarder in hand, so it is set afterwards: once, before any request.
    private let served = NIOLockedValueBox<NodeBackend?>(nil)

    init(view: ClusterView, peers: PeerClient, loops: [any EventLoop]) {
        self.view = view
        self.peers = peers
        self.loops = loops
    }

    private var backend: NodeBackend {
        guard let backend = served.withLockedValue({ $0 }) else {
            preconditionFailure("the backend is set before any request")
        }
        return backend
    }

    func serve(for backend: NodeBackend) { served.withLockedValue { $0 = backend } }

    func redirect(_ arrival: Arrival) {
        switch arrival.origin {
        case .peer(let reply):
            // A forwarded request is never forwarded again: the node it came from knows better, or waits.
            reply.notOwner(view.mapRevision)
        case .front:
            let loop = loops[arrival.target.sink.loopNumber.rawValue]
            // Out of the call that brought the request, which is still under way.
            loop.execute { self.advance(RoutedArrival(arrival, node: self.view.node, loop: loop)) }
        }
    }

    /// Takes the next steps of the request's way.
    private func advance(_ routed: RoutedArrival) {
        while true {
            switch routed.route.next(owner: owner(of: routed.arrival.shard), now: NodeTime.monotonic()) {
            case .execute:
                guard backend.takes(routed.arrival.shard) else {
                    // The map names this node, and the shard is not served here yet, or no more.
                    routed.route.notYet(now: NodeTime.monotonic())
                    continue
                }
                return execute(routed)
            case .forward(let node):
                guard let peer = view.address(of: node) else {
                    routed.route.notSent("node \(node) has no address", now: NodeTime.monotonic())
                    continue
                }
                return forward(routed, to: peer)
            case .answerNotOwner: preconditionFailure("forwarded requests do not come here")
            case .readMap: view.refresh()
            case .pause(let until):
                let nanoseconds = until.nanoseconds(since: NodeTime.monotonic())
                routed.loop.scheduleTask(in: .nanoseconds(Int64(clamping: nanoseconds))) { self.advance(routed) }
                return
            case .refuse(let problem):
                return deliver(.refused(problem, currentVersion: nil, nil), routed)
            }
        }
    }

    /// A shard that has come here is this node's, whatever its map says so far.
    private func owner(of shard: ShardID) -> NodeID? {
        backend.takes(shard) ? view.node : view.owner(of: shard)
    }

    private func execute(_ routed: RoutedArrival) {
        // What the route has lost bears on what may be answered, so the answer comes by way of it.
        let sink = RoutedReply(on: routed.arrival.target.sink.loopNumber) { self.answered(routed, $0) }
        backend.take(routed.arrival.answering(ReplyTarget(sink: sink, slot: 0), from: NodeTime.monotonic()))
    }

    private func forward(_ routed: RoutedArrival, to peer: PeerAddress) {
        let left = routed.deadline.nanoseconds(since: NodeTime.monotonic())
        let deadline = NIODeadline.now() + .nanoseconds(Int64(clamping: left))
        peers.send(
            routed.request(view.mapRevision, milliseconds: deadline.millisecondsFromNow), to: peer,
            lane: .requests, deadline: deadline, on: routed.loop
        ) { outcome in
            self.finish(routed, peer, outcome)
        }
    }

    private func finish(_ routed: RoutedArrival, _ peer: PeerAddress, _ outcome: PeerOutcome) {
        let now = NodeTime.monotonic()
        switch outcome {
        case .response(.answer(let answer)): return answered(routed, answer)
        case .response(.refused(let refusal)) where refusal.code == .overloaded:
            let problem = Problem(.overloaded, "node \(peer.node): \(refusal.text)")
            return answered(routed, .refused(problem, currentVersion: nil, nil))
        case .overloaded(let reason):
            let problem = Problem(.overloaded, "\(reason); try again shortly")
            return answered(routed, .refused(problem, currentVersion: nil, nil))
        case .response(.notOwner): routed.route.notOwner(now: now)
        case .response(.refused(let refusal)) where refusal.surelyNotExecuted:
            routed.route.notSent("node \(peer.node): \(refusal.text)", now: now)
        case .notSent(let reason): routed.route.notSent("node \(peer.node): \(reason)", now: now)
        case .response: routed.route.answerLost("node \(peer.node) gave no answer to the question", now: now)
        case .lost(let reason): routed.route.answerLost("node \(peer.node): \(reason)", now: now)
        case .timedOut: routed.route.answerLost("node \(peer.node) did not answer in time", now: now)
        }
        advance(routed)
    }

    private func answered(_ routed: RoutedArrival, _ answer: Answer) {
        guard let answer = routed.route.answered(answer, now: NodeTime.monotonic()) else { return advance(routed) }
        deliver(answer, routed)
    }

    private func deliver(_ answer: Answer, _ routed: RoutedArrival) {
        backend.deliverLate(answer.placed(in: routed.arrival.shard), routed.arrival.target)
    }
}

/// A request on its way to the owner of its shard.
///
/// SAFETY (`@unchecked Sendable`): touched on the loop of its connection only.
private final class RoutedArrival: @unchecked Sendable {
    let arrival: Arrival
    let deadline: MonotonicTime
    var route: RequestRoute
    /// Of its caller.
    let loop: any EventLoop

    init(_ arrival: Arrival, node: NodeID, loop: any EventLoop) {
        self.arrival = arrival
        self.loop = loop
        deadline = arrival.time.adding(nanoseconds: Limits.requestSecondsMax * 1_000_000_000)
        let (isWrite, mayRepeat) =
            switch arrival.work {
            case .write(let operation): (true, operation.idempotencyKey != nil)
            case .read: (false, true)
            }
        route = RequestRoute(
            node: node, isForwarded: false, isWrite: isWrite, mayRepeat: mayRepeat, deadline: deadline)
    }

    func request(_ map: MapRevision, milliseconds: UInt32) -> PeerRequest {
        switch arrival.work {
        case .write(let operation): .write(operation, deadlineMilliseconds: milliseconds, mapRevision: map.rawValue)
        case .read(let request): .read(request, deadlineMilliseconds: milliseconds, mapRevision: map.rawValue)
        }
    }
}

/// The way back of a request that went astray and is executed here after all.
private final class RoutedReply: ReplySink {
    let loopNumber: LoopNumber
    private let whenAnswered: @Sendable (Answer) -> Void

    init(on loop: LoopNumber, _ whenAnswered: @escaping @Sendable (Answer) -> Void) {
        loopNumber = loop
        self.whenAnswered = whenAnswered
    }

    func deliver(_ answer: Answer, slot: UInt64) { whenAnswered(answer) }

    /// Each answer is written out as it comes.
    func flushAnswers() {}
}

extension Answer {
    /// A refusal that was made on the way says which shard it is about.
    fileprivate func placed(in shard: ShardID) -> Answer {
        guard case .refused(let problem, let version, nil) = self else { return self }
        return .refused(
            Problem(problem.code, "shard \(shard): \(problem.detail)"), currentVersion: version,
            ShardPosition(shard: shard, position: .zero))
    }
}

/// The way back of a request that another node forwarded.
final class ForwardedReply: ReplySink {
    let loopNumber: LoopNumber
    private let reply: PeerReply

    init(_ reply: PeerReply, on loop: LoopNumber) {
        self.reply = reply
        loopNumber = loop
    }

    /// It has one request, so its one slot.
    var target: ReplyTarget { ReplyTarget(sink: self, slot: 0) }

    func deliver(_ answer: Answer, slot: UInt64) { reply.send(.answer(answer)) }

    /// The transport flushes by itself at the end of a loop's turn.
    func flushAnswers() {}

    func notOwner(_ map: MapRevision) { reply.send(.notOwner(mapRevision: map.rawValue)) }
}
