import Primitives

/// The state of an entity inside JSON: `"json"` (the value itself), `"text"` (a string) or `"base64"`.
enum StateField {
    /// The state's bytes; `nil` where none of the three is there, or it cannot be read.
    static func read(_ fields: [String: JSONText]) -> [UInt8]? {
        if let json = fields["json"] { return Array(json.bytes) }
        if let text = fields["text"] { return text.string.map { Array($0.utf8) } }
        return fields["base64"]?.string.flatMap { Base64.decode(Array($0.utf8)) }
    }
}
