/// One whole RESP2 reply; the range counts from its first byte.
struct RESPReply: Equatable {
    enum Kind: Equatable {
        case simple
        case error
        case integer
        case bulk
        case null
        /// Its elements were skipped: no command in use answers one that matters.
        case array
    }

    var kind: Kind
    /// The text of a simple string, an error or an integer, or the bytes of a bulk string.
    var payload: Range<Int>
    /// Bytes of the reply on the wire.
    var length: Int
}

/// Finds the end of one RESP2 reply in a growing run of bytes ("Redis serialization protocol specification", RESP2).
struct RESPReplyParser {
    private static let lineBytesMax = 64 << 10
    private static let bulkBytesMax = 512 << 20

    /// Where the next element begins, how far its line was scanned, and how many elements the reply still needs.
    private var elementStart = 0
    private var scanned = 0
    private var elementsLeft = 1
    private var isArray = false

    /// As `HTTPAnswerParser.parse`.
    mutating func parse(_ bytes: Span<UInt8>) throws(ProtocolViolation) -> RESPReply? {
        while true {
            guard let element = try takeElement(bytes) else { return nil }
            elementStart = element.length
            scanned = elementStart
            elementsLeft -= 1
            if element.kind == .array {
                isArray = true
                elementsLeft += try integer(bytes, element.payload)
            }
            if elementsLeft == 0 {
                let reply = isArray ? RESPReply(kind: .array, payload: 0..<0, length: elementStart) : element
                self = RESPReplyParser()
                return reply
            }
        }
    }

    /// The element at `elementStart`; its `length` is the place behind it.
    private mutating func takeElement(_ bytes: Span<UInt8>) throws(ProtocolViolation) -> RESPReply? {
        var place = max(scanned, elementStart)
        while place < bytes.count, bytes[place] != UInt8(ascii: "\n") { place += 1 }
        scanned = place
        guard place - elementStart <= Self.lineBytesMax else { throw ProtocolViolation(name: "line too long") }
        guard place < bytes.count else { return nil }
        guard place - elementStart >= 2, bytes[place - 1] == UInt8(ascii: "\r") else {
            throw ProtocolViolation(name: "not RESP")
        }
        let text = (elementStart + 1)..<(place - 1)
        switch bytes[elementStart] {
        case UInt8(ascii: "+"): return RESPReply(kind: .simple, payload: text, length: place + 1)
        case UInt8(ascii: "-"): return RESPReply(kind: .error, payload: text, length: place + 1)
        case UInt8(ascii: ":"): return RESPReply(kind: .integer, payload: text, length: place + 1)
        case UInt8(ascii: "$"): return try takeBulk(bytes, size: integer(bytes, text), dataStart: place + 1)
        case UInt8(ascii: "*"):
            let count = try integer(bytes, text)
            return RESPReply(kind: count < 0 ? .null : .array, payload: text, length: place + 1)
        default: throw ProtocolViolation(name: "not RESP")
        }
    }

    private func takeBulk(_ bytes: Span<UInt8>, size: Int, dataStart: Int) throws(ProtocolViolation) -> RESPReply? {
        if size < 0 { return RESPReply(kind: .null, payload: dataStart..<dataStart, length: dataStart) }
        guard size <= Self.bulkBytesMax else { throw ProtocolViolation(name: "bulk too long") }
        let end = dataStart + size
        guard bytes.count >= end + 2 else { return nil }
        guard bytes[end] == UInt8(ascii: "\r"), bytes[end + 1] == UInt8(ascii: "\n") else {
            throw ProtocolViolation(name: "not RESP")
        }
        return RESPReply(kind: .bulk, payload: dataStart..<end, length: end + 2)
    }

    private func integer(_ bytes: Span<UInt8>, _ range: Range<Int>) throws(ProtocolViolation) -> Int {
        var value = 0
        var digits = 0
        var isNegative = false
        for place in range {
            let byte = bytes[place]
            if byte == UInt8(ascii: "-"), place == range.lowerBound {
                isNegative = true
            } else if case UInt8(ascii: "0")...UInt8(ascii: "9") = byte, value < 1 << 50 {
                value = value * 10 + Int(byte - UInt8(ascii: "0"))
                digits += 1
            } else {
                throw ProtocolViolation(name: "bad number")
            }
        }
        guard digits > 0 else { throw ProtocolViolation(name: "bad number") }
        return isNegative ? -value : value
    }
}
