import LogFormat
import Primitives

/// Reading what is there: headers, then every record, and what to make of bad ones.
extension LogRecovery {
    var lastIndex: Int { segments.count - 1 }

    // MARK: Headers

    mutating func foundHeader(_ index: Int, _ block: [UInt8]) {
        let file = LogFileName.segment(segments[index].number).description
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
    mutating func linkSegments() {
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

    mutating func scanStep(_ index: Int) -> RecoveryStep? {
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
        return .read(.segment(segment.number), offset: 0, count: segment.byteCount, fresh: index == lastIndex)
    }

    /// A segment whose header is damaged: its salt is unknown, so none of its records can be read. Up to where they go
    /// is told by the next segment's header, or by nothing.
    private mutating func skipUnreadable(_ index: Int) {
        segments[index].live.isEvidence = true
        phase = .scan(index + 1)
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

    mutating func lose(_ damage: LogDamage, header: RecordHeader? = nil) {
        ledger.lost(damage, header: header)
        expectedLSN = damage.lastLSN.next
    }

    mutating func scan(_ index: Int, _ bytes: [UInt8]) {
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
            while failure == nil, let item = scanner.next() {
                switch item {
                case .record(let record): foundDurable(record, bytes, index)
                case .damage(let damage): foundDamage(damage, index)
                }
            }
        }
        phase = .scan(index + 1)
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
                file: LogFileName.segment(segments[index].number).description, offset: record.offset,
                type: record.header.rawType))
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
        scanning: while failure == nil, let item = scanner.next() {
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
        opened = begun
        ledger.conclude()
        if segments.isEmpty, durableLSN == .zero { report.wasClean = true }
        report.damage = ledger.damage
        report.quarantined = ledger.quarantined
        report.durableLSN = durableLSN
        markEvidence()
        phase = .tidy
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
