import Histogram
import Testing

@testable import LoadGenerator

@Suite struct ReportTests {
    private func makeReport(
        _ change: (inout Recorder) -> Void = { _ in }, elapsed: UInt64 = 2_000_000_000, cpu: UInt64 = 1_000_000_000,
        counter: CounterCheck? = nil
    ) -> LoadReport {
        var recorder = Recorder(start: 0)
        change(&recorder)
        return LoadReport(
            configuration: LoadConfiguration(),
            measured: Measured(
                recorder: recorder, elapsed: elapsed, busiestLoop: cpu, allLoops: cpu, backlog: 0, counter: counter))
    }

    @Test func latenciesAreFromDueToDone() {
        let report = makeReport { recorder in
            for microseconds in 1...1000 {
                let due = UInt64(microseconds) * 1_000_000
                recorder.complete(.read, due: due, now: due + UInt64(microseconds) * 1000)
            }
        }
        #expect(report.operations == 1000)
        #expect(report.operationsPerSecond == 500)
        #expect(abs(report.latency.p50 - 500) < 1 && abs(report.latency.p99 - 990) < 1)
        #expect(abs(report.latency.p90 - 900) < 1 && abs(report.latency.p999 - 999) < 1)
        #expect(abs(report.latency.max - 1000) < 1 && abs(report.latency.mean - 500.5) < 1)
        #expect(report.perSecond == [999, 1], "the last is done 2 ms into the second second")
    }

    /// What the server keeps an operation for is told apart from what the schedule makes it wait.
    @Test func refusalsHaveTimesOfTheirOwn() {
        var first = Recorder(start: 0)
        first.keepTime(sent: 5_000_000, now: 6_000_000, isRefusal: true)
        first.keepTime(sent: 0, now: 9_000_000, isRefusal: false)
        var second = Recorder(start: 0)
        second.keepTime(sent: 0, now: 3_000_000, isRefusal: true)
        let report = makeReport { recorder in
            recorder.merge(first)
            recorder.merge(second)
        }
        #expect(report.refused.count == 2 && report.answered.count == 1 && report.latency.count == 0)
        #expect(abs(report.refused.p50 - 1000) < 1 && abs(report.refused.max - 3000) < 2)
        #expect(abs(report.answered.max - 9000) < 5)
        #expect(report.table().contains("refused"))
    }

    @Test func loopsAddUp() {
        var first = Recorder(start: 0)
        var second = Recorder(start: 0)
        first.complete(.read, due: 0, now: 10_000)
        first.fail("503 overloaded")
        first.conflicts = 2
        second.complete(.update, due: 0, now: 3_000_000_000)
        second.fail("503 overloaded")
        second.fail("timeout")
        second.wrongAnswers = 1
        first.merge(second)
        #expect(first.completed == 2 && first.perSecond == [1, 0, 0, 1])
        #expect(first.errors == ["503 overloaded": 2, "timeout": 1] && first.errorCount == 3)
        #expect(first.conflicts == 2 && first.wrongAnswers == 1)
        #expect(first.lastCompletion == 3_000_000_000)
        #expect(first.histogram(of: .read).totalCount == 1 && first.histogram(of: nil).totalCount == 2)
    }

    @Test func latencyIsNeverNegativeAndIsBounded() {
        let report = makeReport { recorder in
            recorder.complete(.read, due: 100, now: 50)
            recorder.complete(.read, due: 0, now: .max)
        }
        #expect(report.latency.count == 2)
        #expect(report.latency.curve.first?.microseconds == 0)
    }

    @Test(arguments: [(StagePlan(start: 5, ends: 105), 50, 100), (StagePlan(start: 5, ends: 105), 125, 120)])
    func aStallAtTheEndCounts(plan: StagePlan, lastCompletion: UInt64, elapsed: UInt64) {
        #expect(Measured.elapsed(plan, lastCompletion: lastCompletion) == elapsed)
        #expect(
            Measured.elapsed(StagePlan(start: 5), lastCompletion: 45) == 40, "a number of operations ends with the last"
        )
        #expect(Measured.elapsed(StagePlan(start: 5), lastCompletion: 0) == 1)
    }

    @Test func generatorBoundAbove85Percent() {
        #expect(!makeReport(elapsed: 1000, cpu: 850).isGeneratorBound)
        let bound = makeReport(elapsed: 1000, cpu: 851)
        #expect(bound.isGeneratorBound && bound.table().contains("generator-bound"))
        #expect(bound.json().contains(#""generator-bound":true"#))
    }

    @Test(
        arguments: [
            (0, 10, 10, 0, true), (5, 15, 10, 0, true), (0, 9, 10, 0, false), (0, 11, 10, 0, false),
            (0, 11, 10, 1, true),
            (0, 12, 10, 1, false), (5, 4, 0, 0, false), (nil, 4, 4, 0, false), (0, nil, 4, 0, false),
        ] as [(UInt64?, UInt64?, Int, Int, Bool)])
    func counterAddsUp(before: UInt64?, after: UInt64?, acknowledged: Int, uncertain: Int, holds: Bool) {
        let counter = CounterCheck(before: before, after: after, acknowledged: acknowledged, uncertain: uncertain)
        #expect(counter.holds == holds)
        #expect(makeReport(counter: counter).isSound == holds)
    }

    @Test func wrongAnswersAreNoResult() {
        let report = makeReport { $0.wrongAnswers = 1 }
        #expect(!report.isSound && report.table().contains("NOT SOUND"))
        #expect(report.json().contains(#""sound":false"#))
    }

    @Test func anEmptyRunHasAReport() {
        let report = makeReport()
        #expect(report.operations == 0 && report.latency.p99 == 0 && report.latencyByKind.isEmpty)
        #expect(report.table().contains("0 operations in 2.00 s: 0 a second"))
    }
}

@Suite struct TextTests {
    @Test(arguments: [
        (0, 2, "0.00"), (1.005, 1, "1.0"), (1.25, 1, "1.3"), (-1.5, 1, "-1.5"), (-0.01, 1, "0.0"), (9.999, 2, "10.00"),
        (1234.5, 0, "1235"), (.infinity, 2, "-"), (.nan, 2, "-"),
    ])
    func fixedPlaces(value: Double, places: Int, text: String) {
        #expect(DecimalText.fixed(value, places: places) == text)
    }

    @Test(arguments: [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567"), (-1000, "-1,000")])
    func grouped(value: Int, text: String) {
        #expect(DecimalText.grouped(value) == text)
    }

    @Test(arguments: [(12.4, "12 µs"), (999.4, "999 µs"), (1500, "1.50 ms"), (2_500_000, "2.50 s")])
    func durations(microseconds: Double, text: String) {
        #expect(DecimalText.duration(microseconds: microseconds) == text)
    }

    @Test func json() {
        var text = JSONText()
        text.open("{")
        text.member("a\"b\\c\u{1}", "é\n")
        text.member("n", 3)
        text.member("x", nil as Double?)
        text.member("y", 0.5)
        text.member("whole", 2.0)
        text.array("list", [1, 2]) { $0.value($1) }
        text.array("none", [Int]()) { $0.value($1) }
        text.member("last", true)
        text.close("}")
        #expect(
            text.text
                == #"{"a\"b\\c\u0001":"é\u000a","n":3,"x":null,"y":0.5,"whole":2,"list":[1,2],"none":[],"last":true}"#)
    }
}

@Suite struct ConfigurationTests {
    @Test(
        arguments: [
            { $0.records = 0 }, { $0.valueBytes = -1 }, { $0.connections = 0 }, { $0.loops = 65 },
            {
                $0.connections = 1; $0.loops = 2
            }, { $0.rate = 0 }, { $0.rate = .nan }, { $0.extent = .operations(0) },
            { $0.extent = .seconds(0) }, { $0.timeoutSeconds = 0 }, { $0.verifyEvery = 0 }, { $0.warmupSeconds = -1 },
            {
                $0.dialect = .fixed(path: "/"); $0.workload = .hot
            },
            {
                $0.dialect = .fixed(path: "/"); $0.workload = .f
            },
            {
                $0.dialect = .etcd; $0.workload = .hot
            },
        ] as [@Sendable (inout LoadConfiguration) -> Void])
    func refusals(change: @Sendable (inout LoadConfiguration) -> Void) {
        var configuration = LoadConfiguration()
        change(&configuration)
        #expect(throws: LoadError.self) { try configuration.validate() }
    }

    @Test func defaultsAreValid() throws {
        try LoadConfiguration().validate()
    }
}
