import Primitives

/// A string of a document, as it stands between its quotes.
public struct JSONString: Sendable {
    /// Marked where something in it is escaped.
    private let text: JSONText

    package var hasEscapes: Bool { text.isMarked }

    init(_ text: JSONText, hasEscapes: Bool) {
        self.text = hasEscapes ? text.marked : text
    }

    private init(_ text: JSONText) { self.text = text }

    /// What stands for no string at all, and is in no document.
    static let gone = JSONString(JSONText.none)
    @usableFromInline
    var isGone: Bool { text.isNone }

    /// A string of this content, which must be UTF-8.
    public init(content: ArraySlice<UInt8>) {
        guard content.contains(where: Self.needsEscape) else {
            self.init(JSONText(Array(content)), hasEscapes: false)
            return
        }
        var text: [UInt8] = []
        Self.writeEscaped(content, into: &text)
        self.init(JSONText(text), hasEscapes: true)
    }

    /// The bytes that the string stands for. O(1) where nothing is escaped, else decoded at each call.
    public var content: ArraySlice<UInt8> {
        guard hasEscapes else { return text.bytes }
        return JSONUnescaper.content(text.bytes)[...]
    }

    /// Whether the content is `other`. Allocates nothing, and looks no further than the first difference.
    @inlinable
    public func contentEquals(_ other: some Collection<UInt8>) -> Bool {
        // SAFETY: the pointer is used inside the closure only.
        other.withContiguousStorageIfAvailable { contentEquals($0) }
            ?? Array(other).withUnsafeBufferPointer { contentEquals($0) }
    }

    @usableFromInline
    func contentEquals(_ other: UnsafeBufferPointer<UInt8>) -> Bool {
        guard hasEscapes else {
            guard text.count == other.count else { return false }
            return text.withBytes { JSONBytes.firstDifference($0, UnsafeRawBufferPointer(other)) == nil }
        }
        guard text.count >= other.count else { return false }
        var unescaper = JSONUnescaper(text.bytes)
        for byte in other {
            guard unescaper.next() == byte else { return false }
        }
        return unescaper.next() == nil
    }

    /// Writes the string with its quotes, as it was read.
    public func write(into output: inout [UInt8]) {
        output.append(UInt8(ascii: "\""))
        withBytes { output.append(contentsOf: $0) }
        output.append(UInt8(ascii: "\""))
    }

    /// Writes `content`, which must be UTF-8, as a string with its quotes.
    public static func write(content: ArraySlice<UInt8>, into output: inout [UInt8]) {
        output.append(UInt8(ascii: "\""))
        writeEscaped(content, into: &output)
        output.append(UInt8(ascii: "\""))
    }

    /// Bytes of the text with its quotes.
    package var encodedCount: Int { text.count + 2 }

    /// Bytes of the text.
    package var textCount: Int { text.count }

    /// Gives the text, without its quotes.
    @inline(__always)
    func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result { text.withBytes(body) }

    /// Of the content.
    var hash: UInt32 {
        hasEscapes ? JSONNameTable.hash(content) : text.withBytes { JSONNameTable.hash($0) }
    }
}

extension JSONString: Equatable, Comparable {
    public static func == (left: JSONString, right: JSONString) -> Bool {
        if !left.hasEscapes, !right.hasEscapes { return left.text == right.text }
        if !left.hasEscapes { return right.contentEquals(left.text.bytes) }
        if !right.hasEscapes { return left.contentEquals(right.text.bytes) }
        return compare(left, right) == 0
    }

    /// In the order of code points, which is that of UTF-8 bytes.
    public static func < (left: JSONString, right: JSONString) -> Bool { compare(left, right) < 0 }

    /// Negative, zero or positive as `left` is before, at or after `right`.
    package static func compare(_ left: JSONString, _ right: JSONString) -> Int {
        if !left.hasEscapes, !right.hasEscapes {
            guard let place = left.text.firstDifference(right.text) else { return left.text.count - right.text.count }
            let (leftBytes, rightBytes) = (left.text.bytes, right.text.bytes)
            return leftBytes[leftBytes.startIndex + place] < rightBytes[rightBytes.startIndex + place] ? -1 : 1
        }
        var leftBytes = JSONUnescaper(left.text.bytes)
        var rightBytes = JSONUnescaper(right.text.bytes)
        while true {
            switch (leftBytes.next(), rightBytes.next()) {
            case (nil, nil): return 0
            case (nil, _): return -1
            case (_, nil): return 1
            case (let left?, let right?): if left != right { return left < right ? -1 : 1 }
            }
        }
    }
}

extension JSONString {
    private static func needsEscape(_ byte: UInt8) -> Bool {
        byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\")
    }

    private static func writeEscaped(_ content: ArraySlice<UInt8>, into output: inout [UInt8]) {
        var rest = content
        while let place = rest.firstIndex(where: needsEscape) {
            output.append(contentsOf: rest[..<place])
            writeEscape(rest[place], into: &output)
            rest = rest[(place + 1)...]
        }
        output.append(contentsOf: rest)
    }

    private static func writeEscape(_ byte: UInt8, into output: inout [UInt8]) {
        let short: UInt8? =
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): byte
            case 0x08: UInt8(ascii: "b")
            case 0x09: UInt8(ascii: "t")
            case 0x0A: UInt8(ascii: "n")
            case 0x0C: UInt8(ascii: "f")
            case 0x0D: UInt8(ascii: "r")
            default: nil
            }
        output.append(UInt8(ascii: "\\"))
        if let short {
            output.append(short)
        } else {
            output.append(contentsOf: "u00".utf8)
            output.append(hexDigit(byte >> 4))
            output.append(hexDigit(byte & 15))
        }
    }

    private static func hexDigit(_ value: UInt8) -> UInt8 {
        value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
    }
}

/// The bytes that the text of a string stands for, one by one. The text has been checked by the parser.
struct JSONUnescaper: IteratorProtocol {
    private let text: ArraySlice<UInt8>
    private var index: Int
    /// Bytes of an escaped scalar still to be given, the first in the lowest byte.
    private var pending: UInt32 = 0
    private var pendingCount = 0

    init(_ text: ArraySlice<UInt8>) {
        self.text = text
        index = text.startIndex
    }

    /// All of it.
    static func content(_ text: ArraySlice<UInt8>) -> [UInt8] {
        // SAFETY: the buffer is used inside the closure only, and what an escape stands for is no longer than itself.
        [UInt8](unsafeUninitializedCapacity: text.count) { output, count in
            var unescaper = JSONUnescaper(text)
            while let byte = unescaper.next() {
                output[count] = byte
                count += 1
            }
        }
    }

    mutating func next() -> UInt8? {
        if pendingCount > 0 { return takePending() }
        guard index < text.endIndex else { return nil }
        let byte = text[index]
        index += 1
        guard byte == UInt8(ascii: "\\") else { return byte }
        let escape = text[index]
        index += 1
        switch escape {
        case UInt8(ascii: "b"): return 0x08
        case UInt8(ascii: "f"): return 0x0C
        case UInt8(ascii: "n"): return 0x0A
        case UInt8(ascii: "r"): return 0x0D
        case UInt8(ascii: "t"): return 0x09
        case UInt8(ascii: "u"):
            queueScalar()
            return takePending()
        default: return escape
        }
    }

    private mutating func takePending() -> UInt8 {
        defer {
            pending >>= 8
            pendingCount -= 1
        }
        return UInt8(truncatingIfNeeded: pending)
    }

    private mutating func queueScalar() {
        var scalar = readUnit()
        if scalar & 0xF800 == 0xD800 {
            index += 2
            scalar = 0x10000 + (scalar & 0x3FF) << 10 + readUnit() & 0x3FF
        }
        switch scalar {
        case ..<0x80: queue(scalar, continuations: 0, lead: 0)
        case ..<0x800: queue(scalar, continuations: 1, lead: 0xC0)
        case ..<0x10000: queue(scalar, continuations: 2, lead: 0xE0)
        default: queue(scalar, continuations: 3, lead: 0xF0)
        }
    }

    /// UTF-8 (RFC 3629 §3): six bits in each continuation byte, the rest in the lead byte.
    private mutating func queue(_ scalar: UInt32, continuations: Int, lead: UInt32) {
        pending = 0
        var rest = scalar
        for _ in 0..<continuations {
            pending = (pending | 0x80 | rest & 0x3F) << 8
            rest >>= 6
        }
        pending |= lead | rest
        pendingCount = continuations + 1
    }

    private mutating func readUnit() -> UInt32 {
        var unit: UInt32 = 0
        for digit in text[index..<(index + 4)] { unit = unit << 4 | UInt32(digit.hexadecimalValue ?? 0) }
        index += 4
        return unit
    }
}
