public import Primitives

/// What a write came to, decided from the entity's own record alone.
public enum Evaluation: Sendable {
    /// Nothing changes. `currentVersion` is the entity's, `nil` where it is absent.
    case refused(Problem, currentVersion: Position?)
    /// The entity's new record, or its removal (`nil`), at the position given. `status` is 204, or 200 with a
    /// representation.
    case effect(record: StoredRecord?, status: UInt16)
}

/// Bounds that an operator may set.
public struct EntityLimits: Sendable {
    public var entityBytesMax: Int

    public init(entityBytesMax: Int = Limits.entityBytesDefault) { self.entityBytesMax = entityBytesMax }
}

extension WriteOperation {
    /// Evaluates against `current` (`nil` where absent; an expired record counts as absent), in this order:
    /// preconditions, then the action. The idempotency row has been looked at before. Pure.
    ///
    /// - Parameters:
    ///   - position: the position that the effect gets, which becomes the record's version.
    ///   - now: becomes the record's `updatedAt` and the base of its expiry.
    public func evaluate(
        current: StoredRecord?, position: Position, now: Timestamp, limits: EntityLimits
    ) -> Evaluation {
        let current = current?.live(at: now)
        do throws(Problem) {
            if let problem = preconditions.failure(on: current) { throw problem }
            let record = try record(after: current, position: position, now: now, limits: limits)
            return .effect(record: record, status: answersWithRepresentation ? 200 : 204)
        } catch {
            return .refused(error, currentVersion: current?.version)
        }
    }

    /// Only a PATCH makes a state that its sender does not know.
    private var answersWithRepresentation: Bool {
        guard case .patch = action else { return false }
        return wantsRepresentation
    }

    private func record(
        after current: StoredRecord?, position: Position, now: Timestamp, limits: EntityLimits
    ) throws(Problem) -> StoredRecord? {
        switch action {
        case .put(let state, let contentType, let ttlSeconds):
            guard state.count <= limits.entityBytesMax else { throw .entityTooLarge(limits) }
            guard contentType.count <= Limits.contentTypeBytesMax else { throw .contentTypeTooLong }
            return StoredRecord(
                version: position, updatedAt: now, expiresAt: ttlSeconds.map { now.adding(seconds: $0) },
                contentType: contentType[...], state: state[...])
        case .patch(let kind, let document):
            let patch = try PatchDocument(kind, document)
            let state = try patch.newState(after: current, documentBytes: document.count, limits: limits)
            return StoredRecord(
                version: position, updatedAt: now, expiresAt: current?.expiresAt,
                contentType: current?.contentType ?? Self.createdContentType[...], state: state[...])
        case .delete:
            guard current != nil else { throw .notFound }
            return nil
        }
    }

    /// What `else-create` stores.
    private static let createdContentType = Array("application/json".utf8)
}

extension PatchDocument {
    /// The patched state as text.
    fileprivate func newState(
        after current: StoredRecord?, documentBytes: Int, limits: EntityLimits
    ) throws(Problem) -> [UInt8] {
        let byteCount = (current?.state.count ?? 0) + documentBytes
        let result = try apply(to: try base(current), byteCount: byteCount, bytesMax: limits.entityBytesMax)
        guard let state = result.encoded(bytesMax: limits.entityBytesMax, expecting: byteCount) else {
            throw .entityTooLarge(limits)
        }
        return state
    }

    /// What the patch starts from. An entity is JSON by its bytes, whatever its content type.
    private func base(_ current: StoredRecord?) throws(Problem) -> JSONValue {
        guard let current else {
            guard let elseCreate else { throw .notFound }
            return elseCreate
        }
        do {
            return try JSONValue(parsing: current.state)
        } catch {
            throw Problem(.notJSON, "the entity's state is not JSON that can be patched: \(error)")
        }
    }
}

extension StoredRecord {
    /// `nil` from the expiry on.
    fileprivate func live(at now: Timestamp) -> StoredRecord? { isExpired(at: now) ? nil : self }

    /// `Last-Modified`: dates of HTTP have whole seconds.
    fileprivate var changedSeconds: UInt64 { updatedAt.milliseconds / 1000 }
}

extension Problem {
    fileprivate static let notFound = Problem(.notFound, "there is no entity under this key")

    fileprivate static let contentTypeTooLong = Problem(
        .badRequest, "the content type is longer than \(Limits.contentTypeBytesMax) bytes")

    fileprivate static func entityTooLarge(_ limits: EntityLimits) -> Problem {
        Problem(.entityTooLarge, "the state would be larger than \(limits.entityBytesMax) bytes")
    }
}

/// What a conditional read came to (GET and HEAD with preconditions).
public enum ReadEvaluation: Sendable {
    case found(StoredRecord)
    case notModified(StoredRecord)
    case refused(Problem, currentVersion: Position?)
}

extension Preconditions {
    /// Evaluates a GET or HEAD against `current` at `now`, in the order of RFC 9110 §13.2.2: a false `If-Match`, or a
    /// false `If-Unmodified-Since` without it, is 412 first; a false `If-None-Match`, or a false `If-Modified-Since`
    /// without it, is 304. Pure.
    public func evaluateRead(current: StoredRecord?, now: Timestamp) -> ReadEvaluation {
        let current = current?.live(at: now)
        if let problem = staleness(of: current) { return .refused(problem, currentVersion: current?.version) }
        guard let current else { return .refused(.notFound, currentVersion: nil) }
        if let ifNoneMatch { return ifNoneMatch.matches(current) ? .notModified(current) : .found(current) }
        if let ifModifiedSince, current.changedSeconds <= ifModifiedSince { return .notModified(current) }
        return .found(current)
    }

    /// Why a write must not happen; `nil` where every condition holds.
    fileprivate func failure(on current: StoredRecord?) -> Problem? {
        if let problem = staleness(of: current) { return problem }
        guard let current, ifNoneMatch?.matches(current) ?? false else { return nil }
        return Problem(.preconditionFailed, "If-None-Match: the entity exists, at version \"\(current.version)\"")
    }

    /// Why the entity is not the one that the caller has seen; `nil` where it is, or nothing was said of it.
    private func staleness(of current: StoredRecord?) -> Problem? {
        if let ifMatch { return ifMatch.matches(current) ? nil : Self.ifMatchFailure(on: current) }
        guard let ifUnmodifiedSince, let current, current.changedSeconds > ifUnmodifiedSince else { return nil }
        return Problem(
            .preconditionFailed, "If-Unmodified-Since: the entity was changed later, to version \"\(current.version)\"")
    }

    private static func ifMatchFailure(on current: StoredRecord?) -> Problem {
        let state = current.map { "is at version \"\($0.version)\"" } ?? "does not exist"
        return Problem(.preconditionFailed, "If-Match: the entity \(state)")
    }
}

extension Preconditions.Condition {
    fileprivate func matches(_ current: StoredRecord?) -> Bool {
        guard let current else { return false }
        switch self {
        case .any: return true
        case .versions(let versions): return versions.contains(current.version.rawValue)
        }
    }
}
