import Glibc
import Primitives
import Synchronization

/// Where a command reads and writes, and the environment it runs in. Commands reach it as ``current``, so that tests
/// run whole commands with their own.
///
/// It is the one place where text leaves for people's eyes, and it escapes what would drive a terminal, hide or forge:
/// servers, keys, states and files are other people's. Line feeds inside a value are escaped where the value is put
/// into a sentence or a table (``Format/printable(_:)``), as only there a value can be told from the layout.
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
    /// For one answer of a node. A node says within less that its metadata store does not answer.
    let patience: Duration
    /// Whether states go to somebody's eyes, and not to a file or another program.
    let isOutputTerminal: Bool
    private let outputSink: Sink
    private let errorSink: Sink
    private let isBarDrawn = Mutex(false)

    public init(
        environment: [String: String], isErrorTerminal: Bool = false, isInputTerminal: Bool = false,
        isOutputTerminal: Bool = false, columns: Int = 80, patience: Duration = .milliseconds(4800),
        output: @escaping Sink, error: @escaping Sink
    ) {
        self.environment = environment
        self.isInputTerminal = isInputTerminal
        self.isOutputTerminal = isOutputTerminal
        let isPlain = !environment["NO_COLOR", default: ""].isEmpty || environment["TERM"] == "dumb"
        self.drawsBars = isErrorTerminal && !isPlain
        self.colours = isOutputTerminal && !isPlain
        self.columns = columns
        self.patience = patience
        self.outputSink = output
        self.errorSink = error
    }

    // MARK: Data, to standard output

    /// Text of one line.
    func write(line: String) throws { try write(text: Format.printable(line) + "\n") }

    /// Text of whole lines. Values in it have been made printable: a line feed ends a line.
    func write(text: String) throws { try put(VisibleText.escaped(text, .lines)) }

    /// A JSON document on one line. To a reader of JSON it says what it said.
    func write(json: some Sequence<UInt8>) throws {
        try outputSink((VisibleText.json(onOneLine(json)) + [0x0A])[...])
    }

    /// Lines in colours, where colours may be.
    func write(painted lines: [PaintedLine]) throws { try put(lines.map { $0.text(colours) + "\n" }.joined()) }

    /// Stored bytes as they are. On a terminal what would drive it is shown as escapes instead.
    ///
    /// - Returns: `false` where a terminal was not shown the bytes as they are.
    @discardableResult
    func write(stored bytes: ArraySlice<UInt8>) throws -> Bool {
        let shown = isOutputTerminal ? VisibleText.escaped(bytes, .state)[...] : bytes
        try outputSink(shown)
        return shown.count == bytes.count
    }

    private func put(_ text: String) throws { try outputSink(Array(text.utf8)[...]) }

    // MARK: Messages and bars, to standard error

    /// A message of one line. A message that cannot be written is lost: there is nobody to tell.
    func say(_ message: String) {
        clearBar()
        tell("keysteadctl: \(VisibleText.escaped(message, bytesMax: Limits.messageBytesMax))\n")
    }

    /// Text of whole lines that the parser of the command line made. Arguments in it have been made printable.
    func say(usage text: String) { tell(VisibleText.escaped(text.hasSuffix("\n") ? text : text + "\n", .lines)) }

    /// One line in the place of the last bar, where bars may be drawn.
    func bar(_ line: String) {
        guard drawsBars else { return }
        isBarDrawn.withLock { $0 = true }
        tell("\r\(Format.cut(Format.printable(line), to: columns))\u{1B}[K")
    }

    /// Takes the bar away, so that something else can stand in its place.
    func clearBar() {
        let wasDrawn = isBarDrawn.withLock { isDrawn in
            defer { isDrawn = false }
            return isDrawn
        }
        if wasDrawn { tell("\r\u{1B}[K") }
    }

    private func tell(_ text: String) { try? errorSink(Array(text.utf8)[...]) }
}

/// A line in pieces, each perhaps on the colour of its number.
struct PaintedLine {
    struct Piece {
        let text: String
        /// The index of a colour; `nil` leaves the text uncoloured.
        let colour: Int?
    }

    var pieces: [Piece]

    init(_ text: String) { pieces = [Piece(text: text, colour: nil)] }

    init(_ pieces: [Piece]) { self.pieces = pieces }

    /// Distinct on dark and on light, with black letters on them.
    private static let palette = [39, 214, 113, 205, 226, 141, 80, 209, 150, 180, 111, 250]
    private static let plain = "\u{1B}[0m"

    private static func paint(_ number: Int) -> String { "\u{1B}[30;48;5;\(palette[number % palette.count])m" }

    /// The line without blanks at its end, everything in it made printable.
    func text(_ colours: Bool) -> String {
        let whole = pieces.map { Format.printable($0.text) }
        guard colours else { return Format.trimmed(whole.joined()) }
        var text = ""
        var current: Int?
        for (piece, shown) in zip(pieces, whole) {
            if piece.colour != current { text += piece.colour.map(Self.paint) ?? Self.plain }
            current = piece.colour
            text += shown
        }
        return Format.trimmed(current == nil ? text : text + Self.plain)
    }
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
