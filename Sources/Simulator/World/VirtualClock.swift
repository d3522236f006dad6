import Primitives

/// A machine's two clocks. The monotonic one counts from an offset of its own and drifts; the wall clock follows it and
/// is stepped by whoever administers the machine.
final class VirtualClock {
    private let world: World
    private let offset: UInt64
    /// Parts per million that this clock runs fast (or slow, below zero).
    private let drift: Int64
    private var wallMilliseconds: Int64

    /// The true wall time at virtual time zero, in milliseconds since 1970.
    static let origin: Int64 = 1_750_000_000_000

    init(world: World, offset: UInt64, drift: Int64, wallError: Int64) {
        self.world = world
        self.offset = offset
        self.drift = drift
        wallMilliseconds = Self.origin + wallError
    }

    var monotonic: MonotonicTime { MonotonicTime(nanoseconds: offset + elapsed) }

    /// A time before 1970 counts as 1970, as a node reads it.
    var wall: Timestamp {
        Timestamp(milliseconds: UInt64(max(0, wallMilliseconds + Int64(elapsed / Span.millisecond))))
    }

    /// Steps the wall clock.
    func jump(milliseconds: Int64) { wallMilliseconds += milliseconds }

    private var elapsed: UInt64 {
        let now = Int64(world.now)
        return UInt64(now + now / 1_000_000 * drift)
    }
}
