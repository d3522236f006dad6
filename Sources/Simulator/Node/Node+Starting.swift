import Entities
import LogCore
import LogFormat
import Primitives
import ShardCore

extension Node {
    static let identity = LogIdentity(
        clusterID: .init(high: 0x6B65_7973_7465_6164, low: 1), nodeStoreID: .init(high: 1, low: 2))

    /// Starts the process: finds its place in the cluster, opens the log, replays it into the stores, and serves.
    /// `ended` is called when the process gives up by itself.
    func start(ended: @escaping () -> Void) {
        guard state == .down else { return }
        beginRun()
        world.trace.note(world.now, .start, run) { "node: starts, run \(self.run)" }
        whenEnded = ended
        guard let agent else {
            return openLog(epochs: Array(repeating: Epoch(1), count: options.shardCount))
        }
        agent.start()
    }

    /// - Parameter epochs: by shard: that at which the node holds it; `nil` where it does not.
    func openLog(epochs: [Epoch?]) {
        let log = NodeLog(
            disk: disk, configuration: options.log, mutants: mutants, audit: logAudit,
            now: { [clock] in clock.monotonic },
            onLoop: { [self, began = run] body in if run == began { later(body)() } })
        self.log = log
        let marks = stores.enumerated().compactMap { index, store in
            store.map {
                AppliedMark(
                    shard: ShardID(UInt32(index)), epoch: $0.flushed.epoch, position: $0.flushed.position,
                    lsn: $0.flushed.lsn)
            }
        }
        var replay = Replay(stores: stores, epochs: epochs)
        let refusals = disk.refusalsForSpace
        let storesTime = stores.compactMap(\.?.appliedMark.time).max() ?? .zero
        log.open(
            NodeLog.Opening(
                identity: Self.identity, applied: marks, saltSeed: random.next(),
                time: mutants.has(.idleStartMovesTime) ? clock.wall : storesTime,
                replay: { [self] records in replay.take(records, audit, world) },
                done: { [self] result in opened(result, epochs, isRefusedSpace: disk.refusalsForSpace > refusals) }))
    }

    private func opened(
        _ result: Result<RecoveryReport, LogOpenError>, _ epochs: [Epoch?], isRefusedSpace: Bool
    ) {
        switch result {
        case .failure(let error):
            world.trace.note(world.now, .recovery, 1) { "node: cannot open the log: \(error)" }
            if !mayRefuse(error, isRefusedSpace) { world.fail(.soundLogRefused, "\(error)") }
            giveUp()
        case .success(let report):
            note(report)
            let floor = max(report.highestTime, stores.compactMap(\.?.appliedMark.time).max() ?? .zero)
            guard setClock(floor: floor) else { return refuseClock() }
            openShards(report, epochs)
            for case let store? in stores { removeExpired(from: store) }
            guard idleClockError == nil else { return giveUp() }
            // On a disk with planted damage nothing is served: what matters has just been checked.
            guard audit.damagedShards.isEmpty else { return giveUp() }
            state = .serving
            agent?.serving()
            pump()
        }
    }

    /// The operator hears why, and repairs the clock; the next start goes on.
    private func refuseClock() {
        world.probes.reached(.clockRefused)
        world.trace.note(world.now, .clock, 1) { "node: the clock is too far ahead of the data" }
        if idleClockError == nil {
            world.fail(.startRefused, "a start under a good clock is refused for it")
        }
        giveUp()
    }

    /// A log may be refused for what the disk does, and for nothing else.
    ///
    /// - Parameter isRefusedSpace: the disk was full when this start asked; by the time it gives up it may not be.
    private func mayRefuse(_ error: LogOpenError, _ isRefusedSpace: Bool) -> Bool {
        switch error {
        case .readFailed, .writeFailed: true
        case .storageFull: isRefusedSpace
        default: !audit.damagedShards.isEmpty
        }
    }

    private func note(_ report: RecoveryReport) {
        world.trace.note(world.now, .recovery, UInt64(report.recordsReplayed), report.lastLSN.rawValue) {
            "node: log opened, \(report.recordsReplayed) replayed, \(report.recordsRepersisted) written again, "
                + "last LSN \(report.lastLSN), torn \(report.tornTail != nil), damage \(report.damage.count), "
                + "quarantined \(report.quarantined.map(\.shard))"
        }
        if report.tornTail != nil { world.probes.reached(.tornTailCut) }
        if report.recordsReplayed > 0 { world.probes.reached(.replayedAtStart) }
        if !report.damage.isEmpty || !report.quarantined.isEmpty { world.probes.reached(.corruptionDetected) }
        for shard in report.quarantined where !audit.damagedShards.contains(shard.shard) {
            world.fail(
                .soundLogRefused, "shard \(shard.shard) is quarantined (\(shard.reason)) and nothing was damaged")
        }
    }

    private func openShards(_ report: RecoveryReport, _ epochs: [Epoch?]) {
        learners = Array(repeating: nil, count: stores.count)
        shards = zip(stores, epochs).enumerated().map { index, held in
            guard let store = held.0, let epoch = held.1 else { return nil }
            let id = ShardID(UInt32(index))
            let shard = makeShard(id, epoch, store)
            shard.isServed = !report.quarantined.contains { $0.shard == id }
            if shard.isServed { audit.recovered(id, through: store.applied) }
            return shard
        }
    }

    func makeShard(_ id: ShardID, _ epoch: Epoch, _ store: VirtualStore) -> Shard {
        let shard = Shard(
            machine: ShardMachine(
                shard: id, epoch: epoch, applied: store.applied, settings: options.shard, mutants: mutants),
            store: store)
        shard.durableLSN = store.appliedMark.lsn
        return shard
    }

    /// The process ends by itself: what it had on its way is left unanswered.
    func giveUp() {
        world.trace.note(world.now, .stop, 1) { "node: ends by itself" }
        endRun()
        crashStores()
        whenEnded()
    }

    // MARK: Orderly stop

    /// Takes no more work, finishes what it has, closes the log and ends.
    func drain() {
        guard state == .serving else { return }
        world.trace.note(world.now, .stop, 0) { "node: drains" }
        state = .draining
        pump()
    }

    func finishDraining() {
        guard let log, servedShards.allSatisfy({ $0.machine.isIdle && !$0.isApplying }), openRequests == 0 else {
            return
        }
        log.close()
        guard log.isClosed else { return }
        world.probes.reached(.drained)
        world.trace.note(world.now, .stop, 2) { "node: stopped in order" }
        endRun()
        for case let store? in stores {
            if !store.isFlushing { store.beginFlush() }
            store.crash(flushCompletes: true)
        }
        whenEnded()
    }
}

/// Hands recovered records to the stores, in order.
private struct Replay {
    let stores: [VirtualStore?]
    let epochs: [Epoch?]

    mutating func take(_ records: [LogRecord], _ audit: Audit, _ world: World) {
        for record in records {
            let index = Int(record.shard.rawValue)
            guard index < stores.count, let store = stores[index], let epoch = epochs[index] else {
                return world.fail(.logMatching, "recovery replays shard \(record.shard), which is not held here")
            }
            guard record.epoch <= epoch else {
                return world.fail(
                    .logMatching, "shard \(record.shard) has records of epoch \(record.epoch), held is \(epoch)")
            }
            guard record.position == store.applied.next else {
                return world.fail(
                    .recoveryIdempotent,
                    "shard \(record.shard) is handed \(record.position) after \(store.applied)")
            }
            audit.committed(record.shard, record.position, payload: record.payload, run: nil)
            guard let effect = EntityEffect(decoding: record.payload) else {
                return world.fail(.logMatching, "recovery replays bytes that are no effect")
            }
            store.apply([effect], through: record.position, epoch: record.epoch, lsn: record.lsn, time: record.time)
        }
    }
}
