import KeysteadClient

/// What one line of an import file is. Pure.
enum ImportLine: Equatable {
    /// Nothing but white space: skipped, not counted as refused.
    case blank
    case entity(Content)
    case refused(String)

    /// An entity to be written.
    struct Content: Equatable, Sendable {
        var id: String
        var state: [UInt8]
        var contentType = "application/json"
        var ttlSeconds: UInt64?
    }

    /// Reads a line, without its line end.
    ///
    /// - Parameter kind: what the keys of full lines must be of.
    init(_ line: ArraySlice<UInt8>, _ format: LineFormat, kind: String) {
        guard !Self.isBlank(line) else {
            self = .blank
            return
        }
        switch format {
        case .states(let idField): self = Self.state(line, idField)
        case .full: self = Self.full(line, kind)
        }
    }

    static func isBlank(_ line: ArraySlice<UInt8>) -> Bool {
        line.allSatisfy { $0 == 0x20 || $0 == 0x09 || $0 == 0x0D }
    }

    /// The line itself is the state.
    ///
    /// The id is the text of the member named `idField` at the top of the object: a string's characters, or a number's
    /// own text (`7`, `1.0` and `1e0` are three ids). Anything else cannot name an entity and is refused.
    private static func state(_ line: ArraySlice<UInt8>, _ idField: String) -> ImportLine {
        guard isUTF8(line) else { return .refused("not valid UTF-8") }
        guard let object = JSONText(line), object.kind == .object else { return .refused("not a JSON object") }
        let found = object.members.filter { $0.name.string == idField }.map(\.value)
        guard let value = found.first else { return .refused("no member \"\(idField)\"") }
        guard found.count == 1 else { return .refused("member \"\(idField)\" stands \(found.count) times") }
        switch value.kind {
        case .string:
            guard let id = value.string else { return .refused("\"\(idField)\" holds half a surrogate pair") }
            return id.isEmpty ? .refused("\"\(idField)\" is empty") : .entity(Content(id: id, state: Array(line)))
        case .number: return .entity(Content(id: value.numberText ?? "", state: Array(line)))
        case .object, .array, .bool, .null: return .refused("\"\(idField)\" is neither a string nor a number")
        }
    }

    private static func full(_ line: ArraySlice<UInt8>, _ kind: String) -> ImportLine {
        let read: FullLine
        do throws(FullLine.Objection) {
            read = try FullLine(line)
        } catch {
            return .refused(error.reason)
        }
        guard read.key.kind == kind else {
            return .refused("\(read.key) is not of the kind \(kind); import its kind by itself")
        }
        return .entity(
            Content(
                id: read.key.id, state: read.state, contentType: read.contentType, ttlSeconds: read.ttlSeconds))
    }
}

/// What is wrong with a file as a whole, told from its first bytes. Pure.
enum ImportEncoding {
    /// U+FEFF, which some programs put at the beginning of UTF-8.
    static let byteOrderMark: [UInt8] = [0xEF, 0xBB, 0xBF]

    /// The name of an encoding that is not taken; `nil` for UTF-8, and for what only its lines can tell.
    static func foreign(_ bytes: ArraySlice<UInt8>) -> String? {
        let head = Array(bytes.prefix(4))
        if head == [0xFF, 0xFE, 0, 0] || head == [0, 0, 0xFE, 0xFF] { return "UTF-32" }
        if head.starts(with: [0xFF, 0xFE]) || head.starts(with: [0xFE, 0xFF]) { return "UTF-16" }
        // Without a mark: every second byte of ASCII is zero, which no line of JSON holds.
        if head.count >= 2, (head[0] == 0) != (head[1] == 0) { return "UTF-16" }
        if head.starts(with: [0x1F, 0x8B]) { return "gzip" }
        return nil
    }
}
