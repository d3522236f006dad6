private import CPosixShims

/// CRC32C (Castagnoli polynomial; RFC 3720 appendix B.4), by the CPU's instruction where it has one.
public enum CRC32C {
    /// The checksum of `bytes`, continuing from `crc` (the result for the bytes before; 0 to start).
    public static func checksum(_ bytes: some ContiguousBytesView, continuing crc: UInt32 = 0) -> UInt32 {
        bytes.withContiguousBytes { checksum(buffer: $0, continuing: crc) }
    }

    public static func checksum(buffer: UnsafeRawBufferPointer, continuing crc: UInt32 = 0) -> UInt32 {
        guard let base = buffer.baseAddress else { return crc }
        return ks_crc32c(crc, base, buffer.count)
    }
}
