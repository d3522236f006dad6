internal import Glibc

/// `uri-host [ ":" port ]` (RFC 3986 §3.2), as `Host`, an absolute-form target and the end of an `Origin` have it.
struct Authority {
    /// Without brackets.
    let name: HeadRange
    /// Digits, or nothing: `h:` has a port that is not said.
    let port: HeadRange?
    /// The name stands in brackets.
    let isBracketed: Bool

    /// `nil` where the text has another form. The name may be empty.
    init?(_ span: Span<UInt8>, _ text: Range<Int>) {
        guard span.allSatisfy(text, ByteClasses.isHost) else { return nil }
        let nameStart: Int
        let nameEnd: Int
        let rest: Int
        if !text.isEmpty, span[text.lowerBound] == UInt8(ascii: "[") {
            guard let end = span.firstIndex(of: UInt8(ascii: "]"), from: text.lowerBound, to: text.upperBound) else {
                return nil
            }
            (nameStart, nameEnd, rest) = (text.lowerBound + 1, end, end + 1)
        } else {
            nameStart = text.lowerBound
            nameEnd = span.firstIndex(of: UInt8(ascii: ":"), from: nameStart, to: text.upperBound) ?? text.upperBound
            rest = nameEnd
            guard span.allSatisfy(nameStart..<nameEnd, { $0 != UInt8(ascii: "[") && $0 != UInt8(ascii: "]") }) else {
                return nil
            }
        }
        isBracketed = nameStart > text.lowerBound
        name = HeadRange(nameStart..<nameEnd)
        if rest == text.upperBound {
            port = nil
        } else {
            let digits = rest + 1..<text.upperBound
            guard span[rest] == UInt8(ascii: ":"), span.allSatisfy(digits, ByteClasses.isDigit) else { return nil }
            port = HeadRange(digits)
        }
    }

    /// An address rather than a name: no resolver is asked about it.
    func isAddress(_ span: Span<UInt8>) -> Bool {
        isBracketed ? Self.isIPv6(span, name.range) : Self.isIPv4(span, name.range)
    }

    /// The port's number: `fallback` if the text has no port, and -1 if it exceeds 65,535.
    func portNumber(_ span: Span<UInt8>, or fallback: Int) -> Int {
        guard let port, !port.isEmpty else { return fallback }
        var number = 0
        for index in port.range {
            number = number * 10 + Int(span[index] - UInt8(ascii: "0"))
            if number > 65_535 { return -1 }
        }
        return number
    }

    /// Four numbers from 0 to 255 without leading zeros. Browsers write every address in this form.
    private static func isIPv4(_ span: Span<UInt8>, _ name: Range<Int>) -> Bool {
        guard (7...15).contains(name.count) else { return false }
        var parts = 1
        var digits = 0
        var number = 0
        for index in name {
            let byte = span[index]
            if byte == UInt8(ascii: ".") {
                guard digits > 0, parts < 4 else { return false }
                (parts, digits, number) = (parts + 1, 0, 0)
            } else {
                guard ByteClasses.isDigit(byte), digits == 0 || number > 0 else { return false }
                number = number * 10 + Int(byte - UInt8(ascii: "0"))
                digits += 1
                guard number <= 255 else { return false }
            }
        }
        return parts == 4 && digits > 0
    }

    /// RFC 4291 §2.2; a zone behind `%` is not looked at.
    private static func isIPv6(_ span: Span<UInt8>, _ name: Range<Int>) -> Bool {
        let end = span.firstIndex(of: UInt8(ascii: "%"), from: name.lowerBound, to: name.upperBound) ?? name.upperBound
        let length = end - name.lowerBound
        guard (2...45).contains(length) else { return false }
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: length + 1) { text in
            for offset in 0..<length { text[offset] = CChar(truncatingIfNeeded: span[name.lowerBound + offset]) }
            text[length] = 0
            var address = in6_addr()
            return inet_pton(AF_INET6, text.baseAddress, &address) == 1
        }
    }
}

extension Span<UInt8> {
    /// Whether two ranges hold the same bytes, letter case aside.
    func equalsIgnoringCase(_ left: Range<Int>, _ right: Range<Int>, of other: Span<UInt8>) -> Bool {
        guard left.count == right.count else { return false }
        for offset in 0..<left.count
        where ByteClasses.lowercased(self[left.lowerBound + offset])
            != ByteClasses.lowercased(other[right.lowerBound + offset])
        {
            return false
        }
        return true
    }
}
