import Primitives

/// A token bucket over time: so many bytes a second, of which as many as one chunk may be taken at once.
struct FetchBudget {
    /// 0: no limit.
    var bytesPerSecond: UInt64
    /// When all that was taken is paid for.
    private var paidAt = MonotonicTime.zero

    init(bytesPerSecond: UInt64) { self.bytesPerSecond = bytesPerSecond }

    /// When the next fetch may begin.
    var nextTime: MonotonicTime { bytesPerSecond == 0 ? .zero : paidAt }

    mutating func take(_ bytes: UInt64, now: MonotonicTime) {
        guard bytesPerSecond > 0 else { return paidAt = now }
        let (nanoseconds, overflow) = bytes.multipliedReportingOverflow(by: 1_000_000_000)
        let cost = overflow ? Self.costMax : nanoseconds / bytesPerSecond
        paidAt = max(paidAt, now).adding(nanoseconds: min(cost, Self.costMax))
    }

    /// What was taken and is not paid for yet is paid at the new rate.
    mutating func change(bytesPerSecond rate: UInt64, now: MonotonicTime) {
        guard rate != bytesPerSecond else { return }
        let owed = paidAt.nanoseconds(since: now).multipliedFullWidth(by: bytesPerSecond)
        bytesPerSecond = rate
        guard rate > 0 else { return paidAt = min(paidAt, now) }
        let cost = owed.high < rate ? rate.dividingFullWidth(owed).quotient : .max
        paidAt = now.adding(nanoseconds: min(cost, Self.costMax))
    }

    /// Longer than any move, and far from where sums of times overflow.
    private static let costMax = UInt64.max >> 8
}

/// Bytes a second, smoothed over a few samples of at least a tenth of a second each.
struct RateMeter {
    private(set) var bytesPerSecond: UInt64 = 0
    private var sampleStart: MonotonicTime?
    private var sampleBytes: UInt64 = 0

    private static let sampleNanosecondsMin: UInt64 = 100_000_000

    mutating func count(_ bytes: UInt64, now: MonotonicTime) {
        guard let start = sampleStart else {
            sampleStart = now
            sampleBytes = bytes
            return
        }
        sampleBytes += bytes
        let elapsed = now.nanoseconds(since: start)
        guard elapsed >= Self.sampleNanosecondsMin else { return }
        let rate = sampleBytes.perSecond(nanoseconds: elapsed)
        bytesPerSecond = bytesPerSecond == 0 ? rate : (bytesPerSecond / 4 * 3) + rate / 4
        sampleStart = now
        sampleBytes = 0
    }
}

extension UInt64 {
    /// This many bytes in that time, as bytes a second.
    func perSecond(nanoseconds: UInt64) -> UInt64 {
        guard nanoseconds > 0 else { return 0 }
        let product = multipliedFullWidth(by: 1_000_000_000)
        guard product.high < nanoseconds else { return .max }
        return nanoseconds.dividingFullWidth(product).quotient
    }
}
