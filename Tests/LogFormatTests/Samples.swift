import LogFormat
import Primitives

/// The identity and segment that the tests of this target write.
enum Samples {
    static let identity = LogIdentity(
        clusterID: .init(high: 0x0102_0304_0506_0708, low: 0x1112_1314_1516_1718),
        nodeStoreID: .init(high: 0x2122_2324_2526_2728, low: 0x3132_3334_3536_3738))

    static func header(
        number: UInt64 = 7, salt: UInt64 = 0xDEAD_BEEF_CAFE_F00D, firstLSN: UInt64 = 1, previousChecksum: UInt32 = 0,
        bytes: Int = 1 << 16
    ) -> SegmentHeader {
        SegmentHeader(
            identity: identity, number: number, segmentBytes: bytes, salt: salt, firstLSN: LSN(firstLSN),
            previousChecksum: previousChecksum, syncedLSN: LSN(firstLSN),
            created: Timestamp(milliseconds: 1_700_000_000_000),
            isReused: false)
    }

    static func encoder(for header: SegmentHeader, durableLSN: UInt64 = 0) -> GroupEncoder {
        var encoder = GroupEncoder(compressionBytesMin: 256, capacityKept: 1 << 20)
        encoder.begin(
            seed: header.recordSeed(), firstLSN: header.firstLSN, previousChecksum: header.previousChecksum,
            durableLSN: LSN(durableLSN))
        return encoder
    }

    /// A segment with `payloads` as effects of shard 3 at positions from 1, padded with `filler` to `bytes`.
    static func segment(
        _ payloads: [[UInt8]], header: SegmentHeader = header(), bytes: Int = 1 << 16, filler: UInt8 = 0
    ) -> [UInt8] {
        var encoder = encoder(for: header)
        encoder.place(header.encoded())
        for (index, payload) in payloads.enumerated() {
            encoder.append(
                type: .effect, shard: ShardID(3), epoch: Epoch(1), position: Position(UInt64(index) + 1),
                time: .zero, payload: payload)
        }
        var segment = Array(encoder.bytes)
        segment += [UInt8](repeating: filler, count: bytes - segment.count)
        return segment
    }

    static func items(
        _ bytes: [UInt8], header: SegmentHeader = header(), endLSN: LSN? = nil
    ) -> [SegmentScanner.Item] {
        var scanner = SegmentScanner(bytes: bytes, header: header, endLSN: endLSN)
        var items: [SegmentScanner.Item] = []
        while let item = scanner.next() { items.append(item) }
        return items
    }

    static func records(_ items: [SegmentScanner.Item]) -> [SegmentScanner.ScannedRecord] {
        items.compactMap { if case .record(let record) = $0 { record } else { nil } }
    }

    static func damage(_ items: [SegmentScanner.Item]) -> [SegmentScanner.Damage] {
        items.compactMap { if case .damage(let damage) = $0 { damage } else { nil } }
    }

    static func text(_ count: Int, _ letter: Character = "a") -> [UInt8] {
        Array(String(repeating: letter, count: count).utf8)
    }

    static func random(_ count: Int, seed: UInt64) -> [UInt8] {
        var generator = SplitMix64(seed: seed)
        return (0..<count).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
    }
}
