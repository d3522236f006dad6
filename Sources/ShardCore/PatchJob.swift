import Entities
import Primitives

/// A patch that may hold a thread for long. It is evaluated off the loop, while its entity's queue waits, and given
/// back by ``ShardMachine/finished(_:now:at:rows:)``.
public struct PatchJob: Sendable {
    let key: EntityKey
    /// Told apart from an earlier one of the entity, which may still be under way though nothing waits for it any more.
    let number: UInt64
    let operation: WriteOperation
    let current: StoredRecord?
    let now: Timestamp
    let limits: EntityLimits
    /// It was begun on the loop and took too long there.
    let wasCut: Bool
    var known: ReadState?

    /// What may come out of it, in bytes: about as much as it reads. One that reads little and takes long may copy it
    /// until the state is as large as any.
    public var byteCount: Int {
        let bytes = operation.patchBytes(on: current)
        return wasCut ? max(bytes, limits.entityBytesMax) : bytes
    }

    /// Evaluates it. Pure; any thread. Whoever holds no second copy of the job saves one of the state.
    public consuming func run() -> PatchResult {
        var known = known
        // Not kept here as well, so that the state is changed where it lies.
        self.known = nil
        var cost = EvaluationCost()
        let evaluation = operation.evaluate(
            current: current, position: Self.somePosition, now: now, limits: limits, known: &known, cost: &cost)
        return PatchResult(
            key: key, number: number, evaluation: evaluation, known: known, statesRead: cost.statesRead,
            base: current?.version, now: now)
    }

    /// The effect's own position is known only when the job has been given back.
    private static let somePosition = Position(0)
}

/// What a ``PatchJob`` came to.
public struct PatchResult: Sendable {
    let key: EntityKey
    let number: UInt64
    let evaluation: Evaluation
    let known: ReadState?
    let statesRead: Int
    /// The version that was patched; `nil`: there was none.
    let base: Position?
    let now: Timestamp

    /// Whether the same patch would come to the same now. A refused group may have taken `current` away meanwhile, and
    /// it may have expired.
    func holds(for current: StoredRecord?, now: Timestamp) -> Bool {
        current?.version == base && current?.isExpired(at: now) == current?.isExpired(at: self.now)
    }
}
