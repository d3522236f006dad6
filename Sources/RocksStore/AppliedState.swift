public import Primitives

/// How far a shard's rows have come: the last committed update in them. It is a row of the store itself, written in the
/// same batch as the rows it speaks of, so the two can never disagree (rule W8).
///
/// Row `M` `applied`, value (little-endian):
///
/// | offset | bytes | field |
/// | --- | --- | --- |
/// | 0 | 1 | format version, 1 |
/// | 1 | 8 | epoch |
/// | 9 | 8 | position |
/// | 17 | 8 | LSN, of this node's log |
public struct AppliedState: Sendable, Equatable {
    public let epoch: Epoch
    public let position: Position
    /// Means nothing on another node: who installs a checkpoint from elsewhere applies an empty batch with `LSN.zero`
    /// first.
    public let lsn: LSN

    /// Before the first update.
    public static let none = AppliedState(epoch: Epoch(0), position: .zero, lsn: .zero)

    public init(epoch: Epoch, position: Position, lsn: LSN) {
        self.epoch = epoch
        self.position = position
        self.lsn = lsn
    }

    /// The key of the row; the store writes it, nobody else does.
    static let row = Array("Mapplied".utf8)
    static let formatVersion: UInt8 = 1
    static let byteCount = 25

    func withEncodedBytes(_ body: (UnsafeRawBufferPointer) -> Void) {
        withUnsafeTemporaryAllocation(byteCount: Self.byteCount, alignment: 1) { buffer in
            buffer[0] = Self.formatVersion
            buffer.storeBytes(of: epoch.rawValue.littleEndian, toByteOffset: 1, as: UInt64.self)
            buffer.storeBytes(of: position.rawValue.littleEndian, toByteOffset: 9, as: UInt64.self)
            buffer.storeBytes(of: lsn.rawValue.littleEndian, toByteOffset: 17, as: UInt64.self)
            body(UnsafeRawBufferPointer(buffer))
        }
    }

    init(decoding bytes: [UInt8], file: String) throws(StoreError) {
        var reader = ByteReader(bytes)
        guard let version = reader.readUInt8() else {
            throw .corruption(file: file, detail: "the applied row is empty")
        }
        guard version == Self.formatVersion else {
            throw .unsupportedFormat(detail: "applied row of format \(version) in \(file); this version knows 1")
        }
        guard let epoch = reader.readUInt64(), let position = reader.readUInt64(), let lsn = reader.readUInt64(),
            reader.remaining == 0
        else { throw .corruption(file: file, detail: "applied row of \(bytes.count) bytes, not \(Self.byteCount)") }
        guard max(epoch, position, lsn) <= Limits.counterMax else {
            throw .corruption(file: file, detail: "its applied row stands beyond all bounds")
        }
        self.init(epoch: Epoch(epoch), position: Position(position), lsn: LSN(lsn))
    }
}
