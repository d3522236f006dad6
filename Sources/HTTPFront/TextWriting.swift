internal import NIOCore

/// Text written straight into a buffer: numbers, and strings as JSON. No `String` is made.
extension ByteBuffer {
    mutating func writeDecimal(_ value: UInt64) {
        writeWithUnsafeMutableBytes(minimumWritableBytes: 20) { target in
            var digits = 1
            var rest = value / 10
            while rest > 0 {
                digits += 1
                rest /= 10
            }
            rest = value
            for index in stride(from: digits - 1, through: 0, by: -1) {
                target[index] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
                rest /= 10
            }
            return digits
        }
    }

    mutating func writeDecimal(_ value: Int) { writeDecimal(UInt64(value)) }

    /// Lower-case hexadecimal without leading zeros.
    mutating func writeHexadecimal(_ value: Int) {
        var shift = (UInt64.bitWidth - 1 - max(UInt64(value), 1).leadingZeroBitCount) & ~3
        while shift >= 0 {
            writeInteger(Self.hexDigit(UInt8(truncatingIfNeeded: value >> shift & 15)))
            shift -= 4
        }
    }

    /// Two or more digits, zeros first; `value` fits in them.
    mutating func writePadded(_ value: Int, digits: Int) {
        writeWithUnsafeMutableBytes(minimumWritableBytes: digits) { target in
            var rest = value
            for index in stride(from: digits - 1, through: 0, by: -1) {
                target[index] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
                rest /= 10
            }
            return digits
        }
    }

    /// A JSON string (RFC 8259 §7) of bytes that are valid UTF-8.
    mutating func writeJSONString(_ bytes: some Collection<UInt8>) {
        writeInteger(UInt8(ascii: "\""))
        if bytes.withContiguousStorageIfAvailable({ writeEscaped($0) }) == nil {
            Array(bytes).withUnsafeBufferPointer { writeEscaped($0) }
        }
        writeInteger(UInt8(ascii: "\""))
    }

    mutating func writeJSONString(_ text: String) {
        writeInteger(UInt8(ascii: "\""))
        var text = text
        text.withUTF8 { writeEscaped($0) }
        writeInteger(UInt8(ascii: "\""))
    }

    /// Copies runs that need no escape in one piece.
    private mutating func writeEscaped(_ bytes: UnsafeBufferPointer<UInt8>) {
        var runStart = 0
        for (index, byte) in bytes.enumerated() where ByteClasses.isEscapedInJSON(byte) {
            if runStart < index { writeBytes(UnsafeBufferPointer(rebasing: bytes[runStart..<index])) }
            writeEscape(byte)
            runStart = index + 1
        }
        if runStart < bytes.count { writeBytes(UnsafeBufferPointer(rebasing: bytes[runStart...])) }
    }

    private mutating func writeEscape(_ byte: UInt8) {
        switch byte {
        case UInt8(ascii: "\""): writeStaticString("\\\"")
        case UInt8(ascii: "\\"): writeStaticString("\\\\")
        case 0x0A: writeStaticString("\\n")
        case 0x0D: writeStaticString("\\r")
        case 0x09: writeStaticString("\\t")
        default:
            writeStaticString("\\u00")
            writeInteger(Self.hexDigit(byte >> 4))
            writeInteger(Self.hexDigit(byte & 15))
        }
    }

    private static func hexDigit(_ value: UInt8) -> UInt8 {
        value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + (value - 10)
    }
}
