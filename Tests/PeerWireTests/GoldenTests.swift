import Entities
import PeerWire
import Primitives
import Testing

/// Bytes as the tables give them, put together by hand: a change of the format fails here.
@Suite struct GoldenTests {
    @Test func wholeFrameToTheByte() {
        // CRC32C of the sixteen bytes after it, from an implementation of its own.
        let expected: [UInt8] = [
            0, 0, 0, 0, 0, 0, 0, 0, 0xEF, 0xCD, 0xAB, 0x89, 0x67, 0x45, 0x23, 0x01, 0x24, 0, 0, 0,
        ]
        var frame = PeerRequest.moveProgress.frame(id: 0x0123_4567_89AB_CDEF)
        #expect(Array(frame[..<4]) == Bytes().u32(Self.slowCRC(expected[4...])).all)
        for index in 0..<4 { frame[index] = 0 }
        #expect(frame == expected)
    }

    /// RFC 3720 appendix B.4, a bit at a time.
    private static func slowCRC(_ bytes: ArraySlice<UInt8>) -> UInt32 {
        var crc: UInt32 = .max
        for byte in bytes {
            crc ^= UInt32(byte)
            for _ in 0..<8 { crc = crc & 1 == 1 ? (crc >> 1) ^ 0x82F6_3B78 : crc >> 1 }
        }
        return ~crc
    }

    @Test func controlFrames() {
        let hello = Bytes().text("KSPEER\r\n").u16(1).u16(1).u32(UInt32(Limits.peerFrameBytesMax))
            .u64(0x0102_0304_0506_0708).u64(0x1112_1314_1516_1718).u64(0x2122_2324_2526_2728)
            .u64(0x3132_3334_3536_3738).u64(9).u16(2).text("n1")
        #expect(PeerControl.hello(Samples.hello).frame(id: 0) == hello.frame(type: 1, id: 0))
        #expect(PeerControl.refuse("no").frame(id: 0) == Bytes().u16(2).text("no").frame(type: 2, id: 0))
        #expect(PeerControl.ping.frame(id: 3) == Bytes().frame(type: 3, id: 3))
        #expect(PeerControl.pong.frame(id: 3) == Bytes().frame(type: 4, id: 3))
        #expect(PeerControl.bye.frame(id: 0) == Bytes().frame(type: 5, id: 0))
    }

    @Test func writes() {
        let put = WriteOperation(
            key: Samples.key("k/i"), action: .put(state: [9, 8], contentType: Array("a/b".utf8), ttlSeconds: 60),
            preconditions: Samples.both, idempotencyKey: Array("key".utf8), wantsRepresentation: true)
        let expected = Bytes().u32(1500).u64(42)
            .u8(1).u8(0b1111).u8(0).u8(3).u16(3).text("k/i").text("key").u64(60)
            .u8(2).u32(2).u64(3).u64(.max).u8(1)
            .u16(3).text("a/b").u32(2).adding([9, 8])
        let request = PeerRequest.write(put, deadlineMilliseconds: 1500, mapRevision: 42)
        #expect(request.frame(id: 7) == expected.frame(type: 0x10, id: 7))

        let dated = WriteOperation(key: Samples.key("k/i"), action: .delete, preconditions: Samples.unmodified)
        #expect(
            PeerRequest.write(dated, deadlineMilliseconds: 1, mapRevision: 2).frame(id: 7)
                == Bytes().u32(1).u64(2).u8(3).u8(0b10100).u8(0).u8(0).u16(3).text("k/i").u8(1).u64(784_111_777)
                .frame(type: 0x10, id: 7))
        let patch = WriteOperation(key: Samples.key("k/i"), action: .patch(.update, document: [1]))
        #expect(
            PeerRequest.write(patch, deadlineMilliseconds: 1, mapRevision: 2).frame(id: 7)
                == Bytes().u32(1).u64(2).u8(2).u8(0).u8(3).u8(0).u16(3).text("k/i").u32(1).u8(1)
                .frame(type: 0x10, id: 7))
        let delete = WriteOperation(key: Samples.key("k/i"), action: .delete)
        #expect(
            PeerRequest.write(delete, deadlineMilliseconds: 1, mapRevision: 2).frame(id: 7)
                == Bytes().u32(1).u64(2).u8(3).u8(0).u8(0).u8(0).u16(3).text("k/i").frame(type: 0x10, id: 7))
    }

    @Test func readsAndLists() {
        let read = ReadRequest(
            key: Samples.key("k/i"), kind: .entity(Preconditions(ifNoneMatch: .versions([1]))), inQueueOrder: true)
        #expect(
            PeerRequest.read(read, deadlineMilliseconds: 1, mapRevision: 2).frame(id: 7)
                == Bytes().u32(1).u64(2).u8(1).u8(0b101).u8(0).u16(3).text("k/i").u8(2).u32(1).u64(1)
                .frame(type: 0x11, id: 7))
        let dated = Preconditions(ifModifiedSince: 5, ifUnmodifiedSince: 6)
        let datedRead = ReadRequest(key: Samples.key("k/i"), kind: .entity(dated), inQueueOrder: false)
        #expect(
            PeerRequest.read(datedRead, deadlineMilliseconds: 1, mapRevision: 2).frame(id: 7)
                == Bytes().u32(1).u64(2).u8(1).u8(0b11000).u8(0).u16(3).text("k/i").u64(5).u64(6)
                .frame(type: 0x11, id: 7))
        let outcome = ReadRequest(
            key: Samples.key("k/i"), kind: .outcome(idempotencyKey: Array("key".utf8)), inQueueOrder: false)
        #expect(
            PeerRequest.read(outcome, deadlineMilliseconds: 1, mapRevision: 2).frame(id: 7)
                == Bytes().u32(1).u64(2).u8(2).u8(0).u8(3).u16(3).text("k/i").text("key").frame(type: 0x11, id: 7))
        let list = ListRequest(
            keyPrefix: Array("k/".utf8), itemsMax: 100, after: ListCursor(ringHash: 5, keyBytes: [1]), withValues: true)
        #expect(
            PeerRequest.list(list, deadlineMilliseconds: 1, first: ShardID(2), last: ShardID(3)).frame(id: 7)
                == Bytes().u32(1).u32(2).u32(3).u8(0b11).u32(100).u16(2).text("k/").u64(5).u16(1).u8(1)
                .frame(type: 0x12, id: 7))
    }

    @Test func moveRequests() {
        let open = PeerRequest.moveOpen(shard: ShardID(3), operation: "op-1", session: 99)
        #expect(open.frame(id: 7) == Bytes().u32(3).u64(99).u16(4).text("op-1").frame(type: 0x20, id: 7))
        let fetch = PeerRequest.moveFetch(shard: ShardID(3), session: 99, file: 2, offset: 1 << 40, length: 512)
        #expect(fetch.frame(id: 7) == Bytes().u32(3).u64(99).u32(2).u64(1 << 40).u32(512).frame(type: 0x21, id: 7))
        let pull = PeerRequest.movePull(
            shard: ShardID(3), session: 99, after: Position(5), durable: Position(4), bytesMax: 6, waitMilliseconds: 7)
        #expect(
            pull.frame(id: 7) == Bytes().u32(3).u64(99).u64(5).u64(4).u32(6).u32(7).frame(type: 0x22, id: 7))
        let close = PeerRequest.moveClose(shard: ShardID(3), session: 99)
        #expect(close.frame(id: 7) == Bytes().u32(3).u64(99).frame(type: 0x23, id: 7))
    }

    @Test func answers() {
        let place = Bytes().u32(7).u64(0x0A0B_0C0D).all
        let record = Samples.record.bytes
        func frame(_ answer: Answer) -> [UInt8] { PeerResponse.answer(answer).frame(id: 7) }

        #expect(
            frame(.found(Samples.record, Samples.place))
                == Bytes().u8(1).adding(place).u32(UInt32(record.count)).adding(record).frame(type: 0x40, id: 7))
        #expect(
            frame(.notModified(Samples.plainRecord, Samples.place))
                == Bytes().u8(2).adding(place).u32(19).adding(Samples.plainRecord.bytes).frame(type: 0x40, id: 7))
        #expect(
            frame(
                .written(
                    status: 200, version: Position(9), Samples.place, representation: Samples.record, replayed: true))
                == Bytes().u8(3).u8(0b11).u16(200).u64(9).adding(place).u32(UInt32(record.count)).adding(record)
                .frame(type: 0x40, id: 7))
        #expect(
            frame(.outcome(status: 204, version: Position(9), Samples.place))
                == Bytes().u8(4).u16(204).u64(9).adding(place).frame(type: 0x40, id: 7))
        #expect(
            frame(.refused(Problem(.notFound, "gone"), currentVersion: Position(4), Samples.place))
                == Bytes().u8(6).u8(0b11).u8(2).u16(4).text("gone").u64(4).adding(place).frame(type: 0x40, id: 7))
        let page = ListPage(
            items: [.init(keyBytes: Array("k/i".utf8), record: Samples.plainRecord)],
            next: ListCursor(ringHash: 8, keyBytes: []), shardCount: 64, missing: [ShardID(5)])
        #expect(
            frame(.page(page))
                == Bytes().u8(5).u8(1).u32(64).u32(1).u32(5).u64(8).u16(0).u32(1).u16(3).text("k/i").u32(19)
                .adding(Samples.plainRecord.bytes).frame(type: 0x40, id: 7))
    }

    @Test func otherResponses() {
        #expect(PeerResponse.notOwner(mapRevision: 5).frame(id: 7) == Bytes().u64(5).frame(type: 0x41, id: 7))
        #expect(
            PeerResponse.refused(PeerRefusal(.overloaded, "no")).frame(id: 7)
                == Bytes().u16(3).u16(2).text("no").frame(type: 0x42, id: 7))
        let manifest = MoveManifest(
            epoch: Epoch(4), pauseMilliseconds: 1000, files: [.init(name: "f", byteCount: 16, checksum: 1)])
        #expect(
            PeerResponse.manifest(manifest).frame(id: 7)
                == Bytes().u64(4).u32(1000).u32(1).u64(16).u32(1).u16(1).text("f").frame(type: 0x50, id: 7))
        #expect(
            PeerResponse.chunk(bytes: [1, 2], checksum: 9).frame(id: 7)
                == Bytes().u32(9).u32(2).adding([1, 2]).frame(type: 0x51, id: 7))
        let records = MoveRecords(
            epoch: Epoch(5), first: Position(80), payloads: [[1], []], applied: Position(90),
            phase: .frozen(through: Position(81)), time: Timestamp(milliseconds: 77))
        #expect(
            PeerResponse.records(records).frame(id: 7)
                == Bytes().u64(5).u64(80).u64(90).u8(2).u64(81).u64(77).u32(2).u32(1).u8(1).u32(0)
                .frame(type: 0x52, id: 7))
        #expect(
            PeerResponse.progress([Samples.report(1)]).frame(id: 7)
                == Bytes().u32(1).u32(1).u64(10).u64(20).u64(5).u64(3).u32(2).u64(50).u16(4).text("op-1").u16(8)
                .text("catch-up").frame(type: 0x53, id: 7))
        #expect(PeerResponse.closed.frame(id: 7) == Bytes().frame(type: 0x54, id: 7))
    }

    /// These numbers travel: none may ever change its meaning.
    @Test func problemsKeepTheirNumbers() {
        let names = [
            "bad-request", "bad-key", "not-found", "method-not-allowed", "length-required", "precondition-failed",
            "condition-failed", "entity-too-large", "uri-too-long", "unsupported-media-type", "expectation-failed",
            "not-json", "patch-failed", "idempotency-mismatch", "fields-too-large", "overloaded", "shard-unavailable",
            "shutting-down", "outcome-unknown", "version-not-supported", "storage-full", "refused", "stale-plan",
            "concurrent-change", "metadata-unavailable", "misdirected", "cross-site",
        ]
        for (number, name) in names.enumerated() {
            #expect(ProblemCode(rawValue: UInt8(number)).map { "\($0.name)" } == name)
        }
    }
}
