public import Entities

/// What a front asks of the node. The front parses, limits and answers; the backend knows where entities live.
///
/// Every method is called on the caller's loop (``ReplySink/loopNumber``) and never blocks. Each call is answered
/// exactly once through its ``ReplyTarget``, on that loop: at once, inside the call, or later. Answers of different
/// calls may come in any order; the front puts them back in request order.
public protocol EntityBackend: AnyObject, Sendable {
    /// The seed of `EntityKey.ringHash`, from the cluster's config.
    var ringSeed: UInt64 { get }
    var limits: EntityLimits { get }
    /// Whether two requests for one entity that are given one after the other may change places, as they may on their
    /// way to another node while the shard changes hands. Who needs their order waits for the first one's answer.
    var requestsMayOvertake: Bool { get }

    func read(_ request: ReadRequest, replyTo target: ReplyTarget)
    func write(_ operation: WriteOperation, replyTo target: ReplyTarget)
    /// - Parameter renderer: makes the page's text; called away from the loops, at most once.
    func list(_ request: ListRequest, renderer: any PageRenderer, replyTo target: ReplyTarget)

    /// Runs `work` once, on a thread that no loop waits for: reading or writing much text takes long. Any thread may
    /// call.
    func runOffLoop(_ work: @escaping @Sendable () -> Void)

    /// The connection has closed. Lists that it has asked for need not be made or answered.
    func callerLeft(_ sink: any ReplySink)

    /// Why a write of this key would be refused for want of room, where that is known before its body has come.
    func overload(of key: EntityKey) -> Problem?

    /// What an answer with the entity's state is likely to hold, in bytes, where it was large when it was last read;
    /// `nil`: it was small, or nothing is known. Only how much is asked for at a time rests on it.
    func expectedAnswerBytes(of key: EntityKey) -> Int?

    /// The position to put on a refusal that the front makes by itself about a sound key (a bad condition, a body too
    /// large, …): a position at which nothing of this request had happened. `nil` where this node cannot know it.
    func currentPosition(of key: EntityKey) -> ShardPosition?
}
