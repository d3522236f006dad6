public import Entities

/// Where an answer goes: one request slot of one caller.
public struct ReplyTarget: Sendable {
    public let sink: any ReplySink
    /// Chosen by the sink; given back untouched.
    public let slot: UInt64

    public init(sink: any ReplySink, slot: UInt64) {
        self.sink = sink
        self.slot = slot
    }
}

/// A caller as the backend sees it: a connection of a front, or a request of another node.
public protocol ReplySink: AnyObject, Sendable {
    /// The loop on which every other method of this protocol must be called.
    var loopNumber: LoopNumber { get }

    /// Gives the answer of `slot`. It is written out at the next ``flushAnswers()`` at the latest. A connection that
    /// has closed in the meantime drops it.
    func deliver(_ answer: Answer, slot: UInt64)

    /// Writes what has been delivered, in one flush. The backend calls it once after a burst of deliveries that did not
    /// happen inside one of its own methods.
    func flushAnswers()
}

/// One of the node's loops, counted from 0. Fronts and shards share the loops and count them alike.
public struct LoopNumber: Sendable, Hashable {
    public let rawValue: Int

    @inlinable
    public init(_ rawValue: Int) { self.rawValue = rawValue }
}
