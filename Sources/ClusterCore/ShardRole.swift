public import HashRing
public import Primitives

/// What a node has to do with one shard, decided on the shard's record alone, as the node itself has read it. Pure.
public enum ShardRole: Sendable, Hashable {
    /// Nothing. A store that is here nevertheless is of a former life: it goes to the trash, and out of the log.
    case none
    /// It is the primary at this epoch, and serves the shard from its store.
    case own(Epoch)
    /// It copies the shard, and becomes its primary when the source hands over.
    case receive(ShardMove)
    /// It was the source of a move that is complete: its store goes to the trash, and then
    /// ``MoveStep/finishRetire(_:by:)`` ends the move.
    case retire(ShardMove)

    public init(of record: ShardRecord, for node: NodeID, mutants: Mutants = .none) {
        if record.primary == node {
            self = .own(record.epoch)
        } else if let move = record.move, move.stage == .retire {
            self = move.from == node ? .retire(move) : .none
        } else if let move = record.move, move.to == node {
            let isTaken = mutants.has(.targetServesUnread) && move.stage == .handover
            self = isTaken ? .own(record.epoch.next) : .receive(move)
        } else {
            self = .none
        }
    }

    /// What must be changed in the record before this node may act on it at its start; `nil`: nothing. Run it, and read
    /// the record again, until there is nothing to change: only a record that was read afterwards says what the node
    /// is.
    ///
    /// - A primary that finds its handover begun takes it back: a transaction of its former life may still be on its
    ///   way, and fails by this.
    /// - A target withdraws what its former life has acknowledged, or may yet declare complete, before it throws the
    ///   copy away: a handover that relies on it fails by this.
    public static func beforeStart(
        _ entry: ShardEntry, for node: NodeID, mutants: Mutants = .none
    ) -> MetadataTransaction? {
        guard !mutants.has(.startActsUnsettled) else { return nil }
        return entry.record.primary == node
            ? MoveStep.leaveHandover(entry, by: node) : MoveStep.withdrawCopy(entry, by: node)
    }
}
