import LogFormat
import Primitives
import Testing

@Suite struct ScannerTests {
    static let payloads = (0..<10).map { Samples.random(40 + $0 * 13, seed: UInt64($0)) }

    @Test func validPrefixThenBlankEnd() throws {
        let items = Samples.items(Samples.segment(Self.payloads))
        #expect(Samples.records(items).map(\.header.lsn.rawValue) == Array(1...10))
        let end = try #require(Samples.damage(items).first)
        #expect(Samples.damage(items).count == 1)
        #expect(end.isBlank)
        #expect(end.firstLSN == LSN(11))
        #expect(end.lastLSN == nil)
    }

    @Test func endsAtTheLastLSNThatTheNextSegmentTells() {
        let items = Samples.items(Samples.segment(Self.payloads, filler: 0xAA), endLSN: LSN(4))
        #expect(Samples.records(items).count == 4)
        #expect(Samples.damage(items).isEmpty)
    }

    /// Every single flipped bit in a record's header or payload costs exactly that record, and the scan goes on behind
    /// it.
    @Test func everyFlippedBitIsFoundAndSteppedOver() throws {
        let whole = Samples.segment(Self.payloads)
        let victim = Samples.records(Samples.items(whole))[4]
        for bit in (victim.offset * 8)..<(victim.stored.upperBound * 8) {
            var bytes = whole
            bytes[bit / 8] ^= 1 << UInt8(bit % 8)
            let items = Samples.items(bytes)
            #expect(Samples.records(items).map(\.header.lsn.rawValue) == [1, 2, 3, 4, 6, 7, 8, 9, 10], "bit \(bit)")
            let damage = try #require(Samples.damage(items).first)
            #expect(damage.firstLSN == LSN(5) && damage.lastLSN == LSN(5), "bit \(bit)")
            // The shard is known when only the payload is damaged.
            #expect((damage.header?.shard == ShardID(3)) == (bit / 8 >= victim.stored.lowerBound), "bit \(bit)")
        }
    }

    @Test func resynchronisesBehindAHole() throws {
        var bytes = Samples.segment(Self.payloads)
        let records = Samples.records(Samples.items(bytes))
        for index in records[2].offset..<records[6].offset { bytes[index] = 0xEE }
        let items = Samples.items(bytes)
        #expect(Samples.records(items).map(\.header.lsn.rawValue) == [1, 2, 7, 8, 9, 10])
        let damage = try #require(Samples.damage(items).first)
        #expect(damage.firstLSN == LSN(3) && damage.lastLSN == LSN(6))
        #expect(damage.offset == records[2].offset)
        #expect(damage.byteCount == records[6].offset - records[2].offset)
        #expect(!damage.isBlank)
    }

    /// Bytes of the file's earlier life never validate, wherever the new life ends.
    @Test func staleBytesOfAnEarlierLifeAreNoRecords() {
        let stale = Samples.segment(
            Self.payloads + Self.payloads, header: Samples.header(number: 6, salt: 1, firstLSN: 1))
        for count in 0...10 {
            let header = Samples.header(number: 7, salt: 2, firstLSN: 5)
            var encoder = Samples.encoder(for: header)
            encoder.place(header.encoded())
            for index in 0..<count {
                encoder.append(
                    type: .effect, shard: ShardID(3), epoch: Epoch(1), position: Position(UInt64(index) + 1),
                    time: .zero, payload: Self.payloads[index])
            }
            let bytes = Array(encoder.bytes) + stale[encoder.byteCount...]
            let items = Samples.items(bytes, header: header)
            #expect(Samples.records(items).count == count)
            #expect(Samples.damage(items).map(\.lastLSN) == [nil])
        }
    }

    /// The same bytes under the same salt but out of their place: LSN and chain refuse them.
    @Test func misplacedRecordIsRefused() {
        var bytes = Samples.segment([[UInt8]](repeating: [1, 2, 3], count: 6))
        let records = Samples.records(Samples.items(bytes))
        let copy = Array(bytes[records[1].offset..<records[1].end])
        bytes.replaceSubrange(records[3].offset..<records[3].end, with: copy)
        #expect(Samples.records(Samples.items(bytes)).map(\.header.lsn.rawValue) == [1, 2, 3, 5, 6])
    }

    @Test func cutFileEndsInDamage() {
        let bytes = Samples.segment(Self.payloads)
        let records = Samples.records(Samples.items(bytes))
        for length in records[8].offset..<records[9].stored.upperBound {
            let items = Samples.items(Array(bytes[..<length]))
            let expected = length < records[8].stored.upperBound ? 8 : 9
            #expect(Samples.records(items).count == expected, "\(length)")
            #expect(Samples.damage(items).first?.firstLSN.rawValue == UInt64(expected + 1), "\(length)")
        }
    }

    @Test func nothingFollowsASeal() {
        let header = Samples.header()
        var encoder = Samples.encoder(for: header)
        encoder.place(header.encoded())
        encoder.append(
            type: .seal, shard: ShardID(0), epoch: Epoch(0), position: .zero, time: .zero,
            payload: PositionTable(entries: []).encoded())
        encoder.append(
            type: .effect, shard: ShardID(0), epoch: Epoch(0), position: Position(1), time: .zero, payload: [])
        #expect(Samples.items(Array(encoder.bytes), header: header).count == 1)
    }

    /// Whatever the bytes are: it ends, it does not trap, items ascend, and it allocates by nothing it read.
    @Test(arguments: 0..<200)
    func arbitraryDamageNeverTraps(seed: UInt64) {
        var generator = SplitMix64(seed: seed)
        var bytes = Samples.segment(Self.payloads, bytes: 8192)
        for _ in 0..<generator.below(40) {
            let offset = 4096 + generator.below(2048)
            bytes[offset] = UInt8(truncatingIfNeeded: generator.next())
        }
        if generator.chance(1, in: 3) { bytes.removeLast(generator.below(bytes.count)) }
        var last = LSN.zero
        for item in Samples.items(bytes) {
            switch item {
            case .record(let record):
                #expect(record.header.lsn > last)
                last = record.header.lsn
                _ = record.header.payload(from: bytes, at: record.stored)
            case .damage(let damage):
                #expect(damage.firstLSN > last)
                last = damage.lastLSN ?? last
            }
        }
    }
}
