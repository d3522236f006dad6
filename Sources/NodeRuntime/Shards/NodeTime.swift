private import CPosixShims
import Primitives

/// The node's only clocks, read here and passed down.
struct NodeTime: Sendable {
    private let steady: SteadyClock

    /// `floor` is the latest time that the node's own data has seen.
    init(floor: Timestamp) {
        steady = SteadyClock(
            wall: Timestamp(milliseconds: ks_realtime_ns() / 1_000_000), monotonic: Self.monotonic(), floor: floor)
    }

    /// Counts through suspension, never steps.
    static func monotonic() -> MonotonicTime { MonotonicTime(nanoseconds: ks_boottime_ns()) }

    func now() -> Timestamp { steady.now(Self.monotonic()) }
}
