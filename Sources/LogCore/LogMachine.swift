public import LogFormat
public import Primitives

/// The running log: every decision of it, and no I/O.
///
/// One owner drives it: the log's writer thread, or the simulator. Two lanes of steps run beside each other, each one
/// step at a time: the commit lane (``nextStep(now:)``) writes groups and starts segments; the background lane
/// (``nextBackgroundStep(now:)``) makes spares ahead of need and takes segments out of use.
///
/// The rules it keeps, each with the step order that keeps it:
/// - A record is durable when the sync after its write is done, and only then is its lane told.
/// - A segment is used only after its header was synced under the spare's name, the file got its segment name, and the
///   directory was synced. So a segment file without a valid header is damage, never a crash's leftover.
/// - A spare's header is not touched before the directory sync that made it a spare. So no crash can leave a new header
///   behind an old segment's name.
/// - Segments go oldest first, one at a time, each with its own directory sync. So a crash leaves no hole in the row.
/// - After a write or sync error there is no further step (rule W4). A full disk is no error: the write is repeated
///   later and batches are refused until then. A sync that fails for lack of space is an error.
public struct LogMachine: Sendable {
    let configuration: LogConfiguration
    let identity: LogIdentity
    let mutants: Mutants

    var shards: ShardBook
    /// Shards to be released once nothing of them is queued.
    var releasing: [ShardID] = []
    /// Oldest first; the last is the open one when `isOpenForAppend`.
    var segments: [LiveSegment]
    var isOpenForAppend: Bool
    /// Where the next group goes in the open segment.
    var appendOffset = 0
    var recordSeed: UInt32 = 0
    /// The segment gets its seal with the next group, whatever room is left.
    var mustSeal = false
    var nextSegmentNumber: UInt64
    var salts: SplitMix64

    /// Accepted batches; those before `backlogHead` are built, and `payloadHead` payloads of the one there.
    var backlog: [AppendBatch] = []
    var backlogHead = 0
    var payloadHead = 0
    var encoder: GroupEncoder
    var nextLSN: LSN
    var previousChecksum: UInt32
    var highestTime: Timestamp

    var commit = StepLane<CommitWork>()
    var background = StepLane<BackgroundWork>()
    var spares: [SpareSegment]
    var nextSpareNumber: UInt64
    /// Making a spare failed for lack of space, and the spares are not complete again since.
    var isSpaceExhausted = false
    /// The oldest segment could not change its name, or go, for lack of space: not before the background lane's retry.
    var isRetirementBlocked = false
    /// As the node sees the disk.
    var isSpaceTight = false
    /// The commit lane's step found no space and is to be repeated.
    var isWriteBlocked = false

    var notices: [LaneNotice] = []
    var releasedBytes = 0
    /// The durable LSN that the newest record in the log names.
    var announcedLSN: LSN
    var lastActivity: MonotonicTime
    var isClosing = false
    var lastGroupRecords = 0
    /// While the next group waits for more.
    var gatherUntil: MonotonicTime?
    var counters = LogStatistics()

    /// Everything up to here is synced.
    public internal(set) var durableLSN: LSN
    /// The shards to flush now so that a restart stays within `LogConfiguration.replayBytesMax`, oldest first.
    public internal(set) var pinningShards: [ShardID] = []
    /// Set once, after a write or sync failed; from then on no step is given, and the process must end.
    public internal(set) var failure: LogFailure?
    /// Closing is done: no step is given any more.
    public internal(set) var isClosed = false

    public init(configuration: LogConfiguration, start: LogStart, now: MonotonicTime, mutants: Mutants = .none) {
        configuration.check()
        self.configuration = configuration
        self.identity = start.identity
        self.mutants = mutants
        self.shards = ShardBook(start.shards)
        self.segments = start.segments
        self.isOpenForAppend = false
        self.nextSegmentNumber = start.nextSegmentNumber
        self.salts = SplitMix64(seed: start.saltSeed)
        self.encoder = GroupEncoder(
            compressionBytesMin: configuration.compressionBytesMin,
            capacityKept: configuration.groupBytesMax + configuration.sealReserveBytes)
        self.nextLSN = start.nextLSN
        self.previousChecksum = start.previousChecksum
        self.highestTime = start.highestTime
        self.spares = start.spares
        self.nextSpareNumber = start.nextSpareNumber
        self.announcedLSN = start.durableLSN
        self.lastActivity = now
        self.durableLSN = start.durableLSN
        if start.isLastOpen { resume(start) }
        // Recovery found no room for a segment: no batch is taken before there is one.
        isSpaceExhausted = !start.isLastOpen && start.spares.isEmpty
        updatePins()
    }

    // MARK: Input

    /// A batch that ``LogQueue`` accepted. Batches of one shard come in the order of their positions: a gap, an epoch
    /// that goes back, or a shard that is not held or is quarantined, traps.
    public mutating func enqueue(_ batch: AppendBatch) {
        guard let slot = shards.slot(of: batch.shard) else {
            preconditionFailure("shard \(batch.shard) is held by this log")
        }
        let shard = shards[slot]
        precondition(!shard.isQuarantined, "shard \(batch.shard) is not quarantined")
        precondition(
            batch.firstPosition == shard.enqueued.next,
            "shard \(batch.shard) goes on at \(shard.enqueued.next), not \(batch.firstPosition)")
        precondition(batch.epoch >= shard.enqueuedEpoch, "the epoch of shard \(batch.shard) does not go back")
        precondition(batch.lane >= 0 && batch.lane < configuration.lanes, "lane \(batch.lane) exists")
        for payload in batch.payloads {
            precondition(payload.count <= configuration.recordBytesMax, "a payload is within its limit")
        }
        shards[slot].enqueued = batch.lastPosition
        shards[slot].enqueuedEpoch = batch.epoch
        backlog.append(batch)
        counters.backlogBytes += batch.encodedBytesMax
    }

    /// Stores have flushed up to these positions (their files are synced); segments below every shard's mark can be
    /// recycled. Marks of shards that are not held, or that say less than is known, change nothing.
    public mutating func flushed(_ marks: [DurableMark]) {
        for mark in marks {
            guard let slot = shards.slot(of: mark.shard) else { continue }
            precondition(mark.position <= shards[slot].enqueued, "a store flushes what it was given")
            shards[slot].flushed = max(shards[slot].flushed, mark.position)
        }
        updatePins()
    }

    /// The node holds this shard from now on, whose store stands at `mark`, flushed, and came from elsewhere or is new.
    /// For a quarantined shard it ends the quarantine: the open segment is sealed, so that the next one's table says so
    /// before any record of the shard is durable.
    public mutating func adopt(_ mark: AppliedMark) {
        precondition(shards.slot(of: mark.shard) != nil || shards.count < configuration.shardsMax, "room for a shard")
        if let slot = shards.slot(of: mark.shard) {
            precondition(shards[slot].enqueued == shards[slot].last.position, "nothing of the shard is queued")
            if shards[slot].isQuarantined { mustSeal = true }
        }
        releasing.removeAll { $0 == mark.shard }
        let last = DurableMark(shard: mark.shard, epoch: mark.epoch, position: mark.position, lsn: .zero)
        shards.insert(last, flushed: mark.position, isQuarantined: false)
        updatePins()
    }

    /// The node no longer holds the shard: as soon as nothing of it is queued, it pins nothing any more.
    public mutating func release(_ shard: ShardID) {
        releasing.append(shard)
        dropReleased()
    }

    mutating func dropReleased() {
        guard !releasing.isEmpty else { return }
        releasing.removeAll { shard in
            guard let slot = shards.slot(of: shard) else { return true }
            guard shards[slot].enqueued == shards[slot].last.position else { return false }
            shards.remove(shard)
            return true
        }
        updatePins()
    }

    /// No more batches come. What is queued is made durable and a clean close is written and synced, then ``isClosed``.
    /// On a full disk it closes without; the next start then treats the log as one that was open at a crash.
    public mutating func close() { isClosing = true }

    // MARK: Output

    /// What became durable since the last call: a notice for each lane that it concerns.
    public mutating func takeNotices() -> [LaneNotice] {
        defer { notices.removeAll(keepingCapacity: true) }
        return notices
    }

    /// Bytes built into groups since the last call, for ``LogQueue/update(admission:releasing:)``.
    public mutating func takeReleasedBytes() -> Int {
        defer { releasedBytes = 0 }
        return releasedBytes
    }

    /// What the queue is to answer from now on.
    public var admission: LogAdmission {
        if failure != nil || isClosing { return .stopped }
        if isStorageFull { return .storageFull }
        return liveBytes > configuration.liveBytesMax ? .flushBehind : .open
    }

    /// When ``nextStep(now:)`` and ``nextBackgroundStep(now:)`` are to be asked again though nothing happened; `nil`
    /// when only input can change anything.
    public var deadline: MonotonicTime? {
        guard failure == nil, !isClosed else { return nil }
        // While a step is out its completion comes first; a moment that passes meanwhile must not be asked for in a
        // loop.
        let backgroundRetry = background.isStepOut ? nil : background.retryAt
        return [commit.retryAt, backgroundRetry, hintTime, gatherUntil].compactMap { $0 }.min()
    }

    public var statistics: LogStatistics {
        var statistics = counters
        statistics.liveBytes = liveBytes
        statistics.liveSegments = segments.count
        statistics.spareSegments = spares.count
        return statistics
    }

    /// What a restart would have to read.
    var liveBytes: Int { segments.reduce(0) { $0 + $1.usedBytes } }

    var isStorageFull: Bool { isSpaceExhausted || isWriteBlocked }

    var isBacklogEmpty: Bool { backlogHead == backlog.count }
}
