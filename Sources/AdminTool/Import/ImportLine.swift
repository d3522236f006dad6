import KeysteadClient

/// What one line of an import file is. Pure.
enum ImportLine: Equatable {
    /// Nothing but white space: skipped, not counted as refused.
    case blank
    /// An entity of that id, whose state is the line's own bytes.
    case entity(id: String)
    case refused(String)

    /// Reads a line, without its line feed.
    ///
    /// The id is the text of the member named `idField` at the top of the object: a string's characters, or a number's
    /// own text (`7`, `1.0` and `1e0` are three ids). Anything else cannot name an entity and is refused.
    init(_ line: ArraySlice<UInt8>, idField: String) {
        guard !line.allSatisfy({ $0 == 0x20 || $0 == 0x09 || $0 == 0x0D }) else {
            self = .blank
            return
        }
        guard isUTF8(line) else {
            self = .refused("not valid UTF-8")
            return
        }
        guard let object = JSONText(line), object.kind == .object else {
            self = .refused("not a JSON object")
            return
        }
        self = Self.id(object.members.filter { $0.name.string == idField }.map(\.value), idField)
    }

    private static func id(_ found: [JSONText], _ idField: String) -> ImportLine {
        guard let value = found.first else { return .refused("no member \"\(idField)\"") }
        guard found.count == 1 else { return .refused("member \"\(idField)\" stands \(found.count) times") }
        switch value.kind {
        case .string:
            guard let text = value.string else { return .refused("\"\(idField)\" holds half a surrogate pair") }
            return text.isEmpty ? .refused("\"\(idField)\" is empty") : .entity(id: text)
        case .number: return .entity(id: value.numberText ?? "")
        default: return .refused("\"\(idField)\" is neither a string nor a number")
        }
    }
}
