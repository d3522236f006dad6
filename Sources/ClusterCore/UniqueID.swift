internal import Primitives

/// 128 random bits that name a cluster or a store for ever; 32 hexadecimal digits as text.
public struct UniqueID: Hashable, Sendable, CustomStringConvertible {
    public let high: UInt64
    public let low: UInt64

    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    public init(random: inout some RandomNumberGenerator) {
        self.init(high: random.next(), low: random.next())
    }

    /// Reads what `description` writes; `nil` for anything else.
    public init?(_ text: String) {
        guard text.utf8.count == 32, let high = UInt64(hexadecimal: text.prefix(16)),
            let low = UInt64(hexadecimal: text.suffix(16))
        else { return nil }
        self.init(high: high, low: low)
    }

    public var description: String { high.hexadecimal + low.hexadecimal }
}

extension UInt64 {
    /// 16 lower-case digits.
    var hexadecimal: String {
        let digits = String(self, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    /// Exactly 16 hexadecimal digits, and no sign.
    init?(hexadecimal text: Substring) {
        guard text.utf8.count == 16, text.first != "+", text.first != "-", let value = UInt64(text, radix: 16)
        else { return nil }
        self = value
    }
}
