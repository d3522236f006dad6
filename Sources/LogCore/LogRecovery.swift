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
    /// A `.wal` file.
    struct Segment: Sendable {
        let number: UInt64
        let byteCount: Int
        /// `nil`: damaged.
        var header: SegmentHeader?
        /// Its last LSN, where the next readable header tells it.
        var endLSN: LSN?
        var live: LiveSegment
        /// It holds records that a store has not applied.
        var needsReplay = false
    }

    enum Phase: Sendable {
        case headers(Int)
        case spares(Int)
        case scan(Int)
        case tidy
        case keepTorn
        case begin
        case replay(Int)
        case replayWindow
        case finished
    }

    /// What the steps being performed are for.
    enum Work: Sendable {
        case tidy
        case keepTorn(LogFileName)
        case dropTorn
        case begin(LiveSegment, SpareSegment?)
        /// No room for a whole segment: one that holds what was unsynced and nothing more.
        case beginShort(LiveSegment)
        case dropFilling
    }

    let configuration: LogConfiguration
    let identity: LogIdentity
    let mutants: Mutants
    let time: Timestamp
    var salts: SplitMix64

    var segments: [Segment] = []
    var spares: [SpareSegment] = []
    var tornCopies: [UInt64] = []
    /// Files to remove before anything is written.
    var leftovers: [LogFileName] = []
    var nextSegmentNumber: UInt64 = 1
    var nextSpareNumber: UInt64 = 1

    var phase = Phase.headers(0)
    var lane = StepLane<Work>()
    var failure: LogOpenError?
    var report = RecoveryReport()
    var ledger: RecoveryLedger
    /// Where each shard's entry stands in the segment being scanned.
    var entryOfShard = ShardSlots()

    /// D.
    var durableLSN = LSN.zero
    /// The LSN after the last one that was scanned or given up as damaged.
    var expectedLSN = LSN(1)
    /// The last durable record that was read.
    var lastDurable: (lsn: LSN, checksum: UInt32) = (.zero, 0)
    /// Valid records above D, with their stored bytes.
    var window: [(header: RecordHeader, stored: [UInt8])] = []
    var marksAtDurable: [DurableMark] = []
    /// The last segment's bytes while a copy of it is to be kept.
    var tornBytes: [UInt8] = []

    var opened: LiveSegment?
    /// `opened` takes records.
    var isOpenedWhole = true
    var encoder: GroupEncoder
    var recordSeed: UInt32 = 0
    var nextLSN = LSN(1)
    var previousChecksum: UInt32 = 0
    var replay = ReplayState()

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
            if let failure { return .failed(failure) }
            if !lane.isIdle { return .perform(lane.give()) }
            if let step = advance() { return step }
        }
    }

    /// One move of the phases; `nil` when it only changed state.
    private mutating func advance() -> RecoveryStep? {
        switch phase {
        case .headers(let index):
            guard index < segments.count else {
                linkSegments()
                phase = .spares(0)
                return nil
            }
            return readHeader(of: .segment(segments[index].number), isLast: index == segments.count - 1)
        case .spares(let index):
            guard index < spares.count else {
                phase = .scan(0)
                return nil
            }
            return readHeader(of: .spare(spares[index].number), isLast: false)
        case .scan(let index): return scanStep(index)
        case .tidy: planTidy()
        case .keepTorn: planTornCopy()
        case .begin: planBegin()
        case .replay(let index): return replayStep(index)
        case .replayWindow: return replayWindowStep()
        case .finished: return .finished(makeStart(), report)
        }
        return nil
    }

    private func readHeader(of file: LogFileName, isLast: Bool) -> RecoveryStep {
        .read(file, offset: 0, count: LogLayout.headerBlockBytes, fresh: isLast)
    }

    public mutating func read(_ result: ReadResult) {
        switch (phase, result) {
        case (.headers(let index), .bytes(let block)):
            foundHeader(index, block)
            phase = .headers(index + 1)
        case (.spares(let index), .bytes(let block)):
            let isBlank = block == [UInt8](repeating: 0, count: block.count)
            spares[index] = SpareSegment(number: spares[index].number, isBlank: isBlank)
            phase = .spares(index + 1)
        case (.scan(let index), .bytes(let bytes)): scan(index, bytes)
        case (.replay(let index), .bytes(let bytes)): beginReplay(index, bytes)
        case (.headers(let index), .failed(let errno)), (.scan(let index), .failed(let errno)),
            (.replay(let index), .failed(let errno)):
            fail(.readFailed(file: LogFileName.segment(segments[index].number).description, errno: errno))
        case (.spares(let index), .failed(let errno)):
            fail(.readFailed(file: LogFileName.spare(spares[index].number).description, errno: errno))
        case (.tidy, _), (.keepTorn, _), (.begin, _), (.replayWindow, _), (.finished, _):
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
    enum PosixErrno {
        static let inputOutput: Int32 = 5
        static let noSpace: Int32 = 28
    }

    mutating func fail(_ error: LogOpenError) {
        if failure == nil { failure = error }
    }
}
