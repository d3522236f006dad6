import Foundation

/// An answer as it came: nothing normalised but the split into parts.
struct HTTPAnswer: Sendable, CustomStringConvertible {
    let version: String
    let status: Int
    let reason: String
    let fields: [(name: String, value: String)]
    var body: [UInt8] = []

    init(lines: [String]) throws {
        let parts = lines[0].split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count >= 2, parts[0].hasPrefix("HTTP/1."), parts[1].count == 3, let status = Int(parts[1]) else {
            throw HarnessError("not a status line: '\(lines[0])'")
        }
        version = String(parts[0])
        self.status = status
        reason = parts.count == 3 ? String(parts[2]) : ""
        fields = try lines.dropFirst().map { line in
            guard let colon = line.firstIndex(of: ":") else { throw HarnessError("not a field: '\(line)'") }
            return (String(line[..<colon]), line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces))
        }
    }

    /// The value of the only field of this name; `nil` where it is absent.
    subscript(name: String) -> String? {
        fields.first { $0.name.lowercased() == name.lowercased() }?.value
    }

    var text: String { String(decoding: body, as: UTF8.self) }

    /// The body as a JSON object; empty where it is none.
    var object: [String: Any] { (try? JSONSerialization.jsonObject(with: Data(body))) as? [String: Any] ?? [:] }

    /// The number in a strong `ETag`.
    var version64: UInt64? { self["ETag"].flatMap(Self.version) }

    static func version(_ tag: String) -> UInt64? {
        guard tag.count > 2, tag.first == "\"", tag.last == "\"" else { return nil }
        return UInt64(tag.dropFirst().dropLast())
    }

    /// `Keystead-Position: SHARD:POSITION`.
    var position: (shard: Int, position: UInt64)? {
        guard let parts = self["Keystead-Position"]?.split(separator: ":"), parts.count == 2,
            let shard = Int(parts[0]), let position = UInt64(parts[1])
        else { return nil }
        return (shard, position)
    }

    /// The last part of a problem's `type`.
    var problemCode: String? {
        (object["type"] as? String).flatMap { $0.hasPrefix("urn:keystead:error:") ? String($0.dropFirst(19)) : nil }
    }

    var description: String {
        let head = fields.map { "\($0.name): \($0.value)" }.joined(separator: "\n")
        return "\(version) \(status) \(reason)\n\(head)\n\n\(text.prefix(600))"
    }
}
