/// One JSON value (RFC 8259), read strictly and kept close to its text.
///
/// Numbers and strings keep the text they were read from, byte for byte, and share the storage of the document: reading
/// allocates for arrays and objects only. Members keep their order. Two values are equal as JSON Patch compares them
/// (RFC 6902 §4.6): numbers by value, strings by content, objects whatever the order of their members.
///
/// A value read by ``init(parsing:)`` is at most `Limits.jsonDepthMax` containers deep, and so is whatever the patches
/// of this module make of it; whoever builds values by hand keeps to that bound.
public enum JSONValue: Sendable {
    case null
    case bool(Bool)
    case number(JSONNumber)
    case string(JSONString)
    case array([JSONValue])
    case object(JSONObject)

    /// Reads a whole document: one value, with nothing but white space around it.
    ///
    /// Strict: UTF-8 without byte order mark, at most `Limits.jsonDepthMax` containers deep (the outermost is 1), no
    /// two members of one object with the same name (compared after unescaping), no lone surrogates. The value shares
    /// `text`.
    public init(parsing text: [UInt8]) throws(JSONError) {
        var parser = JSONParser(text)
        self = try parser.parseDocument()
    }

    /// Reads a whole document that is part of something larger, of which it takes a copy.
    public init(parsing text: ArraySlice<UInt8>) throws(JSONError) { try self.init(parsing: Array(text)) }

    /// The member `name` of an object; `nil` where this is no object or has no such member.
    public subscript(name: StaticString) -> JSONValue? {
        guard case .object(let object) = self else { return nil }
        return object[name]
    }

    var isContainer: Bool {
        switch self {
        case .array, .object: true
        default: false
        }
    }
}

extension JSONValue: Equatable {
    public static func == (left: JSONValue, right: JSONValue) -> Bool {
        switch (left, right) {
        case (.null, .null): true
        case (.bool(let left), .bool(let right)): left == right
        case (.number(let left), .number(let right)): left == right
        case (.string(let left), .string(let right)): left == right
        case (.array(let left), .array(let right)): left == right
        case (.object(let left), .object(let right)): left == right
        default: false
        }
    }
}

/// Why bytes are no JSON document that is accepted, and where.
public struct JSONError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The byte that could not be accepted, counted from 0 at the start of the document; its length where it ended
    /// early.
    public let offset: Int
    public let reason: Reason

    public enum Reason: Sendable, Equatable {
        case unexpectedEnd
        case unexpectedByte
        case trailingBytes
        case malformedNumber
        case malformedEscape
        case loneSurrogate
        case controlCharacter
        case malformedUTF8
        case duplicateName
        case tooDeep
    }

    public var description: String {
        let what =
            switch reason {
            case .unexpectedEnd: "it ends too early"
            case .unexpectedByte: "no value, name or punctuation that can stand there"
            case .trailingBytes: "something follows the value"
            case .malformedNumber: "malformed number"
            case .malformedEscape: "malformed escape"
            case .loneSurrogate: "an escaped surrogate without its pair"
            case .controlCharacter: "a control character that is not escaped"
            case .malformedUTF8: "malformed UTF-8"
            case .duplicateName: "a member name that its object has already"
            case .tooDeep: "nested too deep"
            }
        return "\(what), at byte \(offset)"
    }
}

/// A piece of a document's text. Half the size of an `ArraySlice`, since values are made of it.
struct JSONText: Sendable, Equatable {
    private let storage: [UInt8]
    private let start: UInt32
    private let length: UInt32

    init(_ storage: [UInt8], _ range: Range<Int>) {
        precondition(range.upperBound <= UInt32.max, "a document is far below 4 GiB")
        self.storage = storage
        start = UInt32(range.lowerBound)
        length = UInt32(range.count)
    }

    init(_ bytes: [UInt8]) { self.init(bytes, 0..<bytes.count) }

    var count: Int { Int(length) }
    var bytes: ArraySlice<UInt8> { storage[Int(start)..<(Int(start) + Int(length))] }

    static func == (left: JSONText, right: JSONText) -> Bool {
        left.length == right.length && left.bytes == right.bytes
    }
}
