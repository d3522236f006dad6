internal import NIOCore
public import PeerWire

/// What became of a request to a peer.
public enum PeerOutcome: Sendable {
    case response(PeerResponse)
    /// Surely not executed: it never left, or the peer could not be reached or refused the handshake. The text says
    /// why.
    case notSent(String)
    /// Surely not executed: as many requests as may be are open to that peer. The text says so.
    case overloaded(String)
    /// Sent, or part of it, and then the connection was lost: it may have been executed.
    case lost(String)
    /// Sent, and not answered by its deadline: it may have been executed.
    case timedOut
}

/// A request whose outcome somebody waits for.
struct PendingRequest {
    let done: @Sendable (PeerOutcome) -> Void
    /// Where `done` is called; `nil` for the loop of the connection.
    let otherLoop: (any EventLoop)?
    let deadline: NIODeadline
    /// Of the request's frame.
    let frameBytes: Int
    let expectation: PeerExpectation

    func complete(_ outcome: PeerOutcome) {
        guard let otherLoop else { return done(outcome) }
        let done = done
        otherLoop.execute { done(outcome) }
    }
}

/// The requests of one connection that were written and not answered. An id is the number of a slot and how often the
/// slot was used, so finding one is an index, and an answer that comes too late finds nothing.
struct PendingRequests {
    private struct Slot {
        var uses: UInt32
        var request: PendingRequest?
        /// The flush that carries it.
        var flush: UInt64
    }

    private var slots: [Slot] = []
    private var free: [Int] = []
    /// No deadline is earlier.
    private(set) var earliestDeadline: NIODeadline = .distantFuture

    var count: Int { slots.count - free.count }

    /// - Parameter flush: the number of the flush that will carry it.
    /// - Returns: its id, never 0.
    mutating func insert(_ request: PendingRequest, flush: UInt64) -> UInt64 {
        earliestDeadline = min(earliestDeadline, request.deadline)
        let index = free.popLast() ?? slots.count
        if index == slots.count { slots.append(Slot(uses: 0, request: nil, flush: 0)) }
        slots[index].uses &+= 1
        if slots[index].uses == 0 { slots[index].uses = 1 }
        slots[index].request = request
        slots[index].flush = flush
        return UInt64(slots[index].uses) << 32 | UInt64(index)
    }

    /// `nil` where nobody waits under this id (any more).
    mutating func remove(_ id: UInt64) -> PendingRequest? {
        let index = Int(id & 0xFFFF_FFFF)
        guard index < slots.count, slots[index].uses == UInt32(id >> 32), let request = slots[index].request else {
            return nil
        }
        release(index)
        return request
    }

    /// Takes out what should have been answered by `now`.
    mutating func removeExpired(_ now: NIODeadline) -> [PendingRequest] {
        guard earliestDeadline <= now else { return [] }
        var expired: [PendingRequest] = []
        earliestDeadline = .distantFuture
        for index in slots.indices {
            guard let request = slots[index].request else { continue }
            if request.deadline <= now {
                release(index)
                expired.append(request)
            } else {
                earliestDeadline = min(earliestDeadline, request.deadline)
            }
        }
        return expired
    }

    /// Takes out everything.
    ///
    /// - Parameter flushed: the flushes that have been handed to the socket.
    mutating func removeAll(flushed: UInt64) -> (sent: [PendingRequest], unsent: [PendingRequest]) {
        var sent: [PendingRequest] = []
        var unsent: [PendingRequest] = []
        for slot in slots {
            guard let request = slot.request else { continue }
            if slot.flush <= flushed { sent.append(request) } else { unsent.append(request) }
        }
        slots = []
        free = []
        earliestDeadline = .distantFuture
        return (sent, unsent)
    }

    private mutating func release(_ index: Int) {
        slots[index].request = nil
        free.append(index)
    }
}
