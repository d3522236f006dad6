import ClusterCore
import Entities
import HTTPFront
import HashRing
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import PeerTransport
import PeerWire
import Primitives
import ShardCore

/// Takes what other nodes ask of this one.
final class PeerDesk: PeerService {
    /// `nil` until the node has opened its data, and again when it stops.
    private let parts = NIOLockedValueBox<Parts?>(nil)

    struct Parts: Sendable {
        let backend: NodeBackend
        let lister: Lister
        let memory: NodeMemory
        let readPool: NIOThreadPool
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
            list(request, first.rawValue...last.rawValue, parts, reply)
        case .moveOpen, .moveFetch, .movePull, .moveClose, .moveProgress, .shards:
            parts.keeper.handle(request, from: node, reply: reply)
        }
    }

    private func take(_ work: ShardMachine.Work, _ key: EntityKey, _ backend: NodeBackend, _ reply: PeerReply) {
        backend.take(
            Arrival(
                shard: backend.shard(of: key), work: work,
                target: ReplyTarget(sink: ForwardedReply(reply), slot: 0), time: NodeTime.monotonic(),
                isForwarded: true))
    }

    private func list(_ request: ListRequest, _ shards: ClosedRange<UInt32>, _ parts: Parts, _ reply: PeerReply) {
        guard shards.upperBound < UInt32(parts.lister.table.ring.shardCount) else {
            return reply.send(.refused(PeerRefusal(.notFound, "there is no shard \(shards.upperBound)")))
        }
        parts.readPool.submit { state in
            guard state == .active else {
                return reply.send(.refused(PeerRefusal(.shuttingDown, "the node is stopping")))
            }
            guard let hold = parts.memory.holdPage() else {
                return reply.send(.refused(PeerRefusal(.overloaded, "the node has no memory left for a page")))
            }
            defer { hold.giveBack() }
            if let page = parts.lister.page(request, over: shards) {
                reply.send(.answer(.page(page)))
            } else {
                reply.send(.notOwner(mapRevision: parts.view.mapRevision.rawValue))
            }
        }
    }
}
