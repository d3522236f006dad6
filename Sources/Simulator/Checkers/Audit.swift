import Entities
import Primitives

/// Watches the node from inside: every commit, answer, application and recovery is checked as it happens.
final class Audit {
    let world: World
    let history: History
    let log: CommittedLog
    let shardOf: (EntityKey) -> ShardID
    /// Where operations with an id that stands in their states are found.
    private(set) var operationsByID: [UInt64: Int] = [:]
    /// Where each Idempotency-Key of an entity took effect, newest last.
    private var keyedEffects: [IdempotencyName: [Position]] = [:]
    /// Shards that a planted corruption may have cost something; cleared when it is undone.
    var damagedShards: Set<ShardID> = []
    /// Who owns which shard at which epoch, where the cluster decides it.
    var owners: OwnerLedger?

    private struct IdempotencyName: Hashable {
        let key: EntityKey
        let name: [UInt8]
    }

    init(world: World, history: History, log: CommittedLog, shardOf: @escaping (EntityKey) -> ShardID) {
        self.world = world
        self.history = history
        self.log = log
        self.shardOf = shardOf
    }

    func register(_ id: UInt64, operation: Int) { operationsByID[id] = operation }

    // MARK: Commits

    /// `payload` stands on stable storage at `position`, so the node says, or so recovery has found.
    ///
    /// - Parameter run: the run of a node that evaluated it, by a clock of its own; `nil` where that is not known.
    func committed(_ shard: ShardID, _ position: Position, payload: [UInt8], run: Int?) {
        let hash = XXH64.hash(payload, seed: 0)
        let end = log.end(shard)
        if position <= end {
            let known = log[shard, position].payloadHash
            if known != hash {
                world.fail(.logMatching, "shard \(shard) committed two different effects at position \(position)")
            }
            return
        }
        guard position == end.next else {
            return world.fail(.logMatching, "shard \(shard) committed \(position) right after \(end)")
        }
        guard let effect = EntityEffect(decoding: payload) else {
            return world.fail(.logMatching, "shard \(shard) committed bytes at \(position) that are no effect")
        }
        world.trace.absorb(payload)
        let previous = log.lastUpdate(of: effect.key, atOrBefore: end)
        var entry = CommittedLog.Entry(
            effect: effect, payloadHash: hash, previous: previous, moment: world.tick(), time: world.now,
            run: run)
        entry.operation = operation(of: effect)
        log.append(entry, to: shard)
        check(entry, shard, position)
    }

    /// By its state, and for a removal by its Idempotency-Key: a key can come with two requests, a state cannot.
    private func operation(of effect: EntityEffect) -> Int? {
        let id = effect.record.map { OperationID.read(from: $0.state) } ?? effect.idempotencyKey.map(OperationID.number)
        return id.flatMap { $0 }.flatMap { operationsByID[$0] }
    }

    private func check(_ entry: CommittedLog.Entry, _ shard: ShardID, _ position: Position) {
        if let record = entry.effect.record, record.version != position {
            world.fail(
                .versionsNeverReused,
                "shard \(shard) committed version \(record.version) of \(entry.effect.key.text) at position \(position)"
            )
        }
        checkOnce(entry, shard, position)
        guard let index = entry.operation, case .write(let operation) = history.operations[index].line else { return }
        if let first = history.operations[index].effect {
            world.fail(
                .effectivelyOnce,
                "operation \(index) on \(operation.key.text) took effect at \(first) and at \(position)")
        }
        history.found(effectOf: index, at: position)
        EffectCheck(world: world, log: log).check(entry, operation, shard, position)
    }

    private func checkOnce(_ entry: CommittedLog.Entry, _ shard: ShardID, _ position: Position) {
        guard let name = entry.effect.idempotencyKey else { return }
        let key = IdempotencyName(key: entry.effect.key, name: Array(name))
        if let first = keyedEffects[key]?.last {
            world.fail(
                .effectivelyOnce,
                "an Idempotency-Key of \(entry.effect.key.text) took effect at \(first) and again at \(position)")
        }
        keyedEffects[key, default: []].append(position)
    }

    /// Where an Idempotency-Key of an entity took effect.
    func effects(of key: EntityKey, _ name: [UInt8]) -> [Position] {
        keyedEffects[IdempotencyName(key: key, name: name)] ?? []
    }

    // MARK: The node's parts

    /// A node commits or answers as the owner of a shard at an epoch.
    func acted(on shard: ShardID, _ epoch: Epoch, node: Int, _ what: String) {
        owners?.acted(on: shard, epoch, node: node, what)
    }

    /// A copy in the making holds `payload` at `position`: it must be what was committed there.
    func copied(_ shard: ShardID, _ position: Position, payload: [UInt8]) {
        guard position > log.end(shard) else { return committed(shard, position, payload: payload, run: nil) }
        world.fail(.logMatching, "a copy of shard \(shard) has \(position), committed is \(log.end(shard))")
    }

    func applied(_ shard: ShardID, _ position: Position) {
        if position > log.end(shard) {
            world.fail(
                .appliedWithinCommitted, "shard \(shard) applied \(position), committed is \(log.end(shard))")
        }
    }

    func queued(_ shard: ShardID, items: Int, itemsMax: Int, bytes: Int, bytesMax: Int) {
        if items > itemsMax || bytes > bytesMax {
            world.fail(
                .queueWithinLimits,
                "shard \(shard) has \(items) of \(itemsMax) operations and \(bytes) of \(bytesMax) bytes queued")
        }
    }

    /// A run has opened the log: each shard that it serves must hold everything that was committed.
    func recovered(_ shard: ShardID, through end: Position) {
        let committed = log.end(shard)
        guard end < committed else { return }
        let acked = history.operations.contains { operation in
            guard case .written(_, let version, _, _, _)? = operation.answer else { return false }
            return version > end && shardOf(operation.line.key) == shard
        }
        world.fail(
            damagedShards.contains(shard) ? .corruptionServed : acked ? .acknowledgedWriteLost : .logMatching,
            "shard \(shard) came back with position \(end) of \(committed) that had been committed")
    }
}

extension EntityKey {
    var text: String { String(decoding: bytes, as: UTF8.self) }
}
