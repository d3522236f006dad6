import LogFormat
import Primitives
import Testing

@Suite struct SegmentHeaderTests {
    @Test func roundTrip() throws {
        let header = Samples.header(firstLSN: 42, previousChecksum: 0xABCD)
        let block = header.encoded()
        #expect(block.count == 4096)
        #expect(try SegmentHeader.decode(block) == header)
        #expect(header.previousLSN == LSN(41))
    }

    /// A flip anywhere in one copy is repaired by the other; the same flip in both is damage.
    @Test func eitherCopyIsEnough() throws {
        let header = Samples.header()
        for byte in 0..<128 {
            var block = header.encoded()
            block[byte] ^= 1
            #expect(try SegmentHeader.decode(block) == header, "byte \(byte)")
            block[2048 + byte] ^= 1
            #expect(throws: SegmentHeader.DecodeError.damaged, "byte \(byte)") { try SegmentHeader.decode(block) }
        }
    }

    @Test func shortOrForeignBytesAreDamage() {
        #expect(throws: SegmentHeader.DecodeError.damaged) { try SegmentHeader.decode([]) }
        #expect(throws: SegmentHeader.DecodeError.damaged) {
            try SegmentHeader.decode([UInt8](repeating: 0, count: 4096))
        }
        #expect(throws: SegmentHeader.DecodeError.damaged) {
            try SegmentHeader.decode(Array(Samples.header().encoded()[..<100]))
        }
    }

    /// A newer version is told from damage by the fields that never move.
    @Test func newerFormatIsNamed() {
        var block = Samples.header().encoded()
        block[8] = 2
        let checksum = CRC32C.checksum(block[0..<124])
        for shift in 0..<4 { block[124 + shift] = UInt8(truncatingIfNeeded: checksum >> UInt32(8 * shift)) }
        #expect(throws: SegmentHeader.DecodeError.newerFormat(2)) { try SegmentHeader.decode(block) }
    }
}

@Suite struct RecordTests {
    @Test func everyFieldSurvives() throws {
        let header = Samples.header(firstLSN: 100, previousChecksum: 77)
        var encoder = GroupEncoder(compressionBytesMin: 256, capacityKept: 1 << 20)
        encoder.begin(seed: header.recordSeed(), firstLSN: LSN(100), previousChecksum: 77, durableLSN: LSN(99))
        encoder.place(header.encoded())
        encoder.append(
            type: .epochStart, shard: ShardID(4095), epoch: Epoch(Limits.counterMax),
            position: Position(Limits.counterMax - 1),
            time: Timestamp(milliseconds: 1 << 47), payload: [1, 2, 3])
        let bytes = Array(encoder.bytes)
        let record = try #require(Samples.records(Samples.items(bytes, header: header)).first)
        #expect(record.header.type == .epochStart)
        #expect(record.header.shard == ShardID(4095))
        #expect(record.header.epoch == Epoch(Limits.counterMax))
        #expect(record.header.position == Position(Limits.counterMax - 1))
        #expect(record.header.lsn == LSN(100))
        #expect(record.header.durableLSN == LSN(99))
        #expect(record.header.previousChecksum == 77)
        #expect(record.header.time == Timestamp(milliseconds: 1 << 47))
        #expect(record.header.payload(from: bytes, at: record.stored) == [1, 2, 3])
        #expect(bytes.count == 4096 + 64 + 8)
    }

    /// W10: kept compressed only if smaller, from 256 bytes on; the length must come out exactly.
    @Test(arguments: [
        (count: 255, isText: true, compressed: false), (256, true, true), (4096, true, true), (4096, false, false),
        (0, true, false), (1, true, false), (200_000, true, true),
    ])
    func compression(count: Int, isText: Bool, compressed: Bool) throws {
        let payload = isText ? Samples.text(count) : Samples.random(count, seed: 1)
        let bytes = Samples.segment([payload], bytes: 4096 + 64 + count + 64)
        let record = try #require(Samples.records(Samples.items(bytes)).first)
        #expect(record.header.isCompressed == compressed)
        #expect(record.header.payloadBytes == count)
        #expect(record.header.storedBytes <= count)
        #expect(record.header.payload(from: bytes, at: record.stored) == payload)
    }

    @Test func declaredLengthMustComeOutExactly() throws {
        let bytes = Samples.segment([Samples.text(1000)])
        let record = try #require(Samples.records(Samples.items(bytes)).first)
        for wrong in [999, 1001, 100_000] {
            var header = record.header
            header.payloadBytes = wrong
            #expect(header.payload(from: bytes, at: record.stored) == nil, "\(wrong)")
        }
    }

    @Test func oversizedPayloadTrapsNowhereButInTheEncoder() {
        // A header that declares more than the limit is no valid header, so nothing is allocated by it.
        let items = Samples.items(Samples.segment([Samples.text(10)]))
        #expect(Samples.records(items).allSatisfy { $0.header.payloadBytes <= Limits.recordBytesMax })
    }
}

@Suite struct TableAndNameTests {
    @Test func tableRoundTrip() {
        let table = PositionTable(
            entries: (0..<64).map { index in
                .init(
                    last: DurableMark(
                        shard: ShardID(index * 3), epoch: Epoch(UInt64(index)), position: Position(UInt64(index) << 40),
                        lsn: LSN(9)),
                    isQuarantined: index % 5 == 0)
            })
        #expect(PositionTable(decoding: table.encoded()) == table)
        #expect(PositionTable(decoding: PositionTable(entries: []).encoded())?.entries.isEmpty == true)
    }

    @Test func badTablesAreRefused() {
        let mark = DurableMark(shard: ShardID(1), epoch: Epoch(1), position: Position(1), lsn: LSN(1))
        let bytes = PositionTable(entries: [.init(last: mark, isQuarantined: false)]).encoded()
        #expect(PositionTable(decoding: Array(bytes.dropLast())) == nil)
        #expect(PositionTable(decoding: bytes + [0]) == nil)
        #expect(PositionTable(decoding: []) == nil)
        var twice = bytes + bytes[8...]
        twice[0] = 2
        #expect(PositionTable(decoding: twice) == nil, "shards ascend")
        var huge = bytes
        huge[3] = 0xFF
        #expect(PositionTable(decoding: huge) == nil, "a count is no size to allocate by")
    }

    @Test func names() {
        let names: [LogFileName] = [
            .segment(1), .torn(0xABC), .quarantined(Limits.counterMax), .spare(0), .filling(16),
        ]
        for name in names { #expect(LogFileName(name.description) == name) }
        #expect(LogFileName.segment(1).description == "0000000000000001.wal")
        for text in ["", "1.wal", "0000000000000001.WAL", "0000000000000001.wal.x", "000000000000000g.wal", "LOCK"] {
            #expect(LogFileName(text) == nil, "\(text)")
        }
        #expect(LogFileName("00000000000000AB.wal") == nil, "one name a number")
        #expect(LogFileName("ffffffffffffffff.wal") == nil, "no segment could follow")
    }

    /// A right checksum makes no record of a shard beyond all rings, or of numbers that run over.
    @Test(
        arguments: [
            (4096, 1, 1), (.max, 1, 1), (1, .max, 1), (1, 1, .max), (1, 1, Limits.counterMax + 1),
        ] as [(UInt32, UInt64, UInt64)])
    func impossibleNumbersAreNoRecord(shard: UInt32, epoch: UInt64, position: UInt64) {
        let header = Samples.header(firstLSN: 100, previousChecksum: 77)
        var encoder = GroupEncoder(compressionBytesMin: 256, capacityKept: 1 << 20)
        encoder.begin(seed: header.recordSeed(), firstLSN: LSN(100), previousChecksum: 77, durableLSN: LSN(99))
        encoder.place(header.encoded())
        encoder.append(
            type: .effect, shard: ShardID(shard), epoch: Epoch(epoch), position: Position(position),
            time: Timestamp(milliseconds: 5), payload: [1, 2, 3])
        #expect(Samples.records(Samples.items(Array(encoder.bytes), header: header)).isEmpty)
        let mark = DurableMark(
            shard: ShardID(shard), epoch: Epoch(epoch), position: Position(position), lsn: LSN(100))
        let table = PositionTable(entries: [.init(last: mark, isQuarantined: false)])
        #expect(PositionTable(decoding: table.encoded()) == nil)
    }
}
