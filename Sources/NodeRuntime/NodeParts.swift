import ClusterCore
import ClusterMetadata
import Entities
import HTTPFront
import HashRing
import LogCore
import LogFiles
import LogFormat
import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import PeerTransport
import Primitives
import RocksStore
import ShardCore

/// Everything a node is made of below its listeners, opened in the order that recovery needs and closed in the reverse.
final class NodeParts: Sendable {
    let membership: Membership
    let cluster: ClusterParts
    let table: ShardTable
    let backend: NodeBackend
    let log: NodeLog
    let flushes: FlushCoordinator
    let space: SpaceGuard
    private let scrubber: Scrubber
    let resources: StoreResources
    let loops: [ShardLoop]
    let time: NodeTime
    let lists: NodeLists
    private let readPool: NIOThreadPool
    private let configuration: NodeConfiguration
    private let expiry: ExpiryClock
    /// Holds the lock for as long as the node's parts live.
    private let directory: DataDirectory
    private let group: MultiThreadedEventLoopGroup
    private let timers = NIOLockedValueBox<[RepeatedTask]>([])
    private let logger: Logger

    /// Threads that wait for the disk on behalf of reads.
    private static let readThreads = 4
    /// How long a stop waits for what the shards still have in flight.
    private static let idleLimit = TimeAmount.seconds(8)

    /// Comes into the cluster and opens the data. On return the stores hold everything that the log has, and nothing is
    /// served yet.
    ///
    /// - Parameter metadata: the cluster's store; `nil` opens the embedded one in the node's directory.
    static func open(
        _ configuration: NodeConfiguration, metadata: (any MetadataStore)?, group: MultiThreadedEventLoopGroup,
        logger: Logger
    ) async throws -> NodeParts {
        do {
            let pool = NIOThreadPool.singleton
            let directory = try await pool.runIfActive { try DataDirectory(path: configuration.dataDirectory) }
            let isAlone = metadata == nil
            let metadata = try metadata ?? EmbeddedMetadata(path: directory.metadataPath, create: true)
            let entry = ClusterEntry(
                directory: directory, metadata: metadata, configuration: configuration, logger: logger
            ) { shardCount in
                try StoreOpener.makeEmpty(shardCount, in: directory, configuration, logger)
            }
            let membership = try await entry.enter()
            return try await pool.runIfActive {
                try NodeParts(
                    configuration, membership, metadata, isAlone: isAlone, directory: directory, group: group,
                    logger: logger)
            }
        } catch let error as NodeStartError {
            throw error
        } catch {
            // What the parts themselves throw here is a refusal: of the directory, the metadata or the log.
            throw NodeStartError("\(error)", isRefusal: true)
        }
    }

    private init(
        _ configuration: NodeConfiguration, _ membership: Membership, _ metadata: any MetadataStore, isAlone: Bool,
        directory: DataDirectory, group: MultiThreadedEventLoopGroup, logger: Logger
    ) throws {
        self.configuration = configuration
        self.membership = membership
        self.directory = directory
        self.group = group
        self.logger = logger
        let ring = Ring(shardCount: membership.config.shardCount)
        resources = StoreResources(configuration, shardCount: ring.shardCount)
        expiry = ExpiryClock()
        let folders = ShardFolders(directory)
        try folders.tidy(after: membership, now: NodeTime(floor: .zero).now())
        let opened = try StoreOpener(
            directory: directory.shardsPath, resources: resources, expiry: expiry, create: false, logger: logger
        ).open(membership.shards, of: ring)
        try directory.clearClean()

        let router = DurableRouter()
        let recovery = try Self.openLog(configuration, directory.logPath, membership, opened, group, router, logger)
        log = recovery.log
        time = NodeTime(floor: recovery.clockFloor)
        expiry.advance(to: time.now())
        table = ShardTable(ring: ring, seats: recovery.seats)

        readPool = NIOThreadPool(numberOfThreads: Self.readThreads)
        readPool.start()
        let failure: @Sendable (ShardID, String) -> Void = { shard, reason in
            ProcessEnd.storeFailed(shard, reason)
        }
        let flushes = FlushCoordinator(
            table: table, resources: resources, log: log, storeFailed: failure)
        self.flushes = flushes
        flushes.flushReplayed(through: recovery.lastLSN)
        space = SpaceGuard(path: configuration.dataDirectory, logger: logger) { flushes.unflushedBytes }
        loops = Self.makeLoops(group, time, log, readPool, space, flushes, ring, configuration, failure)
        router.loops.withLockedValue { [loops] in $0 = loops }
        lists = NodeLists(lister: Lister(table: table, time: time), loop: loops[0].eventLoop)
        let calls = CallCount()
        let movers = MoveTools(
            folders: folders, table: table, loops: loops, log: log, flushes: flushes, resources: resources,
            expiry: expiry, time: time, gate: MoveGate(calls: calls))
        scrubber = Scrubber(table: table, pool: movers.pool, logger: logger)
        cluster = try ClusterParts(
            configuration, membership, metadata, movers: movers, group: group, logger: logger)
        backend = NodeBackend(
            ringSeed: membership.ringSeed, limits: configuration.entityLimits, hasPeers: !isAlone, table: table,
            loops: loops, time: time, calls: calls, readPool: readPool, lists: lists, forwarder: cluster.forwarder,
            logger: logger)
        for loop in loops {
            let own = table.hosts.filter { Int($0.shard.rawValue) % loops.count == loop.index }
            loop.start(hosts: own, peers: loops, elsewhere: cluster.forwarder)
        }
    }

    private static func makeLoops(
        _ group: MultiThreadedEventLoopGroup, _ time: NodeTime, _ log: NodeLog, _ pool: NIOThreadPool,
        _ space: SpaceGuard, _ flushes: FlushCoordinator, _ ring: Ring, _ configuration: NodeConfiguration,
        _ failure: @escaping @Sendable (ShardID, String) -> Void
    ) -> [ShardLoop] {
        let settings = ShardMachine.Settings(
            limits: configuration.entityLimits,
            idempotencyRetentionSeconds: configuration.idempotencyRetentionSeconds)
        return Array(group.makeIterator()).enumerated().map { index, eventLoop in
            ShardLoop(
                index: index, eventLoop: eventLoop, shardCount: ring.shardCount, time: time, log: log,
                fetchPool: pool, space: space, flushes: flushes, settings: settings, failure: failure)
        }
    }

    // MARK: Recovery

    private struct Recovery {
        let log: NodeLog
        let seats: [ShardTable.Seat]
        let clockFloor: Timestamp
        let lastLSN: LSN
    }

    /// Opens the log, brings the stores up to it, and takes the shards out of service whose records are not complete.
    private static func openLog(
        _ configuration: NodeConfiguration, _ path: String, _ membership: Membership, _ opened: OpenedStores,
        _ group: MultiThreadedEventLoopGroup, _ router: DurableRouter, _ logger: Logger
    ) throws -> Recovery {
        let replayer = Replayer(seats: opened.seats, clockFloor: opened.clockFloor)
        var options = LogOptions()
        options.unsafeSyncDisabledForBenchmark = configuration.unsafeNoSync
        let (log, report) = try NodeLog.open(
            directory: path, identity: membership.logIdentity, applied: opened.applied,
            lanes: Array(group.makeIterator()).count, options: options,
            replay: { try replayer.replay($0) },
            onDurable: { lane, marks in router.route(lane, marks) })
        try replayer.finish()
        var seats = opened.seats
        for shard in report.quarantined {
            guard case .served(let host) = seats[Int(shard.shard.rawValue)] else { continue }
            let reason = shard.sentence
            host.store.close()
            seats[Int(shard.shard.rawValue)] = .unavailable(epoch: host.epoch, reason: reason)
            logger.error("a shard is quarantined", metadata: ["shard": "\(shard.shard)", "reason": "\(reason)"])
        }
        logger.info(
            "recovered",
            metadata: [
                "clean": "\(report.wasClean)", "records-replayed": "\(report.recordsReplayed)",
                "bytes-cut": "\(report.tornTail?.bytesCut ?? 0)", "last-lsn": "\(report.lastLSN)",
            ])
        let clockFloor = max(replayer.clockFloor, report.highestTime)
        return Recovery(log: log, seats: seats, clockFloor: clockFloor, lastLSN: report.lastLSN)
    }

    // MARK: Life

    /// Starts what runs by itself. Call once, when the listeners are up.
    ///
    /// - Parameter addresses: where the node is reached; the cluster is told where that has changed.
    func begin(_ addresses: NodeAddresses) {
        let loop = group.next()
        let expiryTimer = loop.scheduleRepeatedTask(initialDelay: .zero, delay: .seconds(1)) { [expiry, time] _ in
            expiry.advance(to: time.now())
        }
        let all = flushes.start(on: loop) + [space.start(on: loop), scrubber.start(on: loop), expiryTimer]
        timers.withLockedValue { $0 = all }
        cluster.begin(addresses)
    }

    func view(listen: HostPort, admin: HostPort) -> NodeView {
        NodeView(
            membership: membership, cluster: cluster, listen: listen, admin: admin, table: table, loops: loops,
            log: log, flushes: flushes, space: space, resources: resources, lists: lists)
    }

    /// After the listeners have closed: waits for what is in flight, makes everything durable in the stores, and marks
    /// the directory clean.
    func close() async throws {
        scrubber.stop()
        await cluster.close()
        for timer in timers.withLockedValue({ $0 }) { timer.cancel() }
        let deadline = NIODeadline.now() + Self.idleLimit
        for loop in loops { try await loop.whenIdle(until: deadline).get() }
        try await lists.shutdown()
        try await readPool.runIfActive { self.flushAndClose() }
        try await readPool.shutdownGracefully()
    }

    private func flushAndClose() {
        flushes.drainAndStop()
        log.close()
        for host in table.hosts { host.store.close() }
        do {
            try directory.markClean()
        } catch {
            logger.warning("the directory could not be marked clean", metadata: ["reason": "\(error)"])
        }
    }
}

/// Carries the log's word to the loops, which are made after the log.
final class DurableRouter: Sendable {
    let loops = NIOLockedValueBox<[ShardLoop]>([])

    func route(_ lane: Int, _ marks: [DurableMark]) {
        loops.withLockedValue { $0[lane] }.logDurable(marks)
    }
}
