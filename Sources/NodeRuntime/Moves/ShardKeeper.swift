import ClusterCore
import ClusterMetadata
import HashRing
import LogFiles
import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import PeerTransport
import PeerWire
import Primitives
import RocksStore
import ShardCore

/// Brings this node's shards to what the cluster's map says: begins, follows and ends its parts of moves.
///
/// Level-triggered: it compares what the map says with what is under way, whenever the map changes and from time to
/// time, and never acts on the map alone: what a move acts on is the shard's record, read anew.
final class ShardKeeper: Sendable {
    private struct Moves {
        var inbound: [ShardID: InboundMove] = [:]
        var outbound: [ShardID: OutboundMove] = [:]
        /// Shards that were handed over and are being put away.
        var retiring: Set<ShardID> = []
        /// Sessions are numbered upwards, so that the network cannot bring an old one back.
        var lastSession: [ShardID: MoveSession] = [:]
    }

    private let metadata: any MetadataStore
    private let view: ClusterView
    private let peers: PeerClient
    private let tools: MoveTools
    private let bootCount: UInt64
    private let logger: Logger
    private let pulse = Pulse()
    private let moves = NIOLockedValueBox(Moves())

    private static let periodNanoseconds: UInt64 = 1_000_000_000

    init(
        metadata: any MetadataStore, view: ClusterView, peers: PeerClient, tools: MoveTools, bootCount: UInt64,
        logger: Logger
    ) {
        self.metadata = metadata
        self.view = view
        self.peers = peers
        self.tools = tools
        self.bootCount = bootCount
        self.logger = logger
    }

    /// Until the task is cancelled.
    func run() async {
        view.observe { [pulse] _ in pulse.beat() }
        await pulse.drive(every: Self.periodNanoseconds) {
            let map = view.map
            for shard in map.shardIDs { await settle(shard, map.shards[Int(shard.rawValue)], map) }
            try? await tools.readPool.runIfActive { [tools] in try tools.folders.emptyTrash(now: tools.time.now()) }
        }
    }

    var counters: MoveCounters { tools.counters }

    /// Moves in which this node takes part, for metrics.
    var moveCounts: (inbound: Int, outbound: Int) { moves.withLockedValue { ($0.inbound.count, $0.outbound.count) } }

    // MARK: One shard

    private func settle(_ shard: ShardID, _ record: ShardRecord, _ map: ClusterMap) async {
        let (inbound, outbound, isRetiring) = moves.withLockedValue {
            ($0.inbound[shard], $0.outbound[shard], $0.retiring.contains(shard))
        }
        let node = view.node
        guard inbound != nil || outbound != nil || record.move?.from == node || record.move?.to == node else { return }
        guard let entry = try? await ledger(shard).read() else { return }
        if let inbound { inbound.recordRead(entry) }
        if let outbound { follow(outbound, entry) }
        guard let move = entry.record.move else { return }
        if move.to == node, entry.record.primary != node, inbound == nil {
            receive(shard, move, bytesPerSecond: map.rate(of: move))
        } else if move.from == node, entry.record.primary == node, outbound == nil {
            give(shard, move)
        } else if move.from == node, move.stage == .retire, outbound == nil, !isRetiring {
            await finishRetire(shard)
        }
        if let inbound { inbound.throttle(bytesPerSecond: map.rate(of: inbound.move)) }
    }

    private func ledger(_ shard: ShardID) -> MoveLedger {
        MoveLedger(metadata: metadata, shard: shard, node: view.node)
    }

    private func receive(_ shard: ShardID, _ move: ShardMove, bytesPerSecond: UInt64) {
        let session = moves.withLockedValue { $0.lastSession[shard] } ?? .before(bootCount: bootCount)
        let inbound = InboundMove(
            shard: shard, move: move, after: session, bytesPerSecond: bytesPerSecond, tools: tools,
            ledger: ledger(shard), view: view, peers: peers, logger: logger
        ) { last in
            self.moves.withLockedValue {
                $0.inbound[shard] = nil
                $0.lastSession[shard] = last
            }
            self.pulse.beat()
        }
        moves.withLockedValue { $0.inbound[shard] = inbound }
        inbound.begin()
    }

    private func give(_ shard: ShardID, _ move: ShardMove) {
        let outbound = OutboundMove(
            shard: shard, move: move, tools: tools, ledger: ledger(shard), logger: logger
        ) { host, epoch in
            self.retire(shard, host, epoch)
        }
        moves.withLockedValue { $0.outbound[shard] = outbound }
        outbound.begin()
    }

    private func follow(_ outbound: OutboundMove, _ entry: ShardEntry) {
        outbound.recordRead(entry)
        let isOver = entry.record.primary == view.node && entry.record.move?.isSameMove(as: outbound.move) != true
        guard isOver else { return }
        outbound.end()
        moves.withLockedValue { $0.outbound[entry.shard] = nil }
        pulse.beat()
    }

    // MARK: Retiring

    /// The shard is another node's: its store is closed and put away. On the shard's loop.
    private func retire(_ shard: ShardID, _ host: ShardHost, _ epoch: Epoch) {
        moves.withLockedValue { _ = $0.retiring.insert(shard) }
        view.refresh()
        tools.log.release(shard)
        tools.readPool.submit { [self] _ in
            tools.flushes.remove(shard)
            host.store.close()
            do {
                try tools.folders.throwAway(shard, epoch: epoch, now: tools.time.now())
            } catch {
                logger.error(
                    "a shard that has moved away could not be put into the trash",
                    metadata: ["shard": "\(shard)", "reason": "\(error)"])
            }
            moves.withLockedValue {
                $0.retiring.remove(shard)
                $0.outbound[shard] = nil
            }
            pulse.beat()
        }
    }

    private func finishRetire(_ shard: ShardID) async {
        _ = try? await ledger(shard).take(MoveStep.finishRetire)
        view.refresh()
    }

    // MARK: Requests of other nodes

    /// On any thread.
    func handle(_ request: PeerRequest, from node: NodeID, reply: PeerReply) {
        switch request {
        case .moveOpen(let shard, let operation, let session):
            guard let outbound = outbound(shard, to: node), outbound.move.operation.description == operation else {
                return refuse(reply)
            }
            outbound.open(MoveSession(session), reply: reply)
        case .moveFetch(let shard, let session, let file, let offset, let length):
            guard let outbound = outbound(shard, to: node) else { return refuse(reply) }
            outbound.fetch(MoveSession(session), file: Int(file), offset: offset, length: Int(length), reply: reply)
        case .movePull(let shard, let session, let after, let durable, let bytesMax, let wait):
            guard let outbound = outbound(shard, to: node) else { return refuse(reply) }
            outbound.pull(
                MoveSession(session), after: after, durable: durable, bytesMax: Int(bytesMax),
                waitMilliseconds: UInt64(wait), reply: reply)
        case .moveClose: reply.send(.closed)
        case .moveProgress: reply.send(.progress(progress()))
        case .shards: reply.send(.shards(shardReports()))
        case .write, .read, .list: preconditionFailure("requests about entities do not come here")
        }
    }

    private func outbound(_ shard: ShardID, to node: NodeID) -> OutboundMove? {
        let outbound = moves.withLockedValue { $0.outbound[shard] }
        return outbound?.move.to == node ? outbound : nil
    }

    /// The move is not known here (yet): the target asks again.
    private func refuse(_ reply: PeerReply) {
        view.refresh()
        reply.send(.refused(PeerRefusal(.unknownSession, "this node gives no such shard away now")))
    }

    // MARK: What is told of it

    /// How the moves to this node are getting on.
    func progress() -> [MoveReport] {
        let inbound = moves.withLockedValue { Array($0.inbound.values) }
        let map = view.map
        return inbound.compactMap { move in
            guard let progress = move.progress.withLockedValue({ $0 }) else { return nil }
            let stage = map.shard(move.shard)?.record.move?.stage ?? .learner
            return MoveReport(
                shard: move.shard, operation: move.move.operation.description, stage: stage.rawValue,
                bytesDone: progress.bytesDone, bytesTotal: progress.bytesTotal,
                bytesPerSecond: progress.bytesPerSecond, lag: progress.lagPositions,
                rounds: UInt32(clamping: progress.rounds),
                neededBytesPerSecond: progress.isNotConverging ? progress.neededBytesPerSecond : 0)
        }.sorted { $0.shard < $1.shard }
    }

    func shardReports() -> [ShardReport] {
        tools.table.ring.shards.compactMap { shard in
            switch tools.table[shard] {
            case .elsewhere: return nil
            case .unavailable(let epoch, _):
                return ShardReport(shard: shard, epoch: epoch, position: .zero, byteCount: 0, state: "unavailable")
            case .served(let host):
                let tableBytes = (try? host.store.statistics().tableBytes) ?? 0
                return ShardReport(
                    shard: shard, epoch: host.epoch, position: host.appliedPosition,
                    byteCount: UInt64(tableBytes + host.store.unflushedBytes), state: host.stateText)
            }
        }
    }
}

extension ClusterMap {
    /// What a move may copy in a second, by its operation; 0 for no limit.
    func rate(of move: ShardMove) -> UInt64 {
        operation(move.operation)?.bytesPerSecond ?? throttle.bytesPerSecond
    }
}
