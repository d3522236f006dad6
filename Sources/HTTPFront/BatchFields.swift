internal import Entities
internal import JSON
internal import Primitives

/// The members of a batch line, each found and none yet read. Strict: a line is one JSON object of known, different
/// names.
struct BatchFields {
    enum Name: Int, CaseIterable {
        case op, key, json, text, base64, contentType, ifMatch, ifNoneMatch, idempotencyKey, ttl, patch

        var text: StaticString {
            switch self {
            case .op: "op"
            case .key: "key"
            case .json: "json"
            case .text: "text"
            case .base64: "base64"
            case .contentType: "content-type"
            case .ifMatch: "if-match"
            case .ifNoneMatch: "if-none-match"
            case .idempotencyKey: "idempotency-key"
            case .ttl: "ttl"
            case .patch: "patch"
            }
        }
    }

    enum Operation {
        case put, get, delete, patch
    }

    private let line: [UInt8]
    /// Where each member's value stands, by `Name.rawValue`.
    private var values: [11 of Range<Int>?] = .init(repeating: nil)

    init(_ line: [UInt8]) throws(Problem) {
        self.line = line
        var scan = MemberScan(line)
        while let member = try scan.next() {
            guard let name = try Self.name(line[member.name]) else {
                let shown = String(decoding: line[member.name].prefix(64), as: UTF8.self)
                throw Problem(.badRequest, "unknown field \(shown)")
            }
            guard values[name.rawValue] == nil else { throw Problem(.badRequest, "\(name.text) must appear once") }
            values[name.rawValue] = member.value
        }
    }

    /// `quoted` is the name with its quotes.
    private static func name(_ quoted: ArraySlice<UInt8>) throws(Problem) -> Name? {
        let content = try JSONText.string(quoted) ?? []
        let span = content.span
        return Name.allCases.first { span.equals(0..<span.count, $0.text) }
    }

    // MARK: Values

    /// The content of a string, `nil` where the field is absent.
    func string(_ name: Name) throws(Problem) -> ArraySlice<UInt8>? {
        guard let range = values[name.rawValue] else { return nil }
        guard let content = try JSONText.string(line[range]) else {
            throw Problem(.badRequest, "\(name.text) must be a string")
        }
        return content
    }

    /// The text of `json`, checked. Its length is looked at first, since a document in memory is many times as large.
    func json(bytesMax: Int) throws(Problem) -> ArraySlice<UInt8>? {
        guard let range = values[Name.json.rawValue] else { return nil }
        guard range.count <= bytesMax else { throw .bodyTooLarge(max: bytesMax) }
        do {
            try JSONValue.check(line[range])
        } catch {
            throw Problem(.badRequest, "json is not JSON: \(error)")
        }
        return line[range]
    }

    func seconds(_ name: Name) throws(Problem) -> UInt64? {
        guard let range = values[name.rawValue] else { return nil }
        guard let value = DecimalText.value(Array(line[range])), OperationChecks.timeToLiveSeconds.contains(value)
        else {
            throw Problem(.badRequest, "\(name.text) must be a whole number from 1 to \(Limits.ttlSecondsMax)")
        }
        return value
    }

    func key(seed: UInt64) throws(Problem) -> EntityKey {
        guard let text = try string(.key) else { throw Problem(.badRequest, "key is missing") }
        return try EntityKey(plain: text, seed: seed)
    }

    func operation() throws(Problem) -> Operation {
        guard let text = try string(.op) else { throw Problem(.badRequest, "op is missing") }
        let span = text.span
        if span.equals(0..<span.count, "put") { return .put }
        if span.equals(0..<span.count, "get") { return .get }
        if span.equals(0..<span.count, "delete") { return .delete }
        if span.equals(0..<span.count, "patch") { return .patch }
        throw Problem(.badRequest, "op must be put, get, delete or patch")
    }

    /// A merge patch where it is not said.
    func patchKind() throws(Problem) -> PatchKind {
        guard let text = try string(.patch) else { return .merge }
        let span = text.span
        if span.equals(0..<span.count, "merge") { return .merge }
        if span.equals(0..<span.count, "json-patch") { return .jsonPatch }
        if span.equals(0..<span.count, "update") { return .update }
        throw Problem(.badRequest, "patch must be merge, json-patch or update")
    }

    /// Refuses the first field that the operation does not use.
    func allowOnly(_ allowed: [Name], with operation: StaticString) throws(Problem) {
        for name in Name.allCases where name != .op && name != .key && values[name.rawValue] != nil {
            guard allowed.contains(name) else {
                throw Problem(.badRequest, "\(name.text) does not go with \(operation)")
            }
        }
    }
}

/// Steps over the members of one JSON object without reading their values: a value's extent is told by its quotes and
/// brackets alone, and whoever uses it checks it.
private struct MemberScan {
    struct Member {
        /// With its quotes.
        let name: Range<Int>
        let value: Range<Int>
    }

    private let line: [UInt8]
    private var index = 0
    private var isOpen = false

    init(_ line: [UInt8]) { self.line = line }

    mutating func next() throws(Problem) -> Member? {
        skipBlanks()
        if !isOpen {
            try expect(UInt8(ascii: "{"))
            isOpen = true
            skipBlanks()
            if peek == UInt8(ascii: "}") { return try end() }
        } else if peek == UInt8(ascii: "}") {
            return try end()
        } else {
            try expect(UInt8(ascii: ","))
            skipBlanks()
        }
        let name = try string()
        skipBlanks()
        try expect(UInt8(ascii: ":"))
        skipBlanks()
        return Member(name: name, value: try value())
    }

    private var peek: UInt8? { index < line.count ? line[index] : nil }

    private mutating func end() throws(Problem) -> Member? {
        index += 1
        skipBlanks()
        guard index == line.count else { throw notAnObject }
        return nil
    }

    private mutating func skipBlanks() {
        while let byte = peek, ByteClasses.isBlank(byte) || byte == ByteClasses.carriageReturn { index += 1 }
    }

    private mutating func expect(_ byte: UInt8) throws(Problem) {
        guard peek == byte else { throw notAnObject }
        index += 1
    }

    private mutating func string() throws(Problem) -> Range<Int> {
        let start = index
        try expect(UInt8(ascii: "\""))
        while let byte = peek {
            index += byte == UInt8(ascii: "\\") ? 2 : 1
            if byte == UInt8(ascii: "\"") { return start..<index }
        }
        throw notAnObject
    }

    private mutating func value() throws(Problem) -> Range<Int> {
        let start = index
        var depth = 0
        while let byte = peek {
            switch byte {
            case UInt8(ascii: "\""):
                _ = try string()
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                depth += 1
                index += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                if depth == 0 { return try checked(start..<index) }
                depth -= 1
                index += 1
            case UInt8(ascii: ",") where depth == 0:
                return try checked(start..<index)
            default:
                index += 1
            }
        }
        throw notAnObject
    }

    /// Without the blanks behind the value.
    private func checked(_ range: Range<Int>) throws(Problem) -> Range<Int> {
        var end = range.upperBound
        while end > range.lowerBound,
            ByteClasses.isBlank(line[end - 1]) || line[end - 1] == ByteClasses.carriageReturn
        { end -= 1 }
        guard end > range.lowerBound else { throw notAnObject }
        return range.lowerBound..<end
    }

    private var notAnObject: Problem {
        Problem(.badRequest, "the line is not one JSON object, at byte \(min(index, line.count))")
    }
}

enum JSONText {
    /// The content of a JSON string with its quotes; `nil` where the text is another JSON value. Text that is no JSON
    /// at all is refused.
    static func string(_ text: ArraySlice<UInt8>) throws(Problem) -> ArraySlice<UInt8>? {
        if let plain = plainString(text) { return plain }
        do {
            guard case .string(let string) = try JSONValue(parsing: text) else { return nil }
            return string.content
        } catch {
            throw Problem(.badRequest, "the line is not JSON: \(error)")
        }
    }

    /// A string of printable ASCII without escapes, which most are: nothing is to be decoded.
    private static func plainString(_ text: ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
        guard text.count >= 2, text.first == UInt8(ascii: "\""), text.last == UInt8(ascii: "\"") else { return nil }
        let content = text.dropFirst().dropLast()
        let isPlain = content.allSatisfy {
            (0x20...0x7E).contains($0) && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\")
        }
        return isPlain ? content : nil
    }
}
