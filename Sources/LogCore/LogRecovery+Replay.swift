import LogFormat
public import Primitives

/// Handing to the stores what they have not applied.
extension LogRecovery {
    /// How far replay has come.
    struct ReplayState: Sendable {
        var scanner: SegmentScanner?
        var bytes: [UInt8] = []
        /// The next position of each shard, by its slot in the ledger.
        var next: [Position] = []
    }

    /// What one step hands over: about this much.
    private static let replayStepRecords = 512
    private static let replayStepBytes = 1 << 20

    mutating func replayStep(_ index: Int) -> RecoveryStep? {
        if replay.next.isEmpty { replay.next = ledger.shards.map(\.applied.position.next) }
        guard index < segments.count else {
            phase = .replayWindow
            return nil
        }
        guard segments[index].needsReplay else {
            phase = .replay(index + 1)
            return nil
        }
        guard replay.scanner != nil else {
            return .read(
                .segment(segments[index].number), offset: 0, count: segments[index].byteCount, fresh: false)
        }
        let records = nextRecords(index)
        if failure != nil { return nil }
        if records.isEmpty {
            replay.scanner = nil
            replay.bytes = []
            phase = .replay(index + 1)
            return nil
        }
        return .replay(records)
    }

    mutating func beginReplay(_ index: Int, _ bytes: [UInt8]) {
        guard let header = segments[index].header else { preconditionFailure("a segment with a header is replayed") }
        replay.bytes = bytes
        let end = index == lastIndex ? report.durableLSN : segments[index].endLSN
        replay.scanner = SegmentScanner(bytes: bytes, header: header, endLSN: end, mutants: mutants)
    }

    private mutating func nextRecords(_ index: Int) -> [LogRecord] {
        var records: [LogRecord] = []
        var byteCount = 0
        while records.count < Self.replayStepRecords, byteCount < Self.replayStepBytes,
            let item = replay.scanner?.next()
        {
            guard case .record(let scanned) = item else { continue }
            let header = scanned.header
            guard let slot = slotToReplay(header) else { continue }
            guard header.position == replay.next[slot] else {
                // The scan found the shard's records complete: the file has changed under us.
                fail(
                    .readFailed(
                        file: LogFileName.segment(segments[index].number).description, errno: PosixErrno.inputOutput))
                return []
            }
            guard let payload = header.payload(from: replay.bytes, at: scanned.stored) else {
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
        replay.next[slot] = header.position.next
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
    mutating func replayWindowStep() -> RecoveryStep? {
        phase = .finished
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

    mutating func makeStart() -> LogStart {
        var live = segments.map(\.live)
        if let opened { live.append(opened) }
        return LogStart(
            identity: identity, durableLSN: durableLSN, nextLSN: nextLSN, previousChecksum: previousChecksum,
            highestTime: max(time, report.highestTime), segments: live, isLastOpen: opened != nil && isOpenedWhole,
            openRecordSeed: recordSeed, spares: spares, nextSegmentNumber: nextSegmentNumber,
            nextSpareNumber: nextSpareNumber,
            shards: ledger.shards.map { shard in
                ShardStart(
                    last: shard.last, flushedPosition: shard.applied.position,
                    isQuarantined: shard.quarantine != nil)
            },
            saltSeed: salts.next())
    }
}
