/// One pass over JSON text (RFC 8259 grammar, to the letter) that finds where values begin and end.
///
/// The scanner holds only its place; the text is lent to each call, so nothing is copied or allocated.
struct JSONScanner {
    /// Deeper nesting is refused: the server's own limit is 64, and a page of a list adds three.
    static let depthMax = 512

    private var place = 0

    /// The bounds of the one value that the whole text is; `nil` where it is none, or is not UTF-8.
    mutating func document(_ text: Span<UInt8>) -> Range<Int>? {
        guard (try? UTF8Span(validating: text)) != nil else { return nil }
        skipSpace(text)
        let start = place
        guard value(text, depth: 0) else { return nil }
        let end = place
        skipSpace(text)
        return place == text.count ? start..<end : nil
    }

    /// The bounds of the parts of a container that ``document(_:)`` has let through: elements, or names and values by
    /// turns.
    mutating func parts(_ text: Span<UInt8>) -> [Range<Int>] {
        var found: [Range<Int>] = []
        place = 1
        while true {
            skipSpace(text)
            switch byte(text) {
            case UInt8(ascii: ","), UInt8(ascii: ":"): place += 1
            case UInt8(ascii: "]"), UInt8(ascii: "}"), nil: return found
            default:
                let start = place
                guard value(text, depth: 0) else { return found }
                found.append(start..<place)
            }
        }
    }

    private func byte(_ text: Span<UInt8>) -> UInt8? { place < text.count ? text[place] : nil }

    private mutating func take(_ wanted: UInt8, _ text: Span<UInt8>) -> Bool {
        guard byte(text) == wanted else { return false }
        place += 1
        return true
    }

    private mutating func skipSpace(_ text: Span<UInt8>) {
        while let next = byte(text), next == 0x20 || next == 0x0A || next == 0x0D || next == 0x09 { place += 1 }
    }

    private mutating func value(_ text: Span<UInt8>, depth: Int) -> Bool {
        switch byte(text) {
        case UInt8(ascii: "{"): object(text, depth: depth + 1)
        case UInt8(ascii: "["): array(text, depth: depth + 1)
        case UInt8(ascii: "\""): string(text)
        case UInt8(ascii: "t"): word("true", text)
        case UInt8(ascii: "f"): word("false", text)
        case UInt8(ascii: "n"): word("null", text)
        default: number(text)
        }
    }

    private mutating func object(_ text: Span<UInt8>, depth: Int) -> Bool {
        guard depth <= Self.depthMax else { return false }
        place += 1
        skipSpace(text)
        if take(UInt8(ascii: "}"), text) { return true }
        while true {
            skipSpace(text)
            guard byte(text) == UInt8(ascii: "\""), string(text) else { return false }
            skipSpace(text)
            guard take(UInt8(ascii: ":"), text) else { return false }
            skipSpace(text)
            guard value(text, depth: depth) else { return false }
            skipSpace(text)
            if take(UInt8(ascii: "}"), text) { return true }
            guard take(UInt8(ascii: ","), text) else { return false }
        }
    }

    private mutating func array(_ text: Span<UInt8>, depth: Int) -> Bool {
        guard depth <= Self.depthMax else { return false }
        place += 1
        skipSpace(text)
        if take(UInt8(ascii: "]"), text) { return true }
        while true {
            skipSpace(text)
            guard value(text, depth: depth) else { return false }
            skipSpace(text)
            if take(UInt8(ascii: "]"), text) { return true }
            guard take(UInt8(ascii: ","), text) else { return false }
        }
    }

    private mutating func string(_ text: Span<UInt8>) -> Bool {
        place += 1
        while let next = byte(text) {
            place += 1
            switch next {
            case UInt8(ascii: "\""): return true
            case UInt8(ascii: "\\"): guard escape(text) else { return false }
            case 0..<0x20: return false
            default: continue
            }
        }
        return false
    }

    private mutating func escape(_ text: Span<UInt8>) -> Bool {
        guard let kind = byte(text) else { return false }
        place += 1
        switch kind {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
            UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
            return true
        case UInt8(ascii: "u"):
            for _ in 0..<4 {
                guard let digit = byte(text), Self.isHexadecimal(digit) else { return false }
                place += 1
            }
            return true
        default: return false
        }
    }

    private static func isHexadecimal(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"),
            UInt8(ascii: "A")...UInt8(ascii: "F"):
            true
        default: false
        }
    }

    private mutating func word(_ word: StaticString, _ text: Span<UInt8>) -> Bool {
        for index in 0..<word.utf8CodeUnitCount {
            let letter = word.withUTF8Buffer { $0[index] }
            guard take(letter, text) else { return false }
        }
        return true
    }

    private mutating func digits(_ text: Span<UInt8>) -> Bool {
        let start = place
        while let next = byte(text), (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(next) { place += 1 }
        return place > start
    }

    private mutating func number(_ text: Span<UInt8>) -> Bool {
        _ = take(UInt8(ascii: "-"), text)
        if !take(UInt8(ascii: "0"), text), !digits(text) { return false }
        if take(UInt8(ascii: "."), text), !digits(text) { return false }
        if take(UInt8(ascii: "e"), text) || take(UInt8(ascii: "E"), text) {
            if !take(UInt8(ascii: "+"), text) { _ = take(UInt8(ascii: "-"), text) }
            return digits(text)
        }
        return true
    }
}
