import Entities
import Primitives

/// Holds one committed effect against the operation that it is of and the state that it met. The semantics are told
/// here once more, from the contract alone.
struct EffectCheck {
    let world: World
    let log: CommittedLog

    func check(
        _ entry: CommittedLog.Entry, _ operation: WriteOperation, _ shard: ShardID, _ position: Position
    ) {
        guard entry.effect.key == operation.key else {
            return fail(operation, position, "was committed under \(entry.effect.key.text)")
        }
        checkState(entry, operation, shard, position)
        checkPreconditions(entry, operation, shard, position)
    }

    private func checkState(
        _ entry: CommittedLog.Entry, _ operation: WriteOperation, _ shard: ShardID, _ position: Position
    ) {
        let record = entry.effect.record
        switch operation.action {
        case .put(let state, let contentType, let ttl):
            guard let record else { return fail(operation, position, "put nothing") }
            if record.state != state[...] || !record.contentType.elementsEqual(contentType) {
                fail(operation, position, "put other bytes than were sent")
            }
            if record.expiresAt != ttl.map({ record.updatedAt.adding(seconds: $0) }) {
                fail(operation, position, "put another expiry than was asked for")
            }
        case .delete:
            if record != nil { fail(operation, position, "left the entity there") }
            if entry.previous.flatMap({ log[shard, $0].effect.record }) == nil {
                fail(operation, position, "deleted what was not there")
            }
        case .patch:
            checkCounter(entry, operation, shard, position)
        }
    }

    /// A counter goes up by one with each update, from one.
    private func checkCounter(
        _ entry: CommittedLog.Entry, _ operation: WriteOperation, _ shard: ShardID, _ position: Position
    ) {
        guard let now = entry.effect.record.flatMap({ OperationID.member("n", of: $0.state) }) else {
            return fail(operation, position, "left no counter")
        }
        let before = entry.previous.flatMap { log[shard, $0].effect.record }
            .flatMap { OperationID.member("n", of: $0.state) }
        if now != (before ?? 0) + 1 {
            world.fail(
                .counter,
                "\(operation.key.text) went from \(before.map(String.init) ?? "absent") to \(now) at \(position)")
        }
    }

    private func checkPreconditions(
        _ entry: CommittedLog.Entry, _ operation: WriteOperation, _ shard: ShardID, _ position: Position
    ) {
        let met = entry.previous.flatMap { previous in
            log[shard, previous].effect.record.map { (version: previous, record: $0) }
        }
        // Evaluation's time stands in the record; a deletion keeps none, so either reading of an expiry is right there.
        let expired = met.flatMap { met in entry.effect.record.map { met.record.isExpired(at: $0.updatedAt) } }
        let version = expired == true ? nil : met?.version
        if let condition = operation.preconditions.ifMatch, !condition.holds(for: version) {
            fail(operation, position, "took effect though If-Match did not hold for \(Self.text(version))")
        }
        if let condition = operation.preconditions.ifNoneMatch, condition.holds(for: version) {
            fail(operation, position, "took effect though If-None-Match did not hold for \(Self.text(version))")
        }
        if operation.preconditions.ifMatch == nil, let date = operation.preconditions.ifUnmodifiedSince,
            version != nil, let met, met.record.updatedAt.milliseconds / 1000 > date
        {
            fail(operation, position, "took effect though If-Unmodified-Since did not hold for \(Self.text(version))")
        }
    }

    private static func text(_ version: Position?) -> String { version?.description ?? "an absent entity" }

    private func fail(_ operation: WriteOperation, _ position: Position, _ text: String) {
        world.fail(
            .effectMatchesOperation, "the operation on \(operation.key.text) with effect at \(position) \(text)")
    }
}

extension Preconditions.Condition {
    /// Whether the entity at `version` (`nil`: absent) is one of those named.
    func holds(for version: Position?) -> Bool {
        guard let version else { return false }
        switch self {
        case .any: return true
        case .versions(let versions): return versions.contains(version.rawValue)
        }
    }
}
