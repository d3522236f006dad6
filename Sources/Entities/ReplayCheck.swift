public import Primitives

/// What the row of an operation's Idempotency-Key says about the operation. Looked up before any precondition.
public enum ReplayCheck: Sendable, Equatable {
    /// The key is new, or its retention is over: evaluate the operation.
    case none
    /// The same request took effect before: answer this again and change nothing.
    case replay(status: UInt16, version: Position)
    /// The key came with another method, body or patch kind: 422 `idempotency-mismatch`.
    case mismatch(Problem)

    /// - Parameter row: what is stored under the operation's key on its entity, `nil` where nothing is.
    public init(_ operation: WriteOperation, row: IdempotencyRow?, now: Timestamp) {
        guard operation.idempotencyKey != nil, let row, !row.isExpired(at: now) else {
            self = .none
            return
        }
        guard row.fingerprint == IdempotencyRow.Fingerprint(of: operation.action) else {
            self = .mismatch(
                Problem(
                    .idempotencyMismatch,
                    "this Idempotency-Key came to this entity before, with another method or body; "
                        + "use a new key for a new request"))
            return
        }
        self = .replay(status: row.status, version: row.version)
    }
}
