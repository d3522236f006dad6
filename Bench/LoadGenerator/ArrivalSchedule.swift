/// When the operations of an open loop are due: a fixed pace from `start`, whatever the server does.
///
/// Latency is measured from the due time, not from the time of sending: a stall of the server then shows in all the
/// operations that it held up, not only in those that were already on the wire (Gil Tene's "coordinated omission").
/// Times are nanoseconds of one monotonic clock.
struct ArrivalSchedule: Equatable {
    private let start: UInt64
    private let interval: Double
    /// Operations taken so far.
    private(set) var taken = 0

    /// `share` of `shares` loops: each paces at its part of the rate, staggered so that together they are even.
    init(start: UInt64, rate: Double, share: Int, of shares: Int) {
        precondition(rate > 0 && share < shares, "a pace needs a rate, and a share below the number of shares")
        self.interval = 1e9 * Double(shares) / rate
        self.start = start + UInt64(Double(share) * 1e9 / rate)
    }

    /// When the next operation that was not taken is due.
    var nextDue: UInt64 { start + UInt64(Double(taken) * interval) }

    /// Takes the next operation if it is due at `now`, and answers the time it was due.
    mutating func take(at now: UInt64) -> UInt64? {
        let due = nextDue
        guard due <= now else { return nil }
        taken += 1
        return due
    }

    /// Operations that were due before `end` and that nobody took.
    func backlog(at end: UInt64) -> Int {
        guard end > start else { return 0 }
        let due = Int((Double(end - start) / interval).rounded(.up))
        return max(0, due - taken)
    }
}
