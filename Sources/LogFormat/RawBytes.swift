/// Little-endian fields at fixed offsets. Reading and writing outside the buffer traps: callers check lengths first.
extension UnsafeRawBufferPointer {
    func field<T: FixedWidthInteger>(_ offset: Int, as type: T.Type = T.self) -> T {
        T(littleEndian: loadUnaligned(fromByteOffset: offset, as: T.self))
    }

    /// 48 bits.
    func field48(_ offset: Int) -> UInt64 {
        UInt64(field(offset, as: UInt32.self)) | UInt64(field(offset + 4, as: UInt16.self)) << 32
    }
}

extension UnsafeMutableRawBufferPointer {
    func setField(_ offset: Int, _ value: some FixedWidthInteger) {
        storeBytes(of: value.littleEndian, toByteOffset: offset, as: type(of: value))
    }

    func setField48(_ offset: Int, _ value: UInt64) {
        setField(offset, UInt32(truncatingIfNeeded: value))
        setField(offset + 4, UInt16(truncatingIfNeeded: value >> 32))
    }
}
