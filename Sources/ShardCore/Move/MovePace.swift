public import Primitives

/// When a node may take part in another move. While callers use the node, its moves begin a while apart: what a move
/// costs whatever its size (a checkpoint, records of the cluster, opening a store, the handover) would else come in one
/// stretch, and callers would wait behind it. A node that nobody uses takes one move after the other, unless those that
/// its moves come from are used: nobody asks a node that has just joined for anything, and its load weighs on them.
///
/// Pure. One owner, on one thread at a time.
public struct MovePace: Sendable {
    private var windowStart: MonotonicTime?
    private var windowCalls: UInt64 = 0
    private var callsPerSecond: UInt64 = 0
    private var lastBegin: MonotonicTime?
    private var sparedUntil = MonotonicTime.zero

    private static let windowNanosecondsMin: UInt64 = 200_000_000

    public init() {}

    /// Callers' requests so far; to be told at least every few seconds, and before ``nextBegin`` is asked for.
    public mutating func observe(calls: UInt64, now: MonotonicTime) {
        guard let start = windowStart else {
            windowStart = now
            windowCalls = calls
            return
        }
        let elapsed = now.nanoseconds(since: start)
        guard elapsed >= Self.windowNanosecondsMin else { return }
        callsPerSecond = (calls &- windowCalls).perSecond(nanoseconds: elapsed)
        windowStart = now
        windowCalls = calls
    }

    /// A move begins now.
    public mutating func begun(now: MonotonicTime) { lastBegin = now }

    /// The node that a move comes from begins no other for so long.
    public mutating func spare(milliseconds: UInt64, now: MonotonicTime) {
        let until = now.adding(milliseconds: min(milliseconds, Limits.movePaceMilliseconds))
        sparedUntil = max(sparedUntil, until)
    }

    /// The next move may begin at this time, which may be over.
    public var nextBegin: MonotonicTime {
        guard let lastBegin, callsPerSecond >= Limits.movePaceCallsPerSecond else { return sparedUntil }
        return max(sparedUntil, lastBegin.adding(milliseconds: Limits.movePaceMilliseconds))
    }
}
