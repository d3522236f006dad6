import Entities
import Primitives
import Serving
import ShardCore

/// One request on its way to the queue of its shard.
struct Arrival {
    let shard: ShardID
    let work: ShardMachine.Work
    let target: ReplyTarget
    let time: MonotonicTime
    let origin: Origin

    enum Origin {
        /// A front of this node: the node finds the shard's owner.
        case front
        /// Another node, which must not get it forwarded again: it is told that this node is not the owner.
        case peer(ForwardedReply)
    }

    /// The same request, answered elsewhere. What it has waited on its way makes no queue old.
    func answering(_ target: ReplyTarget, from time: MonotonicTime) -> Arrival {
        Arrival(shard: shard, work: work, target: target, time: time, origin: origin)
    }
}

/// Takes requests whose shard this node does not serve.
protocol ArrivalRouter: AnyObject, Sendable {
    /// On any event loop of the node. Answers the request, now or later, through its target.
    func redirect(_ arrival: Arrival)
}
