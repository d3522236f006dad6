import LogFormat
import Primitives

/// From one segment to the next.
extension LogMachine {
    /// Begins the next segment in a spare, if one may be taken. When the disk is full the last spare is left for
    /// recovery, which needs one to write an unsynced tail again, unless the oldest segment is about to replace it.
    mutating func planRotation() {
        let isReserved = isSpaceExhausted && configuration.spareSegmentsMax > 1 && !isOldestUnneeded
        guard spares.count > (isReserved ? 1 : 0) else { return }
        let spare = spares.removeFirst()
        let header = SegmentHeader(
            identity: identity, number: nextSegmentNumber, segmentBytes: configuration.segmentBytes,
            salt: salts.next(), firstLSN: nextLSN, previousChecksum: previousChecksum, syncedLSN: nextLSN,
            created: highestTime, isReused: !spare.isBlank)
        let openingLSN = nextLSN
        recordSeed = header.recordSeed(mutants)
        beginGroup()
        encoder.place(header.encoded())
        encoder.append(
            type: .opening, shard: ShardID(0), epoch: Epoch(0), position: .zero, time: highestTime,
            payload: shards.table.encoded())
        endGroup()
        nextSegmentNumber += 1
        let segment = LiveSegment(
            number: header.number, fileBytes: configuration.segmentBytes, usedBytes: encoder.byteCount)
        let steps = Self.startSteps(
            .spare(spare.number), as: header.number, bytes: encoder.bytes, mutants: mutants)
        commit.start(
            .rotation(.init(segment: segment, recordSeed: recordSeed, openingLSN: openingLSN)), steps: steps)
    }

    /// The order that makes a segment safe to use: content, sync, name, sync of the name.
    static func startSteps(
        _ file: LogFileName, as number: UInt64, bytes: ArraySlice<UInt8>, mutants: Mutants
    ) -> [LogStep] {
        var steps: [LogStep] = [
            .write(file, offset: 0, bytes: bytes), .sync(file), .rename(file, to: .segment(number)),
        ]
        if !mutants.has(.directorySyncSkipped) { steps.append(.syncDirectory) }
        return steps
    }

    mutating func enter(_ rotation: CommitWork.Rotation) {
        segments.append(rotation.segment)
        shards.forgetSegmentEntries()
        appendOffset = rotation.segment.usedBytes
        isOpenForAppend = true
        durableLSN = rotation.openingLSN
        counters.rotations += 1
        counters.writtenBytes += rotation.segment.usedBytes
        updatePins()
    }

    /// Goes on in the segment that recovery began.
    mutating func resume(_ start: LogStart) {
        precondition(!start.segments.isEmpty, "an open segment is there")
        let open = start.segments[start.segments.count - 1]
        isOpenForAppend = true
        appendOffset = open.usedBytes
        recordSeed = start.openRecordSeed
        for (index, entry) in open.entries.enumerated() {
            if let slot = shards.slot(of: entry.shard) { shards[slot].segmentEntry = index }
        }
    }
}
