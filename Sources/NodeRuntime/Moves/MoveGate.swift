import NIOConcurrencyHelpers
import Primitives
import ShardCore

/// Lets this node's parts of moves begin, apart from each other while callers are to be spared. Any thread.
final class MoveGate: Sendable {
    private let calls: CallCount
    private let pace = NIOLockedValueBox(MovePace())

    init(calls: CallCount) { self.calls = calls }

    /// Looks at what callers have sent so far; to be called at least every few seconds.
    func observe() { _ = pause }

    /// Nanoseconds until another move may begin.
    var pause: UInt64 {
        let now = NodeTime.monotonic()
        return pace.withLockedValue { pace in
            pace.observe(calls: calls.count, now: now)
            return pace.nextBegin.nanoseconds(since: now)
        }
    }

    /// Nanoseconds until another move may begin; 0, and one counts as begun.
    func enter() -> UInt64 {
        let now = NodeTime.monotonic()
        return pace.withLockedValue { pace in
            pace.observe(calls: calls.count, now: now)
            let pause = pace.nextBegin.nanoseconds(since: now)
            if pause == 0 { pace.begun(now: now) }
            return pause
        }
    }

    /// The other node of a move has callers of its own to spare.
    func spare(milliseconds: UInt64) {
        let now = NodeTime.monotonic()
        pace.withLockedValue { $0.spare(milliseconds: milliseconds, now: now) }
    }
}
