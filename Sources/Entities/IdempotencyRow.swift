public import Primitives

/// What an `Idempotency-Key` leaves behind on its entity: enough to answer the same again, and to notice that the same
/// key came with another request. Written in the same batch as the effect (G5).
///
/// Byte table (little-endian), 35 bytes in all:
///
/// | offset | bytes | field |
/// | --- | --- | --- |
/// | 0 | 1 | format version, 1 |
/// | 1 | 2 | status of the answer |
/// | 3 | 8 | version that the write made |
/// | 11 | 8 | expires at, milliseconds since 1970 |
/// | 19 | 8 | fingerprint, low half |
/// | 27 | 8 | fingerprint, high half |
public struct IdempotencyRow: Sendable, Equatable {
    public let status: UInt16
    /// The version that the write made; for DELETE the position of the deletion.
    public let version: Position
    public let expiresAt: Timestamp
    public let fingerprint: Fingerprint

    static let formatVersion: UInt8 = 1
    static let expiryOffset = 11
    static let encodedCount = 35

    public init(status: UInt16, version: Position, expiresAt: Timestamp, fingerprint: Fingerprint) {
        self.status = status
        self.version = version
        self.expiresAt = expiresAt
        self.fingerprint = fingerprint
    }

    /// Decodes; `nil` where the bytes are no row of a known format.
    public init?(decoding bytes: [UInt8]) { self.init(decoding: bytes, range: bytes.startIndex..<bytes.endIndex) }

    init?(decoding bytes: [UInt8], range: Range<Int>) {
        var reader = ByteReader(bytes, range: range)
        guard range.count == Self.encodedCount,
            reader.readUInt8() == Self.formatVersion,
            let status = reader.readUInt16(),
            let version = reader.readUInt64(),
            let expiresAt = reader.readUInt64(),
            let low = reader.readUInt64(),
            let high = reader.readUInt64()
        else { return nil }
        self.init(
            status: status, version: Position(version), expiresAt: Timestamp(milliseconds: expiresAt),
            fingerprint: Fingerprint(low: low, high: high))
    }

    public func encoded() -> [UInt8] {
        var writer = ByteWriter(reserving: Self.encodedCount)
        write(to: &writer)
        return writer.bytes
    }

    func write(to writer: inout ByteWriter) {
        writer.write(Self.formatVersion)
        writer.write(status)
        writer.write(version.rawValue)
        writer.write(expiresAt.milliseconds)
        writer.write(fingerprint.low)
        writer.write(fingerprint.high)
    }

    /// After its expiry the key reads as never used.
    public func isExpired(at now: Timestamp) -> Bool { expiresAt <= now }

    /// 128 bits over method, patch kind and body (two XXH64 of different seeds).
    ///
    /// It is stored, so it can never change. It tells mistakes apart and is no defence against a client that makes up
    /// colliding bodies: such a client only gets the answer to its own earlier request.
    public struct Fingerprint: Sendable, Equatable {
        public let low: UInt64
        public let high: UInt64

        public init(low: UInt64, high: UInt64) {
            self.low = low
            self.high = high
        }

        /// Neither the content type nor the time to live of a put counts.
        public init(of action: WriteOperation.Action) {
            switch action {
            case .put(let state, _, _): self.init(method: 1, body: state)
            case .delete: self.init(method: 2, body: [])
            case .patch(let kind, let document): self.init(method: 2 + UInt64(kind.rawValue), body: document)
            }
        }

        private init(method: UInt64, body: [UInt8]) {
            low = XXH64.hash(body, seed: 0x4B45_5953_5445_4144 &+ method)
            high = XXH64.hash(body, seed: 0x9E37_79B9_7F4A_7C15 &- method)
        }
    }
}
