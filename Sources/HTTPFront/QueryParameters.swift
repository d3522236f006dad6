internal import Entities
internal import Primitives

/// `name=value&name=value`, percent-decoded with `+` as a space, as clients' URL libraries write queries
/// (WHATWG URL §5.1). Strict: an unknown, repeated or malformed parameter is refused, so that a misspelt one is never
/// silently without effect.
struct QueryParameters {
    private(set) var pairs: [(name: [UInt8], value: [UInt8])] = []

    /// - Parameter known: the names that may appear.
    init(_ query: [UInt8], known: [StaticString]) throws(Problem) {
        try self.init(query)
        for (index, pair) in pairs.enumerated() {
            guard known.contains(where: { Self.equals(pair.name, $0) }) else {
                throw Problem(.badRequest, "unknown query parameter \(Self.shown(pair.name))\(Self.hint(known))")
            }
            guard !pairs[..<index].contains(where: { $0.name == pair.name }) else {
                throw Problem(.badRequest, "query parameter \(Self.shown(pair.name)) must appear once")
            }
        }
    }

    /// Any names, in order.
    init(_ query: [UInt8]) throws(Problem) {
        for part in query.split(separator: UInt8(ascii: "&")) {
            let equals = part.firstIndex(of: UInt8(ascii: "=")) ?? part.endIndex
            let name = try Self.decode(part[..<equals])
            let value = equals < part.endIndex ? try Self.decode(part[(equals + 1)...]) : []
            pairs.append((name, value))
        }
    }

    func value(_ name: StaticString) -> [UInt8]? {
        pairs.first { Self.equals($0.name, name) }?.value
    }

    /// A decimal number in `range`, or `nil` where the parameter is absent.
    func number(_ name: StaticString, in range: ClosedRange<UInt64>) throws(Problem) -> UInt64? {
        guard let text = value(name) else { return nil }
        guard let number = DecimalText.value(text), range.contains(number) else {
            throw Problem(.badRequest, "\(name) must be a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    func flag(_ name: StaticString) throws(Problem) -> Bool? {
        guard let text = value(name) else { return nil }
        if Self.equals(text, "true") { return true }
        if Self.equals(text, "false") { return false }
        throw Problem(.badRequest, "\(name) must be true or false")
    }

    static func equals(_ bytes: [UInt8], _ text: StaticString) -> Bool {
        bytes.span.equals(0..<bytes.count, text)
    }

    private static func decode(_ text: ArraySlice<UInt8>) throws(Problem) -> [UInt8] {
        var decoded: [UInt8] = []
        decoded.reserveCapacity(text.count)
        var index = text.startIndex
        while index < text.endIndex {
            switch text[index] {
            case UInt8(ascii: "+"): decoded.append(ByteClasses.space)
            case UInt8(ascii: "%"):
                guard index + 2 < text.endIndex, let high = text[index + 1].hexadecimalValue,
                    let low = text[index + 2].hexadecimalValue
                else { throw Problem(.badRequest, "a % in the query must be followed by two hexadecimal digits") }
                decoded.append(high << 4 | low)
                index += 2
            default: decoded.append(text[index])
            }
            index += 1
        }
        return decoded
    }

    private static func shown(_ name: [UInt8]) -> String {
        "\"" + String(decoding: name.prefix(64), as: UTF8.self) + "\""
    }

    private static func hint(_ known: [StaticString]) -> String {
        known.isEmpty ? "; none is known here" : "; known here: " + known.map { "\($0)" }.joined(separator: ", ")
    }
}

enum DecimalText {
    /// Digits only, at most 18 of them.
    static func value(_ text: [UInt8]) -> UInt64? {
        guard (1...18).contains(text.count), text.allSatisfy(ByteClasses.isDigit) else { return nil }
        return text.reduce(0) { $0 * 10 + UInt64($1 - UInt8(ascii: "0")) }
    }
}
