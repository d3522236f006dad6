/// The character classes of HTTP (RFC 9110 §5.6) and comparisons over spans of bytes. Nothing here allocates.
enum ByteClasses {
    static let carriageReturn: UInt8 = 0x0D
    static let lineFeed: UInt8 = 0x0A
    static let space: UInt8 = 0x20
    static let tab: UInt8 = 0x09

    /// `tchar`: what methods, field names and coding names are made of.
    @inline(__always)
    static func isToken(_ byte: UInt8) -> Bool {
        isMember(byte, low: 0x03FF_6CFA_0000_0000, high: 0x57FF_FFFF_C7FF_FFFE)
    }

    /// What may stand in `Host`: a registered name or a bracketed address, and a port (RFC 3986 §3.2.2).
    @inline(__always)
    static func isHost(_ byte: UInt8) -> Bool {
        isMember(byte, low: 0x2FFF_7FF2_0000_0000, high: 0x47FF_FFFE_AFFF_FFFE)
    }

    /// What may stand in a request target: visible ASCII but `#` (a fragment is never sent), and bytes from 0x80 up,
    /// which clients send for UTF-8 that they did not percent-encode; the key codec decides about those.
    @inline(__always)
    static func isTarget(_ byte: UInt8) -> Bool {
        byte > space && byte != 0x7F && byte != UInt8(ascii: "#")
    }

    @inline(__always)
    static func isDigit(_ byte: UInt8) -> Bool { byte &- UInt8(ascii: "0") < 10 }

    @inline(__always)
    static func isBlank(_ byte: UInt8) -> Bool { byte == space || byte == tab }

    /// A control character: C0 or DEL.
    @inline(__always)
    static func isControl(_ byte: UInt8) -> Bool { byte < space || byte == 0x7F }

    /// What a JSON string cannot hold as it is (RFC 8259 §7).
    @inline(__always)
    static func isEscapedInJSON(_ byte: UInt8) -> Bool {
        byte < space || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\")
    }

    @inline(__always)
    static func lowercased(_ byte: UInt8) -> UInt8 {
        byte &- UInt8(ascii: "A") < 26 ? byte | 0x20 : byte
    }

    @inline(__always)
    private static func isMember(_ byte: UInt8, low: UInt64, high: UInt64) -> Bool {
        guard byte < 128 else { return false }
        let word = byte < 64 ? low : high
        return word >> UInt64(byte & 63) & 1 == 1
    }
}

extension Span<UInt8> {
    /// The first index in `start ..< end` whose byte is a control character (C0 or DEL), or `end`.
    func firstControl(from start: Int, to end: Int) -> Int {
        precondition(start >= 0 && start <= end && end <= count, "the range lies in the span")
        var index = start
        let raw = bytes
        while index + 8 <= end {
            // SAFETY: the eight bytes lie in the span by the check above, and any bit pattern is a UInt64.
            let word = unsafe raw.unsafeLoadUnaligned(fromByteOffset: index, as: UInt64.self)
            if Self.hasControl(word) { break }
            index += 8
        }
        while index < end, !ByteClasses.isControl(self[index]) { index += 1 }
        return index
    }

    /// Whether one of the eight bytes is below 0x20 or is 0x7F (bit tricks after Warren, "Hacker's Delight" §6-1: each
    /// test may only err on bytes above a true hit, so "any" is exact).
    @inline(__always)
    private static func hasControl(_ word: UInt64) -> Bool {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let highs: UInt64 = 0x8080_8080_8080_8080
        let belowSpace = (word &- ones &* 0x20) & ~word & highs
        let delete = word ^ (ones &* 0x7F)
        return belowSpace | ((delete &- ones) & ~delete & highs) != 0
    }

    func firstIndex(of byte: UInt8, from start: Int, to end: Int) -> Int? {
        var index = start
        while index < end {
            if self[index] == byte { return index }
            index += 1
        }
        return nil
    }

    func equals(_ range: Range<Int>, _ text: StaticString) -> Bool {
        guard range.count == text.utf8CodeUnitCount else { return false }
        for offset in 0..<range.count where self[range.lowerBound + offset] != text.utf8Start[offset] {
            return false
        }
        return true
    }

    /// `text` is in lower case; the letter case of the bytes is ignored.
    func equalsIgnoringCase(_ range: Range<Int>, _ text: StaticString) -> Bool {
        guard range.count == text.utf8CodeUnitCount else { return false }
        for offset in 0..<range.count
        where ByteClasses.lowercased(self[range.lowerBound + offset]) != text.utf8Start[offset] {
            return false
        }
        return true
    }

    /// `range` without blanks (SP, HTAB) at either end.
    func trimmingBlanks(_ range: Range<Int>) -> Range<Int> {
        var start = range.lowerBound
        var end = range.upperBound
        while start < end, ByteClasses.isBlank(self[start]) { start += 1 }
        while end > start, ByteClasses.isBlank(self[end - 1]) { end -= 1 }
        return start..<end
    }

    func allSatisfy(_ range: Range<Int>, _ isMember: (UInt8) -> Bool) -> Bool {
        for index in range where !isMember(self[index]) { return false }
        return true
    }
}
