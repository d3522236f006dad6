public import Entities
public import NIOCore
internal import Primitives

/// What the HTTP front asks of the node: the port between floors 4 and 5. The front parses, limits and answers; the
/// backend knows where entities live.
///
/// Every method is called on the connection's event loop and never blocks. Each call is answered exactly once through
/// its ``ReplyTarget``, on the connection's event loop: at once, inside the call, or later. Answers of different calls
/// may come in any order; the front puts them back in request order.
public protocol EntityBackend: AnyObject, Sendable {
    /// The seed of `EntityKey.ringHash`, from the cluster's config.
    var ringSeed: UInt64 { get }
    var limits: EntityLimits { get }
    /// Whether two requests for one entity that are given one after the other may change places, as they may on their
    /// way to another node while the shard changes hands. Who needs their order waits for the first one's answer.
    var requestsMayOvertake: Bool { get }

    func read(_ request: ReadRequest, replyTo target: ReplyTarget)
    func write(_ operation: WriteOperation, replyTo target: ReplyTarget)
    func list(_ request: ListRequest, replyTo target: ReplyTarget)

    /// The connection has closed. Lists that it has asked for need not be made or answered.
    func callerLeft(_ sink: any ReplySink)

    /// Why a write of this key would be refused for want of room, where that is known before its body has come.
    func overload(of key: EntityKey) -> Problem?

    /// What an answer with the entity's state is likely to hold, in bytes, where it was large when it was last read;
    /// `nil`: it was small, or nothing is known. Only how much is asked for at a time rests on it.
    func expectedAnswerBytes(of key: EntityKey) -> Int?

    /// The `Keystead-Position` to put on a refusal that the front makes by itself about a sound key (a bad condition,
    /// a body too large, …): a position at which nothing of this request had happened. `nil` where this node cannot
    /// know it.
    func currentPosition(of key: EntityKey) -> ShardPosition?
}

/// Where an answer goes: one request slot of one connection.
public struct ReplyTarget: Sendable {
    public let sink: any ReplySink
    /// Chosen by the sink; given back untouched.
    public let slot: UInt64

    public init(sink: any ReplySink, slot: UInt64) {
        self.sink = sink
        self.slot = slot
    }
}

/// A connection as the backend sees it.
public protocol ReplySink: AnyObject, Sendable {
    /// The loop on which every method of this protocol must be called.
    var eventLoop: any EventLoop { get }

    /// Gives the answer of `slot`. It is written out at the next ``flushAnswers()`` at the latest. A connection that
    /// has closed in the meantime drops it.
    func deliver(_ answer: Answer, slot: UInt64)

    /// Writes what has been delivered, in one flush. The backend calls it once after a burst of deliveries that did not
    /// happen inside one of its own methods.
    func flushAnswers()
}
