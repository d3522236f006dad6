import DequeModule
public import Primitives

/// Names one list between the queue and whoever drives it.
public typealias ListTicket = UInt64

/// Which lists of a node are under way, which wait for their turn, and which are refused.
///
/// Pure: no clock and no thread. One owner drives it, under a lock, and carries out what it says. A list costs up to
/// `Limits.listRowsScannedMax` rows and holds a page, so both numbers are bounded. Callers take turns, whatever each of
/// them asks at once: a caller has one list under way, and when the queue is full the caller with the most lists gives
/// up its newest.
public struct ListQueue: Sendable {
    /// A connection, or one request of another node.
    public typealias Caller = UInt64

    /// What becomes of a new list.
    public enum Admission: Equatable {
        case admitted
        /// The queue is full, and no other caller has more lists in it.
        case refused
        /// The node is going down.
        case closed
    }

    /// Lists that somebody left behind.
    public struct Left: Equatable {
        /// They had not begun, and are forgotten.
        public var waiting: [ListTicket] = []
        /// They are to be stopped. They count no more.
        public var underWay: [ListTicket] = []
    }

    private struct Waiting: Sendable {
        let ticket: ListTicket
        let since: MonotonicTime
    }

    private struct Line {
        let caller: Caller
        var waiting = Deque<Waiting>()
        /// A list of this caller has begun while others of it waited.
        var hadTurn = false
    }

    /// Callers with lists that wait, each once, in the order of their turns: those without a turn so far come first.
    private var lines = Deque<Line>()
    /// At most ``underWayMax``, in the order in which they began.
    private var running: [(ticket: ListTicket, caller: Caller)] = []
    private var isClosed = false
    /// Lists that wait.
    public private(set) var waitingCount = 0

    private let underWayMax: Int
    private let waitingMax: Int
    private let waitNanosecondsMax: UInt64

    public init(
        underWayMax: Int = Limits.listsUnderWayMax, waitingMax: Int = Limits.listsWaitingMax,
        waitSecondsMax: UInt64 = Limits.listWaitSecondsMax
    ) {
        precondition(underWayMax > 0 && waitingMax > 0, "a queue has room for one list")
        self.underWayMax = underWayMax
        self.waitingMax = waitingMax
        waitNanosecondsMax = waitSecondsMax * 1_000_000_000
    }

    /// Lists that have begun and not ended.
    public var underWayCount: Int { running.count }

    /// Takes a list in, to be begun when ``nextToBegin()`` says so, or refuses it.
    ///
    /// - Returns: with `shed`, a list of another caller that had waited and is refused in its stead.
    public mutating func admit(
        _ ticket: ListTicket, of caller: Caller, now: MonotonicTime
    ) -> (admission: Admission, shed: ListTicket?) {
        guard !isClosed else { return (.closed, nil) }
        var shed: ListTicket?
        if waitingCount >= waitingMax {
            shed = takeNewestOfLongest(above: lines.first { $0.caller == caller }?.waiting.count ?? 0)
            if shed == nil { return (.refused, nil) }
        }
        let entry = Waiting(ticket: ticket, since: now)
        waitingCount += 1
        if let index = lines.firstIndex(where: { $0.caller == caller }) {
            lines[index].waiting.append(entry)
        } else {
            let place = lines.firstIndex { $0.hadTurn } ?? lines.endIndex
            lines.insert(Line(caller: caller, waiting: [entry]), at: place)
        }
        return (.admitted, shed)
    }

    /// The newest list of the caller with the most, where that is left with no fewer than one who has `own` and is
    /// given one more.
    private mutating func takeNewestOfLongest(above own: Int) -> ListTicket? {
        var longest = 0
        for index in lines.indices where lines[index].waiting.count > lines[longest].waiting.count { longest = index }
        guard lines[longest].waiting.count > own + 1 else { return nil }
        waitingCount -= 1
        return lines[longest].waiting.removeLast().ticket
    }

    /// The next list to begin, or `nil` where none may. Call until it is `nil`, after anything else has been called.
    public mutating func nextToBegin() -> ListTicket? {
        guard running.count < underWayMax else { return nil }
        let index = lines.firstIndex { line in !running.contains { $0.caller == line.caller } }
        guard let index else { return nil }
        var line = lines.remove(at: index)
        let next = line.waiting.removeFirst()
        waitingCount -= 1
        line.hadTurn = true
        if !line.waiting.isEmpty { lines.append(line) }
        running.append((next.ticket, line.caller))
        return next.ticket
    }

    /// A list has ended. Does nothing for one that was left before.
    public mutating func ended(_ ticket: ListTicket) { running.removeAll { $0.ticket == ticket } }

    /// Forgets every list of a caller that has gone.
    public mutating func leave(_ caller: Caller) -> Left {
        var left = Left()
        if let index = lines.firstIndex(where: { $0.caller == caller }) {
            left.waiting = lines.remove(at: index).waiting.map(\.ticket)
            waitingCount -= left.waiting.count
        }
        left.underWay = running.filter { $0.caller == caller }.map(\.ticket)
        running.removeAll { $0.caller == caller }
        return left
    }

    /// Takes out what has waited for too long, to be refused.
    public mutating func expire(now: MonotonicTime) -> [ListTicket] {
        var expired: [ListTicket] = []
        for index in lines.indices {
            while let first = lines[index].waiting.first, now.nanoseconds(since: first.since) >= waitNanosecondsMax {
                expired.append(first.ticket)
                lines[index].waiting.removeFirst()
            }
        }
        lines.removeAll { $0.waiting.isEmpty }
        waitingCount -= expired.count
        return expired
    }

    /// The node is going down: no list is admitted from now on, and those that are here are left.
    public mutating func close() -> Left {
        isClosed = true
        let left = Left(waiting: lines.flatMap { $0.waiting.map(\.ticket) }, underWay: running.map(\.ticket))
        lines.removeAll()
        running.removeAll()
        waitingCount = 0
        return left
    }
}
