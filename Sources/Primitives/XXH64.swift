/// xxHash64 (Yann Collet, github.com/Cyan4973/xxHash, doc/xxhash_spec.md, "XXH64 algorithm").
///
/// It places keys on the ring, so it can never change for a cluster's life: its version and seed stand in the cluster's
/// config, and its test vectors are part of the contract.
public enum XXH64 {
    @usableFromInline static let prime1: UInt64 = 0x9E37_79B1_85EB_CA87
    @usableFromInline static let prime2: UInt64 = 0xC2B2_AE3D_27D4_EB4F
    @usableFromInline static let prime3: UInt64 = 0x1656_67B1_9E37_79F9
    @usableFromInline static let prime4: UInt64 = 0x85EB_CA77_C2B2_AE63
    @usableFromInline static let prime5: UInt64 = 0x27D4_EB2F_1656_67C5

    /// The hash of `bytes` under `seed`. O(n), no allocation.
    @inlinable
    public static func hash(_ bytes: some ContiguousBytesView, seed: UInt64) -> UInt64 {
        bytes.withContiguousBytes { hash(buffer: $0, seed: seed) }
    }

    @inlinable
    public static func hash(buffer: UnsafeRawBufferPointer, seed: UInt64) -> UInt64 {
        var offset = 0
        var state: UInt64
        if buffer.count >= 32 {
            state = stripes(buffer, seed: seed, offset: &offset)
        } else {
            state = seed &+ prime5
        }
        state &+= UInt64(buffer.count)
        return avalanche(tail(buffer, from: offset, into: state))
    }

    @inlinable
    static func stripes(_ buffer: UnsafeRawBufferPointer, seed: UInt64, offset: inout Int) -> UInt64 {
        var a = seed &+ prime1 &+ prime2
        var b = seed &+ prime2
        var c = seed
        var d = seed &- prime1
        while offset + 32 <= buffer.count {
            a = round(a, word64(buffer, offset))
            b = round(b, word64(buffer, offset + 8))
            c = round(c, word64(buffer, offset + 16))
            d = round(d, word64(buffer, offset + 24))
            offset += 32
        }
        let mixed = rotate(a, 1) &+ rotate(b, 7) &+ rotate(c, 12) &+ rotate(d, 18)
        return merge(merge(merge(merge(mixed, a), b), c), d)
    }

    @inlinable
    static func tail(_ buffer: UnsafeRawBufferPointer, from start: Int, into initial: UInt64) -> UInt64 {
        var state = initial
        var offset = start
        while offset + 8 <= buffer.count {
            state = rotate(state ^ round(0, word64(buffer, offset)), 27) &* prime1 &+ prime4
            offset += 8
        }
        if offset + 4 <= buffer.count {
            let word = UInt64(UInt32(littleEndian: buffer.loadUnaligned(fromByteOffset: offset, as: UInt32.self)))
            state = rotate(state ^ (word &* prime1), 23) &* prime2 &+ prime3
            offset += 4
        }
        while offset < buffer.count {
            state = rotate(state ^ (UInt64(buffer[offset]) &* prime5), 11) &* prime1
            offset += 1
        }
        return state
    }

    @inlinable
    static func avalanche(_ state: UInt64) -> UInt64 {
        var state = state
        state ^= state >> 33
        state &*= prime2
        state ^= state >> 29
        state &*= prime3
        return state ^ (state >> 32)
    }

    @inlinable
    static func word64(_ buffer: UnsafeRawBufferPointer, _ offset: Int) -> UInt64 {
        UInt64(littleEndian: buffer.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }

    @inlinable
    static func round(_ state: UInt64, _ word: UInt64) -> UInt64 {
        rotate(state &+ word &* prime2, 31) &* prime1
    }

    @inlinable
    static func merge(_ state: UInt64, _ lane: UInt64) -> UInt64 {
        (state ^ round(0, lane)) &* prime1 &+ prime4
    }

    @inlinable
    static func rotate(_ word: UInt64, _ bits: UInt64) -> UInt64 {
        (word << bits) | (word >> (64 - bits))
    }
}

/// Anything whose bytes lie in one piece: what the hash and checksum functions read.
public protocol ContiguousBytesView {
    func withContiguousBytes<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R
}

extension Array: ContiguousBytesView where Element == UInt8 {
    @inlinable
    public func withContiguousBytes<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R { withUnsafeBytes(body) }
}

extension ArraySlice: ContiguousBytesView where Element == UInt8 {
    @inlinable
    public func withContiguousBytes<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R { withUnsafeBytes(body) }
}

extension UnsafeRawBufferPointer: ContiguousBytesView {
    @inlinable
    public func withContiguousBytes<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R { body(self) }
}
