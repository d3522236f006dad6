private import CPosixShims
import NIOConcurrencyHelpers
import Primitives

/// The node's only clocks, read here and passed down. Any thread.
final class NodeTime: Sendable {
    private let steady: NIOLockedValueBox<SteadyClock>

    /// `floor` is the latest time that the node's own data has seen.
    init(floor: Timestamp) {
        steady = NIOLockedValueBox(
            SteadyClock(wall: Self.wall(), monotonic: Self.monotonic(), floor: floor))
    }

    /// Counts through suspension, never steps.
    static func monotonic() -> MonotonicTime { MonotonicTime(nanoseconds: ks_boottime_ns()) }

    /// What the machine says now; it may step, and may be wrong.
    static func wall() -> Timestamp { Timestamp(milliseconds: ks_wall_ms()) }

    func now() -> Timestamp {
        let monotonic = Self.monotonic()
        return steady.withLockedValue { $0.now(monotonic) }
    }

    /// A shard has come from a node whose clock was ahead: time does not go back for it.
    func advance(atLeastTo seen: Timestamp) {
        let monotonic = Self.monotonic()
        steady.withLockedValue { $0.advance(atLeastTo: seen, monotonic: monotonic) }
    }

    /// What expired before this may be removed for good; zero, where nothing may. To be called every second: it also
    /// looks whether the machine has slept.
    func removalTime() -> Timestamp {
        let monotonic = Self.monotonic()
        return steady.withLockedValue {
            $0.observe(monotonic)
            return $0.removalTime(monotonic)
        }
    }

    /// How far the wall clock is from the time that this node goes by.
    func gap() -> ClockGap { ClockGap(wall: Self.wall(), now: now()) }
}
