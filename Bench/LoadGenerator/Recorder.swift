import Histogram

/// What one event loop measured. Times are nanoseconds.
struct Recorder: Sendable {
    /// Latencies above this are recorded as this.
    static let latencyMax: UInt64 = 3_600_000_000_000

    /// Operations that end later than this are counted in the last second.
    static let secondsMax = 2 * 86_400

    private var histograms: [Histogram<UInt64>?]
    /// From sending to the answer: of operations that ended well, and of those that were refused.
    private var answered: Histogram<UInt64>?
    private var refused: Histogram<UInt64>?
    private(set) var errors: [String: Int] = [:]
    private(set) var perSecond: [Int] = []
    private(set) var completed = 0
    private(set) var lastCompletion: UInt64 = 0
    var conflicts = 0
    var lengthsVerified = 0
    var contentsVerified = 0
    var wrongAnswers = 0
    private let start: UInt64

    init(start: UInt64) {
        self.start = start
        self.histograms = [Histogram<UInt64>?](repeating: nil, count: OperationKind.allCases.count)
    }

    var errorCount: Int { errors.values.reduce(0, +) }

    /// An operation that was due at `due` and is done at `now`.
    mutating func complete(_ kind: OperationKind, due: UInt64, now: UInt64) {
        completed += 1
        lastCompletion = now
        let second = min(Int((max(now, start) - start) / 1_000_000_000), Self.secondsMax)
        while perSecond.count <= second { perSecond.append(0) }
        perSecond[second] += 1
        let latency = min(max(now, due) - due, Self.latencyMax)
        if histograms[kind.rawValue] == nil { histograms[kind.rawValue] = Self.makeHistogram() }
        histograms[kind.rawValue]?.record(latency)
    }

    mutating func fail(_ name: String) { errors[name, default: 0] += 1 }

    /// How long the server kept an operation that was sent at `sent`, whenever it was due.
    mutating func keepTime(sent: UInt64, now: UInt64, isRefusal: Bool) {
        let latency = min(max(now, sent) - sent, Self.latencyMax)
        if isRefusal {
            if refused == nil { refused = Self.makeHistogram() }
            refused?.record(latency)
        } else {
            if answered == nil { answered = Self.makeHistogram() }
            answered?.record(latency)
        }
    }

    var answeredHistogram: Histogram<UInt64> { answered ?? Self.makeHistogram() }
    var refusedHistogram: Histogram<UInt64> { refused ?? Self.makeHistogram() }

    /// The histogram of one kind, or of all with `nil`.
    func histogram(of kind: OperationKind?) -> Histogram<UInt64> {
        var sum = Self.makeHistogram()
        for (index, histogram) in histograms.enumerated() {
            if let histogram, kind == nil || kind?.rawValue == index { sum.add(histogram) }
        }
        return sum
    }

    /// Adds what another loop measured in the same run.
    mutating func merge(_ other: Recorder) {
        for (index, histogram) in other.histograms.enumerated() {
            guard let histogram else { continue }
            if histograms[index] == nil { histograms[index] = Self.makeHistogram() }
            histograms[index]?.add(histogram)
        }
        answered = Self.sum(answered, other.answered)
        refused = Self.sum(refused, other.refused)
        for name in other.errors.keys { errors[name, default: 0] += other.errors[name] ?? 0 }
        while perSecond.count < other.perSecond.count { perSecond.append(0) }
        for (second, count) in other.perSecond.enumerated() { perSecond[second] += count }
        completed += other.completed
        lastCompletion = max(lastCompletion, other.lastCompletion)
        conflicts += other.conflicts
        lengthsVerified += other.lengthsVerified
        contentsVerified += other.contentsVerified
        wrongAnswers += other.wrongAnswers
    }

    private static func sum(_ one: Histogram<UInt64>?, _ other: Histogram<UInt64>?) -> Histogram<UInt64>? {
        guard var sum = one, let other else { return one ?? other }
        sum.add(other)
        return sum
    }

    private static func makeHistogram() -> Histogram<UInt64> {
        Histogram(lowestDiscernibleValue: 1, highestTrackableValue: latencyMax, numberOfSignificantValueDigits: .three)
    }
}
