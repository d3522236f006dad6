import LogFormat
public import Primitives

/// What a row of steps of the background lane is for.
enum BackgroundWork: Sendable {
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

/// Spares ahead of need, and segments out of use.
extension LogMachine {
    /// The next step of the background lane, as ``nextStep(now:)``. To be answered by ``backgroundCompleted(_:now:)``.
    /// A completion may let the commit lane go on.
    public mutating func nextBackgroundStep(now: MonotonicTime) -> LogStep? {
        guard failure == nil, !isClosed, !background.isStepOut else { return nil }
        if let retryAt = background.retryAt, retryAt <= now {
            background.retryAt = nil
            isRetirementBlocked = false
        }
        if background.isIdle { planBackground() }
        return background.isIdle ? nil : background.give()
    }

    private mutating func planBackground() {
        if isOldestUnneeded, !isRetirementBlocked {
            planRetirement()
        } else if isSpaceTight, spares.count > sparesKept, !isRetirementBlocked {
            let spare = spares.removeLast()
            background.start(.trim(spare), steps: [.delete(.spare(spare.number)), .syncDirectory])
        } else if wantsFill {
            planFill()
        }
    }

    /// With a spare at hand and older segments that will come back, the second spare waits until the open segment is
    /// half full: flushing has then mostly given one back, and nothing need be filled.
    private var wantsFill: Bool {
        guard spares.count < configuration.spareSegmentsMax, background.retryAt == nil else { return false }
        let mayComeBack = segments.count > 1 || !isOpenForAppend
        return spares.isEmpty || isSpaceExhausted || !mayComeBack || appendOffset * 2 >= configuration.segmentBytes
    }

    public mutating func backgroundCompleted(_ result: StepResult, now: MonotonicTime) {
        background.taken()
        switch result {
        case .done:
            if let work = background.advance() { finish(work) }
        case .noSpace:
            hadNoSpace(now: now)
        case .failed:
            fail(background.current, result)
        }
    }

    private mutating func hadNoSpace(now: MonotonicTime) {
        let step = background.current
        switch background.work {
        case .fill(let spare)?:
            background.abandon()
            // By whichever name it goes: what a step without space has done of it is not known.
            background.start(.clear, steps: [.delete(.filling(spare.number)), .delete(.spare(spare.number))])
            if !isStorageFull { counters.storageFullTimes += 1 }
            isSpaceExhausted = true
        case .trim(let spare)? where !isSync(step):
            background.abandon()
            spares.append(spare)
            isRetirementBlocked = true
        case .recycle?, .retire?, .trim?, .clear?:
            // A name that could not be changed is as it was; one whose change could not be synced may be either.
            guard !isSync(step) else { return fail(step, .noSpace) }
            background.abandon()
            isRetirementBlocked = true
        case nil:
            preconditionFailure("a step belongs to a work")
        }
        background.retryAt = now.adding(nanoseconds: configuration.retryDelayNanoseconds)
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
            background.retryAt = nil
        }
    }

    private mutating func planFill() {
        let spare = SpareSegment(number: nextSpareNumber, isBlank: true)
        nextSpareNumber += 1
        let steps =
            Self.fillSteps(
                .filling(spare.number), byteCount: configuration.segmentBytes, pieceBytes: configuration.fillBytesMax)
            + [.rename(.filling(spare.number), to: .spare(spare.number)), .syncDirectory]
        background.start(.fill(spare), steps: steps)
    }

    /// Zeros are written, not only allocated: overwriting written blocks lets fdatasync leave the inode alone.
    static func fillSteps(_ file: LogFileName, byteCount: Int, pieceBytes: Int) -> [LogStep] {
        var steps: [LogStep] = [.create(file), .allocate(file, byteCount: byteCount)]
        var offset = 0
        while offset < byteCount {
            let end = min(offset + pieceBytes, byteCount)
            steps.append(.fill(file, offset..<end))
            steps.append(.sync(file))
            offset = end
        }
        return steps
    }

    // MARK: Out of use

    /// The newest segment always stays: the log's end is known by it.
    var isOldestUnneeded: Bool {
        guard segments.count > 1 else { return false }
        // A loop, for a closure would copy the machine.
        for entry in segments[0].entries where shards.needs(entry, mutants: mutants) { return false }
        return true
    }

    private var sparesKept: Int {
        configuration.spareSegmentsMax + (isSpaceTight ? 0 : configuration.recycledSegmentsMax)
    }

    /// The disk is nearly full, or no more: while it is, used segments are given back to it and not kept as spares.
    public mutating func spaceIsTight(_ isTight: Bool) { isSpaceTight = isTight }

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
    mutating func updatePins() {
        pinningShards.removeAll(keepingCapacity: true)
        var excess = liveBytes - configuration.replayBytesMax / 2
        for segment in segments.dropLast(isOpenForAppend ? 1 : 0) where excess > 0 {
            excess -= segment.usedBytes
            // Entries stand in the order of their first LSN.
            for entry in segment.entries
            where shards.needs(entry, mutants: .none) && !pinningShards.contains(entry.shard) {
                pinningShards.append(entry.shard)
            }
        }
    }
}
