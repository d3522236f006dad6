#if canImport(Glibc)
    import Glibc
#endif

/// A bar on stderr where that is a terminal; nothing elsewhere, and nothing with NO_COLOR.
struct ProgressBar {
    private let total: UInt64?
    private let isShown: Bool
    private var drawnPercent: UInt64 = .max

    init(total: UInt64?) {
        self.total = total
        isShown = isatty(STDERR_FILENO) == 1 && getenv("NO_COLOR") == nil
    }

    mutating func show(done: UInt64, failures: Int) {
        guard isShown else { return }
        let failed = failures > 0 ? ", \(failures) failed" : ""
        guard let total, total > 0 else {
            if done.isMultiple(of: 10) { write("\r\(done) seeds\(failed)") }
            return
        }
        let percent = done * 100 / total
        guard percent != drawnPercent else { return }
        drawnPercent = percent
        let full = Int(percent / 4)
        write(
            "\r[" + String(repeating: "#", count: full) + String(repeating: ".", count: 25 - full)
                + "] \(percent) %  \(done) of \(total) seeds\(failed)")
    }

    func clear() {
        if isShown { write("\r\u{1B}[K") }
    }

    private func write(_ text: String) {
        let bytes = Array(text.utf8)
        _ = bytes.withUnsafeBytes { Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }
}
