import LogCore
import LogFormat
import Primitives
import Testing

/// What recovery makes of a log, rule by rule (rules W1 to W11).
@Suite struct RecoveryTests {
    static func bytes(_ count: Int, _ seed: UInt64 = 7) -> [UInt8] { CrashEnumerationTests.bytes(count, seed) }

    /// A log of several sealed segments: three shards in turn, nothing flushed, one record a group.
    static func written(_ records: Int, size: Int = 300) -> Rig {
        var rig = MachineTests.ready()
        for index in 0..<records {
            rig.submit(UInt32(index % 3), [bytes(size, UInt64(index))])
            rig.run()
        }
        return rig
    }

    static func segments(_ rig: Rig) -> [LogFileName] {
        rig.disk.entries.map(\.name).filter { if case .segment = $0 { true } else { false } }
    }

    /// The valid records of a segment.
    static func records(_ rig: Rig, _ name: LogFileName) -> [SegmentScanner.ScannedRecord] {
        let bytes = rig.disk.bytes(name)
        guard let header = try? SegmentHeader.decode(bytes) else { return [] }
        var scanner = SegmentScanner(bytes: bytes, header: header, endLSN: nil)
        var found: [SegmentScanner.ScannedRecord] = []
        while case .record(let record)? = scanner.next() { found.append(record) }
        return found
    }

    static func quarantined(_ rig: Rig) -> [UInt32] { rig.report.quarantined.map(\.shard.rawValue) }

    // MARK: Torn tails

    /// W1: the first bad record above D is a torn tail even when valid records follow it, for one group's pages reach
    /// the disk in any order.
    @Test func holeAboveTheDurableLSNIsTornThoughValidRecordsFollow() throws {
        var rig = Self.written(5)
        rig.submit(0, [[UInt8]](repeating: Self.bytes(100), count: 6))
        let step = MachineTests.step(&rig)
        if let step { _ = rig.disk.perform(step) }
        let last = try #require(Self.segments(rig).last)
        let records = Self.records(rig, last).suffix(6)
        let victim = records[records.startIndex + 2]
        var crashed = rig.crashed(rig.disk.crashed { _ in true })
        crashed.disk.tamper(last) { $0[victim.stored.lowerBound] ^= 1 }
        let error = crashed.open()
        #expect(error == nil)
        #expect(crashed.violation() == nil)
        let tail = try #require(crashed.report.tornTail)
        #expect(tail.lsn == victim.header.lsn)
        #expect(tail.offset == victim.offset)
        #expect(tail.bytesCut == (records.last?.end ?? 0) - victim.offset)
        #expect(crashed.report.recordsRepersisted == 2, "the two before the hole are kept")
        #expect(crashed.report.damage.isEmpty)
        #expect(crashed.disk.live[.torn(last.number)] != nil)
    }

    /// The same hole, once a later group says that it was durable, is corruption.
    @Test func holeBelowTheDurableLSNIsCorruption() throws {
        let rig = Self.written(5)
        let last = try #require(Self.segments(rig).last)
        let effects = Self.records(rig, last).filter { $0.header.type == .effect }
        var crashed = rig.powerCut()
        crashed.disk.tamper(last) { $0[effects[1].stored.lowerBound] ^= 1 }
        crashed.open()
        #expect(crashed.report.tornTail == nil)
        #expect(Self.quarantined(crashed) == [effects[1].header.shard.rawValue])
        let shard = try #require(crashed.report.quarantined.first)
        #expect(shard.reason == .recordsLost)
        #expect(shard.expected == effects[1].header.position)
        #expect(shard.segment == last.number && shard.offset == effects[1].offset)
        #expect(crashed.disk.bytes(last) == crashed.disk.files[crashed.disk.live[last] ?? -1]?.durable)
        #expect(crashed.disk.live[last] != nil, "the file is kept")
    }

    /// W5: what was valid above D is synced anew before anyone sees it.
    @Test func unsyncedTailIsWrittenAgain() {
        var rig = Self.written(4)
        rig.submit(1, [Self.bytes(50)])
        if let step = MachineTests.step(&rig) { _ = rig.disk.perform(step) }
        var killed = rig.killed()
        killed.open()
        #expect(killed.report.recordsRepersisted == 1, "the unsynced group says that those before it were synced")
        #expect(killed.stores[ShardID(1)]?.payloads.count == 2)
        var later = killed.powerCut()
        later.open()
        #expect(later.stores.mapValues(\.payloads) == killed.stores.mapValues(\.payloads))
    }

    /// Rule g: the segment that was open at the crash is never written again.
    @Test func segmentThatWasOpenAtTheCrashIsNotAppendedTo() throws {
        let rig = Self.written(4)
        let open = try #require(Self.segments(rig).last)
        var crashed = rig.powerCut()
        let before = crashed.disk.bytes(open)
        crashed.open()
        for _ in 0..<4 {
            crashed.submit(0, [Self.bytes(100)])
            crashed.run()
        }
        #expect(crashed.disk.bytes(open) == before)
        #expect(Self.segments(crashed).last?.number == open.number + 1)
    }

    @Test func tornCopiesAreBounded() {
        var rig = MachineTests.ready()
        for round in 0..<8 {
            rig.submit(0, [Self.bytes(900, UInt64(round))])
            if let step = MachineTests.step(&rig) { _ = rig.disk.perform(step) }
            // The first sector reaches the disk, the others do not.
            rig = rig.crashed(rig.disk.crashed { $0 == 0 })
            rig.open()
            rig.run()
            #expect(rig.report.tornTail != nil)
            #expect(rig.violation() == nil)
        }
        let copies = rig.disk.entries.filter { if case .torn = $0.name { true } else { false } }
        #expect(copies.count == rig.configuration.tornCopiesMax)
    }

    /// Bytes of an earlier life behind the end are neither replayed nor taken for a torn tail.
    @Test func staleBytesOfARecycledSegmentAreJustItsEnd() {
        var rig = CrashEnumerationTests.usedLog()
        rig.submit(0, [Self.bytes(100)])
        rig.run()
        var crashed = rig.killed()
        crashed.open()
        #expect(crashed.report.tornTail == nil && crashed.report.damage.isEmpty)
        #expect(crashed.violation() == nil)
        #expect(crashed.report.recordsReplayed == 1)
    }

    // MARK: Corruption

    /// A record whose header is gone, in a sealed segment: the positions around it tell whose it was.
    @Test func unreadableHeaderQuarantinesTheShardWithTheHole() {
        let rig = Self.written(40)
        let sealed = Self.segments(rig)[1]
        for victim in Self.records(rig, sealed) {
            var crashed = rig.powerCut()
            crashed.disk.tamper(sealed) { $0[victim.offset + 9] ^= 4 }
            crashed.open()
            let expected = victim.header.type == .effect ? [victim.header.shard.rawValue] : []
            #expect(Self.quarantined(crashed) == expected, "record \(victim.header.lsn)")
            #expect(crashed.report.damage.map(\.firstLSN) == [victim.header.lsn])
            #expect(crashed.report.tornTail == nil)
        }
    }

    /// In the last segment nothing may follow that proves a shard complete; one lost record with its hole does.
    @Test func damageNearTheEndIsJudgedShardByShard() throws {
        let rig = Self.written(9)
        let last = try #require(Self.segments(rig).last)
        let effects = Self.records(rig, last).filter { $0.header.type == .effect }
        let victim = effects[effects.count - 5]
        var crashed = rig.powerCut()
        crashed.disk.tamper(last) { $0[victim.offset] ^= 1 }
        crashed.open()
        #expect(Self.quarantined(crashed) == [victim.header.shard.rawValue])
        // The last two durable records, together: no shard's next record follows, so none is proven complete but the
        // one whose record does.
        var blind = rig.powerCut()
        blind.disk.tamper(last) { bytes in
            for victim in effects.suffix(3).prefix(2) { bytes[victim.offset] ^= 1 }
        }
        blind.open()
        let survivor = try #require(effects.last).header.shard.rawValue
        #expect(Self.quarantined(blind) == [0, 1, 2].filter { $0 != survivor })
        #expect(blind.report.quarantined.map(\.reason) == [.completenessUnproven, .completenessUnproven])
    }

    /// W3: damage that every store has flushed past costs nothing but a note.
    @Test func damageThatIsFlushedEverywhereIsNoted() {
        var rig = Self.written(12)
        rig.flushAll()
        let first = Self.segments(rig)[0]
        let victim = Self.records(rig, first).filter { $0.header.type == .effect }[1]
        var crashed = rig.powerCut()
        crashed.disk.tamper(first) { $0[victim.offset + 9] ^= 4 }
        crashed.open()
        #expect(crashed.report.damage.count == 1)
        #expect(crashed.violation() == nil)
        crashed.run()
        #expect(crashed.disk.live[.quarantined(first.number)] != nil, "out of use, and kept")
    }

    /// The shards stay quarantined when the damaged file has gone out of use; the others live on. Also a shard that may
    /// have lost nothing, for which there is no evidence at all by then.
    @Test(arguments: [(victims: 1, reason: QuarantinedShard.Reason.recordsLost), (2, .quarantinedBefore)])
    func quarantineOutlivesTheEvidence(victims: Int, reason: QuarantinedShard.Reason) throws {
        var rig = Self.written(6)
        rig.flushAll()
        for shard in 0..<3 {
            rig.submit(UInt32(shard), [Self.bytes(300)])
            rig.run()
        }
        let last = try #require(Self.segments(rig).last)
        let effects = Self.records(rig, last).filter { $0.header.type == .effect }
        var crashed = rig.powerCut()
        crashed.disk.tamper(last) { bytes in
            if victims == 1 {
                bytes[effects[effects.count - 2].stored.lowerBound] ^= 1
            } else {
                for victim in effects.suffix(3).prefix(2) { bytes[victim.offset] ^= 1 }
            }
        }
        crashed.open()
        let lost = Self.quarantined(crashed)
        #expect(lost.count == victims)
        crashed.run()
        let healthy = [0, 1, 2].filter { !lost.contains($0) }
        for round in 0..<16 {
            for shard in healthy { crashed.submit(shard, [Self.bytes(500, UInt64(round))]) }
            crashed.run()
            for shard in healthy { crashed.flush(shard) }
            crashed.run()
        }
        #expect(crashed.disk.live[last] == nil)
        #expect(crashed.disk.live[.quarantined(last.number)] != nil)
        var again = crashed.powerCut()
        again.open()
        #expect(Self.quarantined(again) == lost)
        #expect(again.report.quarantined.map(\.reason) == lost.map { _ in reason })
        again.run()
        for shard in lost { Self.replaceStore(&again, ShardID(shard)) }
        again.run()
        var healed = again.powerCut()
        healed.open()
        #expect(healed.violation() == nil)
        for shard in lost { #expect(healed.stores[ShardID(shard)]?.payloads.last == [1]) }
    }

    /// A store from elsewhere ends a quarantine, and the shard is written again.
    private static func replaceStore(_ rig: inout Rig, _ shard: ShardID) {
        let mark = AppliedMark(shard: shard, epoch: Epoch(2), position: Position(50), lsn: .zero)
        rig.stores[shard]?.flushed = mark
        rig.stores[shard]?.payloads = [[UInt8]](repeating: [], count: 50)
        rig.stores[shard]?.epoch = mark.epoch
        rig.offered[shard] = rig.stores[shard]?.payloads
        rig.machine?.adopt(mark)
        rig.submit(shard.rawValue, [[1]])
    }

    @Test func missingSegmentIsCorruptionOfItsShards() {
        var rig = MachineTests.ready()
        rig.submit(1, [[1]])
        rig.run()
        for _ in 0..<12 {
            rig.submit(0, [Self.bytes(900)])
            rig.run()
        }
        rig.submit(2, [[1]])
        rig.run()
        let names = Self.segments(rig)
        #expect(names.count >= 4)
        for missing in names.dropFirst().dropLast() {
            var crashed = rig.powerCut()
            crashed.disk.remove(missing)
            crashed.open()
            #expect(Self.quarantined(crashed) == [0], "segment \(missing)")
            #expect(crashed.report.damage.first?.kind == .segmentMissing)
            #expect(crashed.report.damage.first?.segment == missing.number)
        }
        // The oldest: the next one's opening tells what it held.
        var crashed = rig.powerCut()
        crashed.disk.remove(names[0])
        crashed.open()
        #expect(Self.quarantined(crashed) == [0, 1])
    }

    /// The newest segment is gone and the stores are further than the log: no shard can be proven complete but those
    /// whose store says so.
    @Test func logThatEndsBeforeTheStoresIsDamaged() throws {
        var rig = Self.written(9)
        rig.flush(1)
        let last = try #require(Self.segments(rig).last)
        var crashed = rig.powerCut()
        crashed.disk.remove(last)
        crashed.open()
        #expect(!Self.quarantined(crashed).contains(1))
        #expect(Self.quarantined(crashed).count == 2)
        #expect(crashed.report.durableLSN >= crashed.stores[ShardID(1)]?.flushed.lsn ?? .zero)
    }

    @Test func damagedSegmentHeader() {
        let rig = Self.written(40)
        let names = Self.segments(rig)
        for name in [names[1], names[names.count - 1]] {
            var crashed = rig.powerCut()
            crashed.disk.tamper(name) { bytes in
                bytes[70] ^= 1
                bytes[2048 + 70] ^= 1
            }
            crashed.open()
            #expect(Self.quarantined(crashed) == [0, 1, 2], "\(name)")
            #expect(crashed.report.damage.map(\.kind) == [.headerDamaged])
            #expect(crashed.disk.live[name] != nil)
        }
        var repaired = rig.powerCut()
        repaired.disk.tamper(names[1]) { $0[70] ^= 1 }
        repaired.open()
        #expect(repaired.violation() == nil, "one copy of the header is enough")
    }

    // MARK: Refusals

    @Test func readErrorRefusesAndChangesNothing() {
        let rig = Self.written(12)
        for name in Self.segments(rig) {
            var crashed = rig.powerCut()
            crashed.disk.unreadable = [name: 5]
            let before = crashed.disk.entries
            let error = crashed.open()
            #expect(error == .readFailed(file: name.description, errno: 5))
            #expect(crashed.disk.entries == before)
            #expect(crashed.disk.stepCount == 0)
        }
    }

    @Test func otherIdentitiesAndNewerFormatsAreRefused() {
        let rig = Self.written(2)
        let other = LogIdentity.Identifier(high: 8, low: 9)
        var crashed = rig.powerCut()
        var error = crashed.open(identity: LogIdentity(clusterID: other, nodeStoreID: Rig.identity.nodeStoreID))
        let file = Self.segments(rig)[0].description
        #expect(error == .otherCluster(file: file, expected: other, found: Rig.identity.clusterID))
        error = crashed.open(identity: LogIdentity(clusterID: Rig.identity.clusterID, nodeStoreID: other))
        #expect(error == .otherNode(file: file, expected: other, found: Rig.identity.nodeStoreID))
        crashed.disk.tamper(Self.segments(rig)[0]) { bytes in
            bytes[8] = 3
            let checksum = CRC32C.checksum(bytes[0..<124])
            for shift in 0..<4 { bytes[124 + shift] = UInt8(truncatingIfNeeded: checksum >> UInt32(8 * shift)) }
        }
        error = crashed.open()
        #expect(error == .newerFormat(file: file, version: 3))
        #expect(crashed.disk.stepCount == 0)
    }

    // MARK: Replay

    @Test func replayBeginsBehindTheStoreAndSkipsOtherShards() {
        var rig = Self.written(30)
        rig.flush(0)
        rig.stores[ShardID(2)] = nil
        var crashed = rig.powerCut()
        crashed.open()
        #expect(crashed.report.recordsReplayed == 10)
        #expect(crashed.replayed.map(\.shard.rawValue) == [UInt32](repeating: 1, count: 10))
        #expect(crashed.replayed.map(\.lsn) == crashed.replayed.map(\.lsn).sorted())
        #expect(crashed.report.recordsSkipped == 10)
        #expect(crashed.report.recordsOfOtherShards == 10)
        #expect(crashed.report.quarantined.isEmpty)
    }

    @Test func highestTimeIsReportedEvenWhenItsSegmentIsGone() {
        var rig = MachineTests.ready()
        rig.submit(0, [[1]], time: 987_654)
        rig.run()
        for _ in 0..<16 {
            rig.submit(1, [Self.bytes(900)], time: 5)
            rig.run()
            rig.flushAll()
            rig.run()
        }
        var crashed = rig.powerCut()
        crashed.open()
        #expect(crashed.report.highestTime == Timestamp(milliseconds: 987_654))
    }

    /// A full disk: with nothing to write again the log starts, and refuses batches; otherwise it does not start.
    @Test func fullDiskAtTheStart() {
        var idle = Self.written(3)
        idle.wait()
        for name in idle.disk.entries.map(\.name) { if case .spare = name { idle.disk.remove(name) } }
        var crashed = idle.powerCut()
        crashed.disk.capacity = crashed.disk.usedBytes
        // The hint was not synced: the last group may need writing again.
        let refused = crashed.open()
        #expect(refused == .storageFull)
        var flushed = idle
        _ = flushed.close()
        var again = flushed.powerCut()
        again.disk.capacity = again.disk.usedBytes
        let error = again.open()
        #expect(error == nil)
        #expect(again.violation() == nil)
        again.run()
        #expect(again.submit(0, [[1]]) == .storageFull)
        again.disk.capacity = .max
        again.wait()
        #expect(again.submit(0, [[1]]) == .accepted)
        again.run()
        #expect(again.acknowledged[ShardID(0)]?.position == Position(2))
    }

    /// Room for the unsynced tail alone is enough: it is written into a segment of its own length, nothing is appended
    /// to that, and what comes later stands in whole segments again.
    @Test func aTailThatFitsADiskWithoutRoomForASegmentIsKept() throws {
        var rig = MachineTests.ready(Rig.smallConfiguration(segmentBytes: 32_768))
        for index in 0..<3 {
            rig.submit(UInt32(index), [Self.bytes(300, UInt64(index))])
            rig.run()
        }
        for name in rig.disk.entries.map(\.name) { if case .spare = name { rig.disk.remove(name) } }
        var short = rig.powerCut()
        short.disk.capacity = short.disk.usedBytes + rig.configuration.segmentBytes - 1
        #expect(short.open() == nil)
        #expect(short.violation() == nil)
        #expect(short.report.recordsRepersisted > 0)
        let last = try #require(Self.segments(short).last)
        let length = short.disk.entries.first { $0.name == last }?.byteCount ?? 0
        #expect(length < rig.configuration.segmentBytes)
        short.run()
        #expect(short.submit(0, [[1]]) == .storageFull)

        // The same again, and again, for as long as the disk is full.
        var killed = short.killed()
        #expect(killed.open() == nil)
        #expect(killed.violation() == nil)

        killed.disk.capacity = .max
        killed.wait()
        #expect(killed.submit(0, [MachineTests.bytes(700)]) == .accepted)
        killed.run()
        #expect(Self.segments(killed).last != last)
        var again = killed.powerCut()
        #expect(again.open() == nil)
        #expect(again.violation() == nil)
        again.flushAll()
        again.run()
        #expect(again.violation() == nil)
    }

    @Test func leftoversAreRemovedAndGoodSparesUsed() {
        var rig = Self.written(3)
        _ = rig.disk.perform(.create(.filling(90)))
        _ = rig.disk.perform(.create(.spare(91)))
        _ = rig.disk.perform(.fill(.spare(91), 0..<100))
        _ = rig.disk.perform(.syncDirectory)
        var crashed = rig.powerCut()
        let spares = crashed.disk.entries.filter {
            if case .spare = $0.name { $0.byteCount == crashed.configuration.segmentBytes } else { false }
        }
        crashed.open()
        #expect(crashed.disk.live[.filling(90)] == nil && crashed.disk.live[.spare(91)] == nil)
        #expect(spares.count == 2)
        #expect(crashed.machine?.statistics.spareSegments == 1, "one of the spares is the new segment")
    }
}
