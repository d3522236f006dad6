/// Strict UTF-8, a byte at a time (RFC 3629 §4): no overlong form, no surrogate, nothing above U+10FFFF.
public struct UTF8Validator: Sendable {
    @usableFromInline var continuationsMissing: UInt8 = 0
    /// The range of the next continuation byte; the first one of a sequence is where overlong forms, surrogates and
    /// values beyond Unicode are told apart.
    @usableFromInline var nextMin: UInt8 = 0x80
    @usableFromInline var nextMax: UInt8 = 0xBF

    @inlinable
    public init() {}

    /// Whether the bytes so far end where a scalar ends.
    @inlinable
    public var isComplete: Bool { continuationsMissing == 0 }

    /// False: the bytes up to and with this one begin no UTF-8 text.
    @inlinable @inline(__always)
    public mutating func accept(_ byte: UInt8) -> Bool {
        if continuationsMissing == 0 {
            return byte < 0x80 || acceptLead(byte)
        }
        guard byte >= nextMin, byte <= nextMax else { return false }
        continuationsMissing -= 1
        nextMin = 0x80
        nextMax = 0xBF
        return true
    }

    @usableFromInline
    mutating func acceptLead(_ byte: UInt8) -> Bool {
        switch byte {
        case 0xC2...0xDF: continuationsMissing = 1
        case 0xE0...0xEF: continuationsMissing = 2
        case 0xF0...0xF4: continuationsMissing = 3
        default: return false
        }
        switch byte {
        case 0xE0: nextMin = 0xA0
        case 0xED: nextMax = 0x9F
        case 0xF0: nextMin = 0x90
        case 0xF4: nextMax = 0x8F
        default: break
        }
        return true
    }
}

extension UInt8 {
    /// The value of the hexadecimal digit, of either case, that this byte is in ASCII; `nil` for any other byte.
    @inlinable @inline(__always)
    public var hexadecimalValue: UInt8? {
        switch self {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): self - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): self - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): self - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
