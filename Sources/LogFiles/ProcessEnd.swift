private import CPosixShims
private import Glibc
import LogCore

/// How the process ends when the log cannot go on.
enum ProcessEnd {
    /// EX_SOFTWARE of sysexits.h.
    static let status: CInt = 70

    /// Says why and ends the process at once: no flush, no handler, nothing that could act on what is not durable.
    static func stop(_ failure: LogFailure) -> Never {
        let reason =
            switch failure.result {
            case .failed(let errno): "errno \(errno): \(String(cString: strerror(errno)))"
            case .noSpace: "no space left on device"
            case .done: "unknown"
            }
        warn("keystead: the write-ahead log failed at \(failure.step.summary): \(reason); the process ends")
        _exit(status)
    }

    static func warn(_ line: String) {
        let bytes = Array((line + "\n").utf8)
        // Nobody may be reading: that must not keep the process from its end.
        bytes.withUnsafeBytes { ks_last_words($0.baseAddress, $0.count) }
    }
}
