import Logging
import Testing

@testable import NodeRuntime

/// A hostile peer or metadata store writes into a log only what can be read there.
@Suite struct LogLineTests {
    private let message = "peer says \u{1B}[2J\u{202E}\n2026-01-01 INFO all is well"
    private let fields = [("no\nde", "n1\u{9B}\u{200B}"), ("é", "日本")]

    @Test func textStaysOnItsLine() {
        #expect(
            LogLine.text("T", .warning, message, fields)
                == "T WARNING peer says \\u{1b}[2J\\u{202e}\\u{a}2026-01-01 INFO all is well "
                + "no\\u{a}de=n1\\u{9b}\\u{200b} é=日本")
    }

    @Test func jsonSaysTheSameVisibly() {
        #expect(
            LogLine.json("T", .error, "l", message, fields)
                == #"{"time":"T","level":"error","logger":"l","message":"peer says \u001b[2J\u202e\n2026-01-01 "#
                + #"INFO all is well","no\nde":"n1\u009b\u200b","é":"日本"}"#)
    }
}
