import ClusterCore
import Entities
import HashRing
import NIOCore
import PeerTransport
import PeerWire
import Primitives
import Serving

/// Makes one page of a list over the whole ring: shards in ring order, each run of neighbours that one node owns asked
/// of that node in one request.
///
/// A shard that changes hands on the way is asked again of its new owner. What cannot answer is named as missing, and
/// the page goes on behind it.
struct ListFanOut: Sendable {
    let scans: ScanPool
    let table: ShardTable
    let view: ClusterView
    let peers: PeerClient
    /// Answers of peers come in here.
    let loop: any EventLoop

    /// Between two looks at who owns a run of shards, while it changes hands.
    private static let retryNanoseconds: UInt64 = 10_000_000

    /// Neighbouring shards with one owner.
    private struct Run {
        enum Owner: Equatable {
            case here
            case peer(PeerAddress)
            /// Nobody who could be asked.
            case nobody
        }

        let shards: ClosedRange<UInt32>
        let owner: Owner
    }

    /// - Parameters:
    ///   - renderer: makes the page's text.
    ///   - life: where it ends, the answer is a refusal, and soon.
    ///   - deadline: what has not answered by then is missing.
    func page(
        _ request: ListRequest, _ renderer: any PageRenderer, of life: ListLife, until deadline: NIODeadline
    ) async -> Result<ListPage, ListFailure> {
        var patience = Patience(until: deadline)
        var items: [ListPage.Item] = []
        var bytes = 0
        var missing = Set(knownMissing())
        var cursor = request.after
        while let run = run(at: cursor) {
            let part = ListRequest(
                keyPrefix: request.keyPrefix, itemsMax: request.itemsMax - items.count, after: cursor,
                withValues: request.withValues)
            let page: ListPage
            switch await ask(run, part, of: life, &patience) {
            case .success(let answered): page = answered
            case .failure(let failure): return .failure(failure)
            }
            items += page.items
            // A node that was out of reach and answers has all of its shards within reach again.
            if case .peer = run.owner { missing.subtract(run.shards.map { ShardID($0) }) }
            missing.formUnion(page.missing)
            bytes += page.items.reduce(0) { $0 + $1.byteCount }
            if let next = page.next {
                cursor = next
                break
            }
            cursor = self.cursor(behind: run.shards.upperBound)
            if cursor == nil || items.count >= request.itemsMax || bytes >= scans.pageBytesMax { break }
        }
        let page = ListPage(items: items, next: cursor, shardCount: table.ring.shardCount, missing: missing.sorted())
        return .success(await scans.withText(page, by: renderer))
    }

    /// How long the other nodes are waited for.
    private struct Patience {
        private(set) var deadline: NIODeadline
        /// Who has not answered once is not waited for again in this page.
        private(set) var silent: Set<NodeID> = []
        private let began = NIODeadline.now()

        init(until deadline: NIODeadline) { self.deadline = deadline }

        /// Where one node hangs others may, and they would be waited for one after the other.
        mutating func isSilent(_ node: NodeID) {
            silent.insert(node)
            deadline = min(deadline, began + .milliseconds(Int64(Limits.listSilenceMilliseconds)))
        }
    }

    /// Shards that are known not to answer, wherever the page is; one that it comes to and that answers is none.
    private func knownMissing() -> [ShardID] {
        let map = view.map
        return table.ring.shards.filter { shard in
            switch table[shard] {
            case .served(let host): host.hasFailed
            case .unavailable: true
            case .elsewhere:
                view.peer(of: shard).map { peers.isUnreachable($0.node) || !map.isAlive($0.node) } ?? true
            }
        }
    }

    /// The run at a place of the ring; the first one for `nil`.
    private func run(at cursor: ListCursor?) -> Run? {
        let first = cursor.map { table.shard(of: $0.ringHash).rawValue } ?? 0
        let owner = owner(of: ShardID(first))
        var last = first
        let end = UInt32(table.ring.shardCount) - 1
        while last < end, self.owner(of: ShardID(last + 1)) == owner { last += 1 }
        return Run(shards: first...last, owner: owner)
    }

    private func owner(of shard: ShardID) -> Run.Owner {
        switch table[shard] {
        case .served, .unavailable: .here
        case .elsewhere: view.peer(of: shard).map { .peer($0) } ?? .nobody
        }
    }

    /// The first place behind a shard; `nil` at the end of the ring.
    private func cursor(behind shard: UInt32) -> ListCursor? {
        let last = table.ring.arc(of: ShardID(shard)).upperBound
        return last < .max ? ListCursor(ringHash: last + 1, keyBytes: []) : nil
    }

    /// Asks until somebody answers for the run or the time is over; then its shards are missing.
    ///
    private func ask(
        _ run: Run, _ request: ListRequest, of life: ListLife, _ patience: inout Patience
    ) async -> Result<ListPage, ListFailure> {
        var run = run
        let absent = ListPage(
            items: [], next: nil, shardCount: table.ring.shardCount, missing: run.shards.map { ShardID($0) })
        while true {
            if let refusal = life.refusal { return .failure(.refused(refusal)) }
            switch run.owner {
            case .here:
                let scan = RangeScan(request, over: run.shards, keepsStates: request.withValues)
                switch await scans.run(scan, of: life) {
                case .page(let page): return .success(page)
                case .refused(let refusal): return .failure(.refused(refusal))
                case .notHere: break
                }
            case .peer(let peer) where patience.silent.contains(peer.node): return .success(absent)
            case .peer(let peer):
                switch await ask(peer, run.shards, request, until: patience.deadline) {
                case .answered(let page): return .success(page)
                case .unreachable:
                    patience.isSilent(peer.node)
                    return .success(absent)
                case .notOwner: view.refresh()
                case .busy: return .failure(.peerIsBusy(peer.node))
                }
            case .nobody: return .success(absent)
            }
            guard NIODeadline.now() < patience.deadline else { return .success(absent) }
            try? await Task.sleep(nanoseconds: Self.retryNanoseconds)
            // The run may have fallen apart: only what still has one owner is asked for, and the rest by the caller's
            // cursor. So a shorter run must not claim the shards behind it.
            let owners = run.shards.map { owner(of: ShardID($0)) }
            let count = owners.prefix { $0 == owners[0] }.count
            if count < owners.count {
                return await partial(run, count, owners[0], request, of: life, &patience)
            }
            run = Run(shards: run.shards, owner: owners[0])
        }
    }

    /// The first `count` shards of a run that has fallen apart; the page ends behind them.
    private func partial(
        _ run: Run, _ count: Int, _ owner: Run.Owner, _ request: ListRequest, of life: ListLife,
        _ patience: inout Patience
    ) async -> Result<ListPage, ListFailure> {
        let first = run.shards.lowerBound
        let shorter = Run(shards: first...(first + UInt32(count) - 1), owner: owner)
        return await ask(shorter, request, of: life, &patience).map { answered in
            var page = answered
            page.next = page.next ?? cursor(behind: shorter.shards.upperBound)
            return page
        }
    }

    private enum PeerPart {
        case answered(ListPage)
        case notOwner
        /// It takes no more requests for the moment.
        case busy
        case unreachable
    }

    private func ask(
        _ peer: PeerAddress, _ shards: ClosedRange<UInt32>, _ request: ListRequest, until deadline: NIODeadline
    ) async -> PeerPart {
        let outcome = await peers.send(
            .list(
                request, deadlineMilliseconds: deadline.millisecondsFromNow, first: ShardID(shards.lowerBound),
                last: ShardID(shards.upperBound)), to: peer, lane: .requests, deadline: deadline, on: loop)
        switch outcome {
        case .response(.answer(.page(let page))): return .answered(page)
        case .response(.notOwner): return .notOwner
        case .response(.refused(let refusal)) where refusal.code == .overloaded: return .busy
        case .overloaded: return .busy
        case .response, .notSent, .lost, .timedOut: return .unreachable
        }
    }
}

/// Why there is no page.
enum ListFailure: Error {
    case refused(ListDesk.Refusal)
    case peerIsBusy(NodeID)

    /// What the caller is told; `nil` where nobody is there.
    var problem: Problem? {
        switch self {
        case .refused(let refusal): Problem(refusal)
        case .peerIsBusy(let node):
            Problem(.overloaded, "node \(node) has all the lists that it can hold; try again shortly")
        }
    }
}

extension NIODeadline {
    /// Zero where it has passed.
    var millisecondsFromNow: UInt32 {
        let left = (self - .now()).nanoseconds / 1_000_000
        return UInt32(clamping: max(0, left))
    }
}
