import Entities
import HashRing
import PeerWire
import Primitives
import Testing

/// A peer that answers something else than it was asked.
@Suite struct ExpectationTests {
    private let key = Samples.key("a/1")
    private var shard: ShardID { Samples.ring.ring.shard(of: key.ringHash) }
    private var here: ShardPosition { ShardPosition(shard: shard, position: Position(9)) }
    private var there: ShardPosition { ShardPosition(shard: ShardID(shard.rawValue ^ 1), position: Position(9)) }

    private func fits(_ request: PeerRequest, _ response: PeerResponse) -> Bool {
        PeerExpectation(request, ring: Samples.ring).objection(to: response) == nil
    }

    private var write: PeerRequest {
        .write(WriteOperation(key: key, action: .delete), deadlineMilliseconds: 1, mapRevision: 1)
    }

    private func read(_ kind: ReadRequest.Kind) -> PeerRequest {
        .read(ReadRequest(key: key, kind: kind, inQueueOrder: false), deadlineMilliseconds: 1, mapRevision: 1)
    }

    @Test func entitiesAreAnsweredByTheirKindAndShard() {
        func written(_ place: ShardPosition) -> PeerResponse {
            .answer(.written(status: 204, version: Position(9), place, representation: nil, replayed: false))
        }
        let found = PeerResponse.answer(.found(Samples.record, here))
        let outcome = PeerResponse.answer(.outcome(status: 204, version: Position(9), here))
        let page = PeerResponse.answer(.page(ListPage(items: [], next: nil, shardCount: 64, missing: [])))
        let refused = PeerResponse.answer(.refused(Problem(.notFound, "gone"), currentVersion: nil, here))
        #expect(fits(write, written(here)) && fits(write, refused) && fits(write, .notOwner(mapRevision: 1)))
        #expect(fits(read(.entity(.none)), found) && fits(read(.outcome(idempotencyKey: [65])), outcome))
        #expect(!fits(write, written(there)))
        #expect(!fits(read(.entity(.none)), .answer(.found(Samples.record, there))))
        let elsewhere = PeerResponse.answer(.refused(Problem(.notFound, "gone"), currentVersion: nil, there))
        #expect(!fits(write, elsewhere))
        for wrong in [found, outcome, page, .closed, .chunk(bytes: [], checksum: 0)] {
            #expect(!fits(write, wrong), "\(wrong)")
        }
        for wrong in [written(here), outcome, page] { #expect(!fits(read(.entity(.none)), wrong), "\(wrong)") }
        for request in Samples.requests { #expect(fits(request, .refused(PeerRefusal(.overloaded, "")))) }
    }

    @Test func pagesHaveWhatWasAskedForAndLeadOn() {
        let keys = (0..<40).map { Samples.key("a/\($0)") }.sorted { $0.ringHash < $1.ringHash }
        let items = keys.map { ListPage.Item(keyBytes: $0.bytes, record: Samples.plainRecord) }
        func asked(
            _ count: Int = 1000, prefix: String = "a/", after: ListCursor? = nil, to last: UInt32 = 63
        ) -> PeerRequest {
            .list(
                ListRequest(keyPrefix: Array(prefix.utf8), itemsMax: count, after: after, withValues: true),
                deadlineMilliseconds: 1, first: ShardID(0), last: ShardID(last))
        }
        func page(
            _ items: some Sequence<ListPage.Item>, next: ListCursor? = nil, missing: [ShardID] = []
        ) -> PeerResponse {
            .answer(.page(ListPage(items: Array(items), next: next, shardCount: 64, missing: missing)))
        }
        let middle = ListCursor(ringHash: keys[19].ringHash, keyBytes: keys[19].bytes)
        #expect(fits(asked(), page(items)))
        #expect(fits(asked(20), page(items.prefix(20), next: middle)))
        #expect(fits(asked(after: middle), page(items.dropFirst(20))))
        #expect(!fits(asked(39), page(items)), "more than was asked for")
        #expect(!fits(asked(prefix: "b/"), page(items)), "of another kind")
        #expect(!fits(asked(after: middle), page(items)), "listed before")
        #expect(!fits(asked(), page(items.dropFirst(20), next: middle)), "it would begin again")
        #expect(!fits(asked(after: middle), page([], next: ListCursor(ringHash: 0, keyBytes: []))))
        let few = items.prefix { Samples.ring.ring.shard(of: XXH64.hash($0.keyBytes, seed: Samples.seed)).rawValue < 4 }
        #expect(fits(asked(to: 3), page(few)) && !fits(asked(to: 3), page(items)), "of other shards")
        #expect(!fits(asked(to: 3), page(few, missing: [ShardID(4)])))
        #expect(!fits(asked(to: 3), page(few, next: ListCursor(ringHash: .max, keyBytes: []))))
    }

    @Test func movesGetWhatTheyAskedFor() {
        let fetch = PeerRequest.moveFetch(shard: ShardID(3), session: 1, file: 0, offset: 0, length: 2)
        #expect(fits(fetch, .chunk(bytes: [1, 2], checksum: 0)) && fits(fetch, .chunk(bytes: [], checksum: 0)))
        #expect(!fits(fetch, .chunk(bytes: [1, 2, 3], checksum: 0)))
        let pull = PeerRequest.movePull(
            shard: ShardID(3), session: 1, after: Position(79), durable: Position(4), bytesMax: 6, waitMilliseconds: 7)
        func records(first: UInt64) -> PeerResponse {
            .records(
                MoveRecords(
                    epoch: Epoch(1), first: Position(first), payloads: [[1]], applied: Position(90), phase: .streaming,
                    time: .zero))
        }
        #expect(fits(pull, records(first: 80)) && !fits(pull, records(first: 81)) && !fits(pull, records(first: 1)))
        let open = PeerRequest.moveOpen(shard: ShardID(3), operation: "op-1", session: 1)
        #expect(!fits(open, .closed) && !fits(pull, .progress([])) && !fits(.shards, .progress([])))
    }
}

/// Numbers, names and words that no message may carry, on a ring of 64 shards.
@Suite struct BoundsTests {
    @Test(
        arguments: [
            (0x10, Bytes().u32(0).u64(0).u8(1).u8(0).u8(0).u8(0).u16(3).text("k/i").u16(4).text("a\r\nb").u32(0)),
            (0x10, Bytes().u32(0).u64(0).u8(1).u8(1).u8(0).u8(0).u16(3).text("k/i").u64(0).u16(0).u32(0)),
            (0x10, Bytes().u32(0).u64(0).u8(1).u8(1).u8(0).u8(0).u16(3).text("k/i").u64(.max).u16(0).u32(0)),
            (0x10, Bytes().u32(0).u64(0).u8(3).u8(0).u8(0).u8(1).u16(3).text("k/i").u8(0x20)),
            (0x11, Bytes().u32(0).u64(0).u8(2).u8(0).u8(0).u16(3).text("k/i")),
            (0x12, Bytes().u32(0).u32(0).u32(64).u8(0).u32(1).u16(0)),
            (0x12, Bytes().u32(0).u32(.max).u32(.max).u8(0).u32(1).u16(0)),
            (0x20, Bytes().u32(64).u64(1).u16(0)),
            (0x20, Bytes().u32(.max).u64(1).u16(0)),
            (0x21, Bytes().u32(64).u64(9).u32(0).u64(0).u32(1)),
            (0x21, Bytes().u32(3).u64(9).u32(0).u64(0).u32(0)),
            (0x21, Bytes().u32(3).u64(9).u32(0).u64(.max).u32(1)),
            (0x21, Bytes().u32(3).u64(9).u32(0).u64(1 << 44).u32(1)),
            (0x21, Bytes().u32(3).u64(9).u32(.max).u64(0).u32(1)),
            (0x22, Bytes().u32(3).u64(9).u64(.max).u64(1).u32(1).u32(1)),
            (0x22, Bytes().u32(3).u64(9).u64(4).u64(5).u32(1).u32(1)),
            (0x23, Bytes().u32(64).u64(9)),
            (0x40, Bytes().u8(1).u32(64).u64(1).u32(19).adding(Samples.plainRecord.bytes)),
            (0x40, Bytes().u8(3).u8(0).u16(500).u64(9).u32(3).u64(9)),
            (0x40, Bytes().u8(3).u8(2).u16(204).u64(9).u32(3).u64(9).u32(19).adding(Samples.plainRecord.bytes)),
            (0x40, Bytes().u8(4).u16(99).u64(9).u32(3).u64(9)),
            (0x40, Bytes().u8(4).u16(204).u64(.max).u32(3).u64(9)),
            (0x40, Bytes().u8(5).u8(0).u32(65).u32(0).u32(0)),
            (0x40, Bytes().u8(5).u8(0).u32(64).u32(1).u32(64).u32(0)),
            (
                0x40,
                Bytes().u8(5).u8(0).u32(64).u32(0).u32(1).u16(3).text("K/i").u32(19)
                    .adding(Samples.plainRecord.bytes)
            ),
            (0x50, Bytes().u64(.max).u32(0).u32(0)),
            (0x50, Bytes().u64(1).u32(0).u32(1).u64(.max).u32(0).u16(1).text("f")),
            (0x52, Bytes().u64(1).u64(1).u64(1).u8(2).u64(.max).u64(0).u32(0)),
            (0x52, Bytes().u64(1).u64(1).u64(1).u8(1).u64(0).u64(.max).u32(0)),
            (0x53, Bytes().u32(1).u32(64).u64(0).u64(0).u64(0).u64(0).u32(0).u64(0).u16(0).u16(4).text("copy")),
            (0x53, Bytes().u32(1).u32(1).u64(0).u64(0).u64(0).u64(0).u32(0).u64(0).u16(0).u16(4).text("sing")),
            (0x55, Bytes().u32(1).u32(64).u64(1).u64(1).u64(1).u16(7).text("serving")),
            (0x55, Bytes().u32(1).u32(1).u64(1).u64(1).u64(1).u16(4).text("well")),
        ] as [(Int, Bytes)])
    func areRefusedWhereTheyAreRead(type: Int, body: Bytes) {
        #expect(throws: PeerWireError.self) { try Decoded.read(body.frame(type: UInt8(type), id: 1)) }
    }

    /// What names a path, hides, or looks like half a file.
    @Test(arguments: ["", ".", "..", "../x", "a/b", "/etc/passwd", ".hidden", "a.part", "a\0", "a b", "é"])
    func onlyFilesOfStoresAreCalledSo(name: String) {
        #expect(!MoveManifest.isFileName(name))
        let manifest = MoveManifest(
            epoch: Epoch(1), pauseMilliseconds: 0, files: [.init(name: name, byteCount: 1, checksum: 0)])
        #expect(throws: PeerWireError.self) { try Decoded.read(PeerResponse.manifest(manifest).frame(id: 1)) }
    }

    @Test(arguments: ["000012.sst", "CURRENT", "MANIFEST-000005", "OPTIONS-000007", "a_b"])
    func theFilesOfRocksDBPass(name: String) { #expect(MoveManifest.isFileName(name)) }

    /// Sums of what nodes report cannot run over.
    @Test func reportedBytesAreCut() throws {
        let body = Bytes().u32(1).u32(1).u64(1).u64(1).u64(.max).u16(7).text("serving")
        guard case .response(.shards(let reports)) = try #require(try Decoded.read(body.frame(type: 0x55, id: 1))).1
        else { throw UnexpectedMessage() }
        #expect(reports[0].byteCount == Limits.peerReportBytesMax && reports[0].state == .serving)
    }
}
