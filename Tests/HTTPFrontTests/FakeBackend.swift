import Entities
import NIOCore
import Primitives
import Serving

/// Entities in memory behind the port of the front. Answers at once, or keeps its answers until a test lets them go.
// SAFETY: tests drive it on the one thread of their embedded loop.
final class FakeBackend: EntityBackend, @unchecked Sendable {
    let ringSeed: UInt64 = 7
    var limits = EntityLimits()
    var requestsMayOvertake = false

    /// Keeps answers until ``release(_:)``.
    var isHolding = false
    /// Refuses writes with this before their bodies have come.
    var overload: Problem?
    /// Refuses everything with this.
    var refusal: Problem?
    var page = ListPage(items: [], next: nil, shardCount: 64, missing: [])

    private(set) var reads: [ReadRequest] = []
    private(set) var writes: [WriteOperation] = []
    private(set) var lists: [ListRequest] = []
    /// Callers that left before their lists were answered.
    private(set) var departures = 0
    private(set) var records: [[UInt8]: StoredRecord] = [:]
    private var position = Position(100)
    private var held: [() -> Void] = []

    static let shard = ShardID(3)
    static let updatedAt = Timestamp(milliseconds: 784_111_777_123)

    var heldCount: Int { held.count }

    /// Lets the held answers at these places go, in this order, and flushes once.
    func release(_ places: [Int], to sink: any ReplySink) {
        for place in places { held[place]() }
        held = held.indices.filter { !places.contains($0) }.map { held[$0] }
        sink.flushAnswers()
    }

    func store(_ key: String, _ state: String, contentType: String = "") {
        position = position.next
        records[Array(key.utf8)] = record(Array(state.utf8), Array(contentType.utf8))
    }

    private func record(_ state: [UInt8], _ contentType: [UInt8]) -> StoredRecord {
        StoredRecord(
            version: position, updatedAt: Self.updatedAt, expiresAt: nil, contentType: contentType, state: state)
    }

    // MARK: EntityBackend

    func expectedAnswerBytes(of key: EntityKey) -> Int? { nil }

    func currentPosition(of key: EntityKey) -> ShardPosition? { here }

    func overload(of key: EntityKey) -> Problem? { overload }

    func read(_ request: ReadRequest, replyTo target: ReplyTarget) {
        reads.append(request)
        answer(target) { self.answer(to: request) }
    }

    func write(_ operation: WriteOperation, replyTo target: ReplyTarget) {
        writes.append(operation)
        answer(target) { self.apply(operation) }
    }

    func list(_ request: ListRequest, renderer: any PageRenderer, replyTo target: ReplyTarget) {
        lists.append(request)
        answer(target) { .page(self.page) }
    }

    func runOffLoop(_ work: @escaping @Sendable () -> Void) { work() }

    func callerLeft(_ sink: any ReplySink) { departures += 1 }

    private var here: ShardPosition { ShardPosition(shard: Self.shard, position: position) }

    private func answer(_ target: ReplyTarget, _ make: @escaping () -> Answer) {
        let deliver = {
            let answer = self.refusal.map { .refused($0, currentVersion: nil, self.here) } ?? make()
            target.sink.deliver(answer, slot: target.slot)
        }
        if isHolding { held.append(deliver) } else { deliver() }
    }

    private func answer(to request: ReadRequest) -> Answer {
        switch request.kind {
        case .entity(let preconditions):
            guard let record = records[request.key.bytes] else {
                return .refused(Problem(.notFound, "no such entity"), currentVersion: nil, here)
            }
            if preconditions.ifNoneMatch == .any { return .notModified(record, here) }
            return .found(record, here)
        case .outcome(let idempotencyKey):
            let isRecorded = writes.contains { $0.key == request.key && $0.idempotencyKey == idempotencyKey }
            guard isRecorded else {
                return .refused(Problem(.notFound, "no such write"), currentVersion: nil, here)
            }
            return .outcome(status: 204, version: position, here)
        }
    }

    private func apply(_ operation: WriteOperation) -> Answer {
        let current = records[operation.key.bytes]
        if operation.preconditions.ifNoneMatch == .any, let current {
            return .refused(Problem(.preconditionFailed, "it exists"), currentVersion: current.version, here)
        }
        let isReplay = writes.dropLast().contains {
            operation.idempotencyKey != nil && $0.key == operation.key && $0.idempotencyKey == operation.idempotencyKey
        }
        if isReplay {
            return .written(status: 204, version: position, here, representation: nil, replayed: true)
        }
        if case .delete = operation.action, current == nil {
            return .refused(Problem(.notFound, "no such entity"), currentVersion: nil, here)
        }
        position = position.next
        switch operation.action {
        case .put(let state, let contentType, _):
            records[operation.key.bytes] = record(state, contentType)
        case .patch(_, let document):
            records[operation.key.bytes] = record(document, Array("application/json".utf8))
        case .delete:
            records[operation.key.bytes] = nil
        }
        let representation = operation.wantsRepresentation ? records[operation.key.bytes] : nil
        return .written(
            status: representation == nil ? 204 : 200, version: position, here, representation: representation,
            replayed: false)
    }
}
