import Entities
import LogCore
import LogFormat
import Primitives
import ShardCore

/// The shards' cycle: evaluate, append, commit, apply, answer.
extension Node {
    func pumpOnce() {
        guard state == .serving || state == .draining, let log else { return }
        for index in shards.indices { carry(index, log) }
        let began = run
        for notice in log.pump(whenDone: { [self] in pump() }) {
            for mark in notice.marks { durable(mark) }
        }
        guard run == began else { return }
        if log.failure != nil { return endOnLogError(log) }
        for index in shards.indices { carry(index, log) }
        flushWherePinned(log)
        for index in shards.indices {
            sendAnswers(index)
            checkBounds(index)
        }
        if state == .draining { finishDraining() }
    }

    private func endOnLogError(_ log: NodeLog) {
        world.probes.reached(.processEndedOnLogError)
        world.trace.note(world.now, .log, 9) { "node: \(String(describing: log.failure?.result)) from the log" }
        giveUp()
    }

    /// Moves one shard's groups, commits and fetches on.
    private func carry(_ index: Int, _ log: NodeLog) {
        let shard = shards[index]
        while let group = shard.machine.takeGroup() { append(group, shard, log) }
        if !shard.isApplying, let commit = shard.machine.takeCommit() { apply(commit, shard) }
        while let fetch = shard.machine.nextFetch() { begin(fetch, shard) }
    }

    private func append(_ group: AppendGroup, _ shard: Shard, _ log: NodeLog) {
        let batch = AppendBatch(
            lane: 0, shard: group.shard, epoch: group.epoch, firstPosition: group.first, payloads: group.payloads,
            time: now)
        if group.payloads.count > 1 { world.probes.reached(.severalUpdatesInOneGroup) }
        let problem: Problem
        switch log.submit(batch) {
        case .accepted:
            world.trace.note(world.now, .append, group.first.rawValue, UInt64(group.payloads.count)) {
                "shard \(group.shard): appends \(group.payloads.count) from \(group.first)"
            }
            shard.uncommitted += group.payloads
            return
        case .storageFull:
            world.probes.reached(.diskFullAnswered)
            problem = Problem(.storageFull, "the log's disk is full; writes resume when there is space")
        case .queueFull: problem = Problem(.overloaded, "the log is behind; try again shortly")
        case .stopped: problem = Problem(.shuttingDown, "the node is stopping")
        }
        world.probes.reached(.groupRefused)
        shard.machine.groupRefused(from: group.first, problem: problem, now: now, rows: shard.store)
    }

    private func durable(_ mark: DurableMark) {
        let shard = shards[Int(mark.shard.rawValue)]
        world.trace.note(world.now, .durable, UInt64(mark.shard.rawValue), mark.position.rawValue) {
            "shard \(mark.shard): durable up to \(mark.position)"
        }
        while shard.firstUncommitted <= mark.position {
            guard !shard.uncommitted.isEmpty else {
                return world.fail(.logMatching, "the log reports \(mark.position), which it was not given")
            }
            audit.committed(mark.shard, shard.firstUncommitted, payload: shard.uncommitted.removeFirst())
            shard.firstUncommitted = shard.firstUncommitted.next
        }
        shard.durableLSN = mark.lsn
        shard.machine.logDurable(upTo: mark.position)
    }

    /// Writes a commit group into the store, which takes a moment.
    private func apply(_ commit: CommitGroup, _ shard: Shard) {
        shard.isApplying = true
        let lsn = shard.durableLSN
        let time = now
        schedule(after: random.below(options.applyNanoseconds)) { [self] in
            shard.isApplying = false
            shard.store.apply(commit.effects, through: commit.through, lsn: lsn, time: time)
            shard.machine.applied(upTo: commit.through)
            audit.applied(commit.shard, commit.through)
            world.trace.note(world.now, .apply, UInt64(commit.shard.rawValue), commit.through.rawValue) {
                "shard \(commit.shard): applied up to \(commit.through)"
            }
            if shard.store.memtableRows >= options.memtableRowsMax { flush(shard, commit.shard) }
            pump()
        }
    }

    // MARK: Fetches

    private func begin(_ fetch: Fetch, _ shard: Shard) {
        world.probes.reached(.fetchedFromDisk)
        missCache()
        schedule(after: readLatency()) { [self] in
            world.trace.note(world.now, .fetch, fetch.key.ringHash) { "fetched rows of \(fetch.key.text)" }
            if readFails() {
                shard.machine.fetchFailed(fetch, reason: "read error", now: now, rows: shard.store)
            } else {
                shard.machine.fetched(
                    fetch, record: fetch.recordRow.flatMap { shard.store.fetch($0) },
                    idempotencyRow: fetch.idempotencyRow.flatMap { shard.store.fetch($0) }, now: now,
                    rows: shard.store)
            }
            pump()
        }
    }

    /// Counts as a fault only where the cache was made small to bring it about.
    func missCache() {
        if options.faults.contains(.cacheMiss) { world.faults.hit(.cacheMiss) }
    }

    func readLatency() -> UInt64 { options.readNanoseconds / 2 + random.below(options.readNanoseconds) }

    func readFails() -> Bool {
        let hit = random.chance(1, in: 60)
        guard hit, options.faults.contains(.storeReadError), !world.quiet else { return false }
        world.faults.hit(.storeReadError)
        world.probes.reached(.storeUnreadable)
        return true
    }

    // MARK: Flushing

    /// Shards that pin the log's oldest segments are flushed, oldest first.
    private func flushWherePinned(_ log: NodeLog) {
        for id in log.pinningShards.prefix(1) { flush(shards[Int(id.rawValue)], id) }
    }

    private func flush(_ shard: Shard, _ id: ShardID) {
        guard !shard.store.isFlushing else { return }
        shard.store.beginFlush()
        let fails = random.chance(1, in: 40) && options.faults.contains(.storeFlushError) && !world.quiet
        schedule(after: options.flushNanoseconds / 2 + random.below(options.flushNanoseconds)) { [self] in
            guard !fails else { return flushFailed(shard, id) }
            shard.store.finishFlush()
            world.trace.note(world.now, .flush, UInt64(id.rawValue), shard.store.flushedMark.position.rawValue) {
                "shard \(id): flushed up to \(shard.store.flushedMark.position)"
            }
            reportFlushed(shard.store.flushedMark, id)
            pump()
        }
    }

    private func reportFlushed(_ mark: VirtualStore.Mark, _ id: ShardID) {
        log?.flushed(DurableMark(shard: id, epoch: Epoch(1), position: mark.position, lsn: mark.lsn))
    }

    /// A store that failed to flush cannot be trusted to go on: the shard steps down, and the process starts over.
    private func flushFailed(_ shard: Shard, _ id: ShardID) {
        world.faults.hit(.storeFlushError)
        world.probes.reached(.storeFlushFailed)
        shard.machine.stepDown(Problem(.shardUnavailable, "the store of shard \(id) failed"))
        sendAnswers(Int(id.rawValue))
        giveUp()
    }

    // MARK: Bounds

    private func checkBounds(_ index: Int) {
        let machine = shards[index].machine
        audit.queued(
            machine.shard, items: machine.queuedItems, itemsMax: options.shard.queueItemsMax,
            bytes: machine.queuedBytes, bytesMax: max(options.shard.queueBytesMax, options.stateBytesMax + 1024))
    }
}
