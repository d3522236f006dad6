import LogFormat
import Primitives

/// Building groups: what goes into one, and where it ends.
extension LogMachine {
    var openSegmentName: LogFileName {
        precondition(isOpenForAppend, "a segment is open")
        return .segment(segments[segments.count - 1].number)
    }

    /// Bytes that records may still take in the open segment; its seal and a clean close always fit after them.
    var room: Int { configuration.segmentBytes - configuration.sealReserveBytes - appendOffset }

    func writeStep() -> LogStep { .write(openSegmentName, offset: appendOffset, bytes: encoder.bytes) }

    mutating func beginGroup() {
        encoder.begin(
            seed: recordSeed, firstLSN: nextLSN, previousChecksum: previousChecksum, durableLSN: durableLSN)
    }

    mutating func endGroup() {
        nextLSN = encoder.nextLSN
        previousChecksum = encoder.previousChecksum
        announcedLSN = durableLSN
    }

    /// One group of what waits, up to its limits and the segment's end, and the seal when the segment ends with it.
    mutating func planGroup() {
        beginGroup()
        let firstLSN = nextLSN
        shards.forgetGroupMarks()
        var marks: [(lane: Int, mark: DurableMark)] = []
        var seals = mustSeal
        while !seals, !isBacklogEmpty {
            let end = takeBatch(into: &marks)
            if end == .segmentFull { seals = true }
            if end != .batchTaken { break }
        }
        compactBacklog()
        gathered(Int(encoder.nextLSN.rawValue - firstLSN.rawValue))
        if seals { appendSeal() }
        endGroup()
        let group = CommitWork.Group(
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
        let batch = backlog[backlogHead]
        let first = payloadHead
        let firstLSN = encoder.nextLSN
        highestTime = max(highestTime, batch.time)
        var end = BatchEnd.batchTaken
        while payloadHead < batch.payloads.count {
            let payload = batch.payloads[payloadHead]
            end = groupEnd(before: LogLayout.recordBytes(storing: payload.count))
            guard end == .batchTaken else { break }
            encoder.append(
                type: batch.type, shard: batch.shard, epoch: batch.epoch,
                position: Position(batch.firstPosition.rawValue + UInt64(payloadHead)), time: highestTime,
                payload: payload)
            counters.payloadBytes += payload.count
            release(LogLayout.recordBytes(storing: payload.count))
            payloadHead += 1
        }
        if payloadHead > first {
            counters.records += payloadHead - first
            note(batch, through: payloadHead, firstLSN: firstLSN, marks: &marks)
        }
        if payloadHead == batch.payloads.count {
            backlogHead += 1
            payloadHead = 0
        }
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
        let open = segments.count - 1
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

    /// Lets go of built batches, at a cost of O(1) a batch.
    private mutating func compactBacklog() {
        guard backlogHead * 2 >= backlog.count else { return }
        backlog.removeFirst(backlogHead)
        backlogHead = 0
    }

    private mutating func appendSeal() {
        mustSeal = false
        encoder.append(
            type: .seal, shard: ShardID(0), epoch: Epoch(0), position: .zero, time: highestTime,
            payload: shards.table.encoded())
    }
}
