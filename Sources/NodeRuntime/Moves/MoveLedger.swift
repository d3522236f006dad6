import ClusterCore
import ClusterMetadata
import HashRing
import Primitives

/// Reads and changes the metadata record of one shard on behalf of its move. Every change is conditional on what was
/// read, and whatever a transaction says, the record that stands there afterwards decides (rule R9).
///
/// What the watch has told is tried first, for it is nearly always what stands there: a read before each change would
/// double the round trips of a move, half of them while the shard's callers wait. Where it is old, the condition fails,
/// nothing has happened, and the record is read after all.
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
    ///
    /// - Parameter known: the record as somebody has read it; `nil` reads it now.
    func take(
        _ step: (ShardEntry, NodeID) -> MetadataTransaction?, knowing known: ShardEntry? = nil
    ) async throws(MetadataError) -> ShardEntry {
        if let known, let transaction = step(known, node), let entry = try await put(transaction) { return entry }
        let before = try await read()
        guard let transaction = step(before, node) else { return before }
        if let entry = try await put(transaction) { return entry }
        return try await read()
    }

    /// What the transaction has put; `nil` where its condition failed.
    private func put(_ transaction: MetadataTransaction) async throws(MetadataError) -> ShardEntry? {
        guard case .committed(let revision) = try await metadata.transaction(transaction) else { return nil }
        return ShardEntry(shard, putBy: transaction, at: revision)
    }

    /// Gives the shard to the move's target, where the record is still the one of `revision`.
    ///
    /// - Parameters:
    ///   - map: as the watch has told it.
    ///   - deadline: no attempt begins after it but the first two.
    func handOver(at revision: UInt64, knowing map: ClusterMap, until deadline: MonotonicTime) async -> Handover {
        if let known = map.shard(shard), known.revision.rawValue == revision,
            let transaction = MoveStep.handOver(shard, by: node, in: map)
        {
            if let outcome = await attempt(transaction, known) { return outcome }
        }
        return await handOverAsRead(at: revision, until: deadline)
    }

    /// Every handover changes the map's revision, so those of other shards make this one's condition fail, and it is
    /// tried again at once: its callers wait.
    private func handOverAsRead(at revision: UInt64, until deadline: MonotonicTime) async -> Handover {
        do {
            repeat {
                let before = try await read()
                guard before.revision.rawValue == revision else { return .conflict(before) }
                guard let entry = try await metadata.get(.mapRevision).value,
                    let map = try? MapRevision(decoding: entry.value, of: entry.key),
                    let transaction = MoveStep.handOver(
                        before, by: node, mapRevision: map, mapEntry: entry.modRevision)
                else { return .notSent }
                if let outcome = await attempt(transaction, before) { return outcome }
            } while NodeTime.monotonic() < deadline
            let now = try await read()
            return now.revision.rawValue == revision ? .notSent : .conflict(now)
        } catch {
            return .notSent
        }
    }

    /// `nil` where its condition failed.
    private func attempt(_ transaction: MetadataTransaction, _ before: ShardEntry) async -> Handover? {
        do throws(MetadataError) {
            guard case .committed = try await metadata.transaction(transaction) else { return nil }
            return .committed(before.record.epoch.next)
        } catch .unavailable {
            return .notSent
        } catch .decidedUnread {
            guard let now = try? await read() else { return .unknown }
            return now.revision == before.revision ? .notSent : .conflict(now)
        } catch {
            return .unknown
        }
    }
}

extension ShardMove {
    /// Whether both are the same undertaking, at whatever stage.
    func isSameMove(as other: ShardMove) -> Bool {
        from == other.from && to == other.to && operation == other.operation
    }
}
