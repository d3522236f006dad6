import Glibc
import NodeRuntime
import Primitives

/// Exit codes of Contract §3.2 that the server uses. Messages may hold text of peers, the metadata store or files: it
/// is escaped here.
enum Exit {
    /// A message may have several lines.
    static func usage(_ message: String) -> Never { end(VisibleText.escaped(message, .lines), code: 2) }

    static func failed(_ message: String) -> Never { end(VisibleText.escaped(message), code: 1) }

    static func refused(_ message: String) -> Never { end(VisibleText.escaped(message), code: 3) }

    private static func end(_ message: String, code: CInt) -> Never {
        LastWords.say(message)
        exit(code)
    }
}
