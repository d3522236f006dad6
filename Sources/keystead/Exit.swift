import Glibc
import NodeRuntime

/// Exit codes of API §3 that the server uses.
enum Exit {
    static func usage(_ message: String) -> Never { end(message, code: 2) }

    static func failed(_ message: String) -> Never { end(message, code: 1) }

    static func refused(_ message: String) -> Never { end(message, code: 3) }

    private static func end(_ message: String, code: CInt) -> Never {
        LastWords.say(message)
        exit(code)
    }
}
