import LogFormat
import Primitives

/// Putting the log's end in order: leftovers away, a torn tail kept aside, a new segment begun.
extension LogRecovery {
    mutating func planTidy() {
        phase = report.tornTail == nil ? .begin : .keepTorn
        if report.tornTail != nil {
            let surplus = tornCopies.count - configuration.tornCopiesMax + 1
            leftovers += tornCopies.prefix(max(surplus, 0)).map { .torn($0) }
        }
        if !leftovers.isEmpty { lane.start(.tidy, steps: leftovers.map { .delete($0) }) }
    }

    /// The copy is for people: nothing reads it again.
    mutating func planTornCopy() {
        phase = .begin
        guard let tail = report.tornTail else { return }
        let copy = LogFileName.torn(tail.segment)
        lane.start(
            .keepTorn(copy),
            steps: [.create(copy), .write(copy, offset: 0, bytes: tornBytes[...]), .sync(copy), .syncDirectory])
        tornBytes = []
    }

    /// A new segment after D, with what was valid above D at its head.
    mutating func planBegin() {
        phase = .replay(0)
        guard var segment = opened else { preconditionFailure("the scan is over") }
        let spare = spares.isEmpty ? nil : spares.removeFirst()
        encodeHead(
            of: segment, isReused: spare.map { !$0.isBlank } ?? false, fileBytes: configuration.segmentBytes)
        segment.usedBytes = encoder.byteCount
        var steps: [LogStep] = []
        let file: LogFileName
        if let spare {
            file = .spare(spare.number)
        } else {
            file = .filling(nextSpareNumber)
            nextSpareNumber += 1
            steps = LogMachine.fillSteps(
                file, byteCount: configuration.segmentBytes, pieceBytes: configuration.fillBytesMax)
        }
        steps += LogMachine.startSteps(file, as: segment.number, bytes: encoder.bytes, mutants: mutants)
        lane.start(.begin(segment, spare), steps: steps)
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
            steps: LogMachine.fillSteps(file, byteCount: fileBytes, pieceBytes: configuration.fillBytesMax)
                + LogMachine.startSteps(file, as: segment.number, bytes: encoder.bytes, mutants: mutants))
    }

    private mutating func encodeHead(of segment: LiveSegment, isReused: Bool, fileBytes: Int) {
        let isKnown = lastDurable.lsn == durableLSN
        let syncedLSN = LSN(durableLSN.rawValue + 1 + UInt64(window.count))
        let header = SegmentHeader(
            identity: identity, number: segment.number, segmentBytes: fileBytes,
            salt: salts.next(), firstLSN: durableLSN.next, previousChecksum: isKnown ? lastDurable.checksum : 0,
            syncedLSN: syncedLSN, created: max(time, report.highestTime), isReused: isReused)
        recordSeed = header.recordSeed(mutants)
        encoder.begin(
            seed: recordSeed, firstLSN: durableLSN.next, previousChecksum: header.previousChecksum,
            durableLSN: durableLSN)
        encoder.place(header.encoded())
        encoder.append(
            type: .opening, shard: ShardID(0), epoch: Epoch(0), position: .zero, time: header.created,
            payload: ledger.table(marksAtDurable).encoded())
        for (old, stored) in window { encoder.append(repeating: old, stored: stored[...]) }
    }

    mutating func finish(_ work: Work) {
        switch work {
        case .keepTorn(let copy):
            if let tail = report.tornTail {
                report.tornTail = TornTail(
                    segment: tail.segment, offset: tail.offset, lsn: tail.lsn, bytesCut: tail.bytesCut, copy: copy)
            }
        case .begin(let segment, _), .beginShort(let segment):
            if case .beginShort = work { isOpenedWhole = false }
            nextLSN = encoder.nextLSN
            previousChecksum = encoder.previousChecksum
            opened = segment
            nextSegmentNumber = segment.number + 1
            report.recordsRepersisted = window.count
            durableLSN = LSN(nextLSN.rawValue - 1)
            report.lastLSN = durableLSN
        case .tidy, .dropTorn, .dropFilling:
            break
        }
    }

    mutating func hadNoSpace() {
        let step = lane.current
        switch lane.abandon() {
        case .keepTorn(let copy)?:
            // The segment itself stays until its shards are flushed; serving matters more than the copy.
            lane.start(.dropTorn, steps: [.delete(copy)])
        case .begin(let segment, let spare)?:
            if isSyncOfNames(step) { return fail(.writeFailed(step: step.summary, errno: PosixErrno.noSpace)) }
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

    /// The segment may have its name already.
    private func isSyncOfNames(_ step: LogStep) -> Bool {
        if case .syncDirectory = step { true } else { false }
    }

    /// Nothing has to be written before serving: the log starts as one on a full disk, and refuses batches until there
    /// is room.
    private mutating func beginLater(_ spare: SpareSegment?) {
        opened = nil
        report.lastLSN = durableLSN
        nextLSN = durableLSN.next
        previousChecksum = lastDurable.lsn == durableLSN ? lastDurable.checksum : 0
        if let spare {
            spares.insert(SpareSegment(number: spare.number, isBlank: false), at: 0)
        } else {
            lane.start(.dropFilling, steps: [.delete(.filling(nextSpareNumber - 1))])
        }
    }
}

extension LogStep {
    /// For a message: what was being done, without the bytes.
    public var summary: String {
        switch self {
        case .create(let file): "creating \(file)"
        case .allocate(let file, let byteCount): "allocating \(byteCount) bytes for \(file)"
        case .fill(let file, let range): "zero-filling \(file) at \(range.lowerBound)"
        case .write(let file, let offset, let bytes): "writing \(bytes.count) bytes to \(file) at \(offset)"
        case .sync(let file): "syncing \(file)"
        case .rename(let file, let name): "renaming \(file) to \(name)"
        case .delete(let file): "deleting \(file)"
        case .syncDirectory: "syncing the log directory"
        }
    }
}
