/// Wall time as the store keeps it: milliseconds since 1970-01-01T00:00:00Z.
///
/// The core never reads a clock. Whoever drives it passes the time in, made by ``SteadyClock``.
public struct Timestamp: Hashable, Comparable, Sendable {
    public let milliseconds: UInt64

    public static let zero = Timestamp(milliseconds: 0)

    @inlinable
    public init(milliseconds: UInt64) { self.milliseconds = milliseconds }

    @inlinable
    public static func < (left: Self, right: Self) -> Bool { left.milliseconds < right.milliseconds }

    /// Saturates: a time to live cannot wrap round into the past.
    @inlinable
    public func adding(milliseconds more: UInt64) -> Timestamp {
        let (sum, overflow) = milliseconds.addingReportingOverflow(more)
        return Timestamp(milliseconds: overflow ? .max : sum)
    }

    /// Saturates at zero.
    @inlinable
    public func before(seconds: UInt64) -> Timestamp {
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1000)
        return Timestamp(milliseconds: overflow || product > milliseconds ? 0 : milliseconds - product)
    }

    @inlinable
    public func adding(seconds: UInt64) -> Timestamp {
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1000)
        return adding(milliseconds: overflow ? .max : product)
    }
}

/// A reading of a clock that counts through suspension and never steps (CLOCK_BOOTTIME), in nanoseconds.
public struct MonotonicTime: Hashable, Comparable, Sendable {
    public let nanoseconds: UInt64

    public static let zero = MonotonicTime(nanoseconds: 0)

    @inlinable
    public init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

    @inlinable
    public static func < (left: Self, right: Self) -> Bool { left.nanoseconds < right.nanoseconds }

    /// Nanoseconds since `earlier`; zero when `earlier` is later.
    @inlinable
    public func nanoseconds(since earlier: MonotonicTime) -> UInt64 {
        nanoseconds > earlier.nanoseconds ? nanoseconds - earlier.nanoseconds : 0
    }

    @inlinable
    public func adding(nanoseconds more: UInt64) -> MonotonicTime {
        MonotonicTime(nanoseconds: nanoseconds &+ more)
    }
}

/// Wall time that cannot jump: the wall clock is read once, at start, and from then on only elapsed monotonic time
/// counts.
///
/// Expiry is decided by it, so that an operator or NTP stepping the wall clock neither expires entities early nor
/// brings expired ones back. `floor` carries the latest time that the data has seen, so a restart under a clock that
/// was set back does not go back either.
///
/// The clock at start may be wrong all the same, or the machine may sleep for days. What has expired by such a clock
/// reads as absent, but for ``Limits/removalHoldSeconds`` nothing of it is removed for good: whoever repairs the clock
/// in that time and starts again has lost nothing. Starts in a row with a wrong clock wait anew each.
public struct SteadyClock: Sendable {
    private var base: Timestamp
    private let start: MonotonicTime
    /// When ``observe(_:)`` was last called.
    private var observed: MonotonicTime
    /// From here on what has expired may be removed for good.
    private var removesFrom: MonotonicTime
    private let mutants: Mutants

    public init(wall: Timestamp, monotonic: MonotonicTime, floor: Timestamp, mutants: Mutants = .none) {
        base = max(wall, floor)
        start = monotonic
        observed = monotonic
        removesFrom = monotonic
        self.mutants = mutants
        hold(monotonic)
    }

    public func now(_ monotonic: MonotonicTime) -> Timestamp {
        base.adding(milliseconds: monotonic.nanoseconds(since: start) / 1_000_000)
    }

    /// Moves forward to a time that another owner of a shard has already acted on; never back. A jump begins a new wait
    /// before removal.
    public mutating func advance(atLeastTo seen: Timestamp, monotonic: MonotonicTime) {
        let current = now(monotonic)
        guard seen > current else { return }
        let step = seen.milliseconds - current.milliseconds
        base = base.adding(milliseconds: step)
        if step > Limits.clockStepSecondsMax * 1000 { hold(monotonic) }
    }

    /// Looks whether elapsed time itself has jumped, as it does while the machine sleeps. To be called every few
    /// seconds.
    public mutating func observe(_ monotonic: MonotonicTime) {
        if monotonic.nanoseconds(since: observed) > Limits.clockStepSecondsMax * 1_000_000_000 { hold(monotonic) }
        observed = max(observed, monotonic)
    }

    /// What expired before this may be removed for good. Zero, before which nothing expires, during a wait.
    public func removalTime(_ monotonic: MonotonicTime) -> Timestamp {
        guard monotonic >= removesFrom || mutants.has(.removalWithoutWaiting) else { return .zero }
        return now(monotonic).before(seconds: Limits.removalLagSeconds)
    }

    private mutating func hold(_ monotonic: MonotonicTime) {
        removesFrom = max(removesFrom, monotonic.adding(nanoseconds: Limits.removalHoldSeconds * 1_000_000_000))
    }
}

/// What a start makes of its wall clock, beside the newest time that the data has seen.
public enum ClockAtStart: Sendable, Equatable {
    /// There is no data yet, or the clock is less than a day ahead of it.
    case plausible
    /// More than a day ahead: the data has rested, or the clock is wrong.
    case ahead(milliseconds: UInt64)
    /// Further ahead than data rests: the clock is wrong, until the operator says otherwise.
    case implausible(milliseconds: UInt64)
    /// Behind by more than a minute: the node goes on from the data's time.
    case behind(milliseconds: UInt64)

    /// - Parameter newest: of the log and the stores; zero where they hold nothing.
    public init(wall: Timestamp, newest: Timestamp) {
        guard newest > .zero else {
            self = .plausible
            return
        }
        if wall < newest {
            let gap = newest.milliseconds - wall.milliseconds
            self = gap > Limits.clockGapSecondsMax * 1000 ? .behind(milliseconds: gap) : .plausible
            return
        }
        let gap = wall.milliseconds - newest.milliseconds
        if gap > Limits.clockAheadSecondsMax * 1000 {
            self = .implausible(milliseconds: gap)
        } else if gap > Limits.clockStepSecondsMax * 1000 {
            self = .ahead(milliseconds: gap)
        } else {
            self = .plausible
        }
    }
}

/// How far the wall clock is from the time that a running node goes by.
public enum ClockGap: Sendable, Equatable {
    /// Within a minute.
    case none
    case wallAhead(milliseconds: UInt64)
    case wallBehind(milliseconds: UInt64)

    public init(wall: Timestamp, now: Timestamp) {
        let (low, high) = wall < now ? (wall, now) : (now, wall)
        let gap = high.milliseconds - low.milliseconds
        if gap <= Limits.clockGapSecondsMax * 1000 {
            self = .none
        } else {
            self = wall < now ? .wallBehind(milliseconds: gap) : .wallAhead(milliseconds: gap)
        }
    }
}

/// Says when a node should speak of its clocks: when they come apart, change sides, or agree again. Not at each look.
public struct ClockGapWatch: Sendable {
    private var last = ClockGap.none

    public init() {}

    /// The gap, where it is news; `nil` where it was told before.
    public mutating func look(_ gap: ClockGap) -> ClockGap? {
        defer { last = gap }
        switch (last, gap) {
        case (.none, .none), (.wallAhead, .wallAhead), (.wallBehind, .wallBehind): return nil
        case (_, .none), (_, .wallAhead), (_, .wallBehind): return gap
        }
    }
}
