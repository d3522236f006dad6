public import Primitives

/// What a write came to, decided from the entity's own record alone.
public enum Evaluation: Sendable {
    /// Nothing changes. `currentVersion` is the entity's, `nil` where it is absent.
    case refused(Problem, currentVersion: Position?)
    /// The entity's new record, or its removal (`nil`), at the position given. `status` is 204, or 200 with a representation.
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
        fatalError("skeleton")
    }
}

/// What a conditional read came to (GET and HEAD with preconditions).
public enum ReadEvaluation: Sendable {
    case found(StoredRecord)
    case notModified(StoredRecord)
    case refused(Problem, currentVersion: Position?)
}

extension Preconditions {
    /// Evaluates a GET or HEAD against `current` at `now`. Pure.
    public func evaluateRead(current: StoredRecord?, now: Timestamp) -> ReadEvaluation {
        fatalError("skeleton")
    }

    /// Reads the values of `If-Match` and `If-None-Match` fields, each possibly repeated (one list, RFC 9110 §5.3).
    /// An empty or malformed list is `bad-request`.
    public init(ifMatch: [ArraySlice<UInt8>], ifNoneMatch: [ArraySlice<UInt8>]) throws(Problem) {
        fatalError("skeleton")
    }
}
