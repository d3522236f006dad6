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
/// time. The map may be behind: a move takes no reading that is older than one it has seen, and each of its changes to
/// the record compares.
final class ShardKeeper: Sendable {
    private struct Moves {
        var inbound: [ShardID: InboundMove] = [:]
        var outbound: [ShardID: OutboundMove] = [:]
        /// Shards that were handed over and are being put away.
        var retiring: Set<ShardID> = []
        var isEmptyingTrash = false
        var isWakeUpSet = false
        /// Shards whose records contradict what this node serves, as it has told its operator.
        var contradicted: Set<ShardID> = []
        /// Requests of targets that wait for this node to know of their moves.
        var opensWaiting = 0
        /// Shards that wait for space or descriptors, as this node has told its operator.
        var withoutRoom: Set<ShardID> = []
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
    private static let openRetryDelay = TimeAmount.milliseconds(5)
    private static let openAttemptsMax = 100

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
            tools.gate.observe()
            for shard in map.shardIDs { await settle(shard, map.shards[Int(shard.rawValue)], map) }
            emptyTrash()
        }
    }

    /// One at a time: the map changes faster than a large shard is deleted.
    private func emptyTrash() {
        let isUnderWay = moves.withLockedValue { moves in
            defer { moves.isEmptyingTrash = true }
            return moves.isEmptyingTrash
        }
        guard !isUnderWay else { return }
        tools.pool.submit { [self] in
            try? tools.folders.emptyTrash(removalTime: tools.time.removalTime())
            moves.withLockedValue { $0.isEmptyingTrash = false }
        }
    }

    private func wakeUp(after nanoseconds: UInt64) {
        let isSet = moves.withLockedValue { moves in
            defer { moves.isWakeUpSet = true }
            return moves.isWakeUpSet
        }
        guard !isSet else { return }
        Task {
            try? await Task.sleep(nanoseconds: nanoseconds)
            moves.withLockedValue { $0.isWakeUpSet = false }
            pulse.beat()
        }
    }

    /// After ``run()`` has ended: waits for the disk work of moves.
    func close() async throws { try await tools.pool.shutdown() }

    var counters: MoveCounters { tools.counters }

    /// Moves in which this node takes part, for metrics.
    var moveCounts: (inbound: Int, outbound: Int) { moves.withLockedValue { ($0.inbound.count, $0.outbound.count) } }

    // MARK: One shard

    private func settle(_ shard: ShardID, _ record: ShardRecord, _ map: ClusterMap) async {
        let (inbound, outbound, isRetiring) = moves.withLockedValue {
            ($0.inbound[shard], $0.outbound[shard], $0.retiring.contains(shard))
        }
        if inbound != nil || outbound != nil, let entry = map.shard(shard) {
            inbound?.recordRead(entry)
            outbound.map { follow($0, entry) }
        }
        if let inbound { inbound.throttle(bytesPerSecond: map.rate(of: inbound.move)) }
        guard let move = record.move else { return }
        let isOurs = record.primary == view.node
        if move.to == view.node, !isOurs {
            // What it gave away before is put away first.
            guard inbound == nil, outbound == nil, !isRetiring else { return }
            guard case .elsewhere = tools.table[shard] else { return contradict(shard, record) }
            await receive(shard, map)
        } else if move.from == view.node, outbound == nil, !isRetiring {
            if isOurs { await give(shard) } else if move.stage == .retire { await finishRetire(shard, map) }
        }
    }

    /// The record sends a shard here that is here already: the watch is late, or the metadata store was put back to an
    /// older state. Receiving it would throw away what was acknowledged since.
    private func contradict(_ shard: ShardID, _ record: ShardRecord) {
        guard case .served(let host) = tools.table[shard], host.epoch > record.epoch else { return }
        let isNews = moves.withLockedValue { $0.contradicted.insert(shard).inserted }
        guard isNews else { return }
        logger.error(
            "the metadata store is behind this node: it was put back to an older state. The shard is kept as it is",
            metadata: ["shard": "\(shard)", "epoch": "\(host.epoch)", "epoch in the metadata": "\(record.epoch)"])
    }

    private func ledger(_ shard: ShardID) -> MoveLedger {
        MoveLedger(metadata: metadata, shard: shard, node: view.node)
    }

    /// The record as it stands now, where it moves the shard from or to this node, whose shard it is or is not so far.
    /// The map would not do: it may still show a move that has come to its end here.
    private func readBefore(_ shard: ShardID, isOurs: Bool) async -> (entry: ShardEntry, move: ShardMove)? {
        guard let entry = try? await ledger(shard).read(), let move = entry.record.move,
            (isOurs ? move.from : move.to) == view.node, (entry.record.primary == view.node) == isOurs
        else { return nil }
        return (entry, move)
    }

    private func receive(_ shard: ShardID, _ map: ClusterMap) async {
        // Asked before the reading, which would else be made at every change of the map.
        guard tools.gate.pause == 0 else { return wakeUp(after: tools.gate.pause) }
        guard hasRoom(for: shard) else { return wakeUp(after: Self.periodNanoseconds) }
        guard let (entry, move) = await readBefore(shard, isOurs: false) else { return }
        let pause = tools.gate.enter()
        guard pause == 0 else { return wakeUp(after: pause) }
        guard tools.descriptors.takeStore() else { return wakeUp(after: Self.periodNanoseconds) }
        let session = moves.withLockedValue { $0.lastSession[shard] } ?? .before(bootCount: bootCount)
        let inbound = InboundMove(
            entry, move: move, after: session, bytesPerSecond: map.rate(of: move), tools: tools,
            ledger: ledger(shard), view: view, peers: peers, logger: logger
        ) { last in
            self.moves.withLockedValue {
                $0.inbound[shard] = nil
                $0.lastSession[shard] = last
            }
            if case .served = self.tools.table[shard] {} else { self.tools.descriptors.giveStoreBack() }
            self.pulse.beat()
        }
        moves.withLockedValue { $0.inbound[shard] = inbound }
        inbound.begin()
    }

    /// A copy onto a disk that is full, or of a store that there are no descriptors for, is not begun.
    private func hasRoom(for shard: ShardID) -> Bool {
        let hasDescriptors = tools.descriptors.hasRoomForStore
        guard tools.space.isFull || !hasDescriptors else {
            moves.withLockedValue { _ = $0.withoutRoom.remove(shard) }
            return true
        }
        if moves.withLockedValue({ $0.withoutRoom.insert(shard).inserted }) {
            let reason =
                hasDescriptors
                ? "the disk is full" : "the limit of file descriptors leaves no room (ulimit -n, LimitNOFILE=)"
            logger.warning("a shard cannot move here now", metadata: ["shard": "\(shard)", "reason": "\(reason)"])
        }
        return false
    }

    /// A shard that cannot be served has nothing to copy; its target asks again from time to time.
    private func give(_ shard: ShardID) async {
        guard case .served = tools.table[shard] else { return }
        guard let (entry, move) = await readBefore(shard, isOurs: true) else { return }
        let outbound = OutboundMove(
            entry, move: move, tools: tools, ledger: ledger(shard), view: view, logger: logger
        ) { host, epoch in
            self.retire(shard, host, epoch)
        }
        moves.withLockedValue { $0.outbound[shard] = outbound }
        outbound.begin()
    }

    private func follow(_ outbound: OutboundMove, _ entry: ShardEntry) {
        guard entry.revision >= outbound.readAt else { return }
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
        tools.log.release(shard)
        tools.pool.submit { [self] in
            tools.flushes.remove(shard)
            host.store.close()
            tools.descriptors.giveStoreBack()
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

    private func finishRetire(_ shard: ShardID, _ map: ClusterMap) async {
        _ = try? await ledger(shard).take(MoveStep.finishRetire, knowing: map.shard(shard))
    }

    // MARK: Requests of other nodes

    /// On any thread.
    func handle(_ request: PeerRequest, from node: NodeID, reply: PeerReply) {
        switch request {
        case .moveOpen(let shard, let operation, let session):
            open(shard, operation, MoveSession(session), from: node, reply, attempt: 0)
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
        case .shards:
            // The stores are asked for their sizes, and may be busy.
            tools.pool.submit { reply.send(.shards(self.shardReports())) }
        case .write, .read, .list: preconditionFailure("requests about entities do not come here")
        }
    }

    /// The target may know of its move before this node does: its request waits a moment for the map, and then for
    /// this node's pace.
    private func open(
        _ shard: ShardID, _ operation: String, _ session: MoveSession, from node: NodeID, _ reply: PeerReply,
        attempt: Int
    ) {
        if case .unavailable(_, let reason) = tools.table[shard] {
            return reply.send(.refused(PeerRefusal(.failed, "shard \(shard) is unavailable here: \(reason)")))
        }
        var delay = Self.openRetryDelay
        if let outbound = outbound(shard, to: node), outbound.move.operation == OperationID(operation) {
            let pause = tools.gate.enter()
            guard pause > 0 else { return outbound.open(session, reply: reply) }
            delay = .nanoseconds(Int64(pause))
        }
        guard attempt < Self.openAttemptsMax, mayWait() else { return refuse(reply) }
        reply.eventLoop.scheduleTask(in: delay) {
            self.moves.withLockedValue { $0.opensWaiting -= 1 }
            self.open(shard, operation, session, from: node, reply, attempt: attempt + 1)
        }
    }

    /// Counts one more request that waits, as far as there is room: whoever asks for moves that nobody has begun is not
    /// to keep this node busy.
    private func mayWait() -> Bool {
        moves.withLockedValue { moves in
            guard moves.opensWaiting < Limits.peerOpensWaitingMax else { return false }
            moves.opensWaiting += 1
            return true
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
                shard: move.shard, operation: move.move.operation.description, stage: MoveReport.Stage(stage),
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
                return ShardReport(shard: shard, epoch: epoch, position: .zero, byteCount: 0, state: .unavailable)
            case .served(let host):
                let tableBytes = (try? host.store.statistics().tableBytes) ?? 0
                return ShardReport(
                    shard: shard, epoch: host.epoch, position: host.appliedPosition,
                    byteCount: UInt64(tableBytes + host.store.unflushedBytes), state: host.state)
            }
        }
    }
}

extension MoveReport.Stage {
    init(_ stage: ShardMove.Stage) {
        self =
            switch stage {
            case .learner: .learner
            case .copy: .copy
            case .catchUp: .catchUp
            case .handover: .handover
            case .retire: .retire
            }
    }
}

extension ClusterMap {
    /// What a move may copy in a second: its share of what its operation may, which the moves that still copy have in
    /// common; 0 for no limit.
    func rate(of move: ShardMove) -> UInt64 {
        let rate = operation(move.operation)?.bytesPerSecond ?? throttle.bytesPerSecond
        guard rate > 0 else { return 0 }
        let sharers = shards.count { $0.move?.operation == move.operation && $0.move?.isBeforeHandover == true }
        return max(1, rate / UInt64(max(1, sharers)))
    }
}
