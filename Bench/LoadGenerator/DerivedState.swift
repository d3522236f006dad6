import NIOCore
import Primitives

/// States that can be checked without being remembered: each follows from its record's number and a token.
///
///     offset 0   8 bytes  number of the record, little-endian
///     offset 8   8 bytes  token, little-endian: drawn anew for each write
///     offset 16  the rest words of SplitMix64 seeded by both, little-endian; the last one cut short
///
/// A state of fewer than 16 bytes is the beginning of that for token 0. The bytes do not compress.
enum DerivedState {
    static let headerBytes = 16

    /// Appends the state of `length` bytes.
    static func write(record: UInt64, token: UInt64, length: Int, into buffer: inout ByteBuffer) {
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: length) { target in
            forEachWord(record: record, token: length < headerBytes ? 0 : token, length: length) {
                offset, word, count in
                if count == 8 {
                    target.storeBytes(of: word.littleEndian, toByteOffset: offset, as: UInt64.self)
                } else {
                    for place in 0..<count {
                        target[offset + place] = UInt8(truncatingIfNeeded: word >> UInt64(place * 8))
                    }
                }
                return true
            }
            return length
        }
    }

    /// Whether `bytes` are a state that was written to `record` at some time, whole.
    static func matches(_ bytes: Span<UInt8>, record: UInt64) -> Bool {
        let length = bytes.count
        let token = length < headerBytes ? 0 : word(bytes, at: 8, count: 8)
        return forEachWord(record: record, token: token, length: length) { offset, expected, count in
            let mask = count == 8 ? UInt64.max : (1 << UInt64(count * 8)) - 1
            return word(bytes, at: offset, count: count) == expected & mask
        }
    }

    private static func word(_ bytes: Span<UInt8>, at offset: Int, count: Int) -> UInt64 {
        var value: UInt64 = 0
        for place in 0..<count { value |= UInt64(bytes[offset + place]) << UInt64(place * 8) }
        return value
    }

    /// Calls `body` with each word, its place and how many of its bytes belong to the state, until it returns false.
    @discardableResult
    @inline(__always)
    private static func forEachWord(
        record: UInt64, token: UInt64, length: Int, _ body: (_ offset: Int, _ word: UInt64, _ count: Int) -> Bool
    ) -> Bool {
        var generator = SplitMix64(seed: record &* 0x9E37_79B9_7F4A_7C15 ^ token)
        var offset = 0
        while offset < length {
            let word = offset == 0 ? record : offset == 8 ? token : generator.next()
            if !body(offset, word, min(8, length - offset)) { return false }
            offset += 8
        }
        return true
    }
}
