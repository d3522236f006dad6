import Entities
import HashRing
import PeerWire
import Primitives

@testable import ShardCore

/// The body of any frame of a peer, request or answer, and what a node does with it: nothing traps, what is accepted is
/// within its bounds and is written as it was read, and the machines behind it go on.
///
/// Input: the type of the frame, then its body. The checksum is left to the frame's own tests.
#if KEYSTEAD_FUZZ
    @_cdecl("LLVMFuzzerTestOneInput")
#endif
public func fuzzPeerMessages(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    guard count > 0 else { return 0 }
    let type = PeerFrameType(rawValue: start[0])
    let body = UnsafeRawBufferPointer(start: start + 1, count: count - 1)
    if type.isRequest, let request = try? PeerRequest(type: type, body: body, ring: peerRing) {
        let frame = request.frame(id: 1)
        let again = frame.withUnsafeBytes {
            try? PeerRequest(type: type, body: UnsafeRawBufferPointer(rebasing: $0[20...]), ring: peerRing)
        }
        precondition(again?.frame(id: 1) == frame, "a request is written as it was read")
        handle(request)
    } else if type.isResponse, let response = try? PeerResponse(type: type, body: body, ring: peerRing) {
        let frame = response.frame(id: 1)
        let again = frame.withUnsafeBytes {
            try? PeerResponse(type: type, body: UnsafeRawBufferPointer(rebasing: $0[20...]), ring: peerRing)
        }
        precondition(again?.frame(id: 1) == frame, "an answer is written as it was read")
        handle(response)
    } else if type.isControl, let control = try? PeerControl(type: type, body: body) {
        precondition(control.frameBytes <= Limits.peerHelloBytesMax, "the first frame is small")
        if case .hello(let hello) = control { _ = hello.objection(to: hello) }
    }
    return 0
}

private let peerRing = WireRing(seed: 0x5EED, shardCount: 64)
private let now = MonotonicTime(nanoseconds: 1 << 40)

// MARK: Requests

private func handle(_ request: PeerRequest) {
    _ = PeerExpectation(request, ring: peerRing).objection(to: .closed)
    switch request {
    case .write(let operation, _, _): evaluate(operation)
    case .read(let read, _, _):
        precondition((try? read.check()) != nil)
        guard case .entity(let preconditions) = read.kind else { return }
        _ = preconditions.evaluateRead(current: stored, now: Timestamp(milliseconds: 5))
    case .list(let list, _, let first, let last):
        precondition(first <= last && Int(last.rawValue) < peerRing.shardCount)
        precondition((try? list.check()) != nil)
    case .moveOpen(let shard, _, let session):
        precondition(Int(shard.rawValue) < peerRing.shardCount)
        var source = source()
        source.open(MoveSession(session), ticket: 9, now: now)
        finish(&source)
    case .moveFetch(_, let session, let file, let offset, let length):
        let source = source()
        _ = source.file(Int(file), of: MoveSession(session))
        _ = source.file(Int(file), of: MoveSession(7))
        precondition(Int64(exactly: offset) != nil && Int64(offset) + Int64(length) > 0)
    case .movePull(_, let session, let after, let durable, let bytesMax, let wait):
        for id in [MoveSession(session), MoveSession(7)] {
            var source = source()
            source.pull(
                id, after: after, durable: durable, bytesMax: Int(bytesMax), waitMilliseconds: UInt64(wait), ticket: 9,
                now: now)
            finish(&source)
        }
    case .moveClose(let shard, _): precondition(Int(shard.rawValue) < peerRing.shardCount)
    case .moveProgress, .shards: break
    }
}

private let stored = StoredRecord(
    version: Position(3), updatedAt: Timestamp(milliseconds: 1), expiresAt: nil, contentType: [UInt8](),
    state: Array(#"{"a":[1,2],"b":"c"}"#.utf8))

private func evaluate(_ operation: WriteOperation) {
    let limits = EntityLimits()
    precondition((try? operation.check(EntityLimits(entityBytesMax: Limits.entityBytesCeiling))) != nil)
    for current in [nil, stored] {
        let position = Position(Limits.counterMax)
        guard
            case .effect(let record, let status) = operation.evaluate(
                current: current, position: position, now: Timestamp(milliseconds: .max), limits: limits)
        else { continue }
        precondition(status == 200 || status == 204)
        let row = operation.idempotencyKey.map { _ in
            IdempotencyRow(
                status: status, version: position, expiresAt: .zero, fingerprint: .init(of: operation.action))
        }
        let effect = EntityEffect(
            key: operation.key, record: record, idempotencyKey: operation.idempotencyKey, idempotencyRow: row)
        precondition(EntityEffect(decoding: effect.encoded) != nil, "an effect reads back")
    }
}

/// A source whose target has session 7, a checkpoint of two files, and five updates to come for.
private func source() -> MoveSource {
    var source = MoveSource(shard: ShardID(3), epoch: Epoch(5), applied: Position(80))
    source.stageRead(.catchUp, revision: 4, now: now)
    source.open(MoveSession(7), ticket: 1, now: now)
    source.checkpointMade(
        MoveSession(7),
        files: [MoveFile(name: "000012.sst", byteCount: 9, crc: 1), MoveFile(name: "CURRENT", byteCount: 16, crc: 2)],
        now: now)
    for position in UInt64(81)...85 {
        source.committed(
            CommitGroup(shard: ShardID(3), epoch: Epoch(5), through: Position(position), effects: [effect(position)]))
    }
    while source.nextEffect() != nil {}
    return source
}

private func finish(_ source: inout MoveSource) {
    while source.nextEffect() != nil {}
    if let deadline = source.deadline { source.tick(now: max(deadline, now)) }
    source.stageRead(.handover, revision: 5, now: now)
    if source.isFrozen { source.drained(through: source.applied, now: now) }
    source.cancelled(now: now)
    while source.nextEffect() != nil {}
}

private func effect(_ position: UInt64) -> EntityEffect {
    guard let key = try? EntityKey(plain: Array("k/\(position)".utf8)[...], seed: peerRing.seed) else {
        preconditionFailure("k/N is a key")
    }
    let record = StoredRecord(
        version: Position(position), updatedAt: .zero, expiresAt: nil, contentType: [UInt8](), state: [1])
    return EntityEffect(key: key, record: record, idempotencyKey: nil, idempotencyRow: nil)
}

// MARK: Answers

private func handle(_ response: PeerResponse) {
    for request in questions { _ = PeerExpectation(request, ring: peerRing).objection(to: response) }
    switch response {
    case .manifest(let manifest): copy(manifest)
    case .records(let records): follow(records)
    case .progress(let reports):
        precondition(reports.allSatisfy { $0.bytesTotal <= Limits.peerReportBytesMax })
    case .shards(let reports):
        _ = reports.reduce(UInt64(0)) { $0 + $1.byteCount }
        precondition(reports.allSatisfy { Int($0.shard.rawValue) < peerRing.shardCount })
    case .answer(.page(let page)):
        precondition(page.shardCount == peerRing.shardCount && page.items.count <= Limits.listItemsMax)
        for item in page.items {
            precondition(String(validating: item.keyBytes, as: UTF8.self) != nil)
            precondition(OperationChecks.isFieldText(item.record.effectiveContentType))
        }
    case .answer, .notOwner, .refused, .chunk, .closed: break
    }
}

/// One of each.
private let questions: [PeerRequest] = {
    guard let key = try? EntityKey(plain: Array("a/1".utf8)[...], seed: peerRing.seed) else {
        preconditionFailure("a/1 is a key")
    }
    let list = ListRequest(
        keyPrefix: Array("a/".utf8), itemsMax: 10, after: ListCursor(ringHash: 1 << 60, keyBytes: []), withValues: true)
    return [
        .write(WriteOperation(key: key, action: .delete), deadlineMilliseconds: 1, mapRevision: 1),
        .read(
            ReadRequest(key: key, kind: .entity(.none), inQueueOrder: false), deadlineMilliseconds: 1, mapRevision: 1),
        .read(
            ReadRequest(key: key, kind: .outcome(idempotencyKey: [65]), inQueueOrder: false), deadlineMilliseconds: 1,
            mapRevision: 1),
        .list(list, deadlineMilliseconds: 1, first: ShardID(4), last: ShardID(63)),
        .moveOpen(shard: ShardID(3), operation: "op-1", session: 7),
        .moveFetch(shard: ShardID(3), session: 7, file: 0, offset: 0, length: 100),
        .movePull(
            shard: ShardID(3), session: 7, after: Position(79), durable: Position(70), bytesMax: 100,
            waitMilliseconds: 10),
        .moveClose(shard: ShardID(3), session: 7), .moveProgress, .shards,
    ]
}()

/// A target that has asked for the checkpoint: it gets the manifest, and pieces of the files as long as it asks.
private func copy(_ manifest: MoveManifest) {
    var target = opening()
    guard let request = nextOpen(&target) else { preconditionFailure("a target opens") }
    let files = manifest.files.map { MoveFile(name: $0.name, byteCount: $0.byteCount, crc: $0.checksum) }
    target.opened(request, .manifest(epoch: manifest.epoch, files: files), now: now)
    for _ in 0..<50 {
        guard let effect = target.nextEffect(now: now) else { break }
        switch effect {
        case .examineFiles: target.examined(local: Array(files.prefix(1)), now: now)
        case .requestChunk(let request, _, _, _, let length):
            if length <= 1 << 16 {
                let bytes = [UInt8](repeating: 1, count: length)
                target.fetched(request, bytes: bytes, crc: CRC32C.checksum(bytes), now: now)
            } else {
                target.requestFailed(request, now: now)
            }
        case .writeChunk(let request, _, _, _): target.chunkWritten(request, now: now)
        case .finishFile(let file): target.fileFinished(file.name, isSound: file.crc & 1 == 0, now: now)
        case .installStore: target.installed(applied: Position(79), now: now)
        default: break
        }
        _ = target.progress
    }
    _ = target.deadline
}

/// A target that follows from position 79 on gets records.
private func follow(_ records: MoveRecords) {
    var target = opening()
    guard let open = nextOpen(&target) else { preconditionFailure("a target opens") }
    target.opened(open, .manifest(epoch: records.epoch, files: []), now: now)
    let phase: MovePullAnswer.Phase =
        switch records.phase {
        case .streaming: .streaming
        case .frozen(let through): .frozen(through: through)
        case .handedOver(let epoch): .handedOver(epoch)
        case .restart: .restart
        }
    let answer = MovePullAnswer(
        epoch: records.epoch, first: records.first, payloads: records.payloads, applied: records.applied, phase: phase)
    for _ in 0..<50 {
        guard let effect = target.nextEffect(now: now) else { break }
        switch effect {
        case .examineFiles: target.examined(local: [], now: now)
        case .installStore: target.installed(applied: Position(79), now: now)
        case .requestPull(let request, _, _, _, _, _): target.pulled(request, answer, now: now)
        case .append(let group):
            target.appendAccepted()
            target.logDurable(upTo: Position(group.first.rawValue + UInt64(group.payloads.count) - 1))
        case .apply(let group): target.applied(upTo: group.through)
        case .readOwner: target.ownerRead(Epoch(records.epoch.rawValue + 1), now: now)
        default: break
        }
        _ = target.progress
    }
    target.cancelled(now: now)
    while target.nextEffect(now: now) != nil {}
}

private func opening() -> MoveTarget {
    var target = MoveTarget(shard: ShardID(3), after: .before(bootCount: 1), bytesPerSecond: 0)
    _ = target.nextEffect(now: now)
    target.stageEntered(.copy, now: now)
    _ = target.nextEffect(now: now)
    target.storeDiscarded(now: now)
    return target
}

private func nextOpen(_ target: inout MoveTarget) -> UInt64? {
    while let effect = target.nextEffect(now: now) {
        if case .requestOpen(let request, _) = effect { return request }
    }
    return nil
}
