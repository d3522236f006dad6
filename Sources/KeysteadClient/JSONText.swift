/// A JSON value as it stands in a document (RFC 8259), bytes and all.
///
/// The client never rebuilds JSON from a tree: a state must come back byte for byte, and numbers must keep their text.
/// So a value is only a checked slice, and its parts are found by walking it again.
package struct JSONText: Sendable {
    package enum Kind: Sendable {
        case object, array, string, number, bool, null
    }

    /// The value's own bytes, without white space around them.
    package let bytes: ArraySlice<UInt8>

    /// Checks that `document` is one JSON value, with white space around it or not; `nil` otherwise. Strings must be
    /// valid UTF-8; duplicate member names are let through. O(n).
    package init?(_ document: ArraySlice<UInt8>) {
        let bounds: Range<Int>? = document.withUnsafeBufferPointer { buffer in
            var scanner = JSONScanner()
            return scanner.document(buffer.span)
        }
        guard let bounds else { return nil }
        let start = document.startIndex
        self.bytes = document[(start + bounds.lowerBound)..<(start + bounds.upperBound)]
    }

    package init?(_ document: [UInt8]) { self.init(document[...]) }

    fileprivate init(checked bytes: ArraySlice<UInt8>) { self.bytes = bytes }

    package var kind: Kind {
        switch bytes.first {
        case UInt8(ascii: "{"): .object
        case UInt8(ascii: "["): .array
        case UInt8(ascii: "\""): .string
        case UInt8(ascii: "t"), UInt8(ascii: "f"): .bool
        case UInt8(ascii: "n"): .null
        default: .number
        }
    }

    /// A string's characters, unescaped; `nil` for other kinds and for a string that holds half a surrogate pair.
    package var string: String? {
        guard kind == .string else { return nil }
        return JSONString.unescape(bytes.dropFirst().dropLast())
    }

    /// A number's own text; `nil` for other kinds.
    package var numberText: String? { kind == .number ? String(decoding: bytes, as: UTF8.self) : nil }

    package var unsigned: UInt64? { numberText.flatMap { UInt64($0) } }
    package var integer: Int64? { numberText.flatMap { Int64($0) } }

    package var bool: Bool? { kind == .bool ? bytes.first == UInt8(ascii: "t") : nil }

    /// An object's members in document order; empty for other kinds.
    package var members: [(name: JSONText, value: JSONText)] {
        guard kind == .object else { return [] }
        let parts = parts()
        return stride(from: 0, to: parts.count - 1, by: 2).map { (parts[$0], parts[$0 + 1]) }
    }

    /// An array's elements; empty for other kinds.
    package var elements: [JSONText] { kind == .array ? parts() : [] }

    /// The value of the only member of that name; `nil` where there is none or more than one.
    package func member(_ name: String) -> JSONText? {
        let found = members.filter { $0.name.string == name }
        return found.count == 1 ? found[0].value : nil
    }

    private func parts() -> [JSONText] {
        let ranges = bytes.withUnsafeBufferPointer { buffer in
            var scanner = JSONScanner()
            return scanner.parts(buffer.span)
        }
        let start = bytes.startIndex
        return ranges.map { JSONText(checked: bytes[(start + $0.lowerBound)..<(start + $0.upperBound)]) }
    }
}

/// Reading and writing the inside of JSON strings.
package enum JSONString {
    /// `nil` where an escape stands for half a surrogate pair, which no `String` can hold.
    static func unescape(_ body: ArraySlice<UInt8>) -> String? {
        guard body.contains(UInt8(ascii: "\\")) else { return String(decoding: body, as: UTF8.self) }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(body.count)
        var rest = body
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "\\"), let escape = rest.popFirst() else {
                bytes.append(byte)
                continue
            }
            guard escape == UInt8(ascii: "u") else {
                bytes.append(plain(escape))
                continue
            }
            guard let scalar = takeScalar(&rest) else { return nil }
            bytes.append(contentsOf: UTF8.encode(scalar).map { Array($0) } ?? [])
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func plain(_ escape: UInt8) -> UInt8 {
        switch escape {
        case UInt8(ascii: "b"): 0x08
        case UInt8(ascii: "f"): 0x0C
        case UInt8(ascii: "n"): 0x0A
        case UInt8(ascii: "r"): 0x0D
        case UInt8(ascii: "t"): 0x09
        default: escape
        }
    }

    private static func takeScalar(_ rest: inout ArraySlice<UInt8>) -> Unicode.Scalar? {
        func unit() -> UInt32? {
            defer { rest = rest.dropFirst(4) }
            return UInt32(String(decoding: rest.prefix(4), as: UTF8.self), radix: 16)
        }
        guard let first = unit() else { return nil }
        guard (0xD800...0xDBFF).contains(first) else { return Unicode.Scalar(first) }
        guard rest.starts(with: Array("\\u".utf8)) else { return nil }
        rest = rest.dropFirst(2)
        guard let second = unit(), (0xDC00...0xDFFF).contains(second) else { return nil }
        return Unicode.Scalar(0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00))
    }

    /// Appends `text`, which must be valid UTF-8, as a JSON string with its quotes. What it unescapes to is `text`
    /// again, byte for byte.
    package static func append(_ text: some Sequence<UInt8>, to output: inout [UInt8]) {
        let digits = Array("0123456789abcdef".utf8)
        output.append(UInt8(ascii: "\""))
        for byte in text {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                output.append(UInt8(ascii: "\\"))
                output.append(byte)
            case 0..<0x20:
                output.append(contentsOf: [UInt8(ascii: "\\"), UInt8(ascii: "u"), UInt8(ascii: "0"), UInt8(ascii: "0")])
                output.append(digits[Int(byte >> 4)])
                output.append(digits[Int(byte & 15)])
            default:
                output.append(byte)
            }
        }
        output.append(UInt8(ascii: "\""))
    }

    package static func append(_ text: String, to output: inout [UInt8]) { append(text.utf8, to: &output) }
}

/// Whether `bytes` are valid UTF-8. O(n), no allocation.
package func isUTF8(_ bytes: ArraySlice<UInt8>) -> Bool {
    bytes.withUnsafeBufferPointer { (try? UTF8Span(validating: $0.span)) != nil }
}
