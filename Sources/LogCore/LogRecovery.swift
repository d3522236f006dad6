public import LogFormat
public import Primitives

/// What recovery wants done next.
public enum RecoveryStep: Sendable {
    /// Read `count` bytes (fewer at the file's end). `fresh`: drop the page cache first, so that the device answers and
    /// not a page that an earlier failed sync left looking clean (rule W5). Answer with ``LogRecovery/read(_:)``.
    case read(LogFileName, offset: Int, count: Int, fresh: Bool)
    /// Answer with ``LogRecovery/completed(_:)``.
    case perform(LogStep)
    /// Hand these to the shards' stores, in this order. Answer with ``LogRecovery/replayed()``, or
    /// ``LogRecovery/replayRefused(shard:position:reason:)``.
    case replay([LogRecord])
    case finished(LogStart, RecoveryReport)
    case failed(LogOpenError)
}

public enum ReadResult: Sendable {
    case bytes([UInt8])
    case failed(Int32)
}

/// Opens a log: decides what of it is true, repairs its end, and replays what the stores have not applied. No I/O.
///
/// 1. Read every segment's header. A newer format, another cluster or another node refuses the log.
/// 2. Scan every segment. D, the highest LSN that was certainly synced, is the maximum of the durable LSNs in all valid
///    records, of each header's previous and synced LSN, and of the stores' applied LSNs.
/// 3. The first bad record at L > D is a torn tail: the log is cut there, even when valid records follow, for the pages
///    of one unsynced group reach the disk in any order. At L <= D it is damage to acknowledged records: nothing is
///    cut; exactly the shards that may have lost something are quarantined, and the files are kept.
/// 4. Valid records above D may be in the page cache only: they are written again at the head of a new segment and
///    synced (rule W5). The segment that was open at the crash ends at D from then on; it is never appended to.
/// 5. Records above each store's applied position are replayed in order.
///
/// It can be stopped at any step and begun anew: until the new segment has its name, nothing that the next start reads
/// has changed, and afterwards the next start finds the same records. A read error ends it without a change. At most
/// one segment is in memory at a time.
public struct LogRecovery: Sendable {
    private enum Phase: Sendable {
        case headers(Int)
        case spares(Int)
        case scan(Int)
        /// The new segment is to hold this much of the shards; it begins when leftovers and a torn tail are seen to.
        case tidy(LiveSegment)
        case keepTorn(LiveSegment)
        case begin(LiveSegment)
        /// The segment of that index, once it has been read.
        case replay(Int, Reading?)
        case replayWindow
        case finished
        case failed(LogOpenError)
    }

    /// A `.wal` file.
    private struct Segment: Sendable {
        let number: UInt64
        let byteCount: Int
        /// `nil`: damaged.
        var header: SegmentHeader?
        /// Its last LSN, where the next readable header tells it.
        var endLSN: LSN?
        var live: LiveSegment
        /// It holds records that a store has not applied.
        var needsReplay = false

        var name: LogFileName { .segment(number) }
    }

    /// A segment that is being replayed.
    private struct Reading: Sendable {
        let bytes: [UInt8]
        var scanner: SegmentScanner
    }

    /// What the steps being performed are for.
    private enum Work: Sendable {
        case tidy
        case keepTorn(LogFileName)
        case dropTorn
        case begin(LiveSegment, SpareSegment?, recordSeed: UInt32)
        /// No room for a whole segment: one that holds what was unsynced and nothing more.
        case beginShort(LiveSegment)
        case dropFilling
    }

    /// The segment that recovery began.
    private enum Opened: Sendable {
        /// None yet, or none at all, where the disk is full and nothing had to be written.
        case nothing
        case whole(LiveSegment, recordSeed: UInt32)
        /// It takes no further records.
        case short(LiveSegment)
    }

    private let configuration: LogConfiguration
    private let identity: LogIdentity
    private let mutants: Mutants
    private let time: Timestamp
    private var salts: SplitMix64

    private var phase = Phase.headers(0)
    private var lane = StepLane<Work>()
    private var segments: [Segment] = []
    private var spares: [SpareSegment] = []
    private var tornCopies: [UInt64] = []
    /// Files to remove before anything is written.
    private var leftovers: [LogFileName] = []
    private var nextSegmentNumber: UInt64 = 1
    private var nextSpareNumber: UInt64 = 1
    private var report = RecoveryReport()

    private var ledger: RecoveryLedger
    /// Where each shard's entry stands in the segment being scanned.
    private var entryOfShard = ShardSlots()
    /// D.
    private var durableLSN = LSN.zero
    /// The LSN after the last one that was scanned or given up as damaged.
    private var expectedLSN = LSN(1)
    /// The last durable record that was read.
    private var lastDurable: (lsn: LSN, checksum: UInt32) = (.zero, 0)
    /// Valid records above D, with their stored bytes.
    private var window: [(header: RecordHeader, stored: [UInt8])] = []
    private var marksAtDurable: [DurableMark] = []
    /// The last segment's bytes while a copy of it is to be kept.
    private var tornBytes: [UInt8] = []

    private var opened = Opened.nothing
    private var encoder: GroupEncoder
    private var nextLSN = LSN(1)
    private var previousChecksum: UInt32 = 0
    /// The next position of each shard to be replayed, by its slot in the ledger.
    private var nextPositions: [Position] = []

    /// - Parameters:
    ///   - applied: one mark for each shard that this node holds, in any order. The records of a shard that is left out
    ///     are not replayed and no longer kept.
    ///   - files: the log directory's files whose names are the log's, in any order.
    ///   - saltSeed: drawn at random for each start.
    ///   - time: the newest that the stores have seen; stamped on the new segment unless the log has seen a later one.
    ///     Not the wall clock's, which may be wrong: what is stamped here is the data's time at the next start.
    public init(
        configuration: LogConfiguration, identity: LogIdentity, applied: [AppliedMark], files: [LogFileEntry],
        saltSeed: UInt64, time: Timestamp, mutants: Mutants = .none
    ) {
        configuration.check()
        precondition(applied.count <= configuration.shardsMax, "a node holds at most shardsMax shards")
        self.configuration = configuration
        self.identity = identity
        self.mutants = mutants
        self.time = time
        self.salts = SplitMix64(seed: saltSeed)
        self.ledger = RecoveryLedger(applied: applied)
        self.encoder = GroupEncoder(compressionBytesMin: .max, capacityKept: configuration.segmentBytes)
        durableLSN = applied.map(\.lsn).max() ?? .zero
        for file in files.sorted(by: { $0.name.number < $1.name.number }) { sort(file) }
    }

    private mutating func sort(_ file: LogFileEntry) {
        let number = file.name.number
        switch file.name {
        case .segment:
            let live = LiveSegment(number: number, fileBytes: file.byteCount, usedBytes: 0)
            segments.append(Segment(number: number, byteCount: file.byteCount, live: live))
            nextSegmentNumber = max(nextSegmentNumber, number + 1)
        case .torn:
            tornCopies.append(number)
            nextSegmentNumber = max(nextSegmentNumber, number + 1)
        case .quarantined:
            nextSegmentNumber = max(nextSegmentNumber, number + 1)
        case .spare:
            nextSpareNumber = max(nextSpareNumber, number + 1)
            if file.byteCount == configuration.segmentBytes {
                spares.append(SpareSegment(number: number, isBlank: false))
            } else {
                leftovers.append(file.name)
            }
        case .filling:
            nextSpareNumber = max(nextSpareNumber, number + 1)
            leftovers.append(file.name)
        }
    }

    /// The next thing to do. To be answered before it is called again; after `.finished` or `.failed`, not at all.
    public mutating func next() -> RecoveryStep {
        while true {
            if case .failed(let error) = phase { return .failed(error) }
            if !lane.isIdle { return .perform(lane.give()) }
            if let step = advance() { return step }
        }
    }

    /// One move of the phases; `nil` when it only changed state.
    private mutating func advance() -> RecoveryStep? {
        switch phase {
        case .headers(let index):
            if index < segments.count { return readHeader(of: segments[index].name, isLast: index == lastIndex) }
            linkSegments()
            enter(.spares(0))
        case .spares(let index):
            if index < spares.count { return readHeader(of: .spare(spares[index].number), isLast: false) }
            enter(.scan(0))
        case .scan(let index): return scanStep(index)
        case .tidy(let segment): planTidy(segment)
        case .keepTorn(let segment): planTornCopy(segment)
        case .begin(let segment): planBegin(segment)
        case .replay(let index, nil): return readStep(index)
        case .replay(let index, let reading?): return replayStep(index, reading)
        case .replayWindow: return replayWindowStep()
        case .finished: return .finished(makeStart(), report)
        case .failed(let error): return .failed(error)
        }
        return nil
    }

    /// What has failed stays failed.
    private mutating func enter(_ next: Phase) {
        if case .failed = phase { return }
        phase = next
    }

    private mutating func fail(_ error: LogOpenError) { enter(.failed(error)) }

    private var hasFailed: Bool { if case .failed = phase { true } else { false } }

    private var lastIndex: Int { segments.count - 1 }

    private func readHeader(of file: LogFileName, isLast: Bool) -> RecoveryStep {
        .read(file, offset: 0, count: LogLayout.headerBlockBytes, fresh: isLast)
    }

    public mutating func read(_ result: ReadResult) {
        switch (phase, result) {
        case (.headers(let index), .bytes(let block)):
            foundHeader(index, block)
            enter(.headers(index + 1))
        case (.spares(let index), .bytes(let block)):
            let isBlank = block == [UInt8](repeating: 0, count: block.count)
            spares[index] = SpareSegment(number: spares[index].number, isBlank: isBlank)
            enter(.spares(index + 1))
        case (.scan(let index), .bytes(let bytes)): scan(index, bytes)
        case (.replay(let index, nil), .bytes(let bytes)): beginReplay(index, bytes)
        case (.headers(let index), .failed(let errno)), (.scan(let index), .failed(let errno)),
            (.replay(let index, nil), .failed(let errno)):
            fail(.readFailed(file: segments[index].name.description, errno: errno))
        case (.spares(let index), .failed(let errno)):
            fail(.readFailed(file: LogFileName.spare(spares[index].number).description, errno: errno))
        case (.tidy, _), (.keepTorn, _), (.begin, _), (.replay, _), (.replayWindow, _), (.finished, _), (.failed, _):
            preconditionFailure("nothing was to be read")
        }
    }

    public mutating func completed(_ result: StepResult) {
        lane.taken()
        switch result {
        case .done:
            if let work = lane.advance() { finish(work) }
        case .noSpace:
            hadNoSpace()
        case .failed(let errno):
            if mutants.has(.syncErrorRetried), case .sync = lane.current { return }
            fail(.writeFailed(step: lane.current.summary, errno: errno))
        }
    }

    /// The numbers are Linux's: floors below the files know no C library.
    private enum PosixErrno {
        static let inputOutput: Int32 = 5
        static let noSpace: Int32 = 28
    }

    // MARK: Headers

    private mutating func foundHeader(_ index: Int, _ block: [UInt8]) {
        let file = segments[index].name.description
        do {
            let header = try SegmentHeader.decode(block)
            guard header.identity.clusterID == identity.clusterID else {
                return fail(
                    .otherCluster(
                        file: file, expected: identity.clusterID, found: header.identity.clusterID))
            }
            guard header.identity.nodeStoreID == identity.nodeStoreID else {
                return fail(
                    .otherNode(file: file, expected: identity.nodeStoreID, found: header.identity.nodeStoreID))
            }
            if header.number == segments[index].number { segments[index].header = header }
        } catch {
            switch error {
            case .newerFormat(let version): fail(.newerFormat(file: file, version: version))
            case .damaged: break
            }
        }
    }

    /// Each segment ends where the next readable one begins, by definition; and what a header says about the log before
    /// it was synced before the file had its name.
    private mutating func linkSegments() {
        var next: SegmentHeader?
        for index in segments.indices.reversed() {
            guard let header = segments[index].header else { continue }
            if let next, next.firstLSN <= header.firstLSN {
                // LSNs that go back: one of the two is not what its name says. The newer one has been vouched for.
                segments[index].header = nil
                continue
            }
            segments[index].endLSN = next?.previousLSN
            durableLSN = max(durableLSN, header.previousLSN, header.syncedLSN)
            report.highestTime = max(report.highestTime, header.created)
            next = header
        }
    }

    // MARK: Records

    private mutating func scanStep(_ index: Int) -> RecoveryStep? {
        guard index < segments.count else {
            concludeScan()
            return nil
        }
        let segment = segments[index]
        guard let header = segment.header else {
            skipUnreadable(index)
            return nil
        }
        if index == 0 { expectedLSN = header.firstLSN }
        if expectedLSN < header.firstLSN { missBefore(index, header) }
        return .read(segment.name, offset: 0, count: segment.byteCount, fresh: index == lastIndex)
    }

    /// A segment whose header is damaged: its salt is unknown, so none of its records can be read. Up to where they go
    /// is told by the next segment's header, or by nothing.
    private mutating func skipUnreadable(_ index: Int) {
        segments[index].live.isEvidence = true
        enter(.scan(index + 1))
        guard index == lastIndex else { return }
        // It may hold this many records at most; whatever it held was above what the others hold.
        let records = UInt64(segments[index].byteCount / LogLayout.recordHeaderBytes)
        durableLSN = max(durableLSN, LSN(expectedLSN.rawValue + records))
        lose(
            .init(
                segment: segments[index].number, offset: 0, firstLSN: expectedLSN, lastLSN: durableLSN, shard: nil,
                kind: .headerDamaged))
    }

    /// Records are missing before this segment: the one before has a damaged header, or is not there at all.
    private mutating func missBefore(_ index: Int, _ header: SegmentHeader) {
        let before = index > 0 ? segments[index - 1] : nil
        let isUnreadable = before.map { $0.header == nil } ?? false
        let number = before.map { isUnreadable ? $0.number : $0.number + 1 } ?? 0
        lose(
            .init(
                segment: number, offset: 0, firstLSN: expectedLSN, lastLSN: header.previousLSN, shard: nil,
                kind: isUnreadable ? .headerDamaged : .segmentMissing))
    }

    private mutating func lose(_ damage: LogDamage, header: RecordHeader? = nil) {
        ledger.lost(damage, header: header)
        expectedLSN = damage.lastLSN.next
    }

    private mutating func scan(_ index: Int, _ bytes: [UInt8]) {
        guard let header = segments[index].header else { preconditionFailure("a segment with a header is read") }
        report.segmentsRead += 1
        report.bytesRead += bytes.count
        segments[index].live.usedBytes = LogLayout.headerBlockBytes
        entryOfShard = ShardSlots()
        if index == lastIndex {
            scanLast(index, header, bytes)
        } else {
            var scanner = SegmentScanner(
                bytes: bytes, header: header, endLSN: segments[index].endLSN, mutants: mutants)
            while !hasFailed, let item = scanner.next() {
                switch item {
                case .record(let record): foundDurable(record, bytes, index)
                case .damage(let damage): foundDamage(damage, index)
                }
            }
        }
        enter(.scan(index + 1))
    }

    /// A valid record at or below D.
    private mutating func foundDurable(_ record: SegmentScanner.ScannedRecord, _ bytes: [UInt8], _ index: Int) {
        let header = record.header
        guard isKnown(record, index) else { return }
        durableLSN = max(durableLSN, header.durableLSN)
        expectedLSN = header.lsn.next
        lastDurable = (header.lsn, header.checksum)
        segments[index].live.usedBytes = record.end
        if note(header, segment: segments[index].number, offset: record.offset) {
            segments[index].live.note(header, entries: &entryOfShard)
        }
        guard let type = header.type else { return }
        if type.carriesTable, let payload = header.payload(from: bytes, at: record.stored),
            let table = PositionTable(decoding: payload)
        {
            ledger.found(table, segment: segments[index].number, offset: record.offset)
        }
        if type.takesPosition, let slot = ledger.slot(of: header.shard),
            header.position > ledger.shards[slot].applied.position
        {
            segments[index].needsReplay = true
        }
    }

    /// What counts for every valid record, above D or not. True: a record of a shard that this node holds.
    private mutating func note(_ header: RecordHeader, segment: UInt64, offset: Int) -> Bool {
        report.highestTime = max(report.highestTime, header.time)
        guard let type = header.type, type.takesPosition else { return false }
        guard let slot = ledger.slot(of: header.shard) else {
            report.recordsOfOtherShards += 1
            return false
        }
        if header.position <= ledger.shards[slot].applied.position { report.recordsSkipped += 1 }
        ledger.found(header, segment: segment, offset: offset)
        return true
    }

    private mutating func isKnown(_ record: SegmentScanner.ScannedRecord, _ index: Int) -> Bool {
        if let type = record.header.type, type != .truncation { return true }
        fail(
            .unknownRecordType(
                file: segments[index].name.description, offset: record.offset, type: record.header.rawType))
        return false
    }

    /// Damage in a segment that another one follows: all of it was synced.
    private mutating func foundDamage(_ damage: SegmentScanner.Damage, _ index: Int) {
        segments[index].live.isEvidence = true
        // Without an end the next readable header tells how much is missing.
        guard let last = damage.lastLSN else { return }
        loseRecords(damage, through: last, index)
    }

    private mutating func loseRecords(_ damage: SegmentScanner.Damage, through last: LSN, _ index: Int) {
        segments[index].live.isEvidence = true
        let shard = damage.header.flatMap { $0.type?.takesPosition == true ? $0.shard : nil }
        lose(
            .init(
                segment: segments[index].number, offset: damage.offset, firstLSN: damage.firstLSN, lastLSN: last,
                shard: shard, kind: .recordDamaged),
            header: damage.header)
    }

    // MARK: The last segment

    /// The segment that may end in a torn tail. First D, from all that is valid anywhere in it; then its records in
    /// the light of D.
    private mutating func scanLast(_ index: Int, _ header: SegmentHeader, _ bytes: [UInt8]) {
        var survey = SegmentScanner(bytes: bytes, header: header, endLSN: nil, mutants: mutants)
        while let item = survey.next() {
            if case .record(let record) = item { durableLSN = max(durableLSN, record.header.durableLSN) }
        }
        var scanner = SegmentScanner(bytes: bytes, header: header, endLSN: nil, mutants: mutants)
        var lastType: RecordType?
        scanning: while !hasFailed, let item = scanner.next() {
            switch item {
            case .record(let record) where record.header.lsn <= durableLSN:
                foundDurable(record, bytes, index)
                lastType = record.header.type
            case .record(let record):
                guard isKnown(record, index) else { return }
                window.append((record.header, Array(bytes[record.stored])))
                lastType = record.header.type
            case .damage(let damage):
                guard judge(damage, &scanner, bytes, index) else { break scanning }
                lastType = nil
            }
        }
        report.wasClean = lastType == .cleanClose && report.tornTail == nil
    }

    /// Torn tail or corruption. False: the log ends here.
    private mutating func judge(
        _ damage: SegmentScanner.Damage, _ scanner: inout SegmentScanner, _ bytes: [UInt8], _ index: Int
    ) -> Bool {
        if mutants.has(.corruptionTakenForTornTail), damage.firstLSN <= durableLSN {
            durableLSN = LSN(damage.firstLSN.rawValue - 1)
        }
        if damage.firstLSN > durableLSN {
            let tail = tornTail(damage, &scanner, index)
            if let tail, mutants.has(.tornTailTakenForCorruption) {
                loseRecords(damage, through: max(tail.lsn, damage.lastLSN ?? tail.lsn), index)
                durableLSN = LSN(expectedLSN.rawValue - 1)
                return false
            }
            report.tornTail = tail
            if tail != nil { tornBytes = bytes }
            return false
        }
        let last = min(damage.lastLSN ?? durableLSN, durableLSN)
        let endsHere = damage.lastLSN.map { $0 > durableLSN } ?? true
        loseRecords(damage, through: last, index)
        return !endsHere
    }

    /// What stood behind the cut; `nil` when nothing of this segment's life did, so that this is just its end.
    private func tornTail(
        _ damage: SegmentScanner.Damage, _ scanner: inout SegmentScanner, _ index: Int
    ) -> TornTail? {
        let isReused = segments[index].header?.isReused ?? true
        var end = damage.header == nil ? damage.offset : damage.offset + damage.byteCount
        while let item = scanner.next() {
            switch item {
            case .record(let record): end = record.end
            case .damage(let more) where more.header != nil: end = more.offset + more.byteCount
            case .damage: break
            }
        }
        let isWritten = end > damage.offset || (!damage.isBlank && !isReused)
        guard isWritten else { return nil }
        return TornTail(
            segment: segments[index].number, offset: damage.offset, lsn: damage.firstLSN,
            bytesCut: max(end - damage.offset, LogLayout.alignment), copy: nil)
    }

    // MARK: Conclusion

    private mutating func concludeScan() {
        if expectedLSN <= durableLSN {
            // The stores have applied more than the log holds: its newest part is gone.
            let number = segments.last.map { $0.number + 1 } ?? nextSegmentNumber
            lose(
                .init(
                    segment: number, offset: 0, firstLSN: expectedLSN, lastLSN: durableLSN, shard: nil,
                    kind: .segmentMissing))
        }
        marksAtDurable = ledger.lastMarks
        if mutants.has(.cutBelowDurableLSN) { window = [] }
        window.removeAll { !($0.header.type?.takesPosition ?? false) }
        // They are written again behind the new segment's opening.
        for index in window.indices { window[index].header.lsn = LSN(durableLSN.rawValue + 2 + UInt64(index)) }
        var begun = LiveSegment(
            number: nextSegmentNumber, fileBytes: configuration.segmentBytes, usedBytes: 0)
        entryOfShard = ShardSlots()
        for (header, _) in window where note(header, segment: begun.number, offset: 0) {
            begun.note(header, entries: &entryOfShard)
        }
        ledger.conclude()
        if segments.isEmpty, durableLSN == .zero { report.wasClean = true }
        report.damage = ledger.damage
        report.quarantined = ledger.quarantined
        report.durableLSN = durableLSN
        markEvidence()
        enter(.tidy(begun))
    }

    /// The segments that hold what quarantined shards have not applied are kept.
    private mutating func markEvidence() {
        for index in segments.indices {
            let isEvidence = segments[index].live.entries.contains { entry in
                guard let slot = ledger.slot(of: entry.shard), !ledger.isHealthy(slot) else { return false }
                return entry.lastPosition > ledger.shards[slot].applied.position
            }
            if isEvidence { segments[index].live.isEvidence = true }
        }
    }

    // MARK: Repair

    private mutating func planTidy(_ segment: LiveSegment) {
        enter(report.tornTail == nil ? .begin(segment) : .keepTorn(segment))
        if report.tornTail != nil {
            let surplus = tornCopies.count - configuration.tornCopiesMax + 1
            leftovers += tornCopies.prefix(max(surplus, 0)).map { .torn($0) }
        }
        if !leftovers.isEmpty { lane.start(.tidy, steps: leftovers.map { .delete($0) }) }
    }

    /// The copy is for people: nothing reads it again.
    private mutating func planTornCopy(_ segment: LiveSegment) {
        enter(.begin(segment))
        guard let tail = report.tornTail else { return }
        let copy = LogFileName.torn(tail.segment)
        lane.start(
            .keepTorn(copy),
            steps: [.create(copy), .write(copy, offset: 0, bytes: tornBytes[...]), .sync(copy), .syncDirectory])
        tornBytes = []
    }

    /// A new segment after D, with what was valid above D at its head.
    private mutating func planBegin(_ planned: LiveSegment) {
        enter(.replay(0, nil))
        nextPositions = ledger.shards.map(\.applied.position.next)
        var segment = planned
        let spare = spares.isEmpty ? nil : spares.removeFirst()
        let seed = encodeHead(
            of: segment, isReused: spare.map { !$0.isBlank } ?? false, fileBytes: configuration.segmentBytes)
        segment.usedBytes = encoder.byteCount
        var steps: [LogStep] = []
        let file: LogFileName
        if let spare {
            file = .spare(spare.number)
        } else {
            file = .filling(nextSpareNumber)
            nextSpareNumber += 1
            steps = LogStep.filling(
                file, byteCount: configuration.segmentBytes, pieceBytes: configuration.fillBytesMax)
        }
        steps += LogStep.starting(file, as: segment.number, bytes: encoder.bytes, mutants: mutants)
        lane.start(.begin(segment, spare, recordSeed: seed), steps: steps)
    }

    /// The same where the disk has no room for a whole segment: one that ends with what was unsynced. The next one
    /// begins as soon as there is space.
    private mutating func planShortBegin(_ segment: LiveSegment) {
        encodeHead(of: segment, isReused: false, fileBytes: configuration.segmentBytes)
        let fileBytes = (encoder.byteCount / LogLayout.headerBlockBytes + 1) * LogLayout.headerBlockBytes
        encodeHead(of: segment, isReused: false, fileBytes: fileBytes)
        var short = LiveSegment(number: segment.number, fileBytes: fileBytes, usedBytes: encoder.byteCount)
        short.entries = segment.entries
        short.isEvidence = segment.isEvidence
        let file = LogFileName.filling(nextSpareNumber)
        nextSpareNumber += 1
        lane.start(
            .beginShort(short),
            steps: LogStep.filling(file, byteCount: fileBytes, pieceBytes: configuration.fillBytesMax)
                + LogStep.starting(file, as: segment.number, bytes: encoder.bytes, mutants: mutants))
    }

    /// - Returns: the segment's record seed.
    @discardableResult
    private mutating func encodeHead(of segment: LiveSegment, isReused: Bool, fileBytes: Int) -> UInt32 {
        let isKnown = lastDurable.lsn == durableLSN
        let syncedLSN = LSN(durableLSN.rawValue + 1 + UInt64(window.count))
        let header = SegmentHeader(
            identity: identity, number: segment.number, segmentBytes: fileBytes,
            salt: salts.next(), firstLSN: durableLSN.next, previousChecksum: isKnown ? lastDurable.checksum : 0,
            syncedLSN: syncedLSN, created: max(time, report.highestTime), isReused: isReused)
        let recordSeed = header.recordSeed(mutants)
        encoder.begin(
            seed: recordSeed, firstLSN: durableLSN.next, previousChecksum: header.previousChecksum,
            durableLSN: durableLSN)
        encoder.place(header.encoded())
        encoder.append(
            type: .opening, shard: ShardID(0), epoch: Epoch(0), position: .zero, time: header.created,
            payload: ledger.table(marksAtDurable).encoded())
        for (old, stored) in window { encoder.append(repeating: old, stored: stored[...]) }
        return recordSeed
    }

    private mutating func finish(_ work: Work) {
        switch work {
        case .keepTorn(let copy):
            if let tail = report.tornTail {
                report.tornTail = TornTail(
                    segment: tail.segment, offset: tail.offset, lsn: tail.lsn, bytesCut: tail.bytesCut, copy: copy)
            }
        case .begin(let segment, _, let seed): begun(.whole(segment, recordSeed: seed), segment.number)
        case .beginShort(let segment): begun(.short(segment), segment.number)
        case .tidy, .dropTorn, .dropFilling:
            break
        }
    }

    private mutating func begun(_ segment: Opened, _ number: UInt64) {
        opened = segment
        nextLSN = encoder.nextLSN
        previousChecksum = encoder.previousChecksum
        nextSegmentNumber = number + 1
        report.recordsRepersisted = window.count
        durableLSN = LSN(nextLSN.rawValue - 1)
        report.lastLSN = durableLSN
    }

    private mutating func hadNoSpace() {
        let step = lane.current
        switch lane.abandon() {
        case .keepTorn(let copy)?:
            // The segment itself stays until its shards are flushed; serving matters more than the copy.
            lane.start(.dropTorn, steps: [.delete(copy)])
        case .begin(let segment, let spare, _)?:
            // The segment may have its name already.
            if case .syncDirectory = step { return fail(.writeFailed(step: step.summary, errno: PosixErrno.noSpace)) }
            if window.isEmpty { return beginLater(spare) }
            // What is left of a file that was made is a leftover to the next start.
            if let spare { spares.insert(SpareSegment(number: spare.number, isBlank: false), at: 0) }
            planShortBegin(segment)
        case .beginShort?:
            fail(.storageFull)
        case .tidy?, .dropTorn?, .dropFilling?:
            // What could not be deleted is a leftover to the next start.
            break
        case nil:
            preconditionFailure("a step belongs to a work")
        }
    }

    /// Nothing has to be written before serving: the log starts as one on a full disk, and refuses batches until there
    /// is room.
    private mutating func beginLater(_ spare: SpareSegment?) {
        report.lastLSN = durableLSN
        nextLSN = durableLSN.next
        previousChecksum = lastDurable.lsn == durableLSN ? lastDurable.checksum : 0
        if let spare {
            spares.insert(SpareSegment(number: spare.number, isBlank: false), at: 0)
        } else {
            lane.start(.dropFilling, steps: [.delete(.filling(nextSpareNumber - 1))])
        }
    }

    // MARK: Replay

    /// What one step hands over: about this much.
    private static let replayStepRecords = 512
    private static let replayStepBytes = 1 << 20

    private mutating func readStep(_ index: Int) -> RecoveryStep? {
        guard index < segments.count else {
            enter(.replayWindow)
            return nil
        }
        guard segments[index].needsReplay else {
            enter(.replay(index + 1, nil))
            return nil
        }
        return .read(segments[index].name, offset: 0, count: segments[index].byteCount, fresh: false)
    }

    private mutating func beginReplay(_ index: Int, _ bytes: [UInt8]) {
        guard let header = segments[index].header else { preconditionFailure("a segment with a header is replayed") }
        let end = index == lastIndex ? report.durableLSN : segments[index].endLSN
        let scanner = SegmentScanner(bytes: bytes, header: header, endLSN: end, mutants: mutants)
        enter(.replay(index, Reading(bytes: bytes, scanner: scanner)))
    }

    private mutating func replayStep(_ index: Int, _ begun: Reading) -> RecoveryStep? {
        var reading = begun
        let records = nextRecords(index, &reading)
        if hasFailed { return nil }
        enter(records.isEmpty ? .replay(index + 1, nil) : .replay(index, reading))
        return records.isEmpty ? nil : .replay(records)
    }

    private mutating func nextRecords(_ index: Int, _ reading: inout Reading) -> [LogRecord] {
        var records: [LogRecord] = []
        var byteCount = 0
        while records.count < Self.replayStepRecords, byteCount < Self.replayStepBytes,
            let item = reading.scanner.next()
        {
            guard case .record(let scanned) = item else { continue }
            let header = scanned.header
            guard let slot = slotToReplay(header) else { continue }
            guard header.position == nextPositions[slot] else {
                // The scan found the shard's records complete: the file has changed under us.
                fail(.readFailed(file: segments[index].name.description, errno: PosixErrno.inputOutput))
                return []
            }
            guard let payload = header.payload(from: reading.bytes, at: scanned.stored) else {
                segments[index].live.isEvidence = true
                quarantineUndecodable(slot, header)
                continue
            }
            byteCount += payload.count
            records.append(handOver(header, payload, slot))
        }
        return records
    }

    /// The shard's slot when its store needs this record.
    private func slotToReplay(_ header: RecordHeader) -> Int? {
        guard header.type?.takesPosition ?? false, let slot = ledger.slot(of: header.shard), ledger.isHealthy(slot),
            header.position > ledger.shards[slot].applied.position
        else { return nil }
        return slot
    }

    private mutating func handOver(_ header: RecordHeader, _ payload: [UInt8], _ slot: Int) -> LogRecord {
        nextPositions[slot] = header.position.next
        report.recordsReplayed += 1
        return LogRecord(
            type: header.type ?? .effect, shard: header.shard, epoch: header.epoch, position: header.position,
            lsn: header.lsn, time: header.time, payload: payload)
    }

    private mutating func quarantineUndecodable(_ slot: Int, _ header: RecordHeader) {
        ledger.quarantine(slot, .payloadUndecodable, found: header.position)
        report.quarantined = ledger.quarantined
    }

    /// What was written again into the new segment.
    private mutating func replayWindowStep() -> RecoveryStep? {
        enter(.finished)
        var records: [LogRecord] = []
        for (header, stored) in window {
            guard let slot = slotToReplay(header) else { continue }
            guard let payload = header.payload(from: stored, at: stored.indices) else {
                quarantineUndecodable(slot, header)
                continue
            }
            records.append(handOver(header, payload, slot))
        }
        window = []
        return records.isEmpty ? nil : .replay(records)
    }

    /// The stores have taken what the last `.replay` held.
    public func replayed() {}

    /// A store refused a record: the log is not opened.
    public mutating func replayRefused(shard: ShardID, position: Position, reason: String) {
        fail(.replayRefused(shard: shard, position: position, reason: reason))
    }

    // MARK: The end

    private mutating func makeStart() -> LogStart {
        var live = segments.map(\.live)
        var seed: UInt32?
        switch opened {
        case .nothing: break
        case .whole(let segment, let recordSeed):
            live.append(segment)
            seed = recordSeed
        case .short(let segment): live.append(segment)
        }
        return LogStart(
            identity: identity, durableLSN: durableLSN, nextLSN: nextLSN, previousChecksum: previousChecksum,
            highestTime: max(time, report.highestTime), segments: live, isLastOpen: seed != nil,
            openRecordSeed: seed ?? 0, spares: spares, nextSegmentNumber: nextSegmentNumber,
            nextSpareNumber: nextSpareNumber,
            shards: ledger.shards.map { shard in
                ShardStart(
                    last: shard.last, flushedPosition: shard.applied.position,
                    isQuarantined: shard.quarantine != nil)
            },
            saltSeed: salts.next())
    }
}

extension LiveSegment {
    /// Takes a record of a shard into the segment's entries; `index` says where each shard's entry stands.
    mutating func note(_ header: RecordHeader, entries index: inout ShardSlots) {
        if let entry = index[header.shard] {
            entries[entry].lastPosition = max(entries[entry].lastPosition, header.position)
        } else {
            index[header.shard] = entries.count
            entries.append(SegmentEntry(shard: header.shard, firstLSN: header.lsn, lastPosition: header.position))
        }
    }
}
