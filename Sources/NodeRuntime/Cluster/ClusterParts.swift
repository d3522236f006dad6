import ClusterCore
import ClusterMetadata
import HashRing
import LogFiles
import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import PeerTransport
import Primitives
import RocksStore
import ShardCore

/// The node's part in its cluster: what it knows of the others, how it reaches them, and what it does with shards that
/// come and go.
final class ClusterParts: Sendable {
    let metadata: any MetadataStore
    let view: ClusterView
    let peers: PeerClient
    let identity: PeerIdentity
    let forwarder: Forwarder
    let keeper: ShardKeeper
    let session: SessionKeeper
    private let watcher: MapWatcher
    private let time: NodeTime
    private let tasks = NIOLockedValueBox<[Task<Void, Never>]>([])

    init(
        _ configuration: NodeConfiguration, _ membership: Membership, _ metadata: any MetadataStore,
        movers: MoveTools, group: MultiThreadedEventLoopGroup, logger: Logger
    ) throws {
        self.metadata = metadata
        time = movers.time
        identity = PeerIdentity(membership)
        view = ClusterView(node: membership.node.id, map: membership.map)
        peers = PeerClient(
            group: group, identity: identity, options: try PeerOptions(configuration, movers.memory))
        forwarder = Forwarder(view: view, peers: peers, loops: movers.loops.map(\.eventLoop))
        watcher = MapWatcher(metadata: metadata, view: view, logger: logger)
        session = SessionKeeper(
            metadata: metadata, view: view, bootCount: membership.node.bootCount, time: movers.time, logger: logger)
        keeper = ShardKeeper(
            metadata: metadata, view: view, peers: peers, tools: movers,
            bootCount: membership.node.bootCount, logger: logger)
    }

    /// The time that operations are dated with.
    func now() -> Timestamp { time.now() }

    /// Starts what runs by itself.
    func begin(_ addresses: NodeAddresses) {
        let running = [
            Task { [watcher] in await watcher.run() }, Task { [keeper] in await keeper.run() },
            Task { [session] in await session.run(addresses) },
        ]
        tasks.withLockedValue { $0 = running }
    }

    /// Ends it: the session is given back, moves under way stay as the metadata store has them.
    func close() async {
        let running = tasks.withLockedValue { $0 }
        for task in running { task.cancel() }
        for task in running { await task.value }
        await peers.close()
        try? await keeper.close()
    }
}

/// The node's own parts that moves work on.
struct MoveTools: Sendable {
    let folders: ShardFolders
    let table: ShardTable
    let loops: [ShardLoop]
    let log: NodeLog
    let flushes: FlushCoordinator
    let resources: StoreResources
    let expiry: ExpiryClock
    let time: NodeTime
    let gate: MoveGate
    let space: SpaceGuard
    let descriptors: Descriptors
    let memory: NodeMemory
    let pool = MovePool()
    let counters = MoveCounters()

    var moveSettings: MoveSource.Settings {
        var settings = MoveSource.Settings()
        settings.teeBytesMax = memory.teeBytesMax
        return settings
    }

    func loop(of shard: ShardID) -> ShardLoop { loops[Int(shard.rawValue) % loops.count] }
}
