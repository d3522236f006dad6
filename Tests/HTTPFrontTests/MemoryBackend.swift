import Entities
import NIOConcurrencyHelpers
import NIOCore
import Primitives
import Serving

/// Entities in memory behind a lock, for listeners with several loops. Puts and gets only.
final class MemoryBackend: EntityBackend {
    private struct Contents {
        var records: [[UInt8]: StoredRecord] = [:]
        var position = Position(0)
    }

    let ringSeed: UInt64 = 7
    let limits = EntityLimits()
    let requestsMayOvertake = false
    private let contents = NIOLockedValueBox(Contents())

    func expectedAnswerBytes(of key: EntityKey) -> Int? { nil }

    func currentPosition(of key: EntityKey) -> ShardPosition? { nil }

    func overload(of key: EntityKey) -> Problem? { nil }

    func read(_ request: ReadRequest, replyTo target: ReplyTarget) {
        let answer: Answer = contents.withLockedValue { contents in
            let here = ShardPosition(shard: ShardID(0), position: contents.position)
            guard let record = contents.records[request.key.bytes] else {
                return .refused(Problem(.notFound, "no such entity"), currentVersion: nil, here)
            }
            return .found(record, here)
        }
        target.sink.deliver(answer, slot: target.slot)
    }

    func write(_ operation: WriteOperation, replyTo target: ReplyTarget) {
        let answer: Answer = contents.withLockedValue { contents in
            contents.position = contents.position.next
            let here = ShardPosition(shard: ShardID(0), position: contents.position)
            if case .put(let state, let contentType, _) = operation.action {
                contents.records[operation.key.bytes] = StoredRecord(
                    version: contents.position, updatedAt: FakeBackend.updatedAt, expiresAt: nil,
                    contentType: contentType, state: state)
            }
            return .written(
                status: 204, version: contents.position, here, representation: nil, replayed: false)
        }
        target.sink.deliver(answer, slot: target.slot)
    }

    func list(_ request: ListRequest, renderer: any PageRenderer, replyTo target: ReplyTarget) {
        let page = ListPage(items: [], next: nil, shardCount: 1, missing: [])
        target.sink.deliver(.page(page), slot: target.slot)
    }

    func runOffLoop(_ work: @escaping @Sendable () -> Void) { work() }

    func callerLeft(_ sink: any ReplySink) {}
}
