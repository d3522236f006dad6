import Glibc
import Primitives

/// Draws ranks `0 ..< count` with probability proportional to `1 / (rank + 1)^0.99`.
///
/// Gray et al., "Quickly Generating Billion-Record Synthetic Databases", SIGMOD 1994, the algorithm that YCSB uses.
/// Making one costs O(count); a draw is O(1) and takes one step of the generator.
struct ZipfianDistribution: Sendable {
    static let constant = 0.99

    let count: Int
    private let zeta: Double
    private let alpha: Double
    private let eta: Double

    init(count: Int) {
        precondition(count >= 1, "a draw needs at least one outcome")
        var sum = 0.0
        for rank in 1...count { sum += 1 / pow(Double(rank), Self.constant) }
        let zetaOfTwo = 1 + 1 / pow(2, Self.constant)
        self.count = count
        self.zeta = sum
        self.alpha = 1 / (1 - Self.constant)
        self.eta = (1 - pow(2 / Double(count), 1 - Self.constant)) / (1 - zetaOfTwo / sum)
    }

    func draw(_ generator: inout SplitMix64) -> Int {
        let uniform = Double(generator.next() >> 11) * 0x1p-53
        let scaled = uniform * zeta
        if scaled < 1 { return 0 }
        if scaled < 1 + pow(0.5, Self.constant) { return min(1, count - 1) }
        let rank = Int(Double(count) * pow(eta * uniform - eta + 1, alpha))
        return min(max(rank, 0), count - 1)
    }
}
