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

/// Takes what other nodes ask of this one.
final class PeerDesk: PeerService {
    /// `nil` until the node has opened its data, and again when it stops.
    private let parts = NIOLockedValueBox<Parts?>(nil)
    /// Parts of lists that were asked for, as names of their callers.
    private let lastPart = NIOLockedValueBox<ListQueue.Caller>(0)

    struct Parts: Sendable {
        let backend: NodeBackend
        let lists: NodeLists
        let memory: NodeMemory
        let view: ClusterView
        let keeper: ShardKeeper
    }

    func open(_ parts: Parts) { self.parts.withLockedValue { $0 = parts } }

    /// Requests are refused from now on; those under way are answered.
    func close() { parts.withLockedValue { $0 = nil } }

    func handle(_ request: PeerRequest, from node: NodeID, reply: PeerReply) {
        guard let parts = parts.withLockedValue({ $0 }) else {
            return reply.send(.refused(PeerRefusal(.shuttingDown, "the node is starting or stopping")))
        }
        switch request {
        case .write(let operation, _, _): take(.write(operation), operation.key, parts.backend, reply)
        case .read(let request, _, _): take(.read(request), request.key, parts.backend, reply)
        case .list(let request, _, let first, let last):
            list(request, over: first.rawValue...last.rawValue, parts, reply)
        case .moveOpen, .moveFetch, .movePull, .moveClose, .moveProgress, .shards:
            parts.keeper.handle(request, from: node, reply: reply)
        }
    }

    private func take(_ work: ShardMachine.Work, _ key: EntityKey, _ backend: NodeBackend, _ reply: PeerReply) {
        let way = ForwardedReply(reply, on: backend.number(of: reply.eventLoop))
        backend.take(
            Arrival(
                shard: backend.shard(of: key), work: work, target: way.target, time: NodeTime.monotonic(),
                origin: .peer(way)))
    }

    /// Each part of a list is a caller of its own: its node lets one list of each connection through at a time.
    private func list(
        _ request: ListRequest, over shards: ClosedRange<UInt32>, _ parts: Parts, _ reply: PeerReply
    ) {
        guard shards.upperBound < UInt32(parts.backend.shardCount) else {
            return reply.send(.refused(PeerRefusal(.notFound, "there is no shard \(shards.upperBound)")))
        }
        let caller = lastPart.withLockedValue { last in
            last += 1
            return last
        }
        let lists = parts.lists
        lists.forPeers.submit(
            of: caller, refuse: { Self.refuse($0, reply) },
            begin: { life in
                guard let hold = parts.memory.holdPage() else {
                    reply.send(.refused(PeerRefusal(.overloaded, "the node has no memory left for a page")))
                    return lists.forPeers.ended(life)
                }
                // A peer wants the states: their bytes are what its answer counts.
                lists.scans.run(RangeScan(request, over: shards, keepsStates: true), of: life) { outcome in
                    switch outcome {
                    case .page(let page): reply.send(.answer(.page(page)))
                    case .notHere: reply.send(.notOwner(mapRevision: parts.view.mapRevision.rawValue))
                    case .refused(let refusal): Self.refuse(refusal, reply)
                    }
                    hold.giveBack()
                    lists.forPeers.ended(life)
                }
            })
        reply.whenLost { lists.forPeers.leave(caller) }
    }

    private static func refuse(_ refusal: ListDesk.Refusal, _ reply: PeerReply) {
        switch refusal {
        case .tooMany, .waitedTooLong:
            reply.send(.refused(PeerRefusal(.overloaded, "it has all the lists that it can hold")))
        case .shuttingDown: reply.send(.refused(PeerRefusal(.shuttingDown, "the node is stopping")))
        case .callerLeft: break
        }
    }
}
