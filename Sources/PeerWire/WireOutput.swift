internal import Entities
internal import Primitives

/// Where a message is written, little-endian. Each layout is one function over this protocol; run with a
/// ``WireCounter`` it says how many bytes there will be, run with a ``WireWriter`` it writes them in place, so a
/// message is copied once and the two can never disagree.
protocol WireOutput {
    mutating func write(_ value: UInt8)
    mutating func write(_ value: UInt16)
    mutating func write(_ value: UInt32)
    mutating func write(_ value: UInt64)
    mutating func write(raw bytes: UnsafeRawBufferPointer)
}

extension WireOutput {
    mutating func write(_ bytes: [UInt8]) { bytes.withUnsafeBytes { write(raw: $0) } }

    mutating func write(_ bytes: ArraySlice<UInt8>) { bytes.withUnsafeBytes { write(raw: $0) } }

    /// A 4-byte length and the bytes.
    mutating func writeLong(_ bytes: [UInt8]) {
        write(UInt32(bytes.count))
        write(bytes)
    }

    /// A 2-byte length and the text in UTF-8, cut at a character's end where it is longer than `bytesMax`.
    mutating func write(_ text: String, bytesMax: Int) {
        var text = text
        text.withUTF8 { utf8 in
            var count = min(utf8.count, bytesMax)
            // Not in the middle of a character: its continuation bytes are 10xxxxxx.
            while count > 0, count < utf8.count, utf8[count] & 0xC0 == 0x80 { count -= 1 }
            write(UInt16(count))
            write(raw: UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(utf8)[..<count]))
        }
    }

    mutating func write(_ position: Position) { write(position.rawValue) }

    mutating func write(_ shard: ShardID) { write(shard.rawValue) }

    mutating func write(_ epoch: Epoch) { write(epoch.rawValue) }

    mutating func write(_ place: ShardPosition) {
        write(place.shard)
        write(place.position)
    }
}

/// Counts and writes nothing.
struct WireCounter: WireOutput {
    private(set) var count = 0

    mutating func write(_ value: UInt8) { count += 1 }
    mutating func write(_ value: UInt16) { count += 2 }
    mutating func write(_ value: UInt32) { count += 4 }
    mutating func write(_ value: UInt64) { count += 8 }
    mutating func write(raw bytes: UnsafeRawBufferPointer) { count += bytes.count }
}

/// Writes into memory of the caller's, never outside it.
struct WireWriter: WireOutput {
    private let target: UnsafeMutableRawBufferPointer
    private(set) var offset: Int

    init(_ target: UnsafeMutableRawBufferPointer, offset: Int) {
        self.target = target
        self.offset = offset
    }

    mutating func write(_ value: UInt8) { store(value) }
    mutating func write(_ value: UInt16) { store(value) }
    mutating func write(_ value: UInt32) { store(value) }
    mutating func write(_ value: UInt64) { store(value) }

    mutating func write(raw bytes: UnsafeRawBufferPointer) {
        precondition(bytes.count <= target.count - offset, "a message fits where it was counted to fit")
        if let base = bytes.baseAddress, let to = target.baseAddress {
            (to + offset).copyMemory(from: base, byteCount: bytes.count)
        }
        offset += bytes.count
    }

    private mutating func store<T: FixedWidthInteger>(_ value: T) {
        let width = MemoryLayout<T>.size
        precondition(width <= target.count - offset, "a message fits where it was counted to fit")
        target.storeBytes(of: value.littleEndian, toByteOffset: offset, as: T.self)
        offset += width
    }
}
