public import Logging
private import CPosixShims
import Glibc
import Primitives

/// Log lines on standard error: text for people, or one JSON object a line for machines. Logging never blocks: see
/// ``LogPipe``.
public struct LineLogHandler: LogHandler {
    public var metadata: Logger.Metadata = [:]
    private let label: String
    private let asJSON: Bool
    private let sharedLevel: LogLevelSwitch
    private var ownLevel: Logger.Level?
    private let pipe: LogPipe

    init(label: String, asJSON: Bool, level: LogLevelSwitch, pipe: LogPipe = .standardError) {
        self.label = label
        self.asJSON = asJSON
        sharedLevel = level
        self.pipe = pipe
    }

    /// That of the process, unless this logger was given one of its own.
    public var logLevel: Logger.Level {
        get { ownLevel ?? sharedLevel.level }
        set { ownLevel = newValue }
    }

    public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    public func log(event: LogEvent) {
        var fields = metadata
        if let more = event.metadata { fields.merge(more) { $1 } }
        let sorted = fields.sorted { $0.key < $1.key }.map { ($0.key, "\($0.value)") }
        let line = asJSON ? json(event, sorted) : text(event, sorted)
        var bytes = Array(line.utf8.prefix(Limits.logLineBytesMax))
        bytes.append(UInt8(ascii: "\n"))
        pipe.post(bytes)
    }

    private func text(_ event: LogEvent, _ fields: [(String, String)]) -> String {
        LogLine.text(Self.timeText(), event.level, "\(event.message)", fields)
    }

    private func json(_ event: LogEvent, _ fields: [(String, String)]) -> String {
        LogLine.json(Self.timeText(), event.level, label, "\(event.message)", fields)
    }

    private static func timeText() -> String {
        let now = ks_wall_ms()
        var seconds = time_t(now / 1000)
        var parts = tm()
        gmtime_r(&seconds, &parts)
        func two(_ value: CInt) -> String { value < 10 ? "0\(value)" : "\(value)" }
        let milliseconds = Int(now % 1000)
        let padded = String(repeating: "0", count: 3 - "\(milliseconds)".count) + "\(milliseconds)"
        return "\(parts.tm_year + 1900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday))T"
            + "\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec)).\(padded)Z"
    }
}
