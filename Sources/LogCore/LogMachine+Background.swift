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
    /// The oldest segment goes: kept under another name, or deleted.
    case retire
}

/// Spares ahead of need, and segments out of use.
extension LogMachine {
    /// The next step of the background lane, as ``nextStep(now:)``. To be answered by ``backgroundCompleted(_:now:)``.
    /// A completion may let the commit lane go on.
    public mutating func nextBackgroundStep(now: MonotonicTime) -> LogStep? {
        guard failure == nil, !isClosed, !background.isStepOut else { return nil }
        if let retryAt = background.retryAt, retryAt <= now { background.retryAt = nil }
        if background.isIdle { planBackground() }
        return background.isIdle ? nil : background.give()
    }

    private mutating func planBackground() {
        if isOldestUnneeded {
            planRetirement()
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
            guard case .fill(let spare)? = background.work else { return fail(background.current, result) }
            background.abandon()
            background.retryAt = now.adding(nanoseconds: configuration.retryDelayNanoseconds)
            background.start(.clear, steps: [.delete(.filling(spare.number))])
            if !isStorageFull { counters.storageFullTimes += 1 }
            isSpaceExhausted = true
        case .failed:
            fail(background.current, result)
        }
    }

    private mutating func finish(_ work: BackgroundWork) {
        switch work {
        case .fill(let spare):
            spares.append(spare)
            counters.segmentsFilled += 1
        case .recycle(let spare):
            segments.removeFirst()
            spares.append(spare)
            counters.segmentsRecycled += 1
            updatePins()
        case .retire:
            segments.removeFirst()
            updatePins()
        case .clear:
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
            Self.fillSteps(.filling(spare.number), configuration: configuration)
            + [.rename(.filling(spare.number), to: .spare(spare.number)), .syncDirectory]
        background.start(.fill(spare), steps: steps)
    }

    /// Zeros are written, not only allocated: overwriting written blocks lets fdatasync leave the inode alone.
    static func fillSteps(_ file: LogFileName, configuration: LogConfiguration) -> [LogStep] {
        var steps: [LogStep] = [.create(file), .allocate(file, byteCount: configuration.segmentBytes)]
        var offset = 0
        while offset < configuration.segmentBytes {
            let end = min(offset + configuration.fillBytesMax, configuration.segmentBytes)
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

    private var sparesKept: Int { configuration.spareSegmentsMax + configuration.recycledSegmentsMax }

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
