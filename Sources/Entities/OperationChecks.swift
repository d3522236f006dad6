import Primitives

/// What an operation may contain beside its key: one place for all who bring operations (a request's fields, a line of
/// a batch, a peer). Pure; any thread.
public enum OperationChecks {
    /// Whole seconds.
    public static let timeToLiveSeconds = 1...Limits.ttlSecondsMax

    /// It is stored and given back in a field of HTTP: at most `Limits.contentTypeBytesMax` bytes of printable ASCII;
    /// empty is the default.
    public static func contentType(_ value: ArraySlice<UInt8>) throws(Problem) {
        guard value.count <= Limits.contentTypeBytesMax else {
            throw Problem(.badRequest, "Content-Type may have at most \(Limits.contentTypeBytesMax) bytes")
        }
        guard isFieldText(value) else { throw Problem(.badRequest, "Content-Type must be printable ASCII") }
    }

    /// 1 to `Limits.idempotencyKeyBytesMax` visible ASCII characters.
    public static func idempotencyKey(_ value: ArraySlice<UInt8>) throws(Problem) {
        guard (1...Limits.idempotencyKeyBytesMax).contains(value.count),
            value.allSatisfy({ (0x21...0x7E).contains($0) })
        else {
            throw Problem(
                .badRequest,
                "Idempotency-Key must be 1 to \(Limits.idempotencyKeyBytesMax) visible ASCII characters")
        }
    }

    public static func timeToLive(_ seconds: UInt64) throws(Problem) {
        guard timeToLiveSeconds.contains(seconds) else {
            throw Problem(.badRequest, "ttl must be a whole number from 1 to \(Limits.ttlSecondsMax)")
        }
    }

    public static func preconditions(_ preconditions: Preconditions) throws(Problem) {
        for condition in [preconditions.ifMatch, preconditions.ifNoneMatch] {
            guard case .versions(let versions)? = condition else { continue }
            guard versions.count <= Limits.preconditionVersionsMax else { throw tooManyVersions }
        }
    }

    static let tooManyVersions = Problem(
        .badRequest, "a precondition may name at most \(Limits.preconditionVersionsMax) versions")

    /// Printable ASCII: what can stand in a field of HTTP, and in JSON, without doing harm to what stands beside it.
    public static func isFieldText(_ bytes: ArraySlice<UInt8>) -> Bool {
        let span = bytes.span
        for index in span.indices where !(0x20...0x7E).contains(span[index]) { return false }
        return true
    }
}

extension WriteOperation {
    /// Everything that is decided by the operation alone. The key was checked when it was made.
    public func check(_ limits: EntityLimits) throws(Problem) {
        if let idempotencyKey { try OperationChecks.idempotencyKey(idempotencyKey[...]) }
        try OperationChecks.preconditions(preconditions)
        switch action {
        case .put(let state, let contentType, let ttlSeconds):
            try OperationChecks.contentType(contentType[...])
            if let ttlSeconds { try OperationChecks.timeToLive(ttlSeconds) }
            guard state.count <= limits.entityBytesMax else { throw .tooLarge("state", limits) }
        case .patch(_, let document):
            guard document.count <= limits.entityBytesMax else { throw .tooLarge("patch document", limits) }
        case .delete: break
        }
    }
}

extension ReadRequest {
    /// As ``WriteOperation/check(_:)``.
    public func check() throws(Problem) {
        switch kind {
        case .entity(let preconditions): try OperationChecks.preconditions(preconditions)
        case .outcome(let idempotencyKey): try OperationChecks.idempotencyKey(idempotencyKey[...])
        }
    }
}

extension ListRequest {
    /// As ``WriteOperation/check(_:)``.
    public func check() throws(Problem) {
        guard (1...Limits.listItemsMax).contains(itemsMax) else {
            throw Problem(.badRequest, "limit must be a whole number from 1 to \(Limits.listItemsMax)")
        }
        guard keyPrefix.count <= EntityKey.bytesMax else { throw Problem(.badRequest, "prefix is longer than any key") }
        guard (after?.keyBytes.count ?? 0) <= EntityKey.bytesMax else { throw Problem(.badRequest, "bad cursor") }
    }
}

extension Problem {
    fileprivate static func tooLarge(_ what: StaticString, _ limits: EntityLimits) -> Problem {
        Problem(.entityTooLarge, "the \(what) may have at most \(limits.entityBytesMax) bytes")
    }
}
