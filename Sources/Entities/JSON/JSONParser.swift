import Primitives

/// The reading half of ``JSONValue``: recursive descent, no deeper than `Limits.jsonDepthMax`.
struct JSONParser {
    private let source: [UInt8]
    private var index = 0

    init(_ source: [UInt8]) { self.source = source }

    mutating func parseDocument() throws(JSONError) -> JSONValue {
        let value = try parseValue(depth: 0)
        skipWhiteSpace()
        guard index == source.count else { throw fail(.trailingBytes) }
        return value
    }

    /// `depth` is that of the container around the value.
    private mutating func parseValue(depth: Int) throws(JSONError) -> JSONValue {
        skipWhiteSpace()
        guard index < source.count else { throw fail(.unexpectedEnd) }
        switch source[index] {
        case UInt8(ascii: "{"): return try parseObject(depth: depth + 1)
        case UInt8(ascii: "["): return try parseArray(depth: depth + 1)
        case UInt8(ascii: "\""): return .string(try parseString())
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return .number(try parseNumber())
        case UInt8(ascii: "t"): return try parseLiteral("true", .bool(true))
        case UInt8(ascii: "f"): return try parseLiteral("false", .bool(false))
        case UInt8(ascii: "n"): return try parseLiteral("null", .null)
        default: throw fail(.unexpectedByte)
        }
    }

    private mutating func parseArray(depth: Int) throws(JSONError) -> JSONValue {
        guard depth <= Limits.jsonDepthMax else { throw fail(.tooDeep) }
        index += 1
        var elements: [JSONValue] = []
        if skip(UInt8(ascii: "]")) { return .array(elements) }
        while true {
            elements.append(try parseValue(depth: depth))
            if skip(UInt8(ascii: "]")) { return .array(elements) }
            try expect(UInt8(ascii: ","))
        }
    }

    private mutating func parseObject(depth: Int) throws(JSONError) -> JSONValue {
        guard depth <= Limits.jsonDepthMax else { throw fail(.tooDeep) }
        index += 1
        var object = JSONObject()
        if skip(UInt8(ascii: "}")) { return .object(object) }
        while true {
            skipWhiteSpace()
            let nameIndex = index
            guard index < source.count else { throw fail(.unexpectedEnd) }
            guard source[index] == UInt8(ascii: "\"") else { throw fail(.unexpectedByte) }
            let name = try parseString()
            try expect(UInt8(ascii: ":"))
            let value = try parseValue(depth: depth)
            guard object.append(name, value) else { throw JSONError(offset: nameIndex, reason: .duplicateName) }
            if skip(UInt8(ascii: "}")) { return .object(object) }
            try expect(UInt8(ascii: ","))
        }
    }

    private mutating func parseLiteral(_ text: StaticString, _ value: JSONValue) throws(JSONError) -> JSONValue {
        for offset in 0..<text.utf8CodeUnitCount {
            guard index < source.count else { throw fail(.unexpectedEnd) }
            guard source[index] == text.utf8Start[offset] else { throw fail(.unexpectedByte) }
            index += 1
        }
        return value
    }
}

// MARK: Numbers and strings

extension JSONParser {
    /// `-? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?`
    private mutating func parseNumber() throws(JSONError) -> JSONNumber {
        let first = index
        if source[index] == UInt8(ascii: "-") { index += 1 }
        let integer = index
        let isZero = byte(at: index) == UInt8(ascii: "0")
        try skipDigits()
        guard !isZero || index == integer + 1 else { throw fail(.malformedNumber, at: integer + 1) }
        if byte(at: index) == UInt8(ascii: ".") {
            index += 1
            try skipDigits()
        }
        if byte(at: index) | 0x20 == UInt8(ascii: "e") {
            index += 1
            if byte(at: index) == UInt8(ascii: "+") || byte(at: index) == UInt8(ascii: "-") { index += 1 }
            try skipDigits()
        }
        return JSONNumber(JSONText(source, first..<index))
    }

    /// One digit or more.
    private mutating func skipDigits() throws(JSONError) {
        let first = index
        while isDigit(byte(at: index)) { index += 1 }
        guard index > first else { throw fail(.malformedNumber) }
    }

    private mutating func parseString() throws(JSONError) -> JSONString {
        index += 1
        let first = index
        var hasEscapes = false
        while index < source.count {
            let byte = source[index]
            switch byte {
            case UInt8(ascii: "\""):
                index += 1
                return JSONString(JSONText(source, first..<(index - 1)), hasEscapes: hasEscapes)
            case UInt8(ascii: "\\"):
                hasEscapes = true
                try skipEscape()
            case ..<0x20:
                throw fail(.controlCharacter)
            case ..<0x80:
                index += 1
            default:
                try skipScalar()
            }
        }
        throw fail(.unexpectedEnd)
    }

    /// One scalar beyond ASCII.
    private mutating func skipScalar() throws(JSONError) {
        var validator = UTF8Validator()
        repeat {
            guard index < source.count else { throw fail(.unexpectedEnd) }
            guard validator.accept(source[index]) else { throw fail(.malformedUTF8) }
            index += 1
        } while !validator.isComplete
    }

    private mutating func skipEscape() throws(JSONError) {
        let first = index
        index += 1
        switch byte(at: index) {
        case UInt8(ascii: "u"):
            let unit = try readHexUnit(escape: first)
            guard unit & 0xF800 == 0xD800 else { return }
            guard unit & 0xFC00 == 0xD800, byte(at: index) == UInt8(ascii: "\\"),
                byte(at: index + 1) == UInt8(ascii: "u")
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
            guard let digit = hexValue(byte(at: index + offset)) else { throw fail(.malformedEscape, at: escape) }
            unit = unit << 4 | UInt16(digit)
        }
        index += 5
        return unit
    }
}

// MARK: Bytes

extension JSONParser {
    /// 0 past the end: no byte that any rule above accepts.
    private func byte(at index: Int) -> UInt8 { index < source.count ? source[index] : 0 }

    private func isDigit(_ byte: UInt8) -> Bool { byte &- UInt8(ascii: "0") < 10 }

    private mutating func skipWhiteSpace() {
        while index < source.count {
            switch source[index] {
            case 0x20, 0x0A, 0x0D, 0x09: index += 1
            default: return
            }
        }
    }

    /// Steps over `byte` and the white space before it, if it comes next.
    private mutating func skip(_ byte: UInt8) -> Bool {
        skipWhiteSpace()
        guard index < source.count, source[index] == byte else { return false }
        index += 1
        return true
    }

    private mutating func expect(_ byte: UInt8) throws(JSONError) {
        guard skip(byte) else { throw fail(.unexpectedByte) }
    }

    private func fail(_ reason: JSONError.Reason) -> JSONError { fail(reason, at: index) }

    private func fail(_ reason: JSONError.Reason, at offset: Int) -> JSONError {
        JSONError(offset: offset, reason: offset >= source.count ? .unexpectedEnd : reason)
    }
}
