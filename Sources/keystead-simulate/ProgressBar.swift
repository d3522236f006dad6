#if canImport(Glibc)
    import Glibc
#endif

/// How far a swarm is, on stderr: a bar where that is a terminal, without NO_COLOR, and a line a minute elsewhere.
struct ProgressBar {
    private let total: UInt64?
    private let isDrawn: Bool
    private let clock = ContinuousClock()
    private var drawnPercent: UInt64 = .max
    private var nextLine: ContinuousClock.Instant

    private static let lineInterval = Duration.seconds(60)

    init(total: UInt64?) {
        self.total = total
        isDrawn = isatty(STDERR_FILENO) == 1 && getenv("NO_COLOR") == nil
        nextLine = clock.now + Self.lineInterval
    }

    mutating func show(done: UInt64, failures: Int) {
        let count = total.map { "\(done) of \($0) seeds" } ?? "\(done) seeds"
        let text = failures > 0 ? "\(count), \(failures) failed" : count
        isDrawn ? draw(done, text) : tell(text)
    }

    private mutating func draw(_ done: UInt64, _ text: String) {
        guard let total, total > 0 else {
            if done.isMultiple(of: 10) { write("\r\(text)") }
            return
        }
        let percent = done * 100 / total
        guard percent != drawnPercent else { return }
        drawnPercent = percent
        let full = Int(percent / 4)
        write(
            "\r[" + String(repeating: "#", count: full) + String(repeating: ".", count: 25 - full)
                + "] \(percent) %  \(text)")
    }

    private mutating func tell(_ text: String) {
        guard clock.now >= nextLine else { return }
        nextLine = clock.now + Self.lineInterval
        write("\(text)\n")
    }

    func clear() {
        if isDrawn { write("\r\u{1B}[K") }
    }

    private func write(_ text: String) {
        let bytes = Array(text.utf8)
        _ = bytes.withUnsafeBytes { Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }
}
