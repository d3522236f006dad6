public import Primitives

/// What an `Idempotency-Key` leaves behind on its entity: enough to answer the same again, and to notice that the same
/// key came with another request. Written in the same batch as the effect (G5).
///
/// Byte table (little-endian): format version 1 (1 byte) · status (2) · version (8) · expires at, ms (8) · fingerprint (16).
public struct IdempotencyRow: Sendable, Equatable {
    public let status: UInt16
    /// The version that the write made; for DELETE the position of the deletion.
    public let version: Position
    public let expiresAt: Timestamp
    public let fingerprint: Fingerprint

    public init(status: UInt16, version: Position, expiresAt: Timestamp, fingerprint: Fingerprint) {
        self.status = status
        self.version = version
        self.expiresAt = expiresAt
        self.fingerprint = fingerprint
    }

    public init?(decoding bytes: [UInt8]) {
        fatalError("skeleton")
    }

    public func encoded() -> [UInt8] {
        fatalError("skeleton")
    }

    /// 128 bits over method, patch kind and body (two XXH64 of different seeds).
    public struct Fingerprint: Sendable, Equatable {
        public let low: UInt64
        public let high: UInt64

        public init(low: UInt64, high: UInt64) {
            self.low = low
            self.high = high
        }

        public init(of action: WriteOperation.Action) {
            fatalError("skeleton")
        }
    }
}
