import Histogram

/// What the loops measured together. Times are nanoseconds.
struct Measured: Sendable {
    let recorder: Recorder
    let elapsed: UInt64
    /// Processor time of the loop that used most, and of all.
    let busiestLoop: UInt64
    let allLoops: UInt64
    let backlog: Int
    let counter: CounterCheck?

    /// A stage with a fixed end lasts at least until then, so that a server which stopped answering is not credited
    /// with the time before it did; one with a number of operations ends with the last of them.
    static func elapsed(_ plan: StagePlan, lastCompletion: UInt64) -> UInt64 {
        let end = plan.ends == .max ? lastCompletion : max(plan.ends, lastCompletion)
        return max(1, end > plan.start ? end - plan.start : 1)
    }
}

/// Whether the counter of `hot` shows every increment that was acknowledged, and none that was not asked for.
public struct CounterCheck: Sendable, Equatable {
    public let before: UInt64?
    public let after: UInt64?
    public let acknowledged: Int
    /// Asked for, with the connection lost before the answer.
    public let uncertain: Int

    public var holds: Bool {
        guard let before, let after, after >= before else { return false }
        let grown = after - before
        return grown >= UInt64(acknowledged) && grown <= UInt64(acknowledged + uncertain)
    }
}

/// Latencies of one kind of operation, in microseconds.
public struct LatencySummary: Sendable, Equatable {
    /// The percentiles that a curve is drawn through.
    public static let curvePercentiles = [
        0, 10, 25, 50, 75, 90, 95, 97.5, 99, 99.5, 99.75, 99.9, 99.95, 99.99, 99.999, 100,
    ]

    public struct Point: Sendable, Equatable {
        public let percentile: Double
        public let microseconds: Double
    }

    /// The kind's name, or `all`.
    public let name: String
    public let count: Int
    public let mean: Double
    public let p50: Double
    public let p90: Double
    public let p99: Double
    public let p999: Double
    public let max: Double
    public let curve: [Point]

    init(name: String, histogram: Histogram<UInt64>) {
        func at(_ percentile: Double) -> Double {
            histogram.totalCount == 0 ? 0 : Double(histogram.valueAtPercentile(percentile)) / 1000
        }
        self.name = name
        self.count = Int(histogram.totalCount)
        self.mean = histogram.totalCount == 0 ? 0 : histogram.mean / 1000
        self.p50 = at(50)
        self.p90 = at(90)
        self.p99 = at(99)
        self.p999 = at(99.9)
        self.max = histogram.totalCount == 0 ? 0 : Double(histogram.max) / 1000
        self.curve = Self.curvePercentiles.map { Point(percentile: $0, microseconds: at($0)) }
    }
}

/// What a run found.
public struct LoadReport: Sendable {
    /// Above this share of its core, the busiest loop of the generator is held to be what limits the run.
    public static let generatorBoundShare = 0.85

    public let configuration: LoadConfiguration
    /// Seconds from the beginning of the measured stage to its last answer or its end, whichever is later.
    public let elapsedSeconds: Double
    /// Operations that ended well. Failed ones stand in `errors` only.
    public let operations: Int
    public let operationsPerSecond: Double
    /// Of all operations together.
    public let latency: LatencySummary
    /// One a kind that occurred.
    public let latencyByKind: [LatencySummary]
    /// From sending to the answer: of operations that ended well, and of those that were refused. An open loop that is
    /// behind its schedule sends late; this is what the server takes.
    public let answered: LatencySummary
    public let refused: LatencySummary
    /// Failed operations by kind of failure: status and code, RESP error word, `timeout`, `wrong content`…
    public let errors: [(name: String, count: Int)]
    /// Read-modify-writes that met another writer and began again.
    public let conflicts: Int
    /// Reads whose length was compared, and those whose content was.
    public let lengthsVerified: Int
    public let contentsVerified: Int
    /// Reads that were not what was written.
    public let wrongAnswers: Int
    /// `hot` by increments only.
    public let counter: CounterCheck?
    /// Open loop: operations that fell due and found no free connection until the end.
    public let backlog: Int
    /// Operations that ended in each second.
    public let perSecond: [Int]
    /// Processor time of the generator's busiest loop, and of all its loops, by elapsed time.
    public let busiestLoopShare: Double
    public let cpuShare: Double

    init(configuration: LoadConfiguration, measured: Measured) {
        let recorder = measured.recorder
        let seconds = Double(measured.elapsed) / 1e9
        self.configuration = configuration
        self.elapsedSeconds = seconds
        self.operations = recorder.completed
        self.operationsPerSecond = Double(recorder.completed) / seconds
        self.latency = LatencySummary(name: "all", histogram: recorder.histogram(of: nil))
        self.latencyByKind = OperationKind.allCases
            .map { LatencySummary(name: $0.name, histogram: recorder.histogram(of: $0)) }
            .filter { $0.count > 0 }
        self.answered = LatencySummary(name: "answered", histogram: recorder.answeredHistogram)
        self.refused = LatencySummary(name: "refused", histogram: recorder.refusedHistogram)
        self.errors = recorder.errors.map { (name: $0.key, count: $0.value) }
            .sorted { ($1.count, $0.name) < ($0.count, $1.name) }
        self.conflicts = recorder.conflicts
        self.lengthsVerified = recorder.lengthsVerified
        self.contentsVerified = recorder.contentsVerified
        self.wrongAnswers = recorder.wrongAnswers
        self.counter = measured.counter
        self.backlog = measured.backlog
        self.perSecond = recorder.perSecond
        self.busiestLoopShare = Double(measured.busiestLoop) / Double(measured.elapsed)
        self.cpuShare = Double(measured.allLoops) / Double(measured.elapsed)
    }

    public var errorCount: Int { errors.reduce(0) { $0 + $1.count } }

    /// The generator was the bottleneck: the server may be faster than the report says.
    public var isGeneratorBound: Bool { busiestLoopShare > Self.generatorBoundShare }

    /// No answer was wrong, and a counter adds up. A report that is not sound is no result, however fast.
    public var isSound: Bool { wrongAnswers == 0 && (counter?.holds ?? true) }
}
