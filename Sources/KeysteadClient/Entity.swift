/// One entity as it was read.
public struct Entity: Hashable, Sendable {
    public let key: EntityKey
    /// The state, byte for byte as it was put.
    public let state: [UInt8]
    public let contentType: String
    public let etag: EntityTag
    /// `Last-Modified` as the server wrote it (an IMF-fixdate).
    public let lastModified: String?
    public let position: ShardPosition?
    /// Seconds that were left when it was read, after which it reads as absent; `nil` where it has no expiry.
    public let ttlSeconds: UInt64?
}

/// The answer to a conditional read.
public enum ConditionalRead: Hashable, Sendable {
    case found(Entity)
    /// The entity still is at the version that the caller holds.
    case notModified(EntityTag)
}

/// A write that took effect: on stable storage, on every in-sync replica, before this was answered.
public struct WriteReceipt: Hashable, Sendable {
    /// The version that the write made; for a deletion, the deletion's own position.
    public let etag: EntityTag
    public let position: ShardPosition?
    /// The effect is that of an earlier request with the same ``IdempotencyKey``.
    public let replayed: Bool
    /// The new state where it was asked for (``WriteOptions/returnsState``) and the write is no replay.
    public let state: [UInt8]?

    public init(etag: EntityTag, position: ShardPosition? = nil, replayed: Bool = false, state: [UInt8]? = nil) {
        self.etag = etag
        self.position = position
        self.replayed = replayed
        self.state = state
    }
}

/// What a write under an ``IdempotencyKey`` came to, as its entity remembers it.
public struct RecordedOutcome: Hashable, Sendable {
    public let status: Int
    public let etag: EntityTag
    public let position: ShardPosition?
}

/// A change of JSON state, made atomically where the entity lives.
public struct Patch: Hashable, Sendable {
    /// The kind of document, named as in batch lines.
    public enum Kind: String, Hashable, Sendable, CaseIterable {
        /// RFC 7396.
        case merge
        /// RFC 6902.
        case jsonPatch = "json-patch"
        /// Keystead's own: conditions and operations, all or nothing.
        case update

        var mediaType: String {
            switch self {
            case .merge: "application/merge-patch+json"
            case .jsonPatch: "application/json-patch+json"
            case .update: "application/vnd.keystead.update+json"
            }
        }
    }

    public let kind: Kind
    /// JSON text.
    public let document: [UInt8]

    public init(_ kind: Kind, _ document: [UInt8]) {
        self.kind = kind
        self.document = document
    }

    public static func merge(_ document: String) -> Patch { Patch(.merge, Array(document.utf8)) }
    public static func jsonPatch(_ document: String) -> Patch { Patch(.jsonPatch, Array(document.utf8)) }
    public static func update(_ document: String) -> Patch { Patch(.update, Array(document.utf8)) }
}
