public import Primitives

/// One entity as it lies in the store and in the log.
///
/// Byte table (little-endian):
///
/// | offset | bytes | field |
/// | --- | --- | --- |
/// | 0 | 1 | format version, 1 |
/// | 1 | 1 | flags: bit 0, an expiry follows the fixed part; the others are 0 |
/// | 2 | 1 | length of the content type, 0 to 255; 0 is `application/octet-stream` |
/// | 3 | 8 | version: the position of the update that made this record |
/// | 11 | 8 | updated at, milliseconds since 1970 |
/// | 19 | 8 | expires at, milliseconds since 1970 (only with flag bit 0) |
/// | … | n | content type |
/// | … | rest | state |
///
/// In memory the content type and the state stay where they are, in a request's body or in a row read from the store:
/// making a record copies neither, and ``EntityEffect`` copies them once, into the payload for the log.
public struct StoredRecord: Sendable, Equatable {
    public let version: Position
    public let updatedAt: Timestamp
    public let expiresAt: Timestamp?
    /// As stored: empty is the default. See ``effectiveContentType``.
    public let contentType: ArraySlice<UInt8>
    public let state: ArraySlice<UInt8>

    /// What an empty content type means.
    public static let defaultContentType = Array("application/octet-stream".utf8)

    static let formatVersion: UInt8 = 1
    static let expiryFlag: UInt8 = 1
    static let fixedBytes = 19
    static let expiryBytes = 8

    /// Copies nothing. `contentType.count <= 255`.
    public init(
        version: Position, updatedAt: Timestamp, expiresAt: Timestamp?, contentType: ArraySlice<UInt8>,
        state: ArraySlice<UInt8>
    ) {
        precondition(contentType.count <= Limits.contentTypeBytesMax, "the length of a content type is one byte")
        self.version = version
        self.updatedAt = updatedAt
        self.expiresAt = expiresAt
        self.contentType = contentType
        self.state = state
    }

    /// Copies what is no array. `contentType.count <= 255`.
    public init(
        version: Position, updatedAt: Timestamp, expiresAt: Timestamp?, contentType: some Collection<UInt8>,
        state: some Collection<UInt8>
    ) {
        self.init(
            version: version, updatedAt: updatedAt, expiresAt: expiresAt, contentType: Array(contentType)[...],
            state: Array(state)[...])
    }

    /// The same record, made by the update at `position`. Copies nothing.
    public func at(_ position: Position) -> StoredRecord {
        StoredRecord(
            version: position, updatedAt: updatedAt, expiresAt: expiresAt, contentType: contentType, state: state)
    }

    /// Decodes; `nil` where the bytes are no record of a known format. O(1): the record keeps `bytes`.
    public init?(decoding bytes: [UInt8]) { self.init(decoding: bytes, range: bytes.startIndex..<bytes.endIndex) }

    init?(decoding bytes: [UInt8], range: Range<Int>) {
        var reader = ByteReader(bytes, range: range)
        guard reader.readUInt8() == Self.formatVersion,
            let flags = reader.readUInt8(), flags & ~Self.expiryFlag == 0,
            let contentTypeLength = reader.readUInt8(),
            let version = reader.readUInt64(),
            let updatedAt = reader.readUInt64()
        else { return nil }
        var expiresAt: Timestamp?
        if flags & Self.expiryFlag != 0 {
            guard let milliseconds = reader.readUInt64() else { return nil }
            expiresAt = Timestamp(milliseconds: milliseconds)
        }
        guard let contentType = reader.readRange(Int(contentTypeLength)),
            let state = reader.readRange(reader.remaining)
        else { return nil }
        self.init(
            version: Position(version), updatedAt: Timestamp(milliseconds: updatedAt), expiresAt: expiresAt,
            contentType: bytes[contentType], state: bytes[state])
    }

    /// Bytes before the state in the encoding of a record; `nil` where it is too short for what it says. The part up to
    /// there is the encoding of the same record with an empty state.
    public static func headBytes(of encoding: UnsafeRawBufferPointer) -> Int? {
        guard encoding.count >= fixedBytes else { return nil }
        let expiry = encoding[1] & expiryFlag == 0 ? 0 : expiryBytes
        let count = fixedBytes + expiry + Int(encoding[2])
        return count <= encoding.count ? count : nil
    }

    /// The whole encoding, made anew at each call.
    public var bytes: [UInt8] {
        var writer = ByteWriter(reserving: encodedCount)
        write(to: &writer)
        return writer.bytes
    }

    /// Bytes of the encoding.
    public var encodedCount: Int {
        Self.fixedBytes + (expiresAt == nil ? 0 : Self.expiryBytes) + contentType.count + state.count
    }

    func write(to writer: inout ByteWriter) {
        writer.write(Self.formatVersion)
        writer.write(expiresAt == nil ? 0 : Self.expiryFlag)
        writer.write(UInt8(contentType.count))
        writer.write(version.rawValue)
        writer.write(updatedAt.milliseconds)
        if let expiresAt { writer.write(expiresAt.milliseconds) }
        writer.write(contentType)
        writer.write(state)
    }

    /// The content type to answer with: the default also where the stored one cannot stand in a field.
    public var effectiveContentType: ArraySlice<UInt8> {
        contentType.isEmpty || !OperationChecks.isFieldText(contentType) ? Self.defaultContentType[...] : contentType
    }

    /// At its expiry the entity reads as absent.
    public func isExpired(at now: Timestamp) -> Bool {
        guard let expiresAt else { return false }
        return expiresAt <= now
    }
}
