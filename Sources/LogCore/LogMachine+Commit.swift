import LogFormat
public import Primitives

/// What a row of steps of the commit lane is for.
enum CommitWork: Sendable {
    case group(Group)
    case hint(byteCount: Int)
    case rotation(Rotation)
    case close(byteCount: Int)

    struct Group: Sendable {
        let byteCount: Int
        let lastLSN: LSN
        /// With the lane that is told of each.
        var marks: [(lane: Int, mark: DurableMark)]
        let isSealed: Bool
    }

    struct Rotation: Sendable {
        let segment: LiveSegment
        let recordSeed: UInt32
        let openingLSN: LSN
    }
}

extension LogMachine {
    /// The next step of the commit lane, or `nil` while there is nothing to do before new input, a completion of the
    /// background lane, or ``deadline``. To be answered by ``completed(_:now:)``.
    public mutating func nextStep(now: MonotonicTime) -> LogStep? {
        guard failure == nil, !isClosed, !commit.isStepOut else { return nil }
        if let retryAt = commit.retryAt {
            if isClosing { isClosed = true }
            guard !isClosing, retryAt <= now else { return nil }
            commit.retryAt = nil
        }
        if commit.isIdle { planCommit(now: now) }
        return commit.isIdle ? nil : commit.give()
    }

    private mutating func planCommit(now: MonotonicTime) {
        if !isOpenForAppend {
            planRotation()
            if commit.isIdle, isClosing, isBacklogEmpty || isSpaceExhausted { isClosed = true }
        } else if !isBacklogEmpty || mustSeal {
            if !isGathering(now: now) { planGroup() }
        } else if isClosing {
            planClose()
        } else if let hintTime, hintTime <= now {
            planHint()
        }
    }

    public mutating func completed(_ result: StepResult, now: MonotonicTime) {
        commit.taken()
        switch result {
        case .done:
            isWriteBlocked = false
            acknowledgeEarly()
            if let work = commit.advance() { finish(work, now: now) }
        case .noSpace:
            guard !isSync(commit.current) else { return fail(commit.current, result) }
            if !isStorageFull { counters.storageFullTimes += 1 }
            isWriteBlocked = true
            commit.retryAt = now.adding(nanoseconds: configuration.retryDelayNanoseconds)
        case .failed:
            if mutants.has(.syncErrorRetried), isSync(commit.current) { return }
            fail(commit.current, result)
        }
    }

    private mutating func finish(_ work: CommitWork, now: MonotonicTime) {
        lastActivity = now
        switch work {
        case .group(let group):
            wrote(group.byteCount)
            counters.groups += 1
            counters.syncs += 1
            durableLSN = group.lastLSN
            notify(group)
            if group.isSealed { isOpenForAppend = false }
        case .hint(let byteCount):
            wrote(byteCount)
            counters.hints += 1
        case .rotation(let rotation):
            enter(rotation)
        case .close(let byteCount):
            wrote(byteCount)
            durableLSN = LSN(nextLSN.rawValue - 1)
            isClosed = true
        }
    }

    private mutating func wrote(_ byteCount: Int) {
        appendOffset += byteCount
        segments[segments.count - 1].usedBytes = appendOffset
        counters.writtenBytes += byteCount
    }

    private mutating func notify(_ group: CommitWork.Group) {
        for lane in 0..<configuration.lanes {
            let marks = group.marks.filter { $0.lane == lane }.map(\.mark)
            if !marks.isEmpty { notices.append(LaneNotice(lane: lane, marks: marks)) }
        }
    }

    /// The planted bug of answering when the write is done. In production this is empty.
    private mutating func acknowledgeEarly() {
        guard mutants.has(.acknowledgeBeforeSync), case .write = commit.current else { return }
        if case .group(let group) = commit.work { notify(group) }
    }

    func isSync(_ step: LogStep) -> Bool {
        switch step {
        case .sync, .syncDirectory: true
        case .create, .allocate, .fill, .write, .rename, .delete: false
        }
    }

    mutating func fail(_ step: LogStep, _ result: StepResult) {
        if failure == nil { failure = LogFailure(step: step, result: result) }
    }

    // MARK: Hint and close

    /// When an idle log is to say that its last group is durable; `nil` when it has been said or it is not idle.
    var hintTime: MonotonicTime? {
        guard isOpenForAppend, commit.isIdle, isBacklogEmpty, !isClosing, announcedLSN < durableLSN else { return nil }
        guard room >= LogLayout.recordBytes(storing: 0) else { return nil }
        return lastActivity.adding(nanoseconds: configuration.hintDelayNanoseconds)
    }

    /// Written and left to the kernel: if it is lost, only the certainty about the last group is.
    private mutating func planHint() {
        let byteCount = encodeAlone(.commitHint)
        commit.start(.hint(byteCount: byteCount), steps: [writeStep()])
    }

    private mutating func planClose() {
        let byteCount = encodeAlone(.cleanClose)
        commit.start(.close(byteCount: byteCount), steps: [writeStep(), .sync(openSegmentName)])
    }

    private mutating func encodeAlone(_ type: RecordType) -> Int {
        beginGroup()
        encoder.append(
            type: type, shard: ShardID(0), epoch: Epoch(0), position: .zero, time: highestTime, payload: [])
        endGroup()
        return encoder.byteCount
    }
}
