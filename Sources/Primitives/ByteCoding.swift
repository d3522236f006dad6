/// Little-endian writing into a growing array. Every format of the project that is not text is written through this.
public struct ByteWriter {
    public var bytes: [UInt8]

    @inlinable
    public init(reserving capacity: Int = 0) {
        bytes = []
        if capacity > 0 { bytes.reserveCapacity(capacity) }
    }

    @inlinable
    public mutating func write(_ value: UInt8) { bytes.append(value) }

    @inlinable
    public mutating func write(_ value: UInt16) { writeInteger(value) }

    @inlinable
    public mutating func write(_ value: UInt32) { writeInteger(value) }

    @inlinable
    public mutating func write(_ value: UInt64) { writeInteger(value) }

    @inlinable
    public mutating func write(_ more: [UInt8]) { bytes.append(contentsOf: more) }

    @inlinable
    public mutating func write(_ more: ArraySlice<UInt8>) { bytes.append(contentsOf: more) }

    /// Big-endian, for keys whose byte order must be their numeric order.
    @inlinable
    public mutating func writeBigEndian(_ value: UInt64) {
        Swift.withUnsafeBytes(of: value.bigEndian) { bytes.append(contentsOf: $0) }
    }

    @inlinable
    mutating func writeInteger<T: FixedWidthInteger>(_ value: T) {
        Swift.withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }
}

/// Little-endian reading out of an array. Reading past the end answers `nil` and leaves the reader where it was;
/// nothing traps, whatever the bytes are.
public struct ByteReader {
    public let bytes: [UInt8]
    /// The index of the next byte to read; `offset <= end`.
    public private(set) var offset: Int
    public let end: Int

    @inlinable
    public init(_ bytes: [UInt8]) { self.init(bytes, range: 0..<bytes.count) }

    public init(_ bytes: [UInt8], range: Range<Int>) {
        precondition(range.lowerBound >= 0 && range.upperBound <= bytes.count, "the range lies in the bytes")
        self.bytes = bytes
        self.offset = range.lowerBound
        self.end = range.upperBound
    }

    public var remaining: Int { end - offset }

    public mutating func readUInt8() -> UInt8? { readInteger(UInt8.self) }
    public mutating func readUInt16() -> UInt16? { readInteger(UInt16.self) }
    public mutating func readUInt32() -> UInt32? { readInteger(UInt32.self) }
    public mutating func readUInt64() -> UInt64? { readInteger(UInt64.self) }

    public mutating func readBigEndianUInt64() -> UInt64? { readInteger(UInt64.self)?.byteSwapped }

    /// The range of the next `count` bytes, stepped over.
    public mutating func readRange(_ count: Int) -> Range<Int>? {
        guard count >= 0, count <= remaining else { return nil }
        defer { offset += count }
        return offset..<(offset + count)
    }

    public mutating func readBytes(_ count: Int) -> [UInt8]? {
        readRange(count).map { Array(bytes[$0]) }
    }

    private mutating func readInteger<T: FixedWidthInteger>(_ type: T.Type) -> T? {
        let width = MemoryLayout<T>.size
        guard width <= remaining else { return nil }
        let value = bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: T.self) }
        offset += width
        return T(littleEndian: value)
    }
}
