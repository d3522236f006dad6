/// How long syncs took: counts in buckets that double from 16 µs.
public struct SyncHistogram: Sendable, Equatable {
    /// The upper bound of each bucket in microseconds; one more bucket counts what took longer.
    public static let boundsMicroseconds: [UInt64] = (4..<25).map { 1 << UInt64($0) }

    public private(set) var counts = [UInt64](repeating: 0, count: boundsMicroseconds.count + 1)
    public private(set) var totalNanoseconds: UInt64 = 0
    public private(set) var longestNanoseconds: UInt64 = 0

    public init() {}

    mutating func record(nanoseconds: UInt64) {
        let microseconds = nanoseconds / 1000
        let bucket = microseconds < 16 ? 0 : UInt64.bitWidth - microseconds.leadingZeroBitCount - 4
        counts[min(bucket, counts.count - 1)] += 1
        totalNanoseconds += nanoseconds
        longestNanoseconds = max(longestNanoseconds, nanoseconds)
    }
}
