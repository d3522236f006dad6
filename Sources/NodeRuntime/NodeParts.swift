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
import Primitives
import RocksStore
import ShardCore

/// Everything a node is made of below its listeners, opened in the order that recovery needs and closed in the reverse.
final class NodeParts: Sendable {
    let membership: Membership
    let table: ShardTable
    let backend: NodeBackend
    let log: NodeLog
    let flushes: FlushCoordinator
    let space: SpaceGuard
    let resources: StoreResources
    let loops: [ShardLoop]
    let time: NodeTime
    private let configuration: NodeConfiguration
    private let expiry: ExpiryClock
    /// Holds the lock for as long as the node's parts live.
    private let directory: DataDirectory
    private let readPool: NIOThreadPool
    private let group: MultiThreadedEventLoopGroup
    private let timers = NIOLockedValueBox<[RepeatedTask]>([])
    private let logger: Logger

    /// Threads that wait for the disk on behalf of reads and lists.
    private static let readThreads = 4

    /// Blocks: it reads the disk. On return the stores hold everything that the log has, and nothing is served yet.
    static func open(
        _ configuration: NodeConfiguration, group: MultiThreadedEventLoopGroup, logger: Logger
    ) throws -> NodeParts {
        do {
            let directory = try DataDirectory(path: configuration.dataDirectory)
            return try NodeParts(configuration, directory: directory, group: group, logger: logger)
        } catch let error as NodeStartError {
            throw error
        } catch {
            // What the parts themselves throw here is a refusal: of the directory, the metadata or the log.
            throw NodeStartError("\(error)", isRefusal: true)
        }
    }

    private init(
        _ configuration: NodeConfiguration, directory: DataDirectory, group: MultiThreadedEventLoopGroup,
        logger: Logger
    ) throws {
        self.configuration = configuration
        self.directory = directory
        self.group = group
        self.logger = logger
        let isNew = directory.isNew
        if isNew { try directory.beginInitializing() }
        let metadata = try EmbeddedMetadata(path: directory.metadataPath, create: isNew)
        membership =
            try isNew
            ? Membership.founded(configuration, now: NodeTime(floor: .zero).now())
            : Membership.resumed(directory, metadata, configuration)
        var resourceSettings = StoreResources.Configuration()
        resourceSettings.memoryBytes = configuration.memoryBytes
        resourceSettings.shardsMax = membership.shards.count
        resources = StoreResources(resourceSettings)
        expiry = ExpiryClock()
        let opened = try StoreOpener(
            directory: directory.shardsPath, resources: resources, expiry: expiry, create: isNew, logger: logger
        ).open(membership.shards)
        if isNew {
            try membership.save(in: metadata, directory)
            try directory.finishInitializing()
        }
        try directory.clearClean()

        let router = DurableRouter()
        let recovery = try Self.openLog(configuration, directory.logPath, membership, opened, group, router, logger)
        log = recovery.log
        time = NodeTime(floor: recovery.clockFloor)
        expiry.advance(to: time.now())
        table = ShardTable(ring: Ring(shardCount: membership.shards.count), seats: recovery.seats)

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
        let loops = Self.makeLoops(group, table, time, log, readPool, space, flushes, configuration, failure)
        self.loops = loops
        router.loops.withLockedValue { $0 = loops }
        backend = NodeBackend(
            ringSeed: membership.ringSeed, limits: configuration.entityLimits, table: table, loops: loops, time: time,
            readPool: readPool, logger: logger)
    }

    private static func makeLoops(
        _ group: MultiThreadedEventLoopGroup, _ table: ShardTable, _ time: NodeTime, _ log: NodeLog,
        _ pool: NIOThreadPool, _ space: SpaceGuard, _ flushes: FlushCoordinator, _ configuration: NodeConfiguration,
        _ failure: @escaping @Sendable (ShardID, String) -> Void
    ) -> [ShardLoop] {
        let loops = Array(group.makeIterator()).enumerated().map { index, eventLoop in
            ShardLoop(
                index: index, eventLoop: eventLoop, shardCount: table.ring.shardCount, time: time, log: log,
                fetchPool: pool, space: space, flushes: flushes, failure: failure)
        }
        let settings = ShardMachine.Settings(
            limits: configuration.entityLimits,
            idempotencyRetentionSeconds: configuration.idempotencyRetentionSeconds)
        for loop in loops {
            let own = table.hosts.filter { Int($0.shard.rawValue) % loops.count == loop.index }
            loop.start(hosts: own, settings: settings, peers: loops)
        }
        return loops
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
        return Recovery(log: log, seats: seats, clockFloor: replayer.clockFloor, lastLSN: report.lastLSN)
    }

    // MARK: Life

    /// Starts what runs by itself. Call once, when the listeners are up.
    func begin() {
        let loop = group.next()
        let expiryTimer = loop.scheduleRepeatedTask(initialDelay: .zero, delay: .seconds(1)) { [expiry, time] _ in
            expiry.advance(to: time.now())
        }
        let all = flushes.start(on: loop) + [space.start(on: loop), expiryTimer]
        timers.withLockedValue { $0 = all }
    }

    func view(listen: HostPort, admin: HostPort) -> NodeView {
        NodeView(
            membership: membership, configuration: configuration, listen: listen, admin: admin, table: table,
            loops: loops, log: log, flushes: flushes, space: space, resources: resources)
    }

    /// After the listeners have closed: waits for what is in flight, makes everything durable in the stores, and marks
    /// the directory clean.
    func close() async throws {
        for timer in timers.withLockedValue({ $0 }) { timer.cancel() }
        for loop in loops { try await loop.whenIdle().get() }
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
