import LogCore
import LogFormat
import Primitives
import Testing

/// Logs that no version of the machine writes: what recovery makes of a writer's bug or of another version's work.
@Suite struct CraftedLogTests {
    /// A log of one segment with an opening and `records`; the last LSN is vouched for by a hint.
    private func rig(_ records: (inout GroupEncoder) -> Void) -> Rig {
        var rig = Rig()
        let header = SegmentHeader(
            identity: Rig.identity, number: 1, segmentBytes: rig.configuration.segmentBytes, salt: 1,
            firstLSN: LSN(1), previousChecksum: 0, syncedLSN: LSN(1), created: .zero, isReused: false)
        var encoder = GroupEncoder(compressionBytesMin: 256, capacityKept: 1 << 16)
        encoder.begin(seed: header.recordSeed(), firstLSN: LSN(1), previousChecksum: 0, durableLSN: LSN(1))
        encoder.place(header.encoded())
        encoder.append(
            type: .opening, shard: ShardID(0), epoch: Epoch(0), position: .zero, time: .zero,
            payload: PositionTable(entries: []).encoded())
        records(&encoder)
        var bytes = Array(encoder.bytes)
        bytes += [UInt8](repeating: 0, count: rig.configuration.segmentBytes - bytes.count)
        for step in [
            LogStep.create(.segment(1)), .write(.segment(1), offset: 0, bytes: bytes[...]), .sync(.segment(1)),
            .syncDirectory,
        ] { _ = rig.disk.perform(step) }
        return rig
    }

    private func append(
        _ encoder: inout GroupEncoder, shard: UInt32, epoch: UInt64 = 1, position: UInt64, payload: [UInt8] = [1],
        type: RecordType = .effect
    ) {
        encoder.append(
            type: type, shard: ShardID(shard), epoch: Epoch(epoch), position: Position(position), time: .zero,
            payload: payload)
    }

    @Test func positionsAndEpochsThatGoBackQuarantine() {
        var positions = rig { encoder in
            for position in [1, 2, 2, 3] { append(&encoder, shard: 0, position: UInt64(position)) }
            append(&encoder, shard: 1, position: 1)
        }
        positions.open()
        #expect(positions.report.quarantined.map(\.shard) == [ShardID(0)])
        #expect(positions.report.quarantined.map(\.reason) == [.outOfOrder])
        #expect(positions.report.quarantined.first?.expected == Position(3))
        #expect(positions.stores[ShardID(1)]?.payloads == [[1]])
        var epochs = rig { encoder in
            append(&encoder, shard: 2, epoch: 5, position: 1)
            append(&encoder, shard: 2, epoch: 4, position: 2)
        }
        epochs.open()
        #expect(epochs.report.quarantined.map(\.reason) == [.outOfOrder])
    }

    /// A shard whose positions jump though no record is missing: nothing says what was between.
    @Test func positionsThatJumpQuarantine() {
        var jumping = rig { encoder in
            append(&encoder, shard: 0, position: 1)
            append(&encoder, shard: 0, position: 4)
        }
        jumping.open()
        #expect(jumping.report.quarantined.map(\.reason) == [.recordsLost])
        #expect(jumping.report.quarantined.first?.found == Position(4))
        #expect(jumping.replayed.isEmpty, "nothing of an incomplete shard is replayed")
    }

    /// W10: the CRC holds and the payload does not decompress to its declared length.
    @Test func undecodablePayloadQuarantines() throws {
        var crafted = rig { encoder in
            append(&encoder, shard: 0, position: 1)
            append(&encoder, shard: 1, position: 1, payload: [UInt8](repeating: 7, count: 400))
        }
        // A whole LZ4 block of another length, under a CRC that fits.
        crafted.disk.tamper(.segment(1)) { bytes in
            guard let header = try? SegmentHeader.decode(bytes) else { return }
            var scanner = SegmentScanner(bytes: bytes, header: header, endLSN: nil)
            while case .record(let record)? = scanner.next() {
                guard record.header.isCompressed else { continue }
                bytes[record.offset + 12] &+= 1
                let covered = bytes[(record.offset + 4)..<(record.offset + 64)]
                let checksum = CRC32C.checksum(covered, continuing: header.recordSeed())
                for shift in 0..<4 {
                    bytes[record.offset + shift] = UInt8(truncatingIfNeeded: checksum >> UInt32(8 * shift))
                }
                return
            }
        }
        crafted.open()
        #expect(crafted.report.quarantined.map(\.shard) == [ShardID(1)])
        #expect(crafted.report.quarantined.map(\.reason) == [.payloadUndecodable])
        #expect(crafted.stores[ShardID(0)]?.payloads == [[1]])
    }

    /// A record type of a later version, or one that is reserved, refuses the log: guessing would lose its meaning.
    @Test func unknownRecordTypeIsRefused() {
        var crafted = rig { encoder in
            append(&encoder, shard: 0, position: 1)
            append(&encoder, shard: 0, position: 2, type: .truncation)
        }
        let offset = 4096 + LogLayout.tableRecordBytes(shards: 0) + LogLayout.recordBytes(storing: 1)
        let error = crafted.open()
        #expect(error == .unknownRecordType(file: LogFileName.segment(1).description, offset: offset, type: 7))
        #expect(crafted.disk.entries.count == 1, "nothing was changed")
    }

    /// A file under another segment's name is not what the name says.
    @Test func misnamedSegmentIsDamaged() {
        var crafted = rig { append(&$0, shard: 0, position: 1) }
        _ = crafted.disk.perform(.rename(.segment(1), to: .segment(2)))
        _ = crafted.disk.perform(.syncDirectory)
        crafted.open()
        #expect(crafted.report.damage.map(\.kind) == [.headerDamaged])
        #expect(crafted.report.quarantined.count == 3)
    }

    /// Marks on the highest LSN of a foreign store do not count: they are zero.
    @Test func storesFromElsewhereAreTakenByPosition() {
        var crafted = rig { encoder in
            for position in 1...5 { append(&encoder, shard: 0, position: UInt64(position)) }
        }
        crafted.stores[ShardID(0)]?.flushed = AppliedMark(
            shard: ShardID(0), epoch: Epoch(1), position: Position(3), lsn: .zero)
        crafted.stores[ShardID(0)]?.payloads = [[1], [1], [1]]
        crafted.open()
        #expect(crafted.replayed.map(\.position) == [Position(4), Position(5)])
        #expect(crafted.report.quarantined.isEmpty)
    }
}
