import Primitives

/// What happened, as a running hash and, when recording, as the last lines of text.
///
/// The hash takes in every note of every run, so two runs of one seed agree on it or differ in behaviour.
final class Trace {
    private(set) var hash: UInt64 = 0x6B65_7973_7465_6164
    private(set) var notes: UInt64 = 0
    /// Lines of text that are kept, the last ones; 0 makes none.
    private let linesMax: Int
    private var lines: [String] = []
    private var oldest = 0

    enum Kind: UInt64 {
        case send = 1, deliver, drop, request, answer, disk, crash, start, stop, append, durable, apply, flush, fetch
        case fault, recovery, clock, client, phase, violation, metadata, log, move
    }

    init(linesMax: Int) { self.linesMax = linesMax }

    /// Notes an event. `text` is made only when recording.
    func note(
        _ now: UInt64, _ kind: Kind, _ first: UInt64 = 0, _ second: UInt64 = 0, _ text: () -> String
    ) {
        notes += 1
        mix(kind.rawValue)
        mix(now)
        mix(first)
        mix(second)
        if linesMax > 0 { keep("\(Self.clock(now))  \(text())") }
    }

    /// Takes bytes into the hash: what was written or answered, not only that it was.
    func absorb(_ bytes: [UInt8]) { mix(XXH64.hash(bytes, seed: notes)) }

    private func mix(_ value: UInt64) {
        hash = (hash ^ value) &* 0x9E37_79B9_7F4A_7C15
        hash ^= hash >> 29
    }

    private func keep(_ line: String) {
        if lines.count < linesMax {
            lines.append(line)
        } else {
            lines[oldest] = line
            oldest = (oldest + 1) % linesMax
        }
    }

    /// The lines kept, oldest first.
    var tail: [String] { Array(lines[oldest...] + lines[..<oldest]) }

    /// `seconds.microseconds`, aligned.
    private static func clock(_ now: UInt64) -> String {
        let seconds = String(now / Span.second)
        let micros = String(now % Span.second / Span.microsecond)
        return String(repeating: " ", count: max(0, 5 - seconds.count)) + seconds + "."
            + String(repeating: "0", count: 6 - micros.count) + micros
    }
}
