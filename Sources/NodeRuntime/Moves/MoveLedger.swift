import ClusterCore
import ClusterMetadata
import HashRing
import Primitives

/// Reads and changes the metadata record of one shard on behalf of its move. Every change is conditional on what was
/// read just before, and whatever a transaction says, the record that stands there afterwards decides (rule R9).
struct MoveLedger: Sendable {
    let metadata: any MetadataStore
    let shard: ShardID
    let node: NodeID

    enum Handover: Sendable {
        /// It took effect.
        case committed(Epoch)
        /// It did not; this is what stands there.
        case conflict(ShardEntry)
        /// It may or may not have taken effect.
        case unknown
        /// This attempt did surely not take effect, and the record is not known to have changed.
        case notSent
    }

    func read() async throws(MetadataError) -> ShardEntry {
        guard let entry = try await metadata.get(.shard(shard)).value else {
            throw .unavailable(detail: "the record of shard \(shard) is gone")
        }
        do {
            if let entry = try ShardEntry(entry) { return entry }
        } catch {
            throw .unavailable(detail: "\(error)")
        }
        preconditionFailure("the key of a shard is one")
    }

    /// Takes one step of the move where it applies, and says what stands there then.
    func take(
        _ step: (ShardEntry, NodeID) -> MetadataTransaction?
    ) async throws(MetadataError) -> ShardEntry {
        let before = try await read()
        guard let transaction = step(before, node) else { return before }
        if case .committed(let revision) = try await metadata.transaction(transaction),
            let entry = ShardEntry(shard, putBy: transaction, at: revision)
        {
            return entry
        }
        return try await read()
    }

    /// Gives the shard to the move's target, where the record is still the one of `revision`.
    func handOver(at revision: UInt64) async -> Handover {
        do {
            let before = try await read()
            guard before.revision.rawValue == revision else { return .conflict(before) }
            guard let entry = try await metadata.get(.mapRevision).value,
                let map = try? MapRevision(decoding: entry.value, of: entry.key),
                let transaction = MoveStep.handOver(
                    before, by: node, mapRevision: map, mapEntry: entry.modRevision)
            else { return .notSent }
            return try await commit(transaction, before)
        } catch {
            return .notSent
        }
    }

    private func commit(
        _ transaction: MetadataTransaction, _ before: ShardEntry
    ) async throws(MetadataError) -> Handover {
        do throws(MetadataError) {
            if case .committed = try await metadata.transaction(transaction) {
                return .committed(before.record.epoch.next)
            }
        } catch .unavailable {
            return .notSent
        } catch {
            return .unknown
        }
        let now = try await read()
        // Another shard's handover changed the map's revision meanwhile, and this one's record is as it was.
        return now.revision == before.revision ? .notSent : .conflict(now)
    }
}

extension ShardMove {
    /// Whether both are the same undertaking, at whatever stage.
    func isSameMove(as other: ShardMove) -> Bool {
        from == other.from && to == other.to && operation == other.operation
    }
}
