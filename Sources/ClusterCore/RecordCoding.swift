internal import Entities
internal import JSON
internal import Primitives

/// A record of the metadata store. The value is one JSON object, members in name order, so that an operator can read it
/// with etcdctl; its member `format` is 1. A reader ignores members it does not know and refuses a higher format.
/// 128-bit names and hash seeds are hexadecimal strings, for JSON readers lose bits of large numbers.
public protocol MetadataRecord: Sendable {
    func encoded() -> [UInt8]
    /// - Parameter key: only named in errors.
    init(decoding value: [UInt8], of key: MetadataKey) throws(RecordError)
}

/// Why a value of the metadata store is not the record it should be.
public enum RecordError: Error, Sendable, Equatable {
    case malformed(key: MetadataKey, detail: String)
    /// Written by a newer version of Keystead.
    case unsupportedFormat(key: MetadataKey, found: Int, known: Int)
}

extension RecordError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .malformed(let key, let detail): "the metadata of \(key) cannot be read: \(detail)"
        case .unsupportedFormat(let key, let found, let known):
            "the metadata of \(key) has format \(found); this version reads formats up to \(known)"
        }
    }
}

private let recordFormat = 1

/// Collects the members of a record and writes them in name order.
struct RecordWriter {
    private var members: [(name: String, value: JSONValue)] = []

    init() {}

    /// A whole record: with its format.
    static func record() -> RecordWriter {
        var writer = RecordWriter()
        writer["format"] = .count(UInt64(recordFormat))
        return writer
    }

    /// Adds a member; each name once. `nil` adds nothing.
    subscript(name: String) -> JSONValue? {
        get { members.first { $0.name == name }?.value }
        set {
            guard let newValue else { return }
            precondition(!members.contains { $0.name == name }, "a member is written once")
            members.append((name, newValue))
        }
    }

    var object: JSONObject {
        var object = JSONObject()
        for member in members.sorted(by: { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }) {
            object.set(JSONString(content: Array(member.name.utf8)[...]), member.value)
        }
        return object
    }

    func encoded() -> [UInt8] { JSONValue.object(object).encoded() }
}

extension JSONValue {
    static func text(_ text: some CustomStringConvertible) -> JSONValue {
        .string(JSONString(content: Array(text.description.utf8)[...]))
    }

    static func count(_ value: UInt64) -> JSONValue { .number(JSONNumber(unsigned: value)) }

    var text: String? {
        guard case .string(let string) = self else { return nil }
        return String(decoding: string.content, as: UTF8.self)
    }

    var count: UInt64? {
        guard case .number(let number) = self else { return nil }
        return number.uint64
    }
}

/// Reads the members of a record, or of an object in it, one by one; the error names the member.
struct RecordReader {
    private let object: JSONObject
    private let key: MetadataKey

    /// A whole record: parses it and checks its format.
    init(_ value: [UInt8], of key: MetadataKey) throws(RecordError) {
        guard value.count <= MetadataLimits.valueBytesMax else {
            throw .malformed(key: key, detail: "it has \(value.count) bytes; \(MetadataLimits.valueBytesMax) at most")
        }
        let parsed: JSONValue
        do {
            parsed = try JSONValue(parsing: value)
        } catch {
            throw .malformed(key: key, detail: "\(error)")
        }
        self = try RecordReader(parsed, of: key)
        let format = try count("format")
        guard format <= UInt64(recordFormat) else {
            throw .unsupportedFormat(key: key, found: Int(clamping: format), known: recordFormat)
        }
    }

    private init(_ value: JSONValue, of key: MetadataKey) throws(RecordError) {
        guard case .object(let object) = value else { throw .malformed(key: key, detail: "it is not a JSON object") }
        self.object = object
        self.key = key
    }

    /// What `make` makes of the member; it is malformed where it is missing or `make` gives nothing.
    func member<Value>(_ name: StaticString, _ make: (JSONValue) -> Value?) throws(RecordError) -> Value {
        guard let value = try optional(name, make) else { throw malformed(name) }
        return value
    }

    /// As ``member(_:_:)``; `nil` where the member is missing or null.
    func optional<Value>(_ name: StaticString, _ make: (JSONValue) -> Value?) throws(RecordError) -> Value? {
        guard let value = object[name] else { return nil }
        if case .null = value { return nil }
        guard let made = make(value) else { throw malformed(name) }
        return made
    }

    /// At most `bytesMax` bytes, so that whatever is made of a record is written back within the bounds of a value.
    func text(
        _ name: StaticString, bytesMax: Int = Limits.recordTextBytesMax
    ) throws(RecordError) -> String {
        try member(name) { $0.text.flatMap { $0.utf8.count <= bytesMax ? $0 : nil } }
    }

    func count(_ name: StaticString) throws(RecordError) -> UInt64 { try member(name, \.count) }

    /// A number that is counted on from.
    func counter(_ name: StaticString, max: UInt64 = Limits.counterMax) throws(RecordError) -> UInt64 {
        try member(name) { $0.count.flatMap { $0 <= max ? $0 : nil } }
    }

    func time(_ name: StaticString) throws(RecordError) -> Timestamp {
        Timestamp(milliseconds: try counter(name, max: Limits.timeMillisecondsMax))
    }

    func optionalTime(_ name: StaticString) throws(RecordError) -> Timestamp? {
        try optional(name) { $0.count.flatMap { $0 <= Limits.timeMillisecondsMax ? $0 : nil } }
            .map { Timestamp(milliseconds: $0) }
    }

    /// A text that names something.
    func named<Value>(_ name: StaticString, _ make: (String) -> Value?) throws(RecordError) -> Value {
        try member(name) { $0.text.flatMap(make) }
    }

    func optionalNamed<Value>(_ name: StaticString, _ make: (String) -> Value?) throws(RecordError) -> Value? {
        try optional(name) { $0.text.flatMap(make) }
    }

    /// An array, each element by `make`.
    func list<Value>(_ name: StaticString, _ make: (JSONValue) -> Value?) throws(RecordError) -> [Value] {
        try member(name) { value in
            guard case .array(let elements) = value else { return nil }
            let made = elements.compactMap(make)
            return made.count == elements.count ? made : nil
        }
    }

    /// The members of an object that is a member; `nil` where there is none.
    func nested(_ name: StaticString) throws(RecordError) -> RecordReader? {
        guard let value = try optional(name, { $0 }) else { return nil }
        return try RecordReader(value, of: key)
    }

    /// An array of objects.
    func nestedList<Value>(
        _ name: StaticString, _ make: (RecordReader) throws(RecordError) -> Value
    ) throws(RecordError) -> [Value] {
        var made: [Value] = []
        for element in try list(name, { $0 }) { made.append(try make(try RecordReader(element, of: key))) }
        return made
    }

    func malformed(_ name: StaticString) -> RecordError {
        .malformed(key: key, detail: "its \"\(name)\" is missing or out of its range")
    }
}
