private import CPosixShims
import DequeModule
import Dispatch
import Glibc
import Primitives
import Synchronization

/// Log lines on their way to standard error. Whoever logs never waits for whoever reads: a queue's own thread writes,
/// what waits for it is bounded, and lines beyond the bound are dropped and counted.
///
/// Any thread may post. The writer may be held for ever by a pipe that nobody reads; nothing else waits for it, but an
/// end, and that not for long.
final class LogPipe: Sendable {
    static let standardError = LogPipe(descriptor: STDERR_FILENO)

    private struct Line {
        let bytes: [UInt8]
        /// Lines that are lost with it: itself, or those that it tells of.
        let count: UInt64
    }

    private struct State {
        var lines: Deque<Line> = []
        var byteCount = 0
        /// Since the last line that is queued.
        var dropped: UInt64 = 0
        /// The writer has work, or was given some.
        var isWriting = false

        mutating func append(_ line: Line) {
            lines.append(line)
            byteCount += line.bytes.count
        }

        /// Stands where the dropped lines would.
        mutating func takeNote() -> Line? {
            guard dropped > 0 else { return nil }
            defer { dropped = 0 }
            return Line(
                bytes: Array("keystead: \(dropped) log lines were dropped here, since nobody read them\n".utf8),
                count: dropped)
        }
    }

    private let descriptor: CInt
    private let bytesMax: Int
    private let state = Mutex(State())
    private let writer = DispatchQueue(label: "keystead.log")

    /// - Parameters:
    ///   - descriptor: where the lines go; it stays open for as long as this lives.
    ///   - bytesMax: of lines that wait.
    init(descriptor: CInt, bytesMax: Int = Limits.logPipeBytesMax) {
        self.descriptor = descriptor
        self.bytesMax = bytesMax
    }

    /// Queues one line, with its end. Never blocks beyond a short lock.
    func post(_ line: [UInt8]) {
        let mustWake = state.withLock { state in
            guard state.byteCount + line.count <= bytesMax else {
                state.dropped += 1
                return false
            }
            if let note = state.takeNote() { state.append(note) }
            state.append(Line(bytes: line, count: 1))
            defer { state.isWriting = true }
            return !state.isWriting
        }
        if mustWake { writer.async { self.writeAll() } }
    }

    /// Lines that were dropped and not yet told of.
    var droppedCount: UInt64 { state.withLock { $0.dropped } }

    /// Waits until everything posted is written, at most so long. Blocks.
    ///
    /// - Returns: whether it is.
    @discardableResult
    func drain(milliseconds: UInt64 = Limits.logDrainMillisecondsMax) -> Bool {
        for _ in 0..<max(1, milliseconds / Self.pollMilliseconds) {
            if state.withLock({ !$0.isWriting }) { return true }
            usleep(UInt32(Self.pollMilliseconds) * 1000)
        }
        return state.withLock { !$0.isWriting }
    }

    private static let pollMilliseconds: UInt64 = 5

    // MARK: The writer

    private func writeAll() {
        var isReached = true
        while let line = next(telling: isReached) {
            isReached = writeBytes(line.bytes)
            if !isReached { state.withLock { $0.dropped += line.count } }
        }
    }

    /// The next line, and behind the last one how many were dropped. `nil`: the writer rests.
    private func next(telling: Bool) -> Line? {
        state.withLock { state in
            if let line = state.lines.popFirst() {
                state.byteCount -= line.bytes.count
                return line
            }
            if telling, let note = state.takeNote() { return note }
            state.isWriting = false
            return nil
        }
    }

    /// False where nobody holds the other end, or there is no room for it.
    private func writeBytes(_ bytes: [UInt8]) -> Bool {
        var done = 0
        while done < bytes.count {
            let written = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress! + done, $0.count - done) }
            if written > 0 {
                done += written
                continue
            }
            switch errno {
            case EINTR: continue
            case EAGAIN:
                // Somebody made the pipe non-blocking for all who share it.
                var ready = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                _ = poll(&ready, 1, -1)
            default: return false
            }
        }
        return true
    }
}

/// The last line of a process that ends, whatever has become of its log.
public enum LastWords {
    /// Lets the log lines before it go first, and waits for nobody who does not read. Blocks for two seconds at most.
    public static func say(_ line: String) {
        LogPipe.standardError.drain()
        let bytes = Array((line + "\n").utf8)
        bytes.withUnsafeBytes { ks_last_words($0.baseAddress, $0.count) }
    }
}
