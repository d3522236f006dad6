import KeysteadClient
import Primitives

/// An entity as a line of a full export: `{"key","content-type","ttl"?,"json"|"text"|"base64"}`. Pure.
///
/// What is read from the line that was written is the entity again, byte for byte, whatever its state is.
struct FullLine: Equatable, Sendable {
    var key: EntityKey
    var contentType: String
    /// Seconds that were left when the line was written.
    var ttlSeconds: UInt64?
    var state: [UInt8]

    init(key: EntityKey, contentType: String, ttlSeconds: UInt64? = nil, state: [UInt8]) {
        self.key = key
        self.contentType = contentType
        self.ttlSeconds = ttlSeconds
        self.state = state
    }

    // MARK: Writing

    /// The line, without a line feed.
    var encoded: [UInt8] {
        if !isText, let line = encodedAsJSON { return line }
        let base64 = Base64.encode(state)
        if isUTF8(state[...]) {
            var text: [UInt8] = []
            JSONString.append(state, to: &text)
            text = VisibleText.json(text)
            // Control characters grow sixfold: a state of many is no text.
            if text.count <= base64.count + Self.textGrowthBytesMax { return line("text", text) }
        }
        return line("base64", [UInt8(ascii: "\"")] + base64 + [UInt8(ascii: "\"")])
    }

    private static let textGrowthBytesMax = 64

    private var isText: Bool { contentType.lowercased().hasPrefix("text/") }

    /// The state as it stands, where it is JSON whose bytes come back from inside another document.
    private var encodedAsJSON: [UInt8]? {
        guard !state.contains(0x0A), !state.contains(0x0D), let text = JSONText(state), text.bytes.count == state.count
        else { return nil }
        let line = line("json", state)
        // Inside the line it stands a level deeper, which may be one too many for a reader.
        return JSONText(line) == nil ? nil : line
    }

    private func line(_ form: String, _ content: [UInt8]) -> [UInt8] {
        var line = Array(#"{"key":"#.utf8)
        Self.append(key.description, to: &line)
        line += #","content-type":"#.utf8
        Self.append(contentType, to: &line)
        if let ttlSeconds { line += #","ttl":\#(ttlSeconds)"#.utf8 }
        line += #","\#(form)":"#.utf8
        line += content
        line.append(UInt8(ascii: "}"))
        return line
    }

    private static func append(_ text: String, to line: inout [UInt8]) {
        var quoted: [UInt8] = []
        JSONString.append(text, to: &quoted)
        line += VisibleText.json(quoted)
    }

    // MARK: Reading

    /// Why a line is not a full line.
    struct Objection: Error, Equatable {
        let reason: String

        init(_ reason: String) { self.reason = reason }
    }

    /// Reads a line, without its line end.
    init(_ line: ArraySlice<UInt8>) throws(Objection) {
        let fields = try Self.fields(line)
        guard let name = fields["key"]?.string else { throw Objection(#""key" is no string"#) }
        guard let key = EntityKey(name) else { throw Objection(#""key" is not KIND/ID"#) }
        self.key = key
        let content = try Self.content(fields)
        state = content.state
        contentType = content.type
        if let given = fields["content-type"] {
            guard let type = given.string else { throw Objection(#""content-type" is no string"#) }
            contentType = type
        }
        if let given = fields["ttl"] {
            guard let seconds = given.unsigned, (1...Limits.ttlSecondsMax).contains(seconds) else {
                throw Objection("\"ttl\" is no whole number of seconds from 1 to \(Limits.ttlSecondsMax)")
            }
            ttlSeconds = seconds
        }
    }

    /// Whether a line is a full one by its members: no state is taken for one that happens to have a `key`.
    static func isOne(_ line: ArraySlice<UInt8>) -> Bool {
        guard let line = try? FullLine(line) else { return false }
        return !line.key.kind.isEmpty && !line.key.id.isEmpty
    }

    private static let names = ["key", "content-type", "ttl", "json", "text", "base64"]

    private static func fields(_ line: ArraySlice<UInt8>) throws(Objection) -> [String: JSONText] {
        guard isUTF8(line) else { throw Objection("not valid UTF-8") }
        guard let object = JSONText(line), object.kind == .object else { throw Objection("not a JSON object") }
        var fields: [String: JSONText] = [:]
        for (name, value) in object.members {
            guard let known = name.string, names.contains(known) else {
                let shown = name.string ?? String(decoding: name.bytes, as: UTF8.self)
                throw Objection("a full line has no member \"\(shown)\"")
            }
            guard fields.updateValue(value, forKey: known) == nil else {
                throw Objection("member \"\(known)\" stands twice")
            }
        }
        guard fields["key"] != nil else { throw Objection(#"no member "key""#) }
        return fields
    }

    private static func content(
        _ fields: [String: JSONText]
    ) throws(Objection) -> (state: [UInt8], type: String) {
        let forms = ["json", "text", "base64"].filter { fields[$0] != nil }
        guard forms.count == 1 else { throw Objection("a full line has one of json, text and base64") }
        if let json = fields["json"] { return (Array(json.bytes), "application/json") }
        if let text = fields["text"] {
            guard let text = text.string else { throw Objection(#""text" is no string of whole characters"#) }
            return (Array(text.utf8), "text/plain; charset=utf-8")
        }
        guard let state = fields["base64"]?.string.flatMap({ Base64.decode(Array($0.utf8)) }) else {
            throw Objection(#""base64" is no Base64 (RFC 4648, with padding)"#)
        }
        return (state, "application/octet-stream")
    }
}
