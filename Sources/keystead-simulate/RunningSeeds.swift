#if canImport(Glibc)
    import Glibc
#endif

/// The seeds that are running, so that a trap in the code under test names them: a broken invariant ends the process
/// before any report.
///
/// SAFETY: each job writes its own slot, and only the handler of a trap, after which nothing runs, reads them all.
enum RunningSeeds {
    static let slotsMax = 64

    /// SAFETY: see above.
    nonisolated(unsafe) private static let slots: UnsafeMutablePointer<UInt64> = {
        let slots = UnsafeMutablePointer<UInt64>.allocate(capacity: slotsMax)
        slots.initialize(repeating: 0, count: slotsMax)
        return slots
    }()

    /// Makes traps name the seeds. The process still ends as it would.
    static func install() {
        _ = slots
        for trap in [SIGILL, SIGTRAP] {
            signal(trap) { trap in
                signal(trap, SIG_DFL)
                RunningSeeds.tell()
            }
        }
    }

    static func begin(_ seed: UInt64, slot: Int) { slots[slot % slotsMax] = seed }

    private static func tell() {
        put("\na check of the code under test failed, in one of these seeds:")
        for slot in 0..<slotsMax where slots[slot] != 0 {
            put(" ")
            put(slots[slot])
        }
        put("\n")
    }

    /// Digit by digit: a handler may not allocate.
    private static func put(_ number: UInt64) {
        if number >= 10 { put(number / 10) }
        var digit = UInt8(ascii: "0") + UInt8(number % 10)
        _ = write(STDERR_FILENO, &digit, 1)
    }

    private static func put(_ text: StaticString) { _ = write(STDERR_FILENO, text.utf8Start, text.utf8CodeUnitCount) }
}
