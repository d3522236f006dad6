public import Primitives

/// One entity as it lies in the store and in the log.
///
/// Byte table (little-endian):
///
/// | offset | bytes | field |
/// | --- | --- | --- |
/// | 0 | 1 | format version, 1 |
/// | 1 | 1 | flags: bit 0, an expiry follows the fixed part |
/// | 2 | 1 | length of the content type, 0 to 255; 0 is `application/octet-stream` |
/// | 3 | 8 | version: the position of the update that made this record |
/// | 11 | 8 | updated at, milliseconds since 1970 |
/// | 19 | 8 | expires at, milliseconds since 1970 (only with flag bit 0) |
/// | … | n | content type |
/// | … | rest | state |
public struct StoredRecord: Sendable, Equatable {
    /// The whole encoding; the ranges below lie in it.
    public let bytes: [UInt8]
    public let version: Position
    public let updatedAt: Timestamp
    public let expiresAt: Timestamp?
    public let contentTypeRange: Range<Int>
    public let stateRange: Range<Int>

    public var contentType: ArraySlice<UInt8> { bytes[contentTypeRange] }
    public var state: ArraySlice<UInt8> { bytes[stateRange] }

    /// Encodes. `contentType.count <= 255`.
    public init(
        version: Position, updatedAt: Timestamp, expiresAt: Timestamp?, contentType: some Collection<UInt8>,
        state: some Collection<UInt8>
    ) {
        fatalError("skeleton")
    }

    /// Decodes; `nil` where the bytes are no record of a known format.
    public init?(decoding bytes: [UInt8]) {
        fatalError("skeleton")
    }

    /// At its expiry the entity reads as absent.
    public func isExpired(at now: Timestamp) -> Bool {
        guard let expiresAt else { return false }
        return expiresAt <= now
    }
}
