/// Base64 (RFC 4648): the standard alphabet with padding for states in JSON, the URL-safe one without for cursors.
public enum Base64 {
    private static let standard = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    private static let urlSafe = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)

    public static func encode(_ bytes: some Collection<UInt8>) -> [UInt8] {
        encode(bytes, alphabet: standard, padded: true)
    }

    public static func encodeURLSafe(_ bytes: some Collection<UInt8>) -> [UInt8] {
        encode(bytes, alphabet: urlSafe, padded: false)
    }

    /// Strict: full padding, no white space, and no bits set that no byte carries; `nil` otherwise.
    public static func decode(_ text: some BidirectionalCollection<UInt8>) -> [UInt8]? {
        guard text.count % 4 == 0 else { return nil }
        var digits = text[...]
        var padding = 0
        while padding < 2, digits.last == UInt8(ascii: "=") {
            digits = digits.dropLast()
            padding += 1
        }
        return decode(digits, plus: UInt8(ascii: "+"), slash: UInt8(ascii: "/"))
    }

    public static func decodeURLSafe(_ text: some Collection<UInt8>) -> [UInt8]? {
        decode(text, plus: UInt8(ascii: "-"), slash: UInt8(ascii: "_"))
    }

    /// Over bytes that lie together: over any collection each byte would cost a call.
    private static func encode(_ bytes: some Collection<UInt8>, alphabet: [UInt8], padded: Bool) -> [UInt8] {
        bytes.withContiguousStorageIfAvailable { encode(lying: $0, alphabet, padded) }
            ?? Array(bytes).withUnsafeBufferPointer { encode(lying: $0, alphabet, padded) }
    }

    private static func encode(
        lying bytes: UnsafeBufferPointer<UInt8>, _ alphabet: [UInt8], _ padded: Bool
    ) -> [UInt8] {
        var text: [UInt8] = []
        text.reserveCapacity((bytes.count + 2) / 3 * 4)
        var window: UInt32 = 0
        var bits = 0
        for byte in bytes {
            window = window << 8 | UInt32(byte)
            bits += 8
            while bits >= 6 {
                bits -= 6
                text.append(alphabet[Int(window >> UInt32(bits)) & 63])
            }
        }
        if bits > 0 { text.append(alphabet[Int(window << UInt32(6 - bits)) & 63]) }
        while padded, text.count % 4 != 0 { text.append(UInt8(ascii: "=")) }
        return text
    }

    private static func decode(_ digits: some Collection<UInt8>, plus: UInt8, slash: UInt8) -> [UInt8]? {
        digits.withContiguousStorageIfAvailable { decode(lying: $0, plus, slash) }
            ?? Array(digits).withUnsafeBufferPointer { decode(lying: $0, plus, slash) }
    }

    private static func decode(lying digits: UnsafeBufferPointer<UInt8>, _ plus: UInt8, _ slash: UInt8) -> [UInt8]? {
        guard digits.count % 4 != 1 else { return nil }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(digits.count / 4 * 3 + 2)
        var window: UInt32 = 0
        var bits = 0
        for digit in digits {
            guard let value = value(of: digit, plus: plus, slash: slash) else { return nil }
            window = window << 6 | value
            bits += 6
            if bits >= 8 {
                bits -= 8
                bytes.append(UInt8(truncatingIfNeeded: window >> UInt32(bits)))
            }
        }
        return window & ((1 << UInt32(bits)) - 1) == 0 ? bytes : nil
    }

    private static func value(of digit: UInt8, plus: UInt8, slash: UInt8) -> UInt32? {
        switch digit {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): UInt32(digit - UInt8(ascii: "A"))
        case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt32(digit - UInt8(ascii: "a")) + 26
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(digit - UInt8(ascii: "0")) + 52
        case plus: 62
        case slash: 63
        default: nil
        }
    }
}
