public import HashRing
public import Primitives

/// The steps of a move that the two nodes of it take, each as a transaction on the shard's record (Architecture §9).
/// Each compares the record with the entry given, and is `nil` where that record does not call for the step (any more).
///
/// A node takes a step in the metadata first and acts on it only once it has read it committed.
public enum MoveStep {
    /// The target has begun to copy: for the first time, or again from the start after `restart` or its own restart.
    public static func beginCopy(_ entry: ShardEntry, by node: NodeID) -> MetadataTransaction? {
        guard let move = entry.record.move, move.to == node else { return nil }
        switch move.stage {
        // At `copy`, too: a `catch-up` of an earlier attempt may still be on its way, and must fail.
        case .learner, .copy, .catchUp, .handover: return put(entry, stage: .copy)
        case .retire: return nil
        }
    }

    /// The target starts and has lost what it had: nothing that it has acknowledged, or asked of the store, may count
    /// any more. ``beginCopy(_:by:)`` follows once it copies again.
    public static func withdrawCopy(_ entry: ShardEntry, by node: NodeID) -> MetadataTransaction? {
        guard let move = entry.record.move, move.to == node else { return nil }
        switch move.stage {
        case .copy, .catchUp, .handover: return put(entry, stage: .learner)
        case .learner, .retire: return nil
        }
    }

    /// The target has a store and reads what was committed since.
    public static func catchUp(_ entry: ShardEntry, by node: NodeID) -> MetadataTransaction? {
        guard let move = entry.record.move, move.to == node, move.stage == .copy else { return nil }
        return put(entry, stage: .catchUp)
    }

    /// The source is about to freeze the shard.
    public static func enterHandover(_ entry: ShardEntry, by node: NodeID) -> MetadataTransaction? {
        guard let move = entry.record.move, owns(entry, node), move.stage == .catchUp else { return nil }
        return put(entry, stage: .handover)
    }

    /// The source gives this attempt up. Committed, it also makes sure that a handover whose outcome is unknown can no
    /// longer happen. So a node that starts and finds a shard of its own at this stage takes this step before it serves
    /// the shard: what its process before asked of the store may still be on its way.
    public static func leaveHandover(_ entry: ShardEntry, by node: NodeID) -> MetadataTransaction? {
        guard let move = entry.record.move, owns(entry, node), move.stage == .handover else { return nil }
        return put(entry, stage: .catchUp)
    }

    /// The source gives the shard to the target: the only transaction that changes who owns a shard. Everything
    /// admitted is applied and durable at the target, and neither reads nor writes are served until its outcome is
    /// known (``MoveOutcome``).
    ///
    /// - Parameters:
    ///   - mapRevision: of the map that was read with `mapEntry`.
    ///   - mapEntry: when `map-revision` was last put.
    public static func handOver(
        _ entry: ShardEntry, by node: NodeID, mapRevision: MapRevision, mapEntry: MetadataRevision,
        mutants: Mutants = .none
    ) -> MetadataTransaction? {
        guard let move = entry.record.move, owns(entry, node), move.stage == .handover else { return nil }
        let epoch = mutants.has(.handoverWithoutEpochRaise) ? entry.record.epoch : entry.record.epoch.next
        let given = ShardRecord(
            epoch: epoch, primary: move.to, replicas: [move.to], inSync: [move.to], move: move.at(.retire))
        return MetadataTransaction(
            if: [.lastPut(.shard(entry.shard), at: entry.revision), .lastPut(.mapRevision, at: mapEntry)],
            then: [.put(.shard(entry.shard), given.encoded()), .put(.mapRevision, mapRevision.next.encoded())])
    }

    /// As above, from one map.
    public static func handOver(
        _ shard: ShardID, by node: NodeID, in map: ClusterMap, mutants: Mutants = .none
    ) -> MetadataTransaction? {
        map.shard(shard).flatMap {
            handOver(
                $0, by: node, mapRevision: map.mapRevision, mapEntry: map.modRevision(of: .mapRevision),
                mutants: mutants)
        }
    }

    /// The source has put its files away; the move is over.
    public static func finishRetire(_ entry: ShardEntry, by node: NodeID) -> MetadataTransaction? {
        guard let move = entry.record.move, move.from == node, move.stage == .retire else { return nil }
        return put(entry, move: nil)
    }

    private static func owns(_ entry: ShardEntry, _ node: NodeID) -> Bool {
        entry.record.primary == node && entry.record.move?.from == node
    }

    private static func put(_ entry: ShardEntry, stage: ShardMove.Stage) -> MetadataTransaction {
        put(entry, move: entry.record.move?.at(stage))
    }

    private static func put(_ entry: ShardEntry, move: ShardMove?) -> MetadataTransaction {
        MetadataTransaction(
            if: [.lastPut(.shard(entry.shard), at: entry.revision)],
            then: [.put(.shard(entry.shard), entry.record.with(move).encoded())])
    }
}

/// What became of a handover whose transaction did not come back with `committed`: told from the record, read again
/// after it. Not from a watch.
public enum MoveOutcome: Sendable, Hashable {
    /// The shard belongs to the target: forward what was held.
    case committed(ShardEntry)
    /// Nothing says that it happened, and nothing says that it will not: a request that the store still holds may be
    /// carried out later. Stay frozen; hand over again, or leave the handover, and judge again.
    case open(ShardEntry)
    /// It did not happen and never will, for the record has changed. The move goes on at the stage in the entry: thaw,
    /// or, in the stage `handover`, hand over again on the new entry.
    case void(ShardEntry)
    /// It did not happen and never will: the move was cancelled, and another one may have begun. Thaw.
    case cancelled(ShardEntry)

    /// - Parameters:
    ///   - tried: the entry that the handover compared.
    ///   - current: the entry as it reads now.
    public static func judge(_ tried: ShardEntry, _ current: ShardEntry) -> MoveOutcome {
        precondition(tried.shard == current.shard, "an outcome is read from the shard's own record")
        precondition(tried.revision <= current.revision, "the record is read after the attempt")
        // Only its owner gives a shard away, so a higher epoch, or another owner, is our own doing.
        if current.record.epoch > tried.record.epoch || current.record.primary != tried.record.primary {
            return .committed(current)
        }
        if current.revision == tried.revision { return .open(current) }
        guard let move = current.record.move, let was = tried.record.move, move.at(was.stage) == was else {
            return .cancelled(current)
        }
        return .void(current)
    }
}

extension ShardMove {
    func at(_ stage: Stage) -> ShardMove { ShardMove(stage: stage, from: from, to: to, operation: operation) }

    /// Whether the shard still belongs to `from`, so that the move can be cancelled.
    public var isBeforeHandover: Bool { stage != .retire }
}

extension ShardRecord {
    func with(_ move: ShardMove?) -> ShardRecord {
        ShardRecord(epoch: epoch, primary: primary, replicas: replicas, inSync: inSync, move: move)
    }
}
