import LogFormat
import Primitives

/// A segment that the input first describes and then damages. The scanner must neither trap nor give back a record that
/// was not written; and without damage it must give back all of them.
///
/// Input: the number of records, for each a length and a fill byte, then pairs of an offset (16 bits) and a mask.
#if KEYSTEAD_FUZZ
    @_cdecl("LLVMFuzzerTestOneInput")
#endif
public func fuzzSegments(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    var input = Array(UnsafeBufferPointer(start: start, count: count))[...]
    let header = SegmentHeader(
        identity: LogIdentity(clusterID: .init(high: 1, low: 2), nodeStoreID: .init(high: 3, low: 4)), number: 5,
        segmentBytes: 1 << 20, salt: 0x1234_5678, firstLSN: LSN(10), previousChecksum: 0, syncedLSN: .zero,
        created: Timestamp(milliseconds: 1), isReused: false)
    let (records, encoded) = encode(header, &input)
    var bytes = encoded
    var isDamaged = false
    while input.count >= 3 {
        let offset = (Int(input.removeFirst()) << 8 | Int(input.removeFirst())) % bytes.count
        let mask = input.removeFirst()
        bytes[offset] ^= mask
        isDamaged = isDamaged || (mask != 0 && offset >= LogLayout.headerBlockBytes)
    }
    _ = try? SegmentHeader.decode(Array(bytes.prefix(LogLayout.headerBlockBytes)))

    var scanner = SegmentScanner(bytes: bytes, header: header, endLSN: nil)
    var found: [UInt64: [UInt8]] = [:]
    while let item = scanner.next() {
        guard case .record(let record) = item else { continue }
        guard let payload = record.header.payload(from: bytes, at: record.stored) else { continue }
        found[record.header.lsn.rawValue] = payload
        precondition(records[record.header.lsn.rawValue] == payload, "a record that nobody wrote")
    }
    precondition(isDamaged || found == records, "\(found.count) of \(records.count) undamaged records were found")
    return 0
}

private func encode(_ header: SegmentHeader, _ input: inout ArraySlice<UInt8>) -> ([UInt64: [UInt8]], [UInt8]) {
    var encoder = GroupEncoder(compressionBytesMin: Limits.compressionBytesMin, capacityKept: 1 << 16)
    encoder.begin(seed: header.recordSeed(), firstLSN: header.firstLSN, previousChecksum: 0, durableLSN: .zero)
    encoder.place(header.encoded())
    var records: [UInt64: [UInt8]] = [:]
    for ordinal in 0..<UInt64((input.popFirst() ?? 0) % 16) {
        let length = Int(input.popFirst() ?? 0) * 3
        let fill = input.popFirst() ?? 0
        let payload = (0..<length).map { fill.isMultiple(of: 2) ? fill : UInt8(truncatingIfNeeded: $0 &* Int(fill)) }
        records[encoder.nextLSN.rawValue] = payload
        encoder.append(
            type: .effect, shard: ShardID(3), epoch: Epoch(1), position: Position(ordinal + 1),
            time: Timestamp(milliseconds: 5), payload: payload)
    }
    return (records, Array(encoder.bytes))
}
