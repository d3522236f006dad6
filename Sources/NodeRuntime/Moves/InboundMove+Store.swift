import ClusterCore
import Entities
import HashRing
import LogCore
import LogFiles
import LogFormat
import Primitives
import RocksStore
import ShardCore

/// The store that is made of the files, and the records that it follows the source by, through this node's log.
extension InboundMove {
    func installStore(_ files: [MoveFile]) {
        let (source, target) = (tools.folders.incoming(shard), tools.folders.store(shard))
        let (resources, expiry, log) = (tools.resources, tools.expiry, tools.log)
        offLoop { () throws -> (ShardStore, Timestamp) in
            do {
                try MoveFiles.install(files, from: source, to: target)
            } catch {
                // The kernel tells of a failed write once: a file that could not be synced would read back well from
                // memory, be kept, and pass its next sync (rule W4). All of it is fetched anew.
                try MoveFiles.remove(source)
                throw error
            }
            let store = try ShardStore.open(
                directory: target, resources: resources, create: false, expiredRow: expiry.filter)
            // The mark names a place in the log of the source; in this node's log nothing of the shard is needed.
            let mark = store.appliedAtOpen
            try store.adopt(AppliedState(epoch: mark.epoch, position: mark.position, lsn: log.durableLSN))
            return (store, try ShardClockRow.read(from: store))
        } done: { move, opened in
            move.install(opened.0, clock: opened.1)
        }
    }

    private func install(_ store: ShardStore, clock: Timestamp) {
        self.store = store
        newestTime = clock
        guard follow(time: clock) else { return }
        let mark = store.applied
        durable = nil
        appended = nil
        tools.log.adopt(AppliedMark(shard: shard, epoch: mark.epoch, position: mark.position, lsn: mark.lsn))
        tools.flushes.add(store, for: shard)
        machine.installed(applied: mark.position, now: NodeTime.monotonic())
    }

    /// Moves this node's time on to what the source has acted on. False: that is further ahead than any clock may be,
    /// and the copy begins anew, for as long as it is so.
    func follow(time: Timestamp) -> Bool {
        let latest = tools.time.now().adding(seconds: Limits.peerTimeAheadSecondsMax)
        guard time <= latest || machine.isOwner else {
            machine.localFailed(
                "the time of \(move.from) is more than a year ahead of this node's", now: NodeTime.monotonic())
            return false
        }
        tools.time.advance(atLeastTo: min(time, latest))
        return true
    }

    func append(_ append: AppendGroup) {
        var position = append.first
        for payload in append.payloads {
            guard let effect = EntityEffect(decoding: payload) else {
                return machine.localFailed("position \(position) is in no format known here", now: NodeTime.monotonic())
            }
            guard effect.belongs(at: position, in: shard, of: tools.table.ring, seed: view.ringSeed) else {
                return machine.localFailed(
                    "position \(position) is of no entity of the shard", now: NodeTime.monotonic())
            }
            newestTime = max(newestTime, effect.record?.updatedAt ?? .zero)
            position = position.next
        }
        guard follow(time: newestTime) else { return }
        let batch = AppendBatch(
            lane: loop.index, shard: shard, epoch: append.epoch, firstPosition: append.first,
            payloads: append.payloads, time: newestTime)
        guard tools.flushes.hasRoomForWrites, tools.log.submit(batch) == .accepted else {
            return machine.appendRefused(now: NodeTime.monotonic())
        }
        appended = batch.lastPosition
        machine.appendAccepted()
    }

    /// The node's log has made records of the shard durable. On the loop.
    func logDurable(_ mark: DurableMark) {
        durable = mark
        if let waiting = whenLogHasAll {
            guard hasLogAll else { return }
            whenLogHasAll = nil
            waiting(self)
        } else {
            machine.logDurable(upTo: mark.position)
        }
        carryOn()
    }

    func apply(_ group: CommitGroup) {
        guard let store, let durable else { preconditionFailure("shard \(shard) follows without a store or a mark") }
        batch.clear()
        for effect in group.effects { batch.put(effect) }
        batch.put(clock: newestTime)
        do {
            try store.apply(
                &batch, applied: AppliedState(epoch: durable.epoch, position: group.through, lsn: durable.lsn))
        } catch {
            return machine.localFailed("the store of shard \(shard) failed: \(error)", now: NodeTime.monotonic())
        }
        machine.applied(upTo: group.through)
    }

    private var hasLogAll: Bool { appended.map { $0 <= durable?.position ?? .zero } ?? true }

    /// Closes and deletes the store, if there is one, and gives its records in the log up, once they are all written:
    /// the log does not take the shard anew while it still has some of it.
    func discardStore(done: @escaping @Sendable (InboundMove) -> Void) {
        guard hasLogAll else {
            whenLogHasAll = { $0.discardStore(done: done) }
            return
        }
        // An installation that is under way opens a store first, which is then there to be closed.
        offLoop {
        } done: { move, _ in
            move.discardOpenStore(done: done)
        }
    }

    private func discardOpenStore(done: @escaping @Sendable (InboundMove) -> Void) {
        let old = store
        store = nil
        durable = nil
        appended = nil
        tools.log.release(shard)
        let (shard, flushes, folder) = (shard, tools.flushes, tools.folders.store(shard))
        offLoop {
            if let old {
                flushes.remove(shard)
                old.close()
            }
            try MoveFiles.remove(folder)
        } done: { move, _ in
            done(move)
        }
    }
}

extension EntityEffect {
    /// Whether the shard's log may have this at the position: a sound key of the shard, with its own place on the ring,
    /// and a record that says when it was made. Pure.
    func belongs(at position: Position, in shard: ShardID, of ring: Ring, seed: UInt64) -> Bool {
        guard let sound = try? EntityKey(plain: key.bytes[...], seed: seed), sound == key,
            sound.kindLength == key.kindLength, ring.shard(of: key.ringHash) == shard
        else { return false }
        if let record, record.version != position { return false }
        return true
    }
}
