import Foundation
import LogFormat
import Primitives
import Testing

/// The bytes of format version 1 as they were when it was fixed. These files are kept for ever: a version that reads
/// format 1 reads them.
///
/// A fixture is a dump: `OFFSET: BYTES` in hexadecimal, 32 bytes a line; lines of zeros are left out, and the last line
/// is the length.
@Suite struct GoldenTests {
    static func load(_ name: String) throws -> [UInt8] {
        let url = try #require(Bundle.module.url(forResource: name, withExtension: "hex", subdirectory: "Fixtures"))
        var bytes: [UInt8] = []
        for line in try String(contentsOf: url, encoding: .utf8).split(separator: "\n") where !line.hasPrefix("#") {
            let parts = line.split(separator: ":")
            let offset = try #require(Int(parts[0], radix: 16))
            bytes += [UInt8](repeating: 0, count: offset - bytes.count)
            guard parts.count == 2 else { continue }
            let digits = Array(parts[1].filter { $0 != " " })
            for index in stride(from: 0, to: digits.count, by: 2) {
                bytes.append(try #require(UInt8(String(digits[index...(index + 1)]), radix: 16)))
            }
        }
        return bytes
    }

    static func dump(_ bytes: [UInt8]) -> String {
        func hex(_ value: Int, _ width: Int) -> String {
            let digits = String(value, radix: 16)
            return String(repeating: "0", count: max(width - digits.count, 0)) + digits
        }
        var text = ""
        for offset in stride(from: 0, to: bytes.count, by: 32) {
            let line = bytes[offset..<min(offset + 32, bytes.count)]
            if line.contains(where: { $0 != 0 }) {
                text += hex(offset, 6) + ": " + line.map { hex(Int($0), 2) }.joined(separator: " ") + "\n"
            }
        }
        return text + hex(bytes.count, 6) + ":\n"
    }

    static let header = SegmentHeader(
        identity: Samples.identity, number: 0x2A, segmentBytes: 64 << 20, salt: 0x0123_4567_89AB_CDEF,
        firstLSN: LSN(1001), previousChecksum: 0xCAFE_BABE, syncedLSN: LSN(1001),
        created: Timestamp(milliseconds: 1_767_225_600_000), isReused: true)

    static let table = PositionTable(entries: [
        .init(
            last: DurableMark(shard: ShardID(3), epoch: Epoch(2), position: Position(77), lsn: LSN(990)),
            isQuarantined: false),
        .init(
            last: DurableMark(shard: ShardID(9), epoch: Epoch(1), position: Position(5), lsn: .zero),
            isQuarantined: true),
    ])

    /// One record of each type, as this version writes them.
    static func everyType() -> [UInt8] {
        var encoder = GroupEncoder(compressionBytesMin: 256, capacityKept: 1 << 20)
        encoder.begin(
            seed: header.recordSeed(), firstLSN: header.firstLSN, previousChecksum: header.previousChecksum,
            durableLSN: LSN(1000))
        encoder.place(header.encoded())
        let time = Timestamp(milliseconds: 1_767_225_600_123)
        func own(_ type: RecordType, _ payload: [UInt8] = []) {
            encoder.append(
                type: type, shard: ShardID(0), epoch: Epoch(0), position: .zero, time: time, payload: payload)
        }
        own(.opening, table.encoded())
        encoder.append(
            type: .effect, shard: ShardID(3), epoch: Epoch(2), position: Position(78), time: time,
            payload: Array("an effect".utf8))
        encoder.append(
            type: .epochStart, shard: ShardID(3), epoch: Epoch(3), position: Position(79), time: time, payload: [])
        own(.commitHint)
        own(.cleanClose)
        own(.seal, table.encoded())
        return Array(encoder.bytes)
    }

    @Test func writesTheBytesOfVersion1() throws {
        let bytes = Self.everyType()
        #expect(Self.dump(bytes) == Self.dump(try Self.load("segment-v1")))
    }

    @Test func readsTheBytesOfVersion1() throws {
        let bytes = try Self.load("segment-v1")
        let header = try SegmentHeader.decode(bytes)
        #expect(header == Self.header)
        let records = Samples.records(Samples.items(bytes, header: header))
        #expect(records.map(\.header.type) == [.opening, .effect, .epochStart, .commitHint, .cleanClose, .seal])
        #expect(records.map(\.header.lsn.rawValue) == Array(1001...1006))
        #expect(records.map(\.header.durableLSN.rawValue) == [UInt64](repeating: 1000, count: 6))
        let payloads = records.map { $0.header.payload(from: bytes, at: $0.stored) ?? [] }
        #expect(PositionTable(decoding: payloads[0]) == Self.table)
        #expect(payloads[1] == Array("an effect".utf8))
        #expect(records[2].header.epoch == Epoch(3) && records[2].header.position == Position(79))
    }

    /// What a compressor makes of it may differ between versions of LZ4; what it decompresses to may not.
    @Test func readsACompressedRecordOfVersion1() throws {
        let bytes = try Self.load("compressed-v1")
        let header = try SegmentHeader.decode(bytes)
        let record = try #require(Samples.records(Samples.items(bytes, header: header)).first)
        #expect(record.header.isCompressed && record.header.payloadBytes == 1000)
        #expect(record.header.payload(from: bytes, at: record.stored) == Samples.text(1000, "k"))
    }
}
