public import Primitives

/// Builds the bytes of one group: records one after the other in a buffer that is kept and reused.
///
/// Each payload is copied once (or compressed once) into the buffer. Not thread-safe; the log's writer owns it.
public struct GroupEncoder: Sendable {
    private var buffer: [UInt8] = []
    /// How many bytes of the buffer are the group.
    public private(set) var byteCount = 0
    public private(set) var recordCount = 0
    /// The LSN that the next record gets.
    public private(set) var nextLSN: LSN = .zero
    /// The header CRC of the record before the next one.
    public private(set) var previousChecksum: UInt32 = 0
    private var seed: UInt32 = 0
    private var durableLSN: LSN = .zero
    /// The payload from which compression is tried.
    private let compressionBytesMin: Int
    /// Capacity beyond this is given back after the group that needed it.
    private let capacityKept: Int

    public init(compressionBytesMin: Int, capacityKept: Int) {
        self.compressionBytesMin = compressionBytesMin
        self.capacityKept = capacityKept
    }

    /// The group's bytes. Whoever keeps them beyond the next ``begin(seed:firstLSN:previousChecksum:durableLSN:)``
    /// makes that call copy the buffer.
    public var bytes: ArraySlice<UInt8> { buffer[0..<byteCount] }

    /// Starts a group at the beginning of the buffer.
    public mutating func begin(seed: UInt32, firstLSN: LSN, previousChecksum: UInt32, durableLSN: LSN) {
        if buffer.count > capacityKept { buffer = [] }
        byteCount = 0
        recordCount = 0
        nextLSN = firstLSN
        self.seed = seed
        self.previousChecksum = previousChecksum
        self.durableLSN = durableLSN
    }

    /// Places bytes that are no record, such as a header block, in front of the first record.
    public mutating func place(_ block: [UInt8]) {
        precondition(recordCount == 0, "blocks stand before records")
        reserve(block.count)
        buffer.replaceSubrange(byteCount..<(byteCount + block.count), with: block)
        byteCount += block.count
    }

    /// Adds a record of a shard, or of the log itself with `shard` 0 and `position` 0. Returns the record's size in the
    /// segment.
    @discardableResult
    public mutating func append(
        type: RecordType, shard: ShardID, epoch: Epoch, position: Position, time: Timestamp, payload: [UInt8]
    ) -> Int {
        precondition(payload.count <= Limits.recordBytesMax, "a payload is within its limit")
        var header = nextHeader(type: type, shard: shard, epoch: epoch, position: position, time: time)
        header.payloadBytes = payload.count
        reserve(LogLayout.recordBytes(storing: payload.count))
        let offset = byteCount
        let tryCompression = payload.count >= compressionBytesMin && type.takesPosition
        buffer.withUnsafeMutableBytes { target in
            payload.withUnsafeBytes { source in
                Self.store(source, compressing: tryCompression, header: &header, at: offset, in: target)
            }
            header.encode(into: UnsafeMutableRawBufferPointer(rebasing: target[offset...]), seed: seed)
        }
        return advance(past: header)
    }

    /// Adds a record again whose stored bytes were read and checked, under a new LSN and chain.
    public mutating func append(repeating old: RecordHeader, stored: ArraySlice<UInt8>) {
        precondition(stored.count == old.storedBytes, "the stored bytes are the record's")
        var header = old
        header.lsn = nextLSN
        header.durableLSN = durableLSN
        header.previousChecksum = previousChecksum
        reserve(header.recordBytes)
        let offset = byteCount
        buffer.withUnsafeMutableBytes { target in
            stored.withUnsafeBytes { source in
                Self.store(source, at: offset, in: target)
            }
            header.encode(into: UnsafeMutableRawBufferPointer(rebasing: target[offset...]), seed: seed)
        }
        advance(past: header)
    }

    private func nextHeader(
        type: RecordType, shard: ShardID, epoch: Epoch, position: Position, time: Timestamp
    ) -> RecordHeader {
        RecordHeader(
            type: type, shard: shard, epoch: epoch, position: position, lsn: nextLSN, durableLSN: durableLSN,
            previousChecksum: previousChecksum, time: time)
    }

    @discardableResult
    private mutating func advance(past header: RecordHeader) -> Int {
        byteCount += header.recordBytes
        recordCount += 1
        nextLSN = nextLSN.next
        previousChecksum = header.checksum
        return header.recordBytes
    }

    /// Stores the payload behind the header's place, compressed if that is asked for and helps, and its CRC in
    /// `header`.
    private static func store(
        _ source: UnsafeRawBufferPointer, compressing: Bool, header: inout RecordHeader, at offset: Int,
        in target: UnsafeMutableRawBufferPointer
    ) {
        let start = offset + LogLayout.recordHeaderBytes
        let room = UnsafeMutableRawBufferPointer(rebasing: target[start...])
        if compressing, let written = PayloadCodec.compress(source, into: room) {
            header.isCompressed = true
            header.storedBytes = written
            clearPadding(of: written, in: room)
        } else {
            header.storedBytes = source.count
            store(source, at: offset, in: target)
        }
        header.payloadChecksum = CRC32C.checksum(
            buffer: UnsafeRawBufferPointer(rebasing: room[..<header.storedBytes]))
    }

    private static func store(
        _ source: UnsafeRawBufferPointer, at offset: Int, in target: UnsafeMutableRawBufferPointer
    ) {
        let room = UnsafeMutableRawBufferPointer(rebasing: target[(offset + LogLayout.recordHeaderBytes)...])
        room.copyMemory(from: source)
        clearPadding(of: source.count, in: room)
    }

    private static func clearPadding(of stored: Int, in room: UnsafeMutableRawBufferPointer) {
        for index in stored..<LogLayout.aligned(stored) { room[index] = 0 }
    }

    /// Grows by doubling, so that growth costs O(1) a byte.
    private mutating func reserve(_ more: Int) {
        let needed = byteCount + more
        guard needed > buffer.count else { return }
        let grown = max(needed, min(buffer.count * 2, capacityKept))
        buffer.append(contentsOf: repeatElement(0, count: grown - buffer.count))
    }
}
