internal import Entities
internal import HashRing
internal import Primitives

/// What a request may be answered with: kept with it while it is open, and compared with what comes. An answer to
/// another question, or about another shard, is none: who waits hears that the answer is lost.
public struct PeerExpectation: Sendable {
    private enum Question: Sendable {
        case write(ShardID)
        case entity(ShardID)
        case outcome(ShardID)
        indirect case list(ListRequest, ClosedRange<UInt32>)
        case moveOpen
        case moveFetch(bytes: UInt32)
        case movePull(after: Position)
        case moveClose
        case moveProgress
        case shards
    }

    private let question: Question
    private let ring: WireRing

    public init(_ request: PeerRequest, ring: WireRing) {
        self.ring = ring
        question =
            switch request {
            case .write(let operation, _, _): .write(ring.ring.shard(of: operation.key.ringHash))
            case .read(let read, _, _):
                switch read.kind {
                case .entity: .entity(ring.ring.shard(of: read.key.ringHash))
                case .outcome: .outcome(ring.ring.shard(of: read.key.ringHash))
                }
            case .list(let list, _, let first, let last): .list(list, first.rawValue...last.rawValue)
            case .moveOpen: .moveOpen
            case .moveFetch(_, _, _, _, let length): .moveFetch(bytes: length)
            case .movePull(_, _, let after, _, _, _): .movePull(after: after)
            case .moveClose: .moveClose
            case .moveProgress: .moveProgress
            case .shards: .shards
            }
    }

    /// What is wrong with `response` as the answer; `nil` where it may be it.
    public func objection(to response: PeerResponse) -> StaticString? {
        switch (question, response) {
        case (_, .refused), (.moveOpen, .manifest), (.moveClose, .closed), (.moveProgress, .progress),
            (.shards, .shards), (.write, .notOwner), (.entity, .notOwner), (.outcome, .notOwner), (.list, .notOwner):
            nil
        case (.write(let shard), .answer(.written(_, _, let place, _, _))),
            (.entity(let shard), .answer(.found(_, let place))),
            (.entity(let shard), .answer(.notModified(_, let place))),
            (.outcome(let shard), .answer(.outcome(_, _, let place))):
            place.shard == shard ? nil : Self.otherShard
        case (.write(let shard), .answer(.refused(_, _, let place))),
            (.entity(let shard), .answer(.refused(_, _, let place))),
            (.outcome(let shard), .answer(.refused(_, _, let place))):
            place.map { $0.shard == shard } ?? true ? nil : Self.otherShard
        case (.list, .answer(.refused)): nil
        case (.list(let request, let shards), .answer(.page(let page))): objection(to: page, request, shards)
        case (.moveFetch(let length), .chunk(let bytes, _)):
            bytes.count <= Int(length) ? nil : "more bytes than were asked for"
        case (.movePull(let after), .records(let records)):
            records.payloads.isEmpty || records.first == after.next ? nil : "records of another place"
        default: "an answer to another question"
        }
    }

    private static let otherShard: StaticString = "an answer about another shard"

    /// A page has what was asked for and leads on, so that nothing is listed twice and every list ends.
    private func objection(
        to page: ListPage, _ request: ListRequest, _ shards: ClosedRange<UInt32>
    ) -> StaticString? {
        guard page.items.count <= request.itemsMax else { return "more items than were asked for" }
        guard page.missing.allSatisfy({ shards.contains($0.rawValue) }) else { return Self.otherShard }
        var last = request.after
        for item in page.items {
            guard item.keyBytes.starts(with: request.keyPrefix) else { return "an item that was not asked for" }
            let place = ListCursor(ringHash: XXH64.hash(item.keyBytes, seed: ring.seed), keyBytes: item.keyBytes)
            guard shards.contains(ring.ring.shard(of: place.ringHash).rawValue) else { return Self.otherShard }
            guard last.map({ $0.isBefore(place) }) ?? true else { return "an item from before the page" }
            last = place
        }
        guard let next = page.next else { return nil }
        guard shards.contains(ring.ring.shard(of: next.ringHash).rawValue) else { return "a page that leads elsewhere" }
        return last.map { $0 == next || $0.isBefore(next) } ?? true ? nil : "a page that leads back"
    }
}

extension ListCursor {
    /// Ring order; a cursor without a key stands before all keys of its hash.
    fileprivate func isBefore(_ other: ListCursor) -> Bool {
        ringHash == other.ringHash
            ? keyBytes.lexicographicallyPrecedes(other.keyBytes) : ringHash < other.ringHash
    }
}
