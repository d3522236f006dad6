import Entities
import HTTPFront
import Primitives
import ShardCore

/// One request on its way to the queue of its shard.
struct Arrival {
    let shard: ShardID
    let work: ShardMachine.Work
    let target: ReplyTarget
    let time: MonotonicTime
    /// It came from another node, which must not get it forwarded again: it is told that this node is not the owner.
    let isForwarded: Bool

    /// The same request, answered elsewhere. What it has waited on its way makes no queue old.
    func answering(_ target: ReplyTarget, from time: MonotonicTime) -> Arrival {
        Arrival(shard: shard, work: work, target: target, time: time, isForwarded: isForwarded)
    }
}

/// Takes requests whose shard this node does not serve.
protocol ArrivalRouter: AnyObject, Sendable {
    /// On any event loop of the node. Answers the request, now or later, through its target.
    func redirect(_ arrival: Arrival)
}
