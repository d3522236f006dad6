public import Primitives

/// Walks one segment's bytes record by record, checks everything that can be checked, and steps over damage.
///
/// After damage it looks for the next valid record header of this segment at 8-byte steps; a header whose payload is
/// damaged is stepped over by its length. It never traps and never allocates by what the bytes say, whatever they are.
/// Reading is O(segment); a stretch of damage costs one CRC of 60 bytes for each 8-byte step that looks plausible.
public struct SegmentScanner: Sendable {
    public enum Item: Equatable, Sendable {
        case record(ScannedRecord)
        case damage(Damage)
    }

    /// A valid record.
    public struct ScannedRecord: Equatable, Sendable {
        public let header: RecordHeader
        /// Where the header stands in the segment.
        public let offset: Int

        /// Where the stored payload stands.
        public var stored: Range<Int> {
            let start = offset + LogLayout.recordHeaderBytes
            return start..<(start + header.storedBytes)
        }
        public var end: Int { offset + header.recordBytes }
    }

    /// Bytes that should be records and are not.
    public struct Damage: Equatable, Sendable {
        public let offset: Int
        /// Up to the next valid record, or to the segment's end.
        public let byteCount: Int
        /// The LSN that should stand at `offset`.
        public let firstLSN: LSN
        /// The last LSN that the damage hides; `nil` when no valid record follows and nothing says where the log ends.
        public let lastLSN: LSN?
        /// The damaged record, where its header is whole and only its payload is not.
        public let header: RecordHeader?
        /// The bytes where the header should be are zero: nothing was ever written there.
        public let isBlank: Bool
    }

    private let bytes: [UInt8]
    private let seed: UInt32
    private let endLSN: LSN?
    /// The planted bugs: bytes of an earlier life validate, by their CRC alone; and nothing ends a segment.
    private let trustsChecksumAlone: Bool
    private let readsPastEnd: Bool
    /// Where the next record is looked for.
    public private(set) var offset = LogLayout.headerBlockBytes
    /// The LSN that it should have.
    public private(set) var expectedLSN: LSN
    /// The checksum that it should name; `nil` after damage, when the one before is not known.
    private var previousChecksum: UInt32?
    private var isFinished = false

    /// - Parameters:
    ///   - bytes: the segment from its first byte; as much of it as there is.
    ///   - header: its header, decoded.
    ///   - endLSN: the segment's last LSN where the next segment's header tells it; records after it are not read.
    public init(bytes: [UInt8], header: SegmentHeader, endLSN: LSN?, mutants: Mutants = .none) {
        self.bytes = bytes
        self.seed = header.recordSeed(mutants)
        self.endLSN = endLSN
        self.expectedLSN = header.firstLSN
        self.previousChecksum = header.previousChecksum == 0 ? nil : header.previousChecksum
        self.readsPastEnd = mutants.has(.recycledSegmentReplayed)
        self.trustsChecksumAlone = readsPastEnd
    }

    /// The next record or stretch of damage; `nil` at the segment's end: after its seal, its last LSN, or the damage
    /// behind which nothing valid follows.
    public mutating func next() -> Item? {
        guard !isFinished else { return nil }
        if let endLSN, expectedLSN > endLSN, !readsPastEnd { return nil }
        guard let header = header(at: offset), isNext(header) else { return stepOverDamage() }
        let record = ScannedRecord(header: header, offset: offset)
        guard isPayloadWhole(record) else { return stepOver(damaged: record) }
        advance(past: record)
        if header.type == .seal, !readsPastEnd { isFinished = true }
        return .record(record)
    }

    private func header(at offset: Int) -> RecordHeader? {
        bytes.withUnsafeBytes { buffer in
            guard offset <= buffer.count else { return nil }
            return RecordHeader.decode(UnsafeRawBufferPointer(rebasing: buffer[offset...]), seed: seed)
        }
    }

    private func isNext(_ header: RecordHeader) -> Bool {
        if trustsChecksumAlone { return true }
        guard header.lsn == expectedLSN else { return false }
        return previousChecksum == nil || previousChecksum == header.previousChecksum
    }

    private func isPayloadWhole(_ record: ScannedRecord) -> Bool {
        guard record.stored.upperBound <= bytes.count else { return false }
        return bytes.withUnsafeBytes { buffer in
            CRC32C.checksum(buffer: UnsafeRawBufferPointer(rebasing: buffer[record.stored]))
                == record.header.payloadChecksum
        }
    }

    private mutating func advance(past record: ScannedRecord) {
        offset = record.end
        expectedLSN = record.header.lsn.next
        previousChecksum = record.header.checksum
    }

    private mutating func stepOver(damaged record: ScannedRecord) -> Item {
        let end = min(record.end, bytes.count)
        let damage = Damage(
            offset: offset, byteCount: end - offset, firstLSN: record.header.lsn, lastLSN: record.header.lsn,
            header: record.header, isBlank: false)
        advance(past: record)
        return .damage(damage)
    }

    private mutating func stepOverDamage() -> Item {
        let start = offset
        let first = expectedLSN
        let blank = bytes[min(start, bytes.count)..<min(start + LogLayout.recordHeaderBytes, bytes.count)]
            .allSatisfy { $0 == 0 }
        if let (found, header) = resynchronised(from: start) {
            offset = found
            expectedLSN = header.lsn
            previousChecksum = nil
            return .damage(
                Damage(
                    offset: start, byteCount: found - start, firstLSN: first, lastLSN: LSN(header.lsn.rawValue - 1),
                    header: nil, isBlank: blank))
        }
        isFinished = true
        return .damage(
            Damage(
                offset: start, byteCount: max(bytes.count - start, 0), firstLSN: first, lastLSN: endLSN, header: nil,
                isBlank: blank))
    }

    /// The first valid header after `start` whose LSN can stand there.
    private func resynchronised(from start: Int) -> (Int, RecordHeader)? {
        bytes.withUnsafeBytes { buffer in
            var candidate = start
            while candidate + LogLayout.recordHeaderBytes <= buffer.count {
                let lsn: UInt64 = buffer.field(candidate + 48)
                if lsn == 0 {
                    // No record has LSN 0, and most of a segment may still be zero: step over all of it at once.
                    let zeros = ZeroRun.length(of: UnsafeRawBufferPointer(rebasing: buffer[(candidate + 48)...]))
                    candidate += zeros / LogLayout.alignment * LogLayout.alignment
                    continue
                }
                let steps = UInt64(candidate - start) / UInt64(LogLayout.recordHeaderBytes) + 1
                let isPlausible = lsn > expectedLSN.rawValue && lsn - expectedLSN.rawValue <= steps
                if isPlausible, endLSN.map({ lsn <= $0.rawValue }) ?? true {
                    let rest = UnsafeRawBufferPointer(rebasing: buffer[candidate...])
                    if let header = RecordHeader.decode(rest, seed: seed) { return (candidate, header) }
                }
                candidate += LogLayout.alignment
            }
            return nil
        }
    }
}
