import DequeModule
public import Entities
public import Primitives

/// Effects for the log, at contiguous positions from `first`.
public struct AppendGroup: Sendable {
    public let shard: ShardID
    public let epoch: Epoch
    public let first: Position
    /// Encoded ``EntityEffect``s.
    public let payloads: [[UInt8]]
}

/// Committed effects for the store: one batch, which also carries `through` as the shard's applied position.
public struct CommitGroup: Sendable {
    public let shard: ShardID
    public let epoch: Epoch
    public let through: Position
    public let effects: [EntityEffect]
}

extension ShardMachine {
    /// Every effect not yet handed to the log, or `nil`.
    public mutating func takeGroup() -> AppendGroup? {
        guard submitted < appended else { return nil }
        let first = submitted.next
        let start = Int(first.rawValue - applied.rawValue) - 1
        let payloads = effects[start...].map { payload(of: $0.effect) }
        submitted = appended
        return AppendGroup(shard: shard, epoch: epoch, first: first, payloads: payloads)
    }

    private func payload(of effect: EntityEffect) -> [UInt8] {
        guard mutants.has(.idempotencyRowOutsideBatch) else { return effect.encoded }
        return EntityEffect(key: effect.key, record: effect.record, idempotencyKey: nil, idempotencyRow: nil).encoded
    }

    /// The log has enough to write before the group that began at `first`. It stays here, and ``takeGroup()`` gives it
    /// again, with what was appended meanwhile.
    public mutating func groupKept(from first: Position) {
        precondition(first > durable && first <= submitted, "only a group that was just taken is kept")
        submitted = Position(first.rawValue - 1)
    }

    /// The log did not take the group that began at `first`: none of it happened. Its writes are refused with
    /// `problem`, their positions are given back, and whatever was evaluated on top of them is evaluated anew.
    public mutating func groupRefused(
        from first: Position, problem: Problem, now: Timestamp, rows: some CommittedRows
    ) {
        precondition(first > durable && first <= appended, "only a group that the log has not taken is refused")
        var again: [Item] = []
        var kept = gated
        kept.removeAll()
        while let waiting = gated.popFirst() {
            if waiting.gate < first {
                kept.append(waiting)
            } else if case .written(_, let version, _, _, false) = waiting.answer, version == waiting.gate {
                release(waiting.item, .refused(problem, currentVersion: nil, place(applied)))
            } else {
                again.append(waiting.item)
            }
        }
        gated = kept
        // Positions are given anew, and a state that was read is known by its position.
        forgetReadStates()
        appended = Position(first.rawValue - 1)
        submitted = min(submitted, appended)
        while let last = effects.last, last.position >= first {
            effectBytes -= last.bytes
            effects.removeLast()
            forget(last.key, from: first)
        }
        rerun(again, now: now, rows: rows)
    }

    /// Takes an effect that did not happen out of its entity's overlay.
    private mutating func forget(_ key: EntityKey, from first: Position) {
        guard let index = lanes.index(forKey: key) else {
            preconditionFailure("an effect in flight has a lane")
        }
        let newest = effects.last { $0.key == key }
        lanes.values[index].pendingEffects -= 1
        lanes.values[index].pendingRows.removeAll { $0.row.version >= first }
        lanes.values[index].overlay = newest.map { .known($0.effect.record) } ?? .unknown
        if lanes.values[index].isIdle { lanes.remove(at: index) }
    }

    /// Positions up to `position` are on stable storage, which commits them. Never goes back.
    public mutating func logDurable(upTo position: Position) {
        precondition(position <= submitted, "the log cannot have what it was not given")
        durable = max(durable, position)
        if mutants.has(.answerBeforeApply) { releaseGated(upTo: durable) }
    }

    /// Every committed effect not yet applied, or `nil`. The caller writes them, and `through`, in one batch, and then
    /// calls ``applied(upTo:)``. Changes nothing; `mutating`, since a machine that is a property of a class would
    /// otherwise be copied for the call.
    public mutating func takeCommit() -> CommitGroup? {
        guard applied < durable else { return nil }
        let count = Int(durable.rawValue - applied.rawValue)
        return CommitGroup(
            shard: shard, epoch: epoch, through: durable, effects: effects.prefix(count).map(\.effect))
    }

    /// The store reads back everything up to `position`: what rests on it may be said.
    public mutating func applied(upTo position: Position) {
        precondition(position <= durable, "only committed effects enter the store")
        while applied < position {
            guard let effect = effects.popFirst() else {
                preconditionFailure("shard \(shard) applied \(position) but has no effect after \(applied)")
            }
            precondition(effect.position == applied.next, "positions are contiguous")
            applied = effect.position
            effectBytes -= effect.bytes
            settleLane(effect.key)
        }
        releaseGated(upTo: applied)
    }

    /// The shard stops being served here: what the log may have is unknown, all else did not happen. Afterwards nothing
    /// is in flight, and fetches and jobs under way must not be given back.
    public mutating func stepDown(_ problem: Problem) {
        let unknown = Problem(
            .outcomeUnknown, "the write was on its way to stable storage when shard \(shard) stopped being served")
        while let waiting = gated.popFirst() {
            let isWrite = if case .written = waiting.answer { true } else { false }
            let mayHaveHappened = isWrite && waiting.gate <= submitted
            release(
                waiting.item, .refused(mayHaveHappened ? unknown : problem, currentVersion: nil, place(applied)))
        }
        // Sorted, since a dictionary's order must not decide anything.
        let parked = lanes.values.flatMap { Array($0.parked) }.sorted { $0.ticket < $1.ticket }
        for item in parked { release(item, .refused(problem, currentVersion: nil, place(applied))) }
        while let item = waiting.popFirst() { release(item, .refused(problem, currentVersion: nil, place(applied))) }
        while let item = held.popFirst() { release(item, .refused(problem, currentVersion: nil, place(applied))) }
        stalled.removeAll()
        forgetReadStates()
        lanes.removeAll()
        effects.removeAll()
        effectBytes = 0
        fetches.removeAll()
        jobs.removeAll()
    }

    private mutating func releaseGated(upTo position: Position) {
        while let waiting = gated.first, waiting.gate <= position {
            gated.removeFirst()
            release(waiting.item, waiting.answer)
        }
    }

    private mutating func settleLane(_ key: EntityKey) {
        guard let index = lanes.index(forKey: key) else {
            preconditionFailure("an effect in flight has a lane")
        }
        lanes.values[index].settle(upTo: applied)
        if lanes.values[index].isIdle { lanes.remove(at: index) }
    }
}

extension Lane {
    /// The store has caught up to `position`: what it knows by itself need not be remembered.
    mutating func settle(upTo position: Position) {
        pendingEffects -= 1
        pendingRows.removeAll { $0.row.version <= position }
        if pendingEffects == 0 { overlay = .unknown }
    }
}
