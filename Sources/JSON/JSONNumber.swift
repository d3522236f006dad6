import Primitives

/// A number of a document, as text: neither rounded nor rewritten.
public struct JSONNumber: Sendable {
    private let storage: JSONText

    init(_ text: JSONText) { storage = text }

    public init(_ value: Int64) { storage = JSONText(Array(String(value).utf8)) }

    public init(unsigned value: UInt64) { storage = JSONText(Array(String(value).utf8)) }

    public var text: ArraySlice<UInt8> { storage.bytes }

    package var textCount: Int { storage.count }

    @inline(__always)
    func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result { storage.withBytes(body) }

    /// Whether it has more digits than are ever computed with; those of its exponent count.
    package var isLong: Bool {
        guard storage.count > Limits.numberDigitsMax else { return false }
        // A sign, a point, an `e` and a sign of the exponent are all that is no digit.
        guard storage.count <= Limits.numberDigitsMax + 4 else { return true }
        return storage.bytes.count { $0 &- UInt8(ascii: "0") < 10 } > Limits.numberDigitsMax
    }

    /// The value, where it is a whole number of 64 bits, however it is written: `10`, `1e1` and `10.0` alike.
    public var int64: Int64? {
        guard case .exact(let value) = integer else { return nil }
        return value
    }

    /// The value, where it is a whole number from 0 to 2^64 - 1; above 2^63 - 1 written in digits only.
    public var uint64: UInt64? {
        if let value = int64 { return UInt64(exactly: value) }
        return UInt64(String(decoding: text, as: UTF8.self))
    }

    package enum IntegerValue: Equatable {
        case exact(Int64)
        case fractional
        case tooLarge
    }

    package var integer: IntegerValue { JSONDecimal(text).integer }
}

extension JSONNumber: Equatable, Comparable {
    /// By value and exactly: `1`, `1.0` and `10e-1` are equal, 2^53 and 2^53 + 1 are not.
    public static func == (left: JSONNumber, right: JSONNumber) -> Bool {
        JSONDecimal.compare(JSONDecimal(left.text), JSONDecimal(right.text)) == 0
    }

    public static func < (left: JSONNumber, right: JSONNumber) -> Bool {
        JSONDecimal.compare(JSONDecimal(left.text), JSONDecimal(right.text)) < 0
    }
}

/// The value of a number's text: `±0.d₁d₂…dₙ × 10^magnitude` with `d₁` and `dₙ` not zero; no digits at all is zero.
///
/// Exponents beyond ±10^17 count as that bound: two numbers that differ only beyond it are equal.
package struct JSONDecimal {
    private let isNegative: Bool
    /// The digits d₁ to dₙ, with a decimal point among them perhaps.
    private let digits: ArraySlice<UInt8>
    private let magnitude: Int

    private static let exponentMax = 100_000_000_000_000_000

    /// `text` has been checked by the parser.
    package init(_ text: ArraySlice<UInt8>) {
        isNegative = text.first == UInt8(ascii: "-")
        let unsigned = isNegative ? text.dropFirst() : text
        let mantissaEnd = unsigned.firstIndex { $0 | 0x20 == UInt8(ascii: "e") } ?? unsigned.endIndex
        let mantissa = unsigned[..<mantissaEnd]
        let point = mantissa.firstIndex(of: UInt8(ascii: ".")) ?? mantissaEnd
        let isSignificant = { (byte: UInt8) in byte != UInt8(ascii: "0") && byte != UInt8(ascii: ".") }
        guard let first = mantissa.firstIndex(where: isSignificant), let last = mantissa.lastIndex(where: isSignificant)
        else {
            digits = []
            magnitude = 0
            return
        }
        digits = mantissa[first...last]
        let wholeDigits = first < point ? point - first : point + 1 - first
        magnitude = wholeDigits + Self.exponent(unsigned[mantissaEnd...].dropFirst())
    }

    /// The exponent after its `e`.
    private static func exponent(_ text: ArraySlice<UInt8>) -> Int {
        let isNegative = text.first == UInt8(ascii: "-")
        var value = 0
        for byte in text where byte != UInt8(ascii: "-") && byte != UInt8(ascii: "+") {
            value = min(exponentMax, value * 10 + Int(byte - UInt8(ascii: "0")))
            if value == exponentMax { break }
        }
        return isNegative ? -value : value
    }

    var integer: JSONNumber.IntegerValue {
        guard !digits.isEmpty else { return .exact(0) }
        let count = digits.contains(UInt8(ascii: ".")) ? digits.count - 1 : digits.count
        guard count <= magnitude else { return .fractional }
        guard magnitude <= 19 else { return .tooLarge }
        var value: Int64 = 0
        for position in 0..<magnitude {
            let digit = position < count ? Int64(self.digit(position)) : 0
            let (tens, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, carry) =
                isNegative ? tens.subtractingReportingOverflow(digit) : tens.addingReportingOverflow(digit)
            guard !overflow, !carry else { return .tooLarge }
            value = sum
        }
        return .exact(value)
    }

    /// The digit d of that position, counted from 0 and below the count of digits.
    private func digit(_ position: Int) -> UInt8 {
        let index = digits.startIndex + position
        let point = digits[...index].contains(UInt8(ascii: "."))
        return digits[point ? index + 1 : index] - UInt8(ascii: "0")
    }

    /// Negative, zero or positive as `left` is below, at or above `right`.
    package static func compare(_ left: JSONDecimal, _ right: JSONDecimal) -> Int {
        let (leftSign, rightSign) = (left.sign, right.sign)
        guard leftSign == rightSign, leftSign != 0 else { return leftSign - rightSign }
        guard left.magnitude == right.magnitude else { return left.magnitude < right.magnitude ? -leftSign : leftSign }
        var leftDigits = left.digits.lazy.filter { $0 != UInt8(ascii: ".") }.makeIterator()
        var rightDigits = right.digits.lazy.filter { $0 != UInt8(ascii: ".") }.makeIterator()
        while true {
            switch (leftDigits.next(), rightDigits.next()) {
            case (nil, nil): return 0
            case (nil, _): return -leftSign
            case (_, nil): return leftSign
            case (let left?, let right?): if left != right { return left < right ? -leftSign : leftSign }
            }
        }
    }

    private var sign: Int { digits.isEmpty ? 0 : isNegative ? -1 : 1 }
}
