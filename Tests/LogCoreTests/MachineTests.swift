import LogCore
import LogFormat
import Primitives
import Testing

/// What the running log does, step by step.
@Suite struct MachineTests {
    static func bytes(_ count: Int, _ seed: UInt64 = 7) -> [UInt8] { CrashEnumerationTests.bytes(count, seed) }

    /// A log that is open and has its spares.
    static func ready(_ configuration: LogConfiguration = Rig.smallConfiguration()) -> Rig {
        var rig = Rig(configuration)
        rig.open()
        rig.run()
        return rig
    }

    /// The commit lane's next step, after taking what is queued.
    static func step(_ rig: inout Rig) -> LogStep? {
        for batch in rig.queue.drain() { rig.machine?.enqueue(batch) }
        return rig.machine?.nextStep(now: rig.now)
    }

    @Test func durableOnlyAfterItsSync() {
        var rig = Self.ready()
        rig.submit(0, [Self.bytes(10), Self.bytes(20)])
        guard case .write? = Self.step(&rig) else { return #expect(Bool(false), "a write comes first") }
        let another = Self.step(&rig)
        #expect(another == nil, "one step at a time")
        rig.machine?.completed(.done, now: rig.now)
        let early = rig.machine?.takeNotices()
        #expect(early == [])
        guard case .sync? = Self.step(&rig) else { return #expect(Bool(false), "then its sync") }
        rig.machine?.completed(.done, now: rig.now)
        let notices = rig.machine?.takeNotices() ?? []
        #expect(notices.map(\.lane) == [0])
        #expect(notices.first?.marks.map(\.position) == [Position(2)])
        #expect(rig.machine?.durableLSN == notices.first?.marks.first?.lsn)
    }

    @Test func eachLaneIsToldOnceAGroup() {
        var rig = Self.ready()
        rig.submit(0, [[1]], lane: 0)
        rig.submit(1, [[1], [2]], lane: 1)
        rig.submit(0, [[2]], lane: 0)
        rig.submit(2, [[1]], lane: 1)
        rig.run()
        #expect(rig.notices.map(\.lane) == [0, 1])
        #expect(rig.notices[0].marks.map(\.position.rawValue) == [2])
        #expect(rig.notices[1].marks.map(\.shard.rawValue) == [1, 2])
        #expect(rig.notices[1].marks.map(\.position.rawValue) == [2, 1])
        #expect(rig.machine?.statistics.groups == 1)
    }

    @Test func groupsEndAtTheirLimits() {
        var rig = Self.ready(Rig.smallConfiguration(segmentBytes: 1 << 16))
        rig.submit(0, [[UInt8]](repeating: [1], count: 40))
        rig.run()
        #expect(rig.machine?.statistics.groups == 3, "16 records a group")
        rig.submit(0, [[UInt8]](repeating: Self.bytes(400), count: 4))
        rig.run()
        #expect(rig.machine?.statistics.groups == 5, "1024 bytes a group")
        rig.submit(0, [Self.bytes(1024)])
        rig.run()
        #expect(rig.machine?.statistics.groups == 6, "one record may be larger")
        #expect(rig.acknowledged[ShardID(0)]?.position == Position(45))
    }

    /// A group that would be small beside the one before waits for more, but not for long.
    @Test func aSmallGroupGathers() {
        var configuration = Rig.smallConfiguration()
        configuration.gatherNanoseconds = 100
        var rig = Self.ready(configuration)
        rig.submit(0, [[UInt8]](repeating: [1], count: 8))
        rig.run()
        #expect(rig.machine?.statistics.groups == 1, "the first has none before it")

        rig.submit(0, [[1], [2], [3]])
        rig.run()
        #expect(rig.machine?.statistics.groups == 1)
        #expect(rig.machine?.deadline == rig.now.adding(nanoseconds: 100))
        rig.submit(1, [[1]])
        rig.run()
        #expect(rig.machine?.statistics.groups == 2, "half of the one before is enough")
        #expect(rig.acknowledged[ShardID(0)]?.position == Position(11))

        rig.submit(0, [[4]])
        rig.run()
        #expect(rig.machine?.statistics.groups == 2)
        rig.now = rig.now.adding(nanoseconds: 100)
        rig.run()
        #expect(rig.machine?.statistics.groups == 3, "it has waited long enough")
        rig.submit(0, [[5]])
        rig.run()
        #expect(rig.machine?.statistics.groups == 4, "a caller alone does not wait")
    }

    @Test func aLogThatClosesGathersNothing() {
        var configuration = Rig.smallConfiguration()
        configuration.gatherNanoseconds = 100
        var rig = Self.ready(configuration)
        rig.submit(0, [[UInt8]](repeating: [1], count: 8))
        rig.run()
        rig.submit(0, [[1]])
        #expect(Self.step(&rig) == nil)
        rig.machine?.close()
        guard case .write? = Self.step(&rig) else { return #expect(Bool(false), "what is queued is written") }
    }

    /// W6: header and opening synced, then the name, then the directory, and only then the first group.
    @Test func aSegmentIsSyncedAndNamedBeforeItsFirstGroup() {
        var rig = Self.ready()
        var steps: [LogStep] = []
        rig.submit(0, [[UInt8]](repeating: Self.bytes(900), count: 6))
        while let step = Self.step(&rig) {
            steps.append(step)
            rig.machine?.completed(rig.disk.perform(step), now: rig.now)
        }
        let rename = steps.firstIndex { if case .rename = $0 { true } else { false } }
        guard let rename, rename >= 2, rename + 2 < steps.count else { return #expect(Bool(false), "it rotates") }
        guard case .write(let spare, 0, _) = steps[rename - 2], case .rename(spare, let segment) = steps[rename] else {
            return #expect(Bool(false), "the header goes into the spare")
        }
        #expect(steps[rename - 1] == .sync(spare))
        #expect(steps[rename + 1] == .syncDirectory)
        guard case .write(segment, _, _) = steps[rename + 2] else { return #expect(Bool(false), "then the group") }
        guard case .sync(let sealed) = steps[rename - 3] else { return #expect(Bool(false), "the seal is synced") }
        #expect(sealed != segment)
    }

    @Test func aSegmentIsRecycledOnlyWhenEveryShardHasFlushedIt() {
        var rig = Self.ready()
        for _ in 0..<4 {
            for shard in 0..<3 { rig.submit(UInt32(shard), [Self.bytes(900)]) }
            rig.run()
        }
        let before = rig.disk.entries.filter { if case .segment = $0.name { true } else { false } }.map(\.name)
        #expect(before.count >= 3)
        rig.flush(0)
        rig.flush(1)
        rig.run()
        #expect(rig.machine?.statistics.segmentsRecycled == 0)
        #expect(rig.disk.live[before[0]] != nil, "shard 2 needs it")
        rig.flush(2)
        rig.run()
        #expect(rig.disk.live[before[0]] == nil && rig.disk.live[before[1]] == nil)
        #expect(rig.machine?.statistics.liveSegments == 1)
        #expect(rig.machine?.statistics.segmentsRecycled == before.count - 1)
    }

    @Test func shardsThatPinTheLogAreNamedOldestFirst() {
        var configuration = Rig.smallConfiguration()
        configuration.replayBytesMax = 4 * configuration.segmentBytes
        var rig = Self.ready(configuration)
        rig.submit(2, [[1]])
        rig.run()
        rig.submit(1, [[1]])
        rig.run()
        while rig.machine?.statistics.liveSegments ?? 9 < 4 {
            #expect(rig.machine?.pinningShards == [] || rig.machine?.statistics.liveSegments == 3)
            rig.submit(0, [Self.bytes(900)])
            rig.run()
        }
        #expect(rig.machine?.pinningShards == [ShardID(2), ShardID(1), ShardID(0)])
        rig.flush(2)
        #expect(rig.machine?.pinningShards == [ShardID(1), ShardID(0)])
        rig.flushAll()
        rig.run()
        #expect(rig.machine?.pinningShards == [])
    }

    @Test func anIdleLogWritesOneHint() {
        var rig = Self.ready()
        rig.wait()
        #expect(rig.machine?.statistics.hints == 0, "nothing was written")
        rig.submit(0, [[1]])
        rig.run()
        rig.wait()
        #expect(rig.machine?.statistics.hints == 1)
        #expect(rig.disk.unsyncedCount > 0, "a hint is left to the kernel")
        #expect(rig.machine?.deadline == nil, "and is not repeated")
        let next = rig.killed()
        var again = next
        again.open()
        #expect(again.report.recordsRepersisted == 0, "the hint says that the last group was durable")
        #expect(again.violation() == nil)
    }

    @Test func aFullQueueRefuses() {
        var configuration = Rig.smallConfiguration()
        configuration.queueBytesMax = 2000
        var rig = Self.ready(configuration)
        #expect(rig.submit(0, [Self.bytes(900)]) == .accepted)
        #expect(rig.submit(0, [Self.bytes(900)]) == .accepted)
        #expect(rig.submit(1, [Self.bytes(900)]) == .queueFull)
        rig.run()
        #expect(rig.submit(1, [Self.bytes(900)]) == .accepted)
        #expect(rig.queue.byteCount == LogLayout.recordBytes(storing: 900))
    }

    /// Small batches go before large ones where much is waiting.
    @Test func aLargeBatchIsOfferedAgainLater() {
        var configuration = Rig.smallConfiguration()
        configuration.largeBatchBytes = 500
        configuration.crowdedBytes = 1_000
        configuration.queueBytesMax = 10_000
        var rig = Self.ready(configuration)
        #expect(rig.submit(0, [Self.bytes(700)]) == .accepted)
        #expect(rig.submit(0, [Self.bytes(700)]) == .accepted)
        #expect(rig.submit(1, [Self.bytes(700)], mayWait: true) == .later)
        #expect(rig.submit(1, [Self.bytes(100)], mayWait: true) == .accepted)
        #expect(rig.submit(1, [Self.bytes(700)]) == .accepted)
        rig.run()
        #expect(rig.submit(1, [Self.bytes(700)], mayWait: true) == .accepted)
    }

    @Test func aLogThatNobodyFlushesRefusesInTheEnd() {
        var configuration = Rig.smallConfiguration()
        configuration.liveBytesMax = 3 * configuration.segmentBytes
        var rig = Self.ready(configuration)
        var accepted = 0
        while rig.submit(0, [Self.bytes(900)]) == .accepted, accepted < 100 {
            rig.run()
            accepted += 1
        }
        #expect(accepted < 40)
        #expect(rig.submit(0, [[1]]) == .queueFull)
        rig.flushAll()
        rig.run()
        #expect(rig.submit(0, [[1]]) == .accepted)
    }

    @Test func adoptedShardsAreWrittenAndReleasedOnesPinNothing() {
        var rig = Self.ready()
        rig.stores[ShardID(7)] = Rig.Store(ShardID(7))
        rig.machine?.adopt(AppliedMark(shard: ShardID(7), epoch: Epoch(1), position: .zero, lsn: .zero))
        for _ in 0..<8 {
            rig.submit(7, [Self.bytes(900)])
            rig.run()
        }
        #expect(rig.machine?.statistics.segmentsRecycled == 0)
        rig.machine?.release(ShardID(7))
        rig.run()
        #expect(rig.machine?.statistics.liveSegments == 1)
    }

    @Test func closingDrainsAndMarksTheLogClean() {
        var rig = Self.ready()
        rig.submit(0, [[1], [2]])
        rig.submit(1, [[3]])
        let isClosed = rig.close()
        #expect(isClosed)
        #expect(rig.acknowledged[ShardID(0)]?.position == Position(2))
        #expect(rig.submit(0, [[4]]) == .stopped)
        var again = rig.powerCut()
        again.open()
        #expect(again.report.wasClean && again.report.tornTail == nil)
        #expect(again.report.recordsRepersisted == 0)
        #expect(again.violation() == nil)
    }
}

/// Full disks and failing ones.
@Suite struct MachineFailureTests {
    /// W4: whatever step of whichever lane fails, there is no further step and nothing more is told.
    @Test func everyFailedStepStopsTheLog() {
        var failures = 0
        for failing in 1..<200 {
            var rig = Rig()
            rig.open()
            rig.disk.forgetSchedule()
            rig.disk.failures = [failing: .failed(5)]
            for round in 0..<8 where rig.machine?.failure == nil {
                rig.submit(UInt32(round % 3), [MachineTests.bytes(800)])
                rig.run()
            }
            guard rig.machine?.failure != nil else { break }
            failures += 1
            let steps = [rig.machine?.nextStep(now: rig.now), rig.machine?.nextBackgroundStep(now: rig.now)]
            #expect(steps == [nil, nil])
            let refusal = rig.queue.submit(MachineTests.oneRecord)
            #expect(refusal == .stopped)
            // The pages of a failed sync are gone from the disk, not from the cache: the next start must not see them.
            var again = rig.killed()
            let error = again.open()
            #expect(error == nil)
            #expect(again.violation() == nil, "step \(failing)")
            var later = again.powerCut()
            later.open()
            #expect(later.stores.mapValues(\.payloads) == again.stores.mapValues(\.payloads), "step \(failing)")
        }
        #expect(failures > 25, "steps of both lanes were failed")
    }

    @Test func noSpaceForASyncIsAnErrorAndForAWriteIsNot() {
        var rig = MachineTests.ready()
        rig.submit(0, [[1]])
        rig.disk.forgetSchedule()
        rig.disk.failures = [1: .noSpace, 3: .noSpace]
        rig.run()
        #expect(rig.machine?.admission == .storageFull)
        #expect(rig.machine?.failure == nil)
        #expect(rig.submit(1, [[1]]) == .storageFull)
        rig.wait()
        #expect(rig.machine?.failure?.result == .noSpace, "the write went through, its sync did not")
        #expect(rig.acknowledged.isEmpty)
    }

    @Test func aWriteThatFoundNoSpaceIsRepeated() {
        var rig = MachineTests.ready()
        rig.submit(0, [[1], [2]])
        rig.disk.forgetSchedule()
        rig.disk.failures = [1: .noSpace, 2: .noSpace]
        rig.run()
        rig.wait()
        #expect(rig.machine?.statistics.storageFullTimes == 1)
        rig.wait()
        #expect(rig.acknowledged[ShardID(0)]?.position == Position(2))
        #expect(rig.submit(0, [[3]]) == .accepted)
        rig.run()
        var again = rig.powerCut()
        again.open()
        #expect(again.violation() == nil)
    }

    /// The disk has room for three files and no more: writes are refused while one spare is still there, what was
    /// accepted becomes durable, reads are not the log's business, and space brings it back.
    @Test func aFullDiskKeepsOneSpareAndHeals() {
        var rig = Rig()
        rig.disk.capacity = 3 * rig.configuration.segmentBytes
        rig.open()
        rig.run()
        #expect(rig.machine?.statistics.spareSegments == 2)
        var result = SubmitResult.accepted
        for _ in 0..<30 where result == .accepted {
            result = rig.submit(0, [MachineTests.bytes(800)])
            rig.run()
        }
        #expect(result == .storageFull)
        #expect(rig.machine?.statistics.spareSegments == 1)
        #expect(rig.acknowledged[ShardID(0)]?.position == rig.stores[ShardID(0)]?.lastPosition)
        rig.wait()
        #expect(rig.submit(0, [[1]]) == .storageFull)
        #expect(rig.machine?.statistics.storageFullTimes == 1)
        var crashed = rig.powerCut()
        let error = crashed.open()
        #expect(error == nil, "the spare that was kept is what recovery needs")
        #expect(crashed.violation() == nil)
        rig.disk.capacity = .max
        rig.wait()
        #expect(rig.submit(0, [[1]]) == .accepted)
    }

    /// A file system may want space even to change a name. The log waits, and goes on with what it was at.
    @Test func aSegmentThatCannotGoForLackOfSpaceGoesLater() {
        var rig = MachineTests.ready()
        while rig.machine?.statistics.liveSegments ?? 0 < 2 {
            rig.submit(0, [MachineTests.bytes(800)])
            rig.run()
        }
        rig.flushAll()
        rig.disk.forgetSchedule()
        rig.disk.failures = [1: .noSpace]
        rig.run()
        #expect(rig.machine?.failure == nil)
        #expect(rig.machine?.statistics.liveSegments == 2)
        #expect(rig.submit(1, [[1]]) == .accepted, "there is room for what is written")
        rig.run()
        #expect(rig.acknowledged[ShardID(1)]?.position == Position(1))
        rig.flush(1)
        for _ in 0..<3 { rig.wait() }
        #expect(rig.machine?.statistics.liveSegments == 1)
        var again = rig.powerCut()
        again.open()
        #expect(again.violation() == nil)
    }

    /// What a failed fill has used is given back, under whichever name it stands.
    @Test func aFillThatFindsNoSpaceAtItsEndLeavesNothing() {
        var rig = Rig()
        rig.open()
        rig.disk.forgetSchedule()
        // A fill of one piece: create, allocate, fill, sync, rename, sync of the directory.
        rig.disk.failures = [6: .noSpace]
        rig.run()
        #expect(rig.machine?.failure == nil)
        let spares = rig.disk.entries.filter { if case .spare = $0.name { true } else { false } }
        #expect(spares.isEmpty)
        rig.wait()
        #expect(rig.machine?.statistics.spareSegments ?? 0 > 0)
    }

    /// On a full disk the log keeps no more spares than it needs.
    @Test func sparesBeyondNeedGoWhileSpaceIsTight() {
        var rig = MachineTests.ready()
        while rig.machine?.statistics.liveSegments ?? 0 < 5 {
            rig.submit(0, [MachineTests.bytes(800)])
            rig.run()
        }
        rig.flushAll()
        rig.run()
        #expect(rig.machine?.statistics.spareSegments ?? 0 > rig.configuration.spareSegmentsMax)
        rig.machine?.spaceIsTight(true)
        rig.disk.forgetSchedule()
        rig.disk.failures = [1: .noSpace]
        rig.run()
        #expect(rig.machine?.failure == nil)
        for _ in 0..<3 { rig.wait() }
        #expect(rig.machine?.statistics.spareSegments == rig.configuration.spareSegmentsMax)
        #expect(rig.submit(0, [[1]]) == .accepted)
        rig.run()
        var again = rig.powerCut()
        #expect(again.open() == nil)
        #expect(again.violation() == nil)
    }

    /// Flushing alone brings it back too: the oldest segment becomes the spare.
    @Test func flushingHealsAFullDisk() {
        var rig = Rig()
        rig.disk.capacity = 3 * rig.configuration.segmentBytes
        rig.open()
        rig.run()
        while rig.submit(0, [MachineTests.bytes(800)]) == .accepted { rig.run() }
        rig.flushAll()
        rig.run()
        #expect(rig.submit(0, [[1]]) == .accepted)
    }
}

extension MachineTests {
    static let oneRecord = AppendBatch(
        lane: 0, shard: ShardID(0), epoch: Epoch(1), firstPosition: Position(1), payloads: [[1]])
}
