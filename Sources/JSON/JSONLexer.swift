import Primitives

/// Steps over the tokens of a text, checking each (RFC 8259). Offsets count from the start of the text.
///
/// SAFETY: the text is a pointer, so a lexer lives inside the closure only that gave it. Every look at the text is
/// behind a comparison with its length.
struct JSONLexer {
    private let text: UnsafeBufferPointer<UInt8>
    private(set) var index = 0
    /// White space stepped over so far.
    private(set) var blanks = 0

    init(_ text: UnsafeBufferPointer<UInt8>) { self.text = text }

    /// What comes next; 0 at the end, which no rule accepts.
    var next: UInt8 { byte(at: index) }

    mutating func skipBlanks() {
        let first = index
        while index < text.count {
            let byte = text[index]
            guard byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 else { break }
            index += 1
        }
        blanks += index - first
    }

    /// Steps over the byte that ``next`` has shown.
    mutating func step() { index += 1 }

    /// Steps over `byte` and the white space before it, if it comes next.
    mutating func skip(_ byte: UInt8) -> Bool {
        skipBlanks()
        guard index < text.count, text[index] == byte else { return false }
        index += 1
        return true
    }

    mutating func expect(_ byte: UInt8) throws(JSONError) {
        guard skip(byte) else { throw fail(.unexpectedByte) }
    }

    /// Nothing but white space follows.
    mutating func end() throws(JSONError) {
        skipBlanks()
        guard index == text.count else { throw fail(.trailingBytes) }
    }

    mutating func literal(_ literal: StaticString) throws(JSONError) {
        for offset in 0..<literal.utf8CodeUnitCount {
            guard next == literal.utf8Start[offset] else { throw fail(.unexpectedByte) }
            index += 1
        }
    }

    func fail(_ reason: JSONError.Reason) -> JSONError { fail(reason, at: index) }

    func fail(_ reason: JSONError.Reason, at offset: Int) -> JSONError {
        JSONError(offset: offset, reason: offset >= text.count ? .unexpectedEnd : reason)
    }

    private func byte(at index: Int) -> UInt8 { index < text.count ? text[index] : 0 }
}

// MARK: Numbers

extension JSONLexer {
    /// `-? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?`
    mutating func number() throws(JSONError) -> Range<Int> {
        let first = index
        if next == UInt8(ascii: "-") { index += 1 }
        let integer = index
        let isZero = next == UInt8(ascii: "0")
        try skipDigits()
        guard !isZero || index == integer + 1 else { throw fail(.malformedNumber, at: integer + 1) }
        if next == UInt8(ascii: ".") {
            index += 1
            try skipDigits()
        }
        if next | 0x20 == UInt8(ascii: "e") {
            index += 1
            if next == UInt8(ascii: "+") || next == UInt8(ascii: "-") { index += 1 }
            try skipDigits()
        }
        return first..<index
    }

    /// One digit or more.
    private mutating func skipDigits() throws(JSONError) {
        let first = index
        while index < text.count, text[index] &- UInt8(ascii: "0") < 10 { index += 1 }
        guard index > first else { throw fail(.malformedNumber) }
    }
}

// MARK: Strings

extension JSONLexer {
    /// The string that begins at the quote that comes next: what stands between its quotes.
    mutating func string() throws(JSONError) -> (text: Range<Int>, hasEscapes: Bool) {
        index += 1
        let first = index
        var hasEscapes = false
        while true {
            skipPlain()
            guard index < text.count else { throw fail(.unexpectedEnd) }
            switch text[index] {
            case UInt8(ascii: "\""):
                index += 1
                return (first..<(index - 1), hasEscapes)
            case UInt8(ascii: "\\"):
                hasEscapes = true
                try skipEscape()
            case ..<0x20: throw fail(.controlCharacter)
            default: try skipScalar()
            }
        }
    }

    /// Steps over ASCII that stands for itself, eight bytes at a time where it can.
    private mutating func skipPlain() {
        while index + 8 <= text.count {
            let word = UnsafeRawPointer(text.baseAddress! + index).loadUnaligned(as: UInt64.self)
            if JSONBytes.holdsSpecial(word) { break }
            index += 8
        }
        while index < text.count {
            let byte = text[index]
            guard byte >= 0x20, byte < 0x80, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\") else { return }
            index += 1
        }
    }

    /// One scalar beyond ASCII.
    private mutating func skipScalar() throws(JSONError) {
        var validator = UTF8Validator()
        repeat {
            guard index < text.count else { throw fail(.unexpectedEnd) }
            guard validator.accept(text[index]) else { throw fail(.malformedUTF8) }
            index += 1
        } while !validator.isComplete
    }

    private mutating func skipEscape() throws(JSONError) {
        let first = index
        index += 1
        switch next {
        case UInt8(ascii: "u"):
            let unit = try readHexUnit(escape: first)
            guard unit & 0xF800 == 0xD800 else { return }
            guard unit & 0xFC00 == 0xD800, next == UInt8(ascii: "\\"), byte(at: index + 1) == UInt8(ascii: "u")
            else { throw fail(.loneSurrogate, at: first) }
            index += 1
            guard try readHexUnit(escape: first) & 0xFC00 == 0xDC00 else { throw fail(.loneSurrogate, at: first) }
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
            UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
            index += 1
        default:
            throw fail(.malformedEscape, at: first)
        }
    }

    /// The four digits after the `u` that `index` stands at.
    private mutating func readHexUnit(escape: Int) throws(JSONError) -> UInt16 {
        var unit: UInt16 = 0
        for offset in 1...4 {
            guard let digit = byte(at: index + offset).hexadecimalValue else {
                throw fail(.malformedEscape, at: escape)
            }
            unit = unit << 4 | UInt16(digit)
        }
        index += 5
        return unit
    }
}

enum JSONBytes {
    /// Whether a byte of the word is a quote, a backslash, a control character or beyond ASCII.
    ///
    /// The classical test of a word for a byte below a bound: a borrow can only raise a flag above a byte that has one
    /// by right, so the answer is exact.
    @inline(__always)
    static func holdsSpecial(_ word: UInt64) -> Bool {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let highs = ones << 7
        let quotes = word ^ (ones &* UInt64(UInt8(ascii: "\"")))
        let slashes = word ^ (ones &* UInt64(UInt8(ascii: "\\")))
        let found =
            ((word &- ones &* 0x20) & ~word) | ((quotes &- ones) & ~quotes) | ((slashes &- ones) & ~slashes) | word
        return found & highs != 0
    }

    /// Whether a byte of the word is a quote or a backslash.
    @inline(__always)
    static func holdsEnd(_ word: UInt64) -> Bool {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let quotes = word ^ (ones &* UInt64(UInt8(ascii: "\"")))
        let slashes = word ^ (ones &* UInt64(UInt8(ascii: "\\")))
        return (((quotes &- ones) & ~quotes) | ((slashes &- ones) & ~slashes)) & (ones << 7) != 0
    }

    /// The first place where the shorter of the two differs from the other; `nil` where it is its beginning.
    static func firstDifference(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Int? {
        let count = min(left.count, right.count)
        var index = 0
        while index + 8 <= count {
            let words = (
                left.loadUnaligned(fromByteOffset: index, as: UInt64.self),
                right.loadUnaligned(fromByteOffset: index, as: UInt64.self)
            )
            if words.0 != words.1 { break }
            index += 8
        }
        while index < count {
            if left[index] != right[index] { return index }
            index += 1
        }
        return nil
    }
}

// MARK: Pieces of the text

extension JSONLexer {
    /// Whether two pieces of the text, which both lie inside it, are the same bytes.
    func areEqual(_ left: Int, _ right: Int, count: Int) -> Bool {
        JSONBytes.firstDifference(piece(left, count), piece(right, count)) == nil
    }

    func hash(_ start: Int, count: Int) -> UInt32 { JSONNameTable.hash(piece(start, count)) }

    private func piece(_ start: Int, _ count: Int) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(text)[start..<(start + count)])
    }
}
