import Logging
import Primitives

/// A log event as a line, without its line feed. Pure.
///
/// What peers, the metadata store or callers wrote is escaped here, once: it forges no line and drives no terminal.
enum LogLine {
    /// For people: `TIME LEVEL MESSAGE NAME=VALUE …`.
    static func text(
        _ time: String, _ level: Logger.Level, _ message: String, _ fields: [(String, String)]
    ) -> String {
        let tail = fields.map { " \($0.0)=\($0.1)" }.joined()
        return VisibleText.escaped("\(time) \(level.rawValue.uppercased()) \(message)\(tail)")
    }

    /// For machines: one JSON object.
    static func json(
        _ time: String, _ level: Logger.Level, _ label: String, _ message: String, _ fields: [(String, String)]
    ) -> String {
        let head = [("time", time), ("level", level.rawValue), ("logger", label), ("message", message)]
        let members = (head + fields).map { "\(VisibleText.jsonString($0.0)):\(VisibleText.jsonString($0.1))" }
        return "{\(members.joined(separator: ","))}"
    }
}
