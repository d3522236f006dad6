import Testing

@testable import AdminTool

@Suite struct FormattingTests {
    @Test(arguments: [
        (0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567"), (UInt64.max, "18,446,744,073,709,551,615"),
    ])
    func counts(value: UInt64, text: String) { #expect(Format.count(value) == text) }

    @Test(arguments: [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1536, "1.5 KiB"), (1 << 30, "1.0 GiB")])
    func sizes(value: UInt64, text: String) { #expect(Format.bytes(value) == text) }

    @Test(arguments: [(0, "0:00"), (59, "0:59"), (60, "1:00"), (3599, "59:59"), (3600, "1:00:00"), (-5, "0:00")])
    func times(seconds: Int, text: String) { #expect(Format.time(.seconds(seconds)) == text) }

    @Test func rates() {
        #expect(Format.rate(100, in: .seconds(2)) == 50)
        #expect(Format.rate(100, in: .zero) == 0)
    }

    @Test func terminalsAreNotDriven() {
        #expect(Format.printable("a\u{1B}[2Jé\u{9B}\n") == "a\\u{1b}[2Jé\\u{9b}\\u{a}")
    }

    @Test func tablesAlign() {
        #expect(Format.table(["A", "LONG"], [["xx", "1"], ["", "é"]]) == "A   LONG\nxx  1\n    é\n")
    }

    @Test func barsShowHowFarAndHowLong() {
        var picture = ProgressPicture(
            items: 1500, noun: "lines", fraction: 0.5, itemsInRun: 1000, fractionAtStart: 0.25, elapsed: .seconds(10))
        #expect(picture.line(barWidth: 10) == "[=====>    ]  50%  1,500 lines  100/s  ETA 0:20")
        picture.fraction = 1
        #expect(picture.line(barWidth: 10) == "[==========] 100%  1,500 lines  100/s  ETA 0:00")
        picture.fraction = 0.25
        #expect(picture.line(barWidth: 10) == "[==>       ]  25%  1,500 lines  100/s  ETA -:--")
        picture.fraction = nil
        #expect(picture.line() == "1,500 lines  100/s  0:10")
    }

    @Test(arguments: [
        (true, [:], true), (false, [:], false), (true, ["NO_COLOR": "1"], false), (true, ["NO_COLOR": ""], true),
        (true, ["TERM": "dumb"], false),
    ])
    func barsAreForTerminalsWithoutNoColor(isTerminal: Bool, environment: [String: String], draws: Bool) {
        let console = Console(
            environment: environment, isErrorTerminal: isTerminal, output: { _ in }, error: { _ in })
        #expect(console.drawsBars == draws)
    }

    @Test func runsOfNumbers() {
        #expect(Verdict.runs([7, 1, 2, 3, 9, 10]) == "1-3, 7, 9-10")
        #expect(Verdict.runs([]) == "")
    }
}
