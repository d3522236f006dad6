/// One write of one entity, parsed and checked against the limits, before it is known what it will meet.
public struct WriteOperation: Sendable {
    public let key: EntityKey
    public let action: Action
    public let preconditions: Preconditions
    /// 1 to 255 visible ASCII bytes, or none.
    public let idempotencyKey: [UInt8]?
    /// `Prefer: return=representation`.
    public let wantsRepresentation: Bool

    public init(
        key: EntityKey, action: Action, preconditions: Preconditions = .none, idempotencyKey: [UInt8]? = nil,
        wantsRepresentation: Bool = false
    ) {
        self.key = key
        self.action = action
        self.preconditions = preconditions
        self.idempotencyKey = idempotencyKey
        self.wantsRepresentation = wantsRepresentation
    }

    public enum Action: Sendable {
        /// Replaces the whole state. An empty `contentType` means the default, `application/octet-stream`.
        case put(state: [UInt8], contentType: [UInt8], ttlSeconds: UInt64?)
        case patch(PatchKind, document: [UInt8])
        case delete
    }

    /// A write that reads nothing: its outcome does not depend on what is stored.
    public var isBlind: Bool {
        guard case .put = action else { return false }
        return preconditions.isEmpty && idempotencyKey == nil
    }

    /// What the operation counts for in the queue's byte limit.
    public var byteCount: Int {
        let body: Int
        switch action {
        case .put(let state, let contentType, _): body = state.count + contentType.count
        case .patch(_, let document): body = document.count
        case .delete: body = 0
        }
        return body + key.bytes.count + (idempotencyKey?.count ?? 0)
    }
}

/// The three patch documents (Contract §1.6), by media type; parameters and letter case of the type are ignored.
public enum PatchKind: UInt8, Sendable, CaseIterable {
    /// RFC 7396, `application/merge-patch+json`.
    case merge = 1
    /// RFC 6902, `application/json-patch+json`.
    case jsonPatch = 2
    /// `application/vnd.keystead.update+json`.
    case update = 3
}

/// `If-Match`, `If-None-Match` and the two conditions on `Last-Modified` (RFC 9110 §13.1), parsed.
public struct Preconditions: Sendable, Equatable {
    public var ifMatch: Condition?
    public var ifNoneMatch: Condition?
    /// `If-Modified-Since` in seconds since 1970. It bears on reads only, and `ifNoneMatch` goes over it.
    public var ifModifiedSince: UInt64?
    /// `If-Unmodified-Since` in seconds since 1970. `ifMatch` goes over it; an absent entity meets it.
    public var ifUnmodifiedSince: UInt64?

    public static let none = Preconditions()

    public init(
        ifMatch: Condition? = nil, ifNoneMatch: Condition? = nil, ifModifiedSince: UInt64? = nil,
        ifUnmodifiedSince: UInt64? = nil
    ) {
        self.ifMatch = ifMatch
        self.ifNoneMatch = ifNoneMatch
        self.ifModifiedSince = ifModifiedSince
        self.ifUnmodifiedSince = ifUnmodifiedSince
    }

    public var isEmpty: Bool {
        ifMatch == nil && ifNoneMatch == nil && ifModifiedSince == nil && ifUnmodifiedSince == nil
    }

    public enum Condition: Sendable, Equatable {
        /// `*`
        case any
        /// The versions named; well-formed tags that are no version of ours (`"abc"`, or `W/"7"` under `If-Match`,
        /// which compares strongly) never match and leave the list empty.
        case versions([UInt64])
    }
}
