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
    private enum Life: Sendable {
        case running
        /// No more batches come. What is queued is made durable, and a clean close after it.
        case closing
        case closed
        case failed(LogFailure)
    }

    /// Where the next group goes.
    private enum Tail: Sendable {
        /// Into the last segment, behind what it holds.
        case open(recordSeed: UInt32)
        /// Into a segment that is still to begin.
        case ended
    }

    /// The commit lane's step at hand.
    private enum Writing: Sendable {
        case flowing
        /// It found no space. It is given again at `retryAt`; `nil` once it is.
        case blocked(retryAt: MonotonicTime?)
    }

    /// What the background lane leaves alone after it found no space.
    private enum Pause: Sendable {
        case none
        /// No spare is made before.
        case fills(until: MonotonicTime)
        /// Nor does a file change its name, or go.
        case all(until: MonotonicTime)

        var end: MonotonicTime? {
            switch self {
            case .none: nil
            case .fills(let time), .all(let time): time
            }
        }
    }

    /// What a row of steps of the commit lane is for.
    private enum CommitWork: Sendable {
        case group(Group)
        case hint(byteCount: Int)
        case rotation(Rotation)
        case close(byteCount: Int)
    }

    private struct Group: Sendable {
        let byteCount: Int
        let lastLSN: LSN
        /// With the lane that is told of each.
        var marks: [(lane: Int, mark: DurableMark)]
        let isSealed: Bool
    }

    private struct Rotation: Sendable {
        let segment: LiveSegment
        let recordSeed: UInt32
        let openingLSN: LSN
    }

    /// What a row of steps of the background lane is for.
    private enum BackgroundWork: Sendable {
        /// A new spare, from nothing.
        case fill(SpareSegment)
        /// Takes back what a failed fill has used.
        case clear
        /// The oldest segment becomes a spare.
        case recycle(SpareSegment)
        /// A spare too many goes, since the disk is full.
        case trim(SpareSegment)
        /// The oldest segment goes: kept under another name, or deleted.
        case retire
    }

    private let configuration: LogConfiguration
    private let identity: LogIdentity
    private let mutants: Mutants

    private var life = Life.running
    private var tail = Tail.ended
    private var writing = Writing.flowing
    private var pause = Pause.none
    private var commit = StepLane<CommitWork>()
    private var background = StepLane<BackgroundWork>()

    private var shards: ShardBook
    /// Shards to be released once nothing of them is queued.
    private var releasing: [ShardID] = []
    /// Oldest first. Groups go behind the used bytes of the last one.
    private var segments: [LiveSegment]
    /// The open segment gets its seal with the next group, whatever room is left.
    private var mustSeal = false
    private var nextSegmentNumber: UInt64
    private var salts: SplitMix64

    private var backlog = Backlog()
    private var encoder: GroupEncoder
    private var previousChecksum: UInt32
    private var highestTime: Timestamp
    private var nextLSN: LSN
    /// The durable LSN that the newest record in the log names.
    private var announcedLSN: LSN
    private var lastActivity: MonotonicTime
    private var lastGroupRecords = 0
    /// While the next group waits for more.
    private var gatherUntil: MonotonicTime?

    private var spares: [SpareSegment]
    private var nextSpareNumber: UInt64
    /// Making a spare failed for lack of space, and the spares are not complete again since.
    private var isSpaceExhausted = false
    /// As the node sees the disk.
    private var isSpaceTight = false

    private var notices: [LaneNotice] = []
    private var releasedBytes = 0
    private var counters = LogStatistics()

    /// Everything up to here is synced.
    public private(set) var durableLSN: LSN
    /// The shards to flush now so that a restart stays within `LogConfiguration.replayBytesMax`, oldest first.
    public private(set) var pinningShards: [ShardID] = []

    public init(configuration: LogConfiguration, start: LogStart, now: MonotonicTime, mutants: Mutants = .none) {
        configuration.check()
        self.configuration = configuration
        self.identity = start.identity
        self.mutants = mutants
        self.shards = ShardBook(start.shards)
        self.segments = start.segments
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

    /// Goes on in the segment that recovery began.
    private mutating func resume(_ start: LogStart) {
        tail = .open(recordSeed: start.openRecordSeed)
        for (index, entry) in segments[openIndex].entries.enumerated() {
            if let slot = shards.slot(of: entry.shard) { shards[slot].segmentEntry = index }
        }
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

    private mutating func dropReleased() {
        guard !releasing.isEmpty else { return }
        releasing.removeAll { shard in
            guard let slot = shards.slot(of: shard) else { return true }
            guard shards[slot].enqueued == shards[slot].last.position else { return false }
            shards.remove(shard)
            return true
        }
        updatePins()
    }

    /// The disk is nearly full, or no more: while it is, used segments are given back to it and not kept as spares.
    public mutating func spaceIsTight(_ isTight: Bool) { isSpaceTight = isTight }

    /// No more batches come. What is queued is made durable and a clean close is written and synced, then ``isClosed``.
    /// On a full disk it closes without; the next start then treats the log as one that was open at a crash.
    public mutating func close() { if case .running = life { life = .closing } }

    // MARK: Output

    /// Set once, after a write or sync failed; from then on no step is given, and the process must end.
    public var failure: LogFailure? { if case .failed(let failure) = life { failure } else { nil } }

    /// Closing is done: no step is given any more.
    public var isClosed: Bool { if case .closed = life { true } else { false } }

    private var isClosing: Bool { if case .closing = life { true } else { false } }

    private var givesSteps: Bool {
        switch life {
        case .running, .closing: true
        case .closed, .failed: false
        }
    }

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
        guard case .running = life else { return .stopped }
        if isStorageFull { return .storageFull }
        return liveBytes > configuration.liveBytesMax ? .flushBehind : .open
    }

    /// When ``nextStep(now:)`` and ``nextBackgroundStep(now:)`` are to be asked again though nothing happened; `nil`
    /// when only input can change anything.
    public var deadline: MonotonicTime? {
        guard givesSteps else { return nil }
        // While a step is out its completion comes first; a moment that passes meanwhile must not be asked for in a
        // loop.
        let backgroundRetry = background.isStepOut ? nil : pause.end
        return [commitRetry, backgroundRetry, hintTime, gatherUntil].compactMap { $0 }.min()
    }

    public var statistics: LogStatistics {
        var statistics = counters
        statistics.liveBytes = liveBytes
        statistics.liveSegments = segments.count
        statistics.spareSegments = spares.count
        return statistics
    }

    /// What a restart would have to read.
    private var liveBytes: Int { segments.reduce(0) { $0 + $1.usedBytes } }

    private var isStorageFull: Bool { if case .blocked = writing { true } else { isSpaceExhausted } }

    private var commitRetry: MonotonicTime? { if case .blocked(let retryAt) = writing { retryAt } else { nil } }

    // MARK: The commit lane

    /// The next step of the commit lane, or `nil` while there is nothing to do before new input, a completion of the
    /// background lane, or ``deadline``. To be answered by ``completed(_:now:)``.
    public mutating func nextStep(now: MonotonicTime) -> LogStep? {
        guard givesSteps, !commit.isStepOut else { return nil }
        if let retryAt = commitRetry {
            if isClosing { life = .closed }
            guard !isClosed, retryAt <= now else { return nil }
            writing = .blocked(retryAt: nil)
        }
        if commit.isIdle { planCommit(now: now) }
        return commit.isIdle ? nil : commit.give()
    }

    private mutating func planCommit(now: MonotonicTime) {
        guard case .open = tail else {
            planRotation()
            if commit.isIdle, isClosing, backlog.isEmpty || isSpaceExhausted { life = .closed }
            return
        }
        if !backlog.isEmpty || mustSeal {
            if !isGathering(now: now) { planGroup() }
        } else if isClosing {
            planClose()
        } else if let hintTime, hintTime <= now {
            planHint()
        }
    }

    public mutating func completed(_ result: StepResult, now: MonotonicTime) {
        commit.taken()
        switch result {
        case .done:
            writing = .flowing
            acknowledgeEarly()
            if let work = commit.advance() { finish(work, now: now) }
        case .noSpace:
            guard !commit.current.isSync else { return fail(commit.current, result) }
            if !isStorageFull { counters.storageFullTimes += 1 }
            writing = .blocked(retryAt: now.adding(nanoseconds: configuration.retryDelayNanoseconds))
        case .failed:
            if mutants.has(.syncErrorRetried), commit.current.isSync { return }
            fail(commit.current, result)
        }
    }

    private mutating func finish(_ work: CommitWork, now: MonotonicTime) {
        lastActivity = now
        switch work {
        case .group(let group):
            wrote(group.byteCount)
            counters.groups += 1
            counters.syncs += 1
            durableLSN = group.lastLSN
            notify(group)
            if group.isSealed { tail = .ended }
        case .hint(let byteCount):
            wrote(byteCount)
            counters.hints += 1
        case .rotation(let rotation): enter(rotation)
        case .close(let byteCount):
            wrote(byteCount)
            durableLSN = LSN(nextLSN.rawValue - 1)
            life = .closed
        }
    }

    private mutating func wrote(_ byteCount: Int) {
        segments[openIndex].usedBytes += byteCount
        counters.writtenBytes += byteCount
    }

    private mutating func notify(_ group: Group) {
        for lane in 0..<configuration.lanes {
            let marks = group.marks.filter { $0.lane == lane }.map(\.mark)
            if !marks.isEmpty { notices.append(LaneNotice(lane: lane, marks: marks)) }
        }
    }

    /// The planted bug of answering when the write is done. In production this is empty.
    private mutating func acknowledgeEarly() {
        guard mutants.has(.acknowledgeBeforeSync), case .write = commit.current else { return }
        if case .group(let group) = commit.work { notify(group) }
    }

    /// What has been closed has acknowledged nothing that a later error could take back.
    private mutating func fail(_ step: LogStep, _ result: StepResult) {
        if givesSteps { life = .failed(LogFailure(step: step, result: result)) }
    }

    // MARK: Hint and close

    /// When an idle log is to say that its last group is durable; `nil` when it has been said or it is not idle.
    private var hintTime: MonotonicTime? {
        guard case .open = tail, case .running = life, commit.isIdle, backlog.isEmpty, announcedLSN < durableLSN,
            room >= LogLayout.recordBytes(storing: 0)
        else { return nil }
        return lastActivity.adding(nanoseconds: configuration.hintDelayNanoseconds)
    }

    /// Written and left to the kernel: if it is lost, only the certainty about the last group is.
    private mutating func planHint() {
        let byteCount = encodeAlone(.commitHint)
        commit.start(.hint(byteCount: byteCount), steps: [writeStep()])
    }

    private mutating func planClose() {
        let byteCount = encodeAlone(.cleanClose)
        commit.start(.close(byteCount: byteCount), steps: [writeStep(), .sync(openSegmentName)])
    }

    private mutating func encodeAlone(_ type: RecordType) -> Int {
        beginGroup(openRecordSeed)
        encoder.append(
            type: type, shard: ShardID(0), epoch: Epoch(0), position: .zero, time: highestTime, payload: [])
        endGroup()
        return encoder.byteCount
    }

    // MARK: Groups

    private var openRecordSeed: UInt32 {
        guard case .open(let seed) = tail else { preconditionFailure("a segment is open") }
        return seed
    }

    /// Of the segment that is open.
    private var openIndex: Int {
        guard case .open = tail, !segments.isEmpty else { preconditionFailure("a segment is open") }
        return segments.count - 1
    }

    private var openSegmentName: LogFileName { .segment(segments[openIndex].number) }

    /// Bytes that records may still take in the open segment; its seal and a clean close always fit after them.
    private var room: Int {
        configuration.segmentBytes - configuration.sealReserveBytes - segments[openIndex].usedBytes
    }

    private func writeStep() -> LogStep {
        .write(openSegmentName, offset: segments[openIndex].usedBytes, bytes: encoder.bytes)
    }

    private mutating func beginGroup(_ seed: UInt32) {
        encoder.begin(seed: seed, firstLSN: nextLSN, previousChecksum: previousChecksum, durableLSN: durableLSN)
    }

    private mutating func endGroup() {
        nextLSN = encoder.nextLSN
        previousChecksum = encoder.previousChecksum
        announcedLSN = durableLSN
    }

    /// Whether the next group is to wait for more: it would be less than half as large as the one before, and has not
    /// waited for long. A caller alone never waits, and where callers become fewer only the first group does.
    ///
    /// Callers that a group has answered come back one after the other; a group begun for the first of them makes all
    /// others wait for a sync that they could have shared, and syncs follow each other half empty.
    private mutating func isGathering(now: MonotonicTime) -> Bool {
        guard configuration.gatherNanoseconds > 0, !mustSeal, case .running = life, case .flowing = writing,
            backlog.recordCount * 2 < lastGroupRecords
        else { return false }
        let until = gatherUntil ?? now.adding(nanoseconds: configuration.gatherNanoseconds)
        gatherUntil = until
        return until > now
    }

    /// One group of what waits, up to its limits and the segment's end, and the seal when the segment ends with it.
    private mutating func planGroup() {
        beginGroup(openRecordSeed)
        let firstLSN = nextLSN
        shards.forgetGroupMarks()
        var marks: [(lane: Int, mark: DurableMark)] = []
        var seals = mustSeal
        while !seals, !backlog.isEmpty {
            let end = takeBatch(into: &marks)
            if end == .segmentFull { seals = true }
            if end != .batchTaken { break }
        }
        backlog.compact()
        lastGroupRecords = Int(encoder.nextLSN.rawValue - firstLSN.rawValue)
        gatherUntil = nil
        if seals { appendSeal() }
        endGroup()
        let group = Group(
            byteCount: encoder.byteCount, lastLSN: LSN(nextLSN.rawValue - 1), marks: marks, isSealed: seals)
        commit.start(.group(group), steps: [writeStep(), .sync(openSegmentName)])
        dropReleased()
    }

    private enum BatchEnd {
        case batchTaken
        case groupFull
        case segmentFull
    }

    /// Encodes what fits of the first waiting batch.
    private mutating func takeBatch(into marks: inout [(lane: Int, mark: DurableMark)]) -> BatchEnd {
        let (batch, first) = backlog.first
        var next = first
        let firstLSN = encoder.nextLSN
        highestTime = max(highestTime, batch.time)
        var end = BatchEnd.batchTaken
        while next < batch.payloads.count {
            let payload = batch.payloads[next]
            end = groupEnd(before: LogLayout.recordBytes(storing: payload.count))
            guard end == .batchTaken else { break }
            encoder.append(
                type: batch.type, shard: batch.shard, epoch: batch.epoch,
                position: Position(batch.firstPosition.rawValue + UInt64(next)), time: highestTime, payload: payload)
            counters.payloadBytes += payload.count
            release(LogLayout.recordBytes(storing: payload.count))
            next += 1
        }
        if next > first {
            counters.records += next - first
            note(batch, through: next, firstLSN: firstLSN, marks: &marks)
        }
        backlog.built(upTo: next)
        return end
    }

    /// Why the group ends before a record that takes up to `bytes`; `.batchTaken` when it goes in.
    private func groupEnd(before bytes: Int) -> BatchEnd {
        if encoder.byteCount + bytes > room { return .segmentFull }
        guard encoder.recordCount > 0 else { return .batchTaken }
        let isFull =
            encoder.recordCount >= configuration.groupRecordsMax
            || encoder.byteCount + bytes > configuration.groupBytesMax
        return isFull ? .groupFull : .batchTaken
    }

    private mutating func release(_ bytes: Int) {
        releasedBytes += bytes
        counters.backlogBytes -= bytes
    }

    /// Records that the shard has come to the payload before `end`: in the segment's entries and among the group's
    /// marks.
    private mutating func note(
        _ batch: AppendBatch, through end: Int, firstLSN: LSN, marks: inout [(lane: Int, mark: DurableMark)]
    ) {
        guard let slot = shards.slot(of: batch.shard) else {
            preconditionFailure("shard \(batch.shard) is held while its batches wait")
        }
        let mark = DurableMark(
            shard: batch.shard, epoch: batch.epoch,
            position: Position(batch.firstPosition.rawValue + UInt64(end) - 1),
            lsn: LSN(encoder.nextLSN.rawValue - 1))
        shards[slot].last = mark
        let open = openIndex
        if let entry = shards[slot].segmentEntry {
            segments[open].entries[entry].lastPosition = mark.position
        } else {
            shards[slot].segmentEntry = segments[open].entries.count
            segments[open].entries.append(
                SegmentEntry(shard: batch.shard, firstLSN: firstLSN, lastPosition: mark.position))
        }
        if let index = shards[slot].groupMark, marks[index].lane == batch.lane {
            marks[index].mark = mark
        } else {
            shards[slot].groupMark = marks.count
            marks.append((batch.lane, mark))
        }
    }

    private mutating func appendSeal() {
        mustSeal = false
        encoder.append(
            type: .seal, shard: ShardID(0), epoch: Epoch(0), position: .zero, time: highestTime,
            payload: shards.table.encoded())
    }

    // MARK: From one segment to the next

    /// Begins the next segment in a spare, if one may be taken. When the disk is full the last spare is left for
    /// recovery, which needs one to write an unsynced tail again, unless the oldest segment is about to replace it.
    private mutating func planRotation() {
        let isReserved = isSpaceExhausted && configuration.spareSegmentsMax > 1 && !isOldestUnneeded
        guard spares.count > (isReserved ? 1 : 0) else { return }
        let spare = spares.removeFirst()
        let header = SegmentHeader(
            identity: identity, number: nextSegmentNumber, segmentBytes: configuration.segmentBytes,
            salt: salts.next(), firstLSN: nextLSN, previousChecksum: previousChecksum, syncedLSN: nextLSN,
            created: highestTime, isReused: !spare.isBlank)
        let openingLSN = nextLSN
        let recordSeed = header.recordSeed(mutants)
        beginGroup(recordSeed)
        encoder.place(header.encoded())
        encoder.append(
            type: .opening, shard: ShardID(0), epoch: Epoch(0), position: .zero, time: highestTime,
            payload: shards.table.encoded())
        endGroup()
        nextSegmentNumber += 1
        let segment = LiveSegment(
            number: header.number, fileBytes: configuration.segmentBytes, usedBytes: encoder.byteCount)
        commit.start(
            .rotation(Rotation(segment: segment, recordSeed: recordSeed, openingLSN: openingLSN)),
            steps: LogStep.starting(.spare(spare.number), as: header.number, bytes: encoder.bytes, mutants: mutants))
    }

    private mutating func enter(_ rotation: Rotation) {
        segments.append(rotation.segment)
        shards.forgetSegmentEntries()
        tail = .open(recordSeed: rotation.recordSeed)
        durableLSN = rotation.openingLSN
        counters.rotations += 1
        counters.writtenBytes += rotation.segment.usedBytes
        updatePins()
    }

    // MARK: The background lane

    /// The next step of the background lane, as ``nextStep(now:)``. To be answered by ``backgroundCompleted(_:now:)``.
    /// A completion may let the commit lane go on.
    public mutating func nextBackgroundStep(now: MonotonicTime) -> LogStep? {
        guard givesSteps, !background.isStepOut else { return nil }
        if let end = pause.end, end <= now { pause = .none }
        if background.isIdle { planBackground() }
        return background.isIdle ? nil : background.give()
    }

    private mutating func planBackground() {
        if case .all = pause { return }
        if isOldestUnneeded {
            planRetirement()
        } else if isSpaceTight, spares.count > sparesKept {
            let spare = spares.removeLast()
            background.start(.trim(spare), steps: [.delete(.spare(spare.number)), .syncDirectory])
        } else if wantsFill {
            planFill()
        }
    }

    /// With a spare at hand and older segments that will come back, the second spare waits until the open segment is
    /// half full: flushing has then mostly given one back, and nothing need be filled.
    private var wantsFill: Bool {
        guard case .none = pause, spares.count < configuration.spareSegmentsMax else { return false }
        if spares.isEmpty || isSpaceExhausted { return true }
        if segments.count <= 1, case .open = tail { return true }
        return (segments.last?.usedBytes ?? 0) * 2 >= configuration.segmentBytes
    }

    public mutating func backgroundCompleted(_ result: StepResult, now: MonotonicTime) {
        background.taken()
        switch result {
        case .done:
            if let work = background.advance() { finish(work) }
        case .noSpace:
            hadNoSpace(until: now.adding(nanoseconds: configuration.retryDelayNanoseconds))
        case .failed:
            fail(background.current, result)
        }
    }

    private mutating func hadNoSpace(until end: MonotonicTime) {
        let step = background.current
        switch background.work {
        case .fill(let spare)?:
            background.abandon()
            // By whichever name it goes: what a step without space has done of it is not known.
            background.start(.clear, steps: [.delete(.filling(spare.number)), .delete(.spare(spare.number))])
            if !isStorageFull { counters.storageFullTimes += 1 }
            isSpaceExhausted = true
            pause = .fills(until: end)
        case .trim(let spare)? where !step.isSync:
            background.abandon()
            spares.append(spare)
            pause = .all(until: end)
        case .recycle?, .retire?, .trim?, .clear?:
            // A name that could not be changed is as it was; one whose change could not be synced may be either.
            guard !step.isSync else { return fail(step, .noSpace) }
            background.abandon()
            pause = .all(until: end)
        case nil:
            preconditionFailure("a step belongs to a work")
        }
    }

    private mutating func finish(_ work: BackgroundWork) {
        switch work {
        case .fill(let spare):
            spares.append(spare)
            counters.segmentsFilled += 1
            // There is space again. Recovery needs no spare: it writes a shorter segment where it finds none.
            isSpaceExhausted = false
        case .recycle(let spare):
            segments.removeFirst()
            spares.append(spare)
            counters.segmentsRecycled += 1
            updatePins()
        case .retire:
            segments.removeFirst()
            updatePins()
        case .trim, .clear:
            break
        }
        if spares.count >= configuration.spareSegmentsMax {
            isSpaceExhausted = false
            pause = .none
        }
    }

    private mutating func planFill() {
        let spare = SpareSegment(number: nextSpareNumber, isBlank: true)
        nextSpareNumber += 1
        let steps =
            LogStep.filling(
                .filling(spare.number), byteCount: configuration.segmentBytes, pieceBytes: configuration.fillBytesMax)
            + [.rename(.filling(spare.number), to: .spare(spare.number)), .syncDirectory]
        background.start(.fill(spare), steps: steps)
    }

    // MARK: Out of use

    /// The newest segment always stays: the log's end is known by it.
    private var isOldestUnneeded: Bool {
        guard segments.count > 1 else { return false }
        // A loop, for a closure would copy the machine.
        for entry in segments[0].entries where shards.needs(entry, mutants: mutants) { return false }
        return true
    }

    private var sparesKept: Int {
        configuration.spareSegmentsMax + (isSpaceTight ? 0 : configuration.recycledSegmentsMax)
    }

    private mutating func planRetirement() {
        let oldest = segments[0]
        let name = LogFileName.segment(oldest.number)
        if oldest.isEvidence {
            background.start(.retire, steps: [.rename(name, to: .quarantined(oldest.number)), .syncDirectory])
        } else if spares.count < sparesKept, oldest.fileBytes == configuration.segmentBytes {
            let spare = SpareSegment(number: nextSpareNumber, isBlank: false)
            nextSpareNumber += 1
            background.start(.recycle(spare), steps: [.rename(name, to: .spare(spare.number)), .syncDirectory])
        } else {
            background.start(.retire, steps: [.delete(name), .syncDirectory])
        }
    }

    /// The shards whose flushing lets the oldest segments go, until what is left is half of what a restart may replay:
    /// the other half is what arrives while they flush.
    private mutating func updatePins() {
        pinningShards.removeAll(keepingCapacity: true)
        var excess = liveBytes - configuration.replayBytesMax / 2
        let ended = if case .open = tail { segments.dropLast() } else { segments[...] }
        for segment in ended where excess > 0 {
            excess -= segment.usedBytes
            // Entries stand in the order of their first LSN.
            for entry in segment.entries
            where shards.needs(entry, mutants: .none) && !pinningShards.contains(entry.shard) {
                pinningShards.append(entry.shard)
            }
        }
    }
}

/// Accepted batches that are not yet built into groups.
private struct Backlog: Sendable {
    private var batches: [AppendBatch] = []
    /// The batches before it are built, and of the one there so many payloads.
    private var head = 0
    private var headPayloads = 0

    var isEmpty: Bool { head == batches.count }

    var recordCount: Int { batches[head...].reduce(0) { $0 + $1.payloads.count } - headPayloads }

    /// The first batch that waits, and which of its payloads is the next.
    var first: (batch: AppendBatch, next: Int) { (batches[head], headPayloads) }

    mutating func append(_ batch: AppendBatch) { batches.append(batch) }

    /// The first batch's payloads before `end` are built.
    mutating func built(upTo end: Int) {
        headPayloads = end
        guard end == batches[head].payloads.count else { return }
        head += 1
        headPayloads = 0
    }

    /// Lets go of built batches, at a cost of O(1) a batch.
    mutating func compact() {
        guard head * 2 >= batches.count else { return }
        batches.removeFirst(head)
        head = 0
    }
}
