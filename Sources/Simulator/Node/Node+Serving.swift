import Entities
import LogCore
import LogFormat
import Primitives
import ShardCore

/// The shards' cycle: evaluate, append, commit, apply, answer.
extension Node {
    func pumpOnce() {
        guard state == .serving || state == .draining, let log else { return }
        for case let shard? in shards where shard.isTouched { carry(shard, log) }
        let began = run
        for notice in log.pump(whenDone: { [self] in pump() }) {
            for mark in notice.marks { durable(mark) }
        }
        guard run == began else { return }
        if log.failure != nil { return endOnLogError(log) }
        for case let shard? in shards where shard.isTouched { carry(shard, log) }
        flushWherePinned(log)
        for case let shard? in shards where shard.isTouched {
            shard.isTouched = false
            sendAnswers(shard)
            checkBounds(shard)
            endTurn(shard)
        }
        agent?.driveMoves()
        guard run == began else { return }
        if state == .draining { finishDraining() }
    }

    private func endOnLogError(_ log: NodeLog) {
        world.probes.reached(.processEndedOnLogError)
        world.trace.note(world.now, .log, 9) { "node: \(String(describing: log.failure?.result)) from the log" }
        giveUp()
    }

    /// What waits goes on in a turn of its own, with others between.
    private func endTurn(_ shard: Shard) {
        guard shard.machine.hasMore else {
            shard.machine.workLeft = options.turnWorkBytes
            return shard.machine.forgetReadStates()
        }
        guard !shard.isTurnScheduled else { return }
        shard.isTurnScheduled = true
        world.probes.reached(.waitedForTurn)
        schedule(after: 1 + random.below(UInt64(200) * Span.microsecond)) { [self] in
            shard.isTurnScheduled = false
            shard.machine.workLeft = options.turnWorkBytes
            shard.machine.carryOn(now: now, rows: shard.store)
            shard.isTouched = true
            pump()
        }
    }

    /// Moves one shard's groups, commits and fetches on.
    private func carry(_ shard: Shard, _ log: NodeLog) {
        while !shard.waitsForLog, let group = shard.machine.takeGroup() { append(group, shard, log) }
        if !shard.isApplying, let commit = shard.machine.takeCommit() { apply(commit, shard) }
        while let fetch = shard.machine.nextFetch() { begin(fetch, shard) }
        while !shard.waitsForLog, let job = shard.machine.nextJob() { begin(job, shard) }
    }

    private func append(_ group: AppendGroup, _ shard: Shard, _ log: NodeLog) {
        let batch = AppendBatch(
            lane: 0, shard: group.shard, epoch: group.epoch, firstPosition: group.first, payloads: group.payloads,
            time: now, mayWait: true)
        noteTime(batch.time)
        if group.payloads.count > 1 { world.probes.reached(.severalUpdatesInOneGroup) }
        let problem: Problem
        switch log.submit(batch) {
        case .accepted:
            world.trace.note(world.now, .append, group.first.rawValue, UInt64(group.payloads.count)) {
                "shard \(group.shard): appends \(group.payloads.count) from \(group.first)"
            }
            shard.uncommitted += group.payloads.map { ($0, runID) }
            return
        case .later:
            world.probes.reached(.groupKept)
            shard.machine.groupKept(from: group.first)
            shard.waitsForLog = true
            schedule(after: Span.millisecond) { [self] in
                shard.waitsForLog = false
                shard.isTouched = true
                pump()
            }
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
        guard let shard = shard(mark.shard) else { return agent?.durable(mark) ?? () }
        world.trace.note(world.now, .durable, UInt64(mark.shard.rawValue), mark.position.rawValue) {
            "shard \(mark.shard): durable up to \(mark.position)"
        }
        while shard.firstUncommitted <= mark.position {
            guard !shard.uncommitted.isEmpty else {
                return world.fail(.logMatching, "the log reports \(mark.position), which it was not given")
            }
            let (payload, run) = shard.uncommitted.removeFirst()
            audit.committed(mark.shard, shard.firstUncommitted, payload: payload, run: run)
            audit.acted(on: mark.shard, shard.machine.epoch, node: index, "commits")
            shard.firstUncommitted = shard.firstUncommitted.next
        }
        shard.durableLSN = mark.lsn
        shard.isTouched = true
        shard.machine.logDurable(upTo: mark.position)
    }

    /// Writes a commit group into the store, which takes a moment.
    private func apply(_ commit: CommitGroup, _ shard: Shard) {
        shard.isApplying = true
        let lsn = shard.durableLSN
        let time = now
        schedule(after: random.below(options.applyNanoseconds)) { [self] in
            shard.isApplying = false
            shard.isTouched = true
            noteTime(time)
            shard.store.apply(
                commit.effects, through: commit.through, epoch: commit.epoch, lsn: lsn, time: time)
            shard.machine.applied(upTo: commit.through)
            shard.source?.committed(commit)
            audit.applied(commit.shard, commit.through)
            world.trace.note(world.now, .apply, UInt64(commit.shard.rawValue), commit.through.rawValue) {
                "shard \(commit.shard): applied up to \(commit.through)"
            }
            if shard.store.memtableRows >= options.memtableRowsMax { flush(shard.store, commit.shard) }
            pump()
        }
    }

    // MARK: Patches that may take long

    private func begin(_ job: PatchJob, _ shard: Shard) {
        world.probes.reached(.evaluatedOffTheLoop)
        schedule(after: 1 + random.below(options.jobNanoseconds)) { [self] in
            guard self.shard(shard.machine.shard) === shard else { return }
            shard.isTouched = true
            shard.machine.finished(job.run(), now: now, at: clock.monotonic, rows: shard.store)
            pump()
        }
    }

    // MARK: Fetches

    private func begin(_ fetch: Fetch, _ shard: Shard) {
        world.probes.reached(.fetchedFromDisk)
        missCache()
        schedule(after: readLatency()) { [self] in
            world.trace.note(world.now, .fetch, fetch.key.ringHash) { "fetched rows of \(fetch.key.text)" }
            guard self.shard(shard.machine.shard) === shard else { return }
            shard.isTouched = true
            if readFails() {
                shard.machine.fetchFailed(fetch, reason: "read error", now: now, rows: shard.store)
            } else {
                shard.machine.fetched(
                    fetch, record: fetch.recordRow.flatMap { shard.store.fetch($0) },
                    idempotencyRow: fetch.idempotencyRow.flatMap { shard.store.fetch($0) }, now: now,
                    at: clock.monotonic, rows: shard.store)
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
        guard let id = log.pinningShards.first, let store = stores[Int(id.rawValue)] else { return }
        flush(store, id)
    }

    func flush(_ store: VirtualStore, _ id: ShardID) {
        guard !store.isFlushing else { return }
        store.beginFlush()
        let fails = random.chance(1, in: 40) && options.faults.contains(.storeFlushError) && !world.quiet
        schedule(after: options.flushNanoseconds / 2 + random.below(options.flushNanoseconds)) { [self] in
            guard stores[Int(id.rawValue)] === store else { return }
            guard !fails else { return flushFailed(id) }
            store.finishFlush()
            removeExpired(from: store)
            world.trace.note(world.now, .flush, UInt64(id.rawValue), store.flushedMark.position.rawValue) {
                "shard \(id): flushed up to \(store.flushedMark.position)"
            }
            reportFlushed(store.flushedMark, id)
            pump()
        }
    }

    private func reportFlushed(_ mark: VirtualStore.Mark, _ id: ShardID) {
        log?.flushed(DurableMark(shard: id, epoch: mark.epoch, position: mark.position, lsn: mark.lsn))
    }

    /// A store that failed to flush cannot be trusted to go on: the shard steps down, and the process starts over.
    private func flushFailed(_ id: ShardID) {
        world.faults.hit(.storeFlushError)
        world.probes.reached(.storeFlushFailed)
        if let shard = shard(id) {
            shard.isServed = false
            shard.machine.stepDown(Problem(.shardUnavailable, "the store of shard \(id) failed"))
            sendAnswers(shard)
        }
        giveUp()
    }

    // MARK: Bounds

    private func checkBounds(_ shard: Shard) {
        audit.queued(
            shard.machine.shard, items: shard.machine.queuedItems, itemsMax: options.shard.queueItemsMax,
            bytes: shard.machine.queuedBytes, bytesMax: max(options.shard.queueBytesMax, options.stateBytesMax + 1024))
    }
}
