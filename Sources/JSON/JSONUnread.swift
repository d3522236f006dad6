import Primitives

/// A checked document without white space, and where its containers end.
final class JSONSource: Sendable {
    let bytes: [UInt8]
    /// In the order in which they begin.
    let containers: [Container]

    init(bytes: [UInt8], containers: [Container]) {
        self.bytes = bytes
        self.containers = containers
    }

    struct Container: Sendable {
        /// Behind its last byte.
        let end: UInt32
        /// The place of the first container that is not inside of it, and above that how deep it is.
        private let afterAndHeight: UInt32
        /// Its ``JSONWeight``.
        let weight: UInt32

        /// A document of the largest state begins no more containers than this.
        private static let placeBits: UInt32 = 25

        init(end: Int = 0, after: Int = 0, height: Int = 0, weight: Int = 0) {
            precondition(after < 1 << Int(Self.placeBits) && height <= Limits.jsonDepthMax, "a document is bounded")
            self.end = UInt32(end)
            afterAndHeight = UInt32(height) << Self.placeBits | UInt32(after)
            self.weight = UInt32(weight)
        }

        var after: Int { Int(afterAndHeight & (1 << Self.placeBits - 1)) }
        package var height: Int { Int(afterAndHeight >> Self.placeBits) }
    }
}

/// An array or object that stands as text in a checked document. Opening it makes values of what is directly in it;
/// containers in it stay text until they are opened, so that a patch pays for the places that it touches.
public struct JSONUnread: Sendable {
    private let source: JSONSource
    private let start: UInt32
    private let place: UInt32

    init(source: JSONSource, start: Int, place: Int) {
        self.source = source
        self.start = UInt32(start)
        self.place = UInt32(place)
    }

    private var container: JSONSource.Container { source.containers[Int(place)] }

    var isObject: Bool { source.bytes[Int(start)] == UInt8(ascii: "{") }
    /// How many containers it is deep, itself included.
    package var height: Int { container.height }
    package var weight: Int { Int(container.weight) }
    /// Bytes of its text.
    var count: Int { Int(container.end - start) }

    /// Gives the text to `body`.
    func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        // SAFETY: the pointer is used inside the closure only.
        source.bytes.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[Int(start)..<Int(container.end)])) }
    }

    /// What is in an array.
    func elements() -> [JSONValue] {
        var elements: [JSONValue] = []
        open { walk in
            while let value = walk.nextValue() { elements.append(value) }
        }
        return elements
    }

    /// What is in an object, without an index.
    func object() -> JSONObject {
        var object = JSONObject()
        open { walk in
            while let name = walk.nextName(), let value = walk.nextValue() { object.appendChecked(name, value) }
        }
        return object
    }

    private func open(_ body: (inout JSONWalk) -> Void) {
        // SAFETY: the walk lives inside the closure only.
        source.bytes.withUnsafeBufferPointer { text in
            var walk = JSONWalk(source, text, index: Int(start) + 1, end: Int(container.end) - 1, place: Int(place) + 1)
            body(&walk)
        }
    }
}

/// Steps over what is directly in a container of a ``JSONSource``. The text has been checked and has no white space, so
/// what comes next is told by its first byte, and punctuation is only stepped over.
///
/// SAFETY: as ``JSONLexer``. A string ends before its container does.
private struct JSONWalk {
    private let source: JSONSource
    private let text: UnsafeBufferPointer<UInt8>
    private var index: Int
    /// The container's closing bracket.
    private let end: Int
    /// The next container that begins in this one.
    private var place: Int

    init(_ source: JSONSource, _ text: UnsafeBufferPointer<UInt8>, index: Int, end: Int, place: Int) {
        self.source = source
        self.text = text
        self.index = index
        self.end = end
        self.place = place
    }

    /// With its colon.
    mutating func nextName() -> JSONString? {
        guard index < end else { return nil }
        defer { index += 1 }
        return string()
    }

    /// With the comma behind it.
    mutating func nextValue() -> JSONValue? {
        guard index < end else { return nil }
        defer { index += 1 }
        switch text[index] {
        case UInt8(ascii: "\""): return .string(string())
        case UInt8(ascii: "{"), UInt8(ascii: "["):
            let container = source.containers[place]
            defer {
                index = Int(container.end)
                place = container.after
            }
            return .unread(JSONUnread(source: source, start: index, place: place))
        case UInt8(ascii: "t"):
            index += 4
            return .bool(true)
        case UInt8(ascii: "f"):
            index += 5
            return .bool(false)
        case UInt8(ascii: "n"):
            index += 4
            return .null
        default:
            let first = index
            while index < end, text[index] != UInt8(ascii: ",") { index += 1 }
            return .number(JSONNumber(JSONText(source.bytes, first..<index)))
        }
    }

    private mutating func string() -> JSONString {
        index += 1
        let first = index
        var hasEscapes = false
        while true {
            while index + 8 <= end {
                let word = UnsafeRawPointer(text.baseAddress! + index).loadUnaligned(as: UInt64.self)
                if JSONBytes.holdsEnd(word) { break }
                index += 8
            }
            let byte = text[index]
            index += 1
            if byte == UInt8(ascii: "\"") {
                return JSONString(JSONText(source.bytes, first..<(index - 1)), hasEscapes: hasEscapes)
            }
            if byte == UInt8(ascii: "\\") {
                hasEscapes = true
                index += 1
            }
        }
    }
}
