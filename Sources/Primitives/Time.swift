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
/// brings expired ones back. `floor` carries the latest time that the log has seen, so a restart under a clock that
/// was set back does not go back either.
public struct SteadyClock: Sendable {
    private var base: Timestamp
    private let start: MonotonicTime

    public init(wall: Timestamp, monotonic: MonotonicTime, floor: Timestamp) {
        self.base = max(wall, floor)
        self.start = monotonic
    }

    public func now(_ monotonic: MonotonicTime) -> Timestamp {
        base.adding(milliseconds: monotonic.nanoseconds(since: start) / 1_000_000)
    }

    /// Moves forward to a time that another owner of a shard has already acted on; never back.
    public mutating func advance(atLeastTo seen: Timestamp, monotonic: MonotonicTime) {
        let current = now(monotonic)
        if seen > current { base = base.adding(milliseconds: seen.milliseconds - current.milliseconds) }
    }
}
