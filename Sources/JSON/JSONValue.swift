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
    /// An array or object that was checked and is not opened yet. Patches meet it; ``init(parsing:)`` makes none.
    case unread(JSONUnread)

    /// Reads a whole document: one value, with nothing but white space around it.
    ///
    /// Strict: UTF-8 without byte order mark, at most `Limits.jsonDepthMax` containers deep (the outermost is 1), no
    /// two members of one object with the same name (compared after unescaping), no lone surrogates. The value shares
    /// `text`.
    public init(parsing text: [UInt8]) throws(JSONError) {
        self = try JSONParser.parse(text).value
    }

    /// Reads a whole document that is part of something larger, of which it takes a copy.
    public init(parsing text: ArraySlice<UInt8>) throws(JSONError) { try self.init(parsing: Array(text)) }

    /// Checks that the text is a document as ``init(parsing:)-([UInt8])`` reads it, and makes nothing of it: many times
    /// faster, and without memory for its values.
    public static func check(_ text: ArraySlice<UInt8>) throws(JSONError) { _ = try JSONScan.check(Array(text)) }

    /// The document without the white space outside of its strings; numbers and strings keep their text.
    public static func compacted(_ text: ArraySlice<UInt8>) throws(JSONError) -> [UInt8] {
        let text = Array(text)
        return JSONScan.compacted(text, blanks: try JSONScan.check(text).blanks)
    }

    /// The member `name` of an object; `nil` where this is no object or has no such member.
    public subscript(name: StaticString) -> JSONValue? {
        switch self {
        case .object(let object): object[name]
        case .unread(let unread): unread.isObject ? unread.object()[name] : nil
        case .null, .bool, .number, .string, .array: nil
        }
    }

    /// The same value with its outermost container opened.
    package var opened: JSONValue {
        guard case .unread(let unread) = self else { return self }
        guard unread.isObject else { return .array(unread.elements()) }
        var object = unread.object()
        object.indexIfNeeded()
        return .object(object)
    }
}

// MARK: Containers

extension JSONValue {
    package var isArray: Bool {
        switch self {
        case .array: true
        case .unread(let unread): !unread.isObject
        case .null, .bool, .number, .string, .object: false
        }
    }

    package var isObject: Bool {
        switch self {
        case .object: true
        case .unread(let unread): unread.isObject
        case .null, .bool, .number, .string, .array: false
        }
    }

    package var isContainer: Bool { isArray || isObject }

    package func isSameType(as other: JSONValue) -> Bool {
        switch (self, other) {
        case (.null, .null), (.bool, .bool), (.number, .number), (.string, .string): true
        default: isArray && other.isArray || isObject && other.isObject
        }
    }

    /// Gives up its elements and becomes null; `nil`, and nothing happens, where this is no array.
    ///
    /// In a function of its own, so that no second reference to the storage outlives it: the caller then changes the
    /// elements where they lie, where a `switch` over the value would make it copy them first.
    package mutating func takeArray() -> [JSONValue]? {
        switch self {
        case .array(let elements):
            self = .null
            return elements
        case .unread(let unread):
            guard !unread.isObject else { return nil }
            self = .null
            return unread.elements()
        case .null, .bool, .number, .string, .object: return nil
        }
    }

    /// ``takeArray()`` for the members of an object.
    package mutating func takeObject() -> JSONObject? {
        switch self {
        case .object(let object):
            self = .null
            return object
        case .unread(let unread):
            guard unread.isObject else { return nil }
            self = .null
            return unread.object()
        case .null, .bool, .number, .string, .array: return nil
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
        case (.unread, _), (_, .unread): left.opened == right.opened
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
        /// Reading it costs more than the reader allows.
        case tooHeavy
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
            case .tooHeavy: "it is too much to read"
            }
        return "\(what), at byte \(offset)"
    }
}

/// A piece of a document's text. Half the size of an `ArraySlice`, since values are made of it.
struct JSONText: Sendable, Equatable {
    private let storage: [UInt8]
    private let start: UInt32
    /// The length, and above it a mark for whoever holds the text.
    private let lengthAndMark: UInt32

    private static let mark: UInt32 = 1 << 31

    init(_ storage: [UInt8], _ range: Range<Int>, isMarked: Bool = false) {
        precondition(range.upperBound < Int(Self.mark), "a document is far below 2 GiB")
        self.storage = storage
        start = UInt32(range.lowerBound)
        lengthAndMark = UInt32(range.count) | (isMarked ? Self.mark : 0)
    }

    init(_ bytes: [UInt8], isMarked: Bool = false) { self.init(bytes, 0..<bytes.count, isMarked: isMarked) }

    var count: Int { Int(lengthAndMark & ~Self.mark) }
    var isMarked: Bool { lengthAndMark & Self.mark != 0 }
    var bytes: ArraySlice<UInt8> { storage[Int(start)..<(Int(start) + count)] }

    /// The same text with the mark.
    var marked: JSONText { JSONText(storage, Int(start)..<(Int(start) + count), isMarked: true) }

    /// Text that no document has: a string's without a byte is marked for nothing.
    static let none = JSONText([], isMarked: true)
    var isNone: Bool { lengthAndMark == Self.mark }

    /// Gives the bytes to `body`, with no slice made of them: texts are short and there are many.
    @inline(__always)
    func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        // SAFETY: the pointer is used inside the closure only; `start` and `count` lie inside the storage.
        storage.withUnsafeBytes { all in
            body(UnsafeRawBufferPointer(start: all.baseAddress.map { $0 + Int(start) }, count: count))
        }
    }

    /// The first place where the shorter of the two differs from the other; `nil` where it is its beginning.
    func firstDifference(_ other: JSONText) -> Int? {
        withBytes { left in other.withBytes { JSONBytes.firstDifference(left, $0) } }
    }

    static func == (left: JSONText, right: JSONText) -> Bool {
        left.count == right.count && left.firstDifference(right) == nil
    }
}
