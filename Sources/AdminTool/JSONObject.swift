import KeysteadClient

/// Writes one JSON object, member by member, on one line.
struct JSONObject {
    private var body: [UInt8] = []

    /// The object's text.
    var bytes: [UInt8] { [UInt8(ascii: "{")] + body + [UInt8(ascii: "}")] }

    mutating func add(_ name: String, _ value: String?) {
        guard let value else { return add(name, raw: Array("null".utf8)) }
        var text: [UInt8] = []
        JSONString.append(value, to: &text)
        add(name, raw: text)
    }

    mutating func add(_ name: String, _ value: UInt64) { add(name, raw: Array(String(value).utf8)) }

    mutating func add(_ name: String, _ value: Bool) { add(name, raw: Array(String(value).utf8)) }

    mutating func add(_ name: String, _ values: [String]) {
        var text: [UInt8] = [UInt8(ascii: "[")]
        for value in values {
            if text.count > 1 { text.append(UInt8(ascii: ",")) }
            JSONString.append(value, to: &text)
        }
        text.append(UInt8(ascii: "]"))
        add(name, raw: text)
    }

    /// Adds JSON text as it is, but on one line: between tokens a blank says the same as a line feed.
    mutating func add(_ name: String, raw json: some Sequence<UInt8>) {
        if !body.isEmpty { body.append(UInt8(ascii: ",")) }
        JSONString.append(name, to: &body)
        body.append(UInt8(ascii: ":"))
        body.append(contentsOf: onOneLine(json))
    }
}

/// JSON text without line ends, which can only stand between its tokens.
func onOneLine(_ json: some Sequence<UInt8>) -> [UInt8] {
    json.map { $0 == 0x0A || $0 == 0x0D ? 0x20 : $0 }
}
