private import CPosixShims
public import LogCore
public import LogFormat
public import Primitives

/// Looking at a log that is not in use: what `keystead wal inspect` and `keystead wal verify` print. It writes nothing.
///
/// It knows the log alone. What the stores have applied it does not know: a damaged record that its store has flushed
/// is damage here and harmless at the next start; and a log whose newest segment is gone looks complete.
public enum LogInspection {
    /// One record, without its payload.
    public struct RecordReport: Sendable {
        public let file: String
        public let offset: Int
        public let header: RecordHeader
    }

    public struct SegmentReport: Sendable {
        public let file: String
        public let byteCount: Int
        /// `nil` with the reason in `headerProblem`.
        public let header: SegmentHeader?
        public let headerProblem: String?
        public internal(set) var records = 0
        public internal(set) var lastLSN: LSN?
        public internal(set) var payloadBytes = 0
        public internal(set) var storedBytes = 0
        public internal(set) var isSealed = false
        public internal(set) var isClosedCleanly = false
        public internal(set) var damage: [SegmentScanner.Damage] = []
        /// What follows the last record is a group that was never acknowledged.
        public internal(set) var tornTail: SegmentScanner.Damage?
    }

    public struct ShardReport: Sendable {
        public let shard: ShardID
        public internal(set) var records = 0
        public internal(set) var payloadBytes = 0
        public internal(set) var first: DurableMark
        public internal(set) var last: DurableMark
        /// Positions between two records that the log does not hold, with the file behind the hole.
        public internal(set) var holes: [(positions: ClosedRange<UInt64>, file: String)] = []
        /// Records whose header is whole and whose payload is not.
        public internal(set) var damagedRecords = 0
        /// The log's newest table says that an earlier start quarantined the shard.
        public internal(set) var isQuarantined = false
    }

    public enum Verdict: Sendable, Equatable {
        /// Everything that was ever acknowledged can be read.
        case sound
        /// The same; the next start cuts a group that was never acknowledged.
        case tornTail
        /// Acknowledged records cannot be read.
        case damaged
        /// A file could not be read at all, or has a format that this version does not know.
        case unreadable
    }

    public struct Report: Sendable {
        public internal(set) var segments: [SegmentReport] = []
        /// In ascending order of shard.
        public internal(set) var shards: [ShardReport] = []
        /// Numbers of segments that are missing between others.
        public internal(set) var missingSegments: [UInt64] = []
        /// Everything up to here was certainly synced.
        public internal(set) var durableLSN = LSN.zero
        public internal(set) var verdict = Verdict.sound
        /// The log's other files: spares, copies of torn segments, quarantined segments.
        public internal(set) var otherFiles: [LogFileEntry] = []
    }

    /// Reads and checks every record of every segment.
    ///
    /// - Parameters:
    ///   - directory: the log's directory, `DATA-DIR/log`.
    ///   - shard: report and visit this one alone; damage is looked for everywhere all the same.
    ///   - visit: called for each valid record, in the order of the log.
    /// - Throws: only when the directory cannot be listed; files that cannot be read are in the report.
    public static func inspect(
        directory: String, shard: ShardID? = nil, visit: (RecordReport) -> Void = { _ in }
    ) throws(LogOpenError) -> Report {
        let files = try LogDirectory.files(in: directory)
        var inspector = Inspector(directory: directory, only: shard)
        inspector.readHeaders(files)
        for index in inspector.report.segments.indices { inspector.scan(index, visit) }
        return inspector.conclude()
    }
}

/// One inspection under way.
private struct Inspector {
    let directory: String
    let only: ShardID?
    var report = LogInspection.Report()
    private var numbers: [UInt64] = []
    private var shards: [ShardID: LogInspection.ShardReport] = [:]
    private var quarantined: [ShardID: Bool] = [:]
    private var isUnreadable = false

    init(directory: String, only: ShardID?) {
        self.directory = directory
        self.only = only
    }

    mutating func readHeaders(_ files: [LogFileEntry]) {
        for file in files {
            guard case .segment(let number) = file.name else {
                report.otherFiles.append(file)
                continue
            }
            if let last = numbers.last, number > last + 1 { report.missingSegments += (last + 1)...(number - 1) }
            numbers.append(number)
            let (header, problem) = header(of: file)
            report.segments.append(
                .init(
                    file: file.name.description, byteCount: file.byteCount, header: header, headerProblem: problem))
            if let header { report.durableLSN = max(report.durableLSN, header.previousLSN, header.syncedLSN) }
        }
    }

    private mutating func header(of file: LogFileEntry) -> (SegmentHeader?, String?) {
        let path = directory + "/" + file.name.description
        switch LogDirectory.read(path, offset: 0, count: LogLayout.headerBlockBytes, fresh: false) {
        case .failed(let errno):
            isUnreadable = true
            return (nil, "cannot be read (errno \(errno))")
        case .bytes(let block):
            do {
                let header = try SegmentHeader.decode(block)
                return header.number == file.name.number ? (header, nil) : (nil, "is of segment \(header.number)")
            } catch {
                switch error {
                case .damaged: return (nil, "damaged")
                case .newerFormat(let version):
                    isUnreadable = true
                    return (nil, "format \(version); this version reads \(LogLayout.formatVersion)")
                }
            }
        }
    }

    mutating func scan(_ index: Int, _ visit: (LogInspection.RecordReport) -> Void) {
        let segment = report.segments[index]
        guard let header = segment.header else { return }
        let path = directory + "/" + segment.file
        guard case .bytes(let bytes) = LogDirectory.read(path, offset: 0, count: segment.byteCount, fresh: false) else {
            isUnreadable = true
            return
        }
        let end = report.segments[(index + 1)...].compactMap(\.header).first?.previousLSN
        var scanner = SegmentScanner(bytes: bytes, header: header, endLSN: end)
        var damage: [SegmentScanner.Damage] = []
        while let item = scanner.next() {
            switch item {
            case .record(let record): found(record, bytes, index, visit)
            case .damage(let stretch): damage.append(stretch)
            }
        }
        sort(damage, index, isReused: header.isReused)
    }

    private mutating func found(
        _ record: SegmentScanner.ScannedRecord, _ bytes: [UInt8], _ index: Int,
        _ visit: (LogInspection.RecordReport) -> Void
    ) {
        let header = record.header
        report.durableLSN = max(report.durableLSN, header.durableLSN)
        report.segments[index].records += 1
        report.segments[index].lastLSN = header.lsn
        report.segments[index].payloadBytes += header.payloadBytes
        report.segments[index].storedBytes += header.storedBytes
        report.segments[index].isSealed = header.type == .seal
        report.segments[index].isClosedCleanly = header.type == .cleanClose
        if header.type?.carriesTable == true, let payload = header.payload(from: bytes, at: record.stored) {
            for entry in PositionTable(decoding: payload)?.entries ?? [] {
                quarantined[entry.last.shard] = entry.isQuarantined
            }
        }
        let takesPosition = header.type?.takesPosition ?? false
        if takesPosition { note(header, report.segments[index].file) }
        guard only == nil || (takesPosition && header.shard == only) else { return }
        visit(.init(file: report.segments[index].file, offset: record.offset, header: header))
    }

    private mutating func note(_ header: RecordHeader, _ file: String) {
        let mark = DurableMark(shard: header.shard, epoch: header.epoch, position: header.position, lsn: header.lsn)
        var shard = shards[header.shard] ?? .init(shard: header.shard, first: mark, last: mark)
        if shard.records > 0, header.position > shard.last.position.next {
            shard.holes.append((shard.last.position.rawValue + 1...header.position.rawValue - 1, file))
        }
        shard.records += 1
        shard.payloadBytes += header.payloadBytes
        shard.last = mark
        shards[header.shard] = shard
    }

    /// Damage, torn tail, or just the end. In the last segment D decides, as in recovery.
    private mutating func sort(_ stretches: [SegmentScanner.Damage], _ index: Int, isReused: Bool) {
        let isLast = index == report.segments.count - 1
        for (place, stretch) in stretches.enumerated() {
            if isLast, stretch.firstLSN > report.durableLSN {
                let isWritten = stretch.header != nil || place < stretches.count - 1 || stretch.lastLSN != nil
                if isWritten || (!stretch.isBlank && !isReused) { report.segments[index].tornTail = stretch }
                return
            }
            // The end of a segment that was cut at a crash, with nothing known behind it, is no damage.
            if !isLast, stretch.lastLSN == nil { continue }
            report.segments[index].damage.append(stretch)
            if let header = stretch.header, header.type?.takesPosition == true {
                shards[header.shard]?.damagedRecords += 1
            }
        }
    }

    consuming func conclude() -> LogInspection.Report {
        report.shards = shards.keys.sorted().compactMap { shard in
            guard only == nil || shard == only, var found = shards[shard] else { return nil }
            found.isQuarantined = quarantined[shard] ?? false
            return found
        }
        let isDamaged =
            !report.missingSegments.isEmpty
            || report.segments.contains { !$0.damage.isEmpty || $0.header == nil }
        if isUnreadable {
            report.verdict = .unreadable
        } else if isDamaged {
            report.verdict = .damaged
        } else if report.segments.last?.tornTail != nil {
            report.verdict = .tornTail
        }
        return report
    }
}
