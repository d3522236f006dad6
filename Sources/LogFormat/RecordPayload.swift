private import CLZ4
import Primitives

/// LZ4 block compression of one record's payload (github.com/lz4/lz4, doc/lz4_Block_format.md).
enum PayloadCodec {
    /// Compresses `payload` into `target` if that makes it smaller; the compressed length, or `nil` to store it as is.
    static func compress(_ payload: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer) -> Int? {
        let capacity = min(target.count, payload.count - 1)
        guard capacity > 0 else { return nil }
        let written = LZ4_compress_default(
            payload.baseAddress, target.baseAddress, CInt(payload.count), CInt(capacity))
        return written > 0 ? Int(written) : nil
    }

    /// `nil` unless `stored` is one LZ4 block of exactly `payloadBytes` bytes.
    static func decompress(_ stored: UnsafeRawBufferPointer, payloadBytes: Int) -> [UInt8]? {
        let payload = [UInt8](unsafeUninitializedCapacity: payloadBytes) { target, count in
            let read = LZ4_decompress_safe(
                stored.baseAddress, target.baseAddress, CInt(stored.count), CInt(payloadBytes))
            count = Int(max(read, 0))
        }
        return payload.count == payloadBytes ? payload : nil
    }
}

extension RecordHeader {
    /// The payload of this record out of its stored bytes, whose CRC the scanner has checked. The declared length was
    /// bounded by `Limits.recordBytesMax` when the header was read, before anything is allocated here (rule W10).
    /// `nil` when the bytes do not decompress to exactly that length.
    public func payload(from bytes: [UInt8], at range: Range<Int>) -> [UInt8]? {
        precondition(range.count == storedBytes, "the range is the record's stored bytes")
        guard isCompressed else { return Array(bytes[range]) }
        return bytes.withUnsafeBytes { buffer in
            PayloadCodec.decompress(UnsafeRawBufferPointer(rebasing: buffer[range]), payloadBytes: payloadBytes)
        }
    }
}
