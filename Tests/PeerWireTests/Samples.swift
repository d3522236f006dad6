import Entities
import HashRing
import PeerWire
import Primitives

/// Bytes put together field by field, little-endian, without the code under test.
struct Bytes {
    private(set) var all: [UInt8] = []

    func u8(_ value: UInt8) -> Bytes { adding([value]) }
    func u16(_ value: UInt16) -> Bytes { adding(Self.little(UInt64(value), 2)) }
    func u32(_ value: UInt32) -> Bytes { adding(Self.little(UInt64(value), 4)) }
    func u64(_ value: UInt64) -> Bytes { adding(Self.little(value, 8)) }
    func text(_ text: String) -> Bytes { adding(Array(text.utf8)) }
    func adding(_ bytes: [UInt8]) -> Bytes {
        var copy = self
        copy.all += bytes
        return copy
    }

    private static func little(_ value: UInt64, _ count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * $0)) }
    }

    /// As the body of a whole frame.
    func frame(type: UInt8, id: UInt64) -> [UInt8] {
        let rest = Bytes().u32(UInt32(all.count)).u64(id).u8(type).adding([0, 0, 0]).adding(all)
        return Bytes().u32(CRC32C.checksum(rest.all)).adding(rest.all).all
    }
}

enum Samples {
    static let seed: UInt64 = 0x5EED
    static let ring = WireRing(seed: seed, shardCount: 64)

    static func key(_ text: String) -> EntityKey {
        do {
            return try EntityKey(plain: Array(text.utf8)[...], seed: seed)
        } catch {
            preconditionFailure("\(text) is a key")
        }
    }

    static func node(_ text: String) -> NodeID {
        guard let node = NodeID(text) else { preconditionFailure("\(text) is the name of a node") }
        return node
    }

    static let hello = PeerHello(
        node: node("n1"), clusterHigh: 0x0102_0304_0506_0708, clusterLow: 0x1112_1314_1516_1718,
        storeHigh: 0x2122_2324_2526_2728, storeLow: 0x3132_3334_3536_3738, bootCount: 9)

    static let place = ShardPosition(shard: ShardID(7), position: Position(0x0A0B_0C0D))
    static let record = StoredRecord(
        version: Position(0x1234), updatedAt: Timestamp(milliseconds: 1_700_000_000_000),
        expiresAt: Timestamp(milliseconds: 1_800_000_000_000), contentType: Array("text/plain".utf8),
        state: Array("hello".utf8))
    static let plainRecord = StoredRecord(
        version: Position(1), updatedAt: .zero, expiresAt: nil, contentType: [UInt8](), state: [UInt8]())

    static let both = Preconditions(ifMatch: .versions([3, .max]), ifNoneMatch: .any)
    static let unmodified = Preconditions(ifNoneMatch: .any, ifUnmodifiedSince: 784_111_777)

    static let requests: [PeerRequest] = {
        let put = WriteOperation.Action.put(state: [1, 2, 3], contentType: Array("a/b".utf8), ttlSeconds: 60)
        var actions: [WriteOperation.Action] = [
            put, .put(state: [], contentType: [], ttlSeconds: nil),
            .put(state: [UInt8](repeating: 0xAB, count: 5000), contentType: [], ttlSeconds: Limits.ttlSecondsMax),
            .delete,
        ]
        for kind in PatchKind.allCases { actions.append(.patch(kind, document: Array("{}".utf8))) }
        var all: [PeerRequest] = []
        let conditions: [Preconditions] = [
            .none, both, Preconditions(ifMatch: .any), Preconditions(ifNoneMatch: .versions([])), unmodified,
        ]
        for (index, action) in actions.enumerated() {
            let operation = WriteOperation(
                key: key("orders/é/\(index)"), action: action, preconditions: conditions[index % conditions.count],
                idempotencyKey: index.isMultiple(of: 2) ? nil : Array("key-\(index)".utf8),
                wantsRepresentation: index.isMultiple(of: 3))
            all.append(.write(operation, deadlineMilliseconds: UInt32(index), mapRevision: .max))
        }
        for preconditions in conditions + [Preconditions(ifModifiedSince: 0, ifUnmodifiedSince: .max)] {
            let read = ReadRequest(key: key("a/b"), kind: .entity(preconditions), inQueueOrder: preconditions.isEmpty)
            all.append(.read(read, deadlineMilliseconds: .max, mapRevision: 5))
        }
        let outcome = ReadRequest(key: key("a/b"), kind: .outcome(idempotencyKey: [0x41]), inQueueOrder: false)
        all.append(.read(outcome, deadlineMilliseconds: 0, mapRevision: 0))
        let cursor = ListCursor(ringHash: .max - 1, keyBytes: Array("a/zz".utf8))
        for after in [nil, cursor, ListCursor(ringHash: 4, keyBytes: [])] {
            let list = ListRequest(
                keyPrefix: Array("a/".utf8), itemsMax: after == nil ? 1 : Limits.listItemsMax, after: after,
                withValues: after != nil)
            all.append(.list(list, deadlineMilliseconds: 77, first: ShardID(2), last: ShardID(63)))
        }
        all += [
            .moveOpen(shard: ShardID(3), operation: "op-12", session: 99),
            .moveFetch(shard: ShardID(3), session: 99, file: 2, offset: 1 << 40, length: 1 << 20),
            .movePull(
                shard: ShardID(3), session: 99, after: Position(5), durable: Position(4), bytesMax: 1 << 20,
                waitMilliseconds: 500),
            .moveClose(shard: ShardID(3), session: 99), .moveProgress,
        ]
        return all
    }()

    static let responses: [PeerResponse] = {
        var all: [PeerResponse] = [
            .answer(.found(record, place)), .answer(.found(plainRecord, place)), .answer(.notModified(record, place)),
            .answer(.written(status: 204, version: Position(9), place, representation: nil, replayed: true)),
            .answer(.written(status: 200, version: Position(9), place, representation: record, replayed: false)),
            .answer(.outcome(status: 204, version: Position(Limits.counterMax), place)),
            .answer(.refused(Problem(.overloaded, ""), currentVersion: nil, nil)),
            .answer(.refused(Problem(.preconditionFailed, "é"), currentVersion: Position(4), place)),
        ]
        for code in ProblemCode.allCases {
            all.append(.answer(.refused(Problem(code, "\(code.name)"), currentVersion: nil, place)))
        }
        let items = (0..<20).map { key("a/\($0)") }.sorted { $0.ringHash < $1.ringHash }.map {
            ListPage.Item(keyBytes: $0.bytes, record: $0.bytes.last == 3 ? record : plainRecord)
        }
        let cursor = ListCursor(ringHash: 12, keyBytes: Array("a/19".utf8))
        let missing = [ShardID(1), ShardID(63)]
        all += [
            .answer(.page(ListPage(items: items, next: cursor, shardCount: 64, missing: missing))),
            .answer(.page(ListPage(items: [], next: nil, shardCount: 64, missing: []))),
            .notOwner(mapRevision: 0xFFEE), .refused(PeerRefusal(.shuttingDown, "going")),
            .refused(PeerRefusal(.init(rawValue: 999), "")),
            .manifest(MoveManifest(epoch: Epoch(4), pauseMilliseconds: 0, files: [])),
            .manifest(
                MoveManifest(
                    epoch: Epoch(4), pauseMilliseconds: 1000,
                    files: [
                        .init(name: "000012.sst", byteCount: 1 << 33, checksum: 0xDEAD_BEEF),
                        .init(name: "CURRENT", byteCount: 16, checksum: 1),
                    ])),
            .chunk(bytes: Array(0...255), checksum: 0x0102_0304), .chunk(bytes: [], checksum: 0),
            .progress([]), .progress([report(1), report(2)]), .closed,
        ]
        let phases: [MoveRecords.Phase] = [
            .streaming, .frozen(through: Position(88)), .handedOver(Epoch(6)), .restart,
        ]
        for (index, phase) in phases.enumerated() {
            let payloads = (0..<index).map { [UInt8](repeating: UInt8($0), count: $0 * 10) }
            all.append(
                .records(
                    MoveRecords(
                        epoch: Epoch(5), first: Position(80), payloads: payloads, applied: Position(90), phase: phase,
                        time: Timestamp(milliseconds: 1_700_000_000_000))))
        }
        return all
    }()

    static func report(_ shard: UInt32) -> MoveReport {
        MoveReport(
            shard: ShardID(shard), operation: "op-1", stage: .catchUp, bytesDone: 10, bytesTotal: 20,
            bytesPerSecond: 5, lag: 3, rounds: 2, neededBytesPerSecond: 50)
    }

    static let controls: [PeerControl] = [.hello(hello), .refuse("no, é"), .ping, .pong, .bye]

    /// Every kind of frame in its bytes.
    static let frames: [[UInt8]] =
        controls.map { $0.frame(id: 0) } + requests.map { $0.frame(id: 1) } + responses.map { $0.frame(id: 2) }
}

/// A frame that was read.
enum Decoded {
    case control(PeerControl?)
    case request(PeerRequest)
    case response(PeerResponse)

    /// As a reader of a connection does it.
    static func read(_ bytes: [UInt8], max: Int = Limits.peerFrameBytesMax) throws -> (
        header: PeerFrameHeader, Decoded
    )? {
        try bytes.withUnsafeBytes { buffer in
            guard let header = try PeerFrameHeader(buffer, frameBytesMax: max), buffer.count >= header.frameBytes else {
                return nil
            }
            let body = try header.body(in: buffer)
            return (header, try read(header.type, body))
        }
    }

    static func read(_ type: PeerFrameType, _ body: UnsafeRawBufferPointer) throws -> Decoded {
        if type.isControl { return .control(try PeerControl(type: type, body: body)) }
        if type.isRequest { return .request(try PeerRequest(type: type, body: body, ring: Samples.ring)) }
        return .response(try PeerResponse(type: type, body: body, ring: Samples.ring))
    }

    func frame(id: UInt64) -> [UInt8]? {
        switch self {
        case .control(let control): control?.frame(id: id)
        case .request(let request): request.frame(id: id)
        case .response(let response): response.frame(id: id)
        }
    }
}
