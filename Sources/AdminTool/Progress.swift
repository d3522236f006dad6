/// What a bar shows, as text. Pure.
struct ProgressPicture {
    /// What has been done, in the unit that is counted aloud.
    var items: UInt64
    var noun: String
    /// How much of the whole: bytes read of bytes there are; `nil` where the whole is unknown.
    var fraction: Double?
    /// Items done in `elapsed`: less than `items` after a resume.
    var itemsInRun: UInt64
    /// The fraction at which this run began.
    var fractionAtStart: Double = 0
    var elapsed: Duration

    /// `[=====>    ]  52%  1,234,567 lines  45,000/s  ETA 0:25`, or without a known whole
    /// `1,234,567 lines  45,000/s  0:31`.
    func line(barWidth: Int = 30) -> String {
        let rate = Format.count(Format.rate(itemsInRun, in: elapsed))
        let counted = "\(Format.count(items)) \(noun)  \(rate)/s"
        guard let fraction else { return "\(counted)  \(Format.time(elapsed))" }
        return "\(Self.bar(fraction, width: barWidth))  \(counted)  ETA \(eta)"
    }

    /// `[=====>    ]  52%`.
    static func bar(_ fraction: Double, width: Int) -> String {
        let bounded = min(max(fraction, 0), 1)
        let filled = Int(bounded * Double(width))
        let head = filled < width ? ">" : ""
        let bar = String(repeating: "=", count: filled) + head
        let padding = String(repeating: " ", count: max(0, width - filled - head.count))
        let percent = Int(bounded * 100)
        return "[\(bar)\(padding)] \(percent < 10 ? "  " : percent < 100 ? " " : "")\(percent)%"
    }

    /// By how far this run has come; `-:--` while that says nothing.
    private var eta: String {
        let done = (fraction ?? 0) - fractionAtStart
        guard done > 0.001 else { return "-:--" }
        return Format.time(elapsed * max(0, (1 - (fraction ?? 0)) / done))
    }
}

/// Draws a bar on standard error, at most ten times a second, where bars may be drawn at all.
struct ProgressBar {
    private static let interval = Duration.milliseconds(100)

    private let console: Console
    private let clock = ContinuousClock()
    private let start: ContinuousClock.Instant
    private var drawn: ContinuousClock.Instant?

    init(console: Console) {
        self.console = console
        self.start = clock.now
    }

    var elapsed: Duration { clock.now - start }

    mutating func show(_ picture: ProgressPicture) { show { picture.line() } }

    /// - Parameter line: asked for only where it is drawn.
    mutating func show(_ line: () -> String) {
        guard console.drawsBars else { return }
        let now = clock.now
        if let drawn, now - drawn < Self.interval { return }
        drawn = now
        console.bar(line())
    }

    /// Takes the bar away, so that something else can stand in its place.
    mutating func clear() {
        console.clearBar()
        drawn = nil
    }

    /// A message above the bar.
    func say(_ message: String) { console.say(message) }
}
