import Glibc

/// Where a command reads and writes, and the environment it runs in. Commands reach it as ``current``, so that tests
/// run whole commands with their own.
public final class Console: Sendable {
    /// Writes all the bytes, or throws.
    public typealias Sink = @Sendable (ArraySlice<UInt8>) throws -> Void

    @TaskLocal static var current = Console.standard

    /// The process's own streams and environment.
    public static let standard = Console(
        environment: processEnvironment(), isErrorTerminal: isatty(STDERR_FILENO) == 1,
        isInputTerminal: isatty(STDIN_FILENO) == 1, isOutputTerminal: isatty(STDOUT_FILENO) == 1,
        columns: terminalColumns(),
        output: { try writeAll($0, to: STDOUT_FILENO) }, error: { try writeAll($0, to: STDERR_FILENO) })

    let environment: [String: String]
    let isInputTerminal: Bool
    /// Whether bars may be drawn: only on a terminal, and never with `NO_COLOR` set to anything but nothing.
    let drawsBars: Bool
    /// Whether data may be coloured: only on a terminal, and never with `NO_COLOR`.
    let colours: Bool
    /// How wide a bar may be.
    let columns: Int
    private let outputSink: Sink
    private let errorSink: Sink

    public init(
        environment: [String: String], isErrorTerminal: Bool = false, isInputTerminal: Bool = false,
        isOutputTerminal: Bool = false, columns: Int = 80,
        output: @escaping Sink, error: @escaping Sink
    ) {
        self.environment = environment
        self.isInputTerminal = isInputTerminal
        let isPlain = !environment["NO_COLOR", default: ""].isEmpty || environment["TERM"] == "dumb"
        self.drawsBars = isErrorTerminal && !isPlain
        self.colours = isOutputTerminal && !isPlain
        self.columns = columns
        self.outputSink = output
        self.errorSink = error
    }

    /// Data, to standard output.
    func write(_ bytes: some Sequence<UInt8>) throws { try outputSink(Array(bytes)[...]) }

    func write(line: String) throws { try write((line + "\n").utf8) }

    /// A message, to standard error. A message that cannot be written is lost: there is nobody to tell.
    func say(_ message: String) { draw("keysteadctl: \(message)\n") }

    /// Raw text to standard error, for bars.
    func draw(_ text: String) { try? errorSink(Array(text.utf8)[...]) }
}

/// A system call that failed, by name and reason.
struct SystemError: Error, CustomStringConvertible {
    let call: String
    let number: CInt

    init(_ call: String, number: CInt = errno) {
        self.call = call
        self.number = number
    }

    /// The reader of our output has gone.
    var isClosedPipe: Bool { number == EPIPE }

    var description: String { "\(call): \(String(cString: strerror(number)))" }
}

/// Writes all of `bytes`, however many calls it takes.
func writeAll(_ bytes: ArraySlice<UInt8>, to descriptor: CInt) throws {
    try bytes.withUnsafeBytes { buffer in
        var done = 0
        while done < buffer.count {
            let written = write(descriptor, buffer.baseAddress?.advanced(by: done), buffer.count - done)
            if written < 0 {
                let failure = SystemError("write")
                if failure.number == EINTR { continue }
                throw failure
            }
            done += written
        }
    }
}

private func processEnvironment() -> [String: String] {
    var found: [String: String] = [:]
    for name in ["KEYSTEAD_ENDPOINT", "KEYSTEAD_ADMIN", "NO_COLOR", "TERM"] {
        if let value = getenv(name) { found[name] = String(cString: value) }
    }
    return found
}

/// The width of the terminal that bars are drawn on; 80 where there is none.
private func terminalColumns() -> Int {
    var size = winsize()
    guard ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
    return Int(size.ws_col)
}
