private import CPosixShims
import NIOConcurrencyHelpers
import Primitives

/// The node's only clocks, read here and passed down.
final class NodeTime: Sendable {
    private let steady: NIOLockedValueBox<SteadyClock>

    /// `floor` is the latest time that the node's own data has seen.
    init(floor: Timestamp) {
        steady = NIOLockedValueBox(
            SteadyClock(
                wall: Timestamp(milliseconds: ks_realtime_ns() / 1_000_000), monotonic: Self.monotonic(), floor: floor))
    }

    /// Counts through suspension, never steps.
    static func monotonic() -> MonotonicTime { MonotonicTime(nanoseconds: ks_boottime_ns()) }

    func now() -> Timestamp {
        let monotonic = Self.monotonic()
        return steady.withLockedValue { $0.now(monotonic) }
    }

    /// A shard has come from a node whose clock was ahead: time does not go back for it.
    func advance(atLeastTo seen: Timestamp) {
        let monotonic = Self.monotonic()
        steady.withLockedValue { $0.advance(atLeastTo: seen, monotonic: monotonic) }
    }
}
