import ClusterCore
import ClusterMetadata
import Entities
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
    let memory: NodeMemory
    private let readPool: NIOThreadPool
    private let patchPool: PatchPool
    private let allocator: AllocatorCare
    private let configuration: NodeConfiguration
    private let expiry: ExpiryClock
    /// Holds the lock for as long as the node's parts live.
    private let directory: DataDirectory
    private let group: MultiThreadedEventLoopGroup
    private let timers = NIOLockedValueBox<[RepeatedTask]>([])
    private let logger: Logger

    /// Threads that wait for the disk on behalf of reads.
    private static let readThreads = 4
    /// By shard: how far its store was when the node began to serve.
    private let startPositions: [ShardID: Position]

    /// Comes into the cluster and opens the data. On return the stores hold everything that the log has, and nothing is
    /// served yet.
    ///
    /// - Parameter metadata: the cluster's store; `nil` opens the embedded one in the node's directory.
    static func open(
        _ configuration: NodeConfiguration, metadata: (any MetadataStore)?, scarce: ScarceThings,
        group: MultiThreadedEventLoopGroup, memory: NodeMemory, logger: Logger
    ) async throws -> NodeParts {
        let pool = NIOThreadPool.singleton
        let directory = try await refusing {
            try await pool.runIfActive {
                try StartRoom.checkMemory(configuration)
                try StartRoom.check(configuration)
                return try DataDirectory(path: configuration.dataDirectory)
            }
        }
        do {
            return try await refusing {
                try await open(
                    configuration, metadata, directory, scarce: scarce, group: group, memory: memory, logger: logger)
            }
        } catch {
            // Nobody but this process has heard of a node that is alone and starts for the first time.
            if metadata == nil, directory.isNew { directory.undo() }
            throw error
        }
    }

    private static func open(
        _ configuration: NodeConfiguration, _ metadata: (any MetadataStore)?, _ directory: DataDirectory,
        scarce: ScarceThings, group: MultiThreadedEventLoopGroup, memory: NodeMemory, logger: Logger
    ) async throws -> NodeParts {
        let ballast = Ballast(in: directory.path, shards: configuration.shards)
        if !directory.isNew { ballast.release(on: SpaceGuard.free(of: directory.path)) }
        let isAlone = metadata == nil
        let metadata = try metadata ?? EmbeddedMetadata(path: directory.metadataPath, create: true)
        let entry = ClusterEntry(
            directory: directory, metadata: metadata, configuration: configuration,
            descriptors: scarce.descriptors, logger: logger
        ) { shards in
            try StoreOpener.makeEmpty(shards, in: directory, configuration, logger)
        }
        let membership = try await entry.enter()
        return try await NIOThreadPool.singleton.runIfActive {
            try NodeParts(
                configuration, membership, metadata, isAlone: isAlone, directory: directory, ballast: ballast,
                scarce: scarce, group: group, memory: memory, logger: logger)
        }
    }

    private static func refusing<Value>(_ body: () async throws -> Value) async throws -> Value {
        do {
            return try await body()
        } catch let error as NodeStartError {
            throw error
        } catch {
            // What the parts themselves throw here is a refusal: of the directory, the metadata or the log.
            throw NodeStartError("\(error)", isRefusal: true)
        }
    }

    private init(
        _ configuration: NodeConfiguration, _ membership: Membership, _ metadata: any MetadataStore, isAlone: Bool,
        directory: DataDirectory, ballast: Ballast, scarce: ScarceThings, group: MultiThreadedEventLoopGroup,
        memory: NodeMemory, logger: Logger
    ) throws {
        self.configuration = configuration
        self.membership = membership
        self.directory = directory
        self.group = group
        self.memory = memory
        self.logger = logger
        let ring = Ring(shardCount: membership.config.shardCount)
        let plan = try scarce.settle(for: membership)
        resources = StoreResources(configuration, plan)
        expiry = ExpiryClock()
        let folders = ShardFolders(directory)
        for remark in directory.remarks { logger.warning("\(remark)") }
        let opened = try StoreOpener(
            directory: directory.shardsPath, resources: resources, expiry: expiry, create: false, logger: logger
        ).open(membership.shards, of: ring)
        try directory.clearClean()

        let router = DurableRouter()
        let recovery = try Self.openLog(configuration, directory.logPath, membership, opened, group, router, logger)
        log = recovery.log
        if isAlone, directory.isNew { try StartRoom.check(log, directory) }
        time = NodeTime(floor: recovery.clockFloor)
        try folders.tidy(after: membership, now: time.now())
        table = ShardTable(ring: ring, seats: recovery.seats)
        startPositions = Dictionary(uniqueKeysWithValues: table.hosts.map { ($0.shard, $0.appliedPosition) })

        readPool = NIOThreadPool(numberOfThreads: Self.readThreads)
        readPool.start()
        patchPool = PatchPool(threadCount: Array(group.makeIterator()).count)
        let failure: @Sendable (ShardID, String) -> Void = { shard, reason in
            ProcessEnd.storeFailed(shard, reason)
        }
        let flushes = FlushCoordinator(
            table: table, resources: resources, log: log, logger: logger, storeFailed: failure)
        self.flushes = flushes
        flushes.flushReplayed(through: recovery.lastLSN)
        ballast.keep()
        space = Self.guardSpace(configuration.dataDirectory, ballast, flushes, log, logger)
        allocator = AllocatorCare(budget: memory.budget, pool: readPool) { flushes.flushCount }
        let sizes = ReadSizes()
        loops = Self.makeLoops(
            group, time, log, readPool, patchPool, sizes, space, flushes, ring, configuration, memory, failure)
        router.loops.withLockedValue { [loops] in $0 = loops }
        lists = NodeLists(
            lister: Lister(table: table, time: time, pageBytesMax: memory.shares.listPageBytes), memory: memory,
            loop: loops[0].eventLoop)
        let calls = CallCount()
        let movers = MoveTools(
            folders: folders, table: table, loops: loops, log: log, flushes: flushes, resources: resources,
            expiry: expiry, time: time, gate: MoveGate(calls: calls), space: space, descriptors: scarce.descriptors,
            memory: memory)
        scrubber = Scrubber(table: table, pool: movers.pool, logger: logger)
        cluster = try ClusterParts(
            configuration, membership, metadata, movers: movers, group: group, logger: logger)
        backend = NodeBackend(
            ringSeed: membership.ringSeed, limits: configuration.entityLimits, hasPeers: !isAlone, table: table,
            loops: loops, time: time, calls: calls, readPool: readPool, sizes: sizes, lists: lists,
            forwarder: cluster.forwarder, memory: memory, logger: logger)
        for loop in loops {
            let own = table.hosts.filter { Int($0.shard.rawValue) % loops.count == loop.index }
            loop.start(hosts: own, peers: loops, elsewhere: cluster.forwarder)
        }
    }

    /// Has looked once already, before anybody writes.
    private static func guardSpace(
        _ path: String, _ ballast: Ballast, _ flushes: FlushCoordinator, _ log: NodeLog, _ logger: Logger
    ) -> SpaceGuard {
        let space = SpaceGuard(
            path: path, ballast: ballast, logger: logger,
            unflushedBytes: { flushes.unflushedBytes }, storesWait: { flushes.storesWaitForSpace }
        ) { isFull in
            log.spaceIsTight(isFull)
            // What is in memory alone needs room that is then known to be there, and holds segments of the log.
            if isFull { flushes.flushReplayed(through: log.durableLSN) }
        }
        space.look()
        return space
    }

    private static func makeLoops(
        _ group: MultiThreadedEventLoopGroup, _ time: NodeTime, _ log: NodeLog, _ pool: NIOThreadPool,
        _ patchPool: PatchPool, _ sizes: ReadSizes, _ space: SpaceGuard, _ flushes: FlushCoordinator, _ ring: Ring,
        _ configuration: NodeConfiguration, _ memory: NodeMemory,
        _ failure: @escaping @Sendable (ShardID, String) -> Void
    ) -> [ShardLoop] {
        let settings = ShardMachine.Settings(
            limits: configuration.entityLimits, queueBytesMax: memory.shares.shardQueueBytes,
            idempotencyRetentionSeconds: configuration.idempotencyRetentionSeconds)
        return Array(group.makeIterator()).enumerated().map { index, eventLoop in
            ShardLoop(
                index: index, eventLoop: eventLoop, shardCount: ring.shardCount, time: time, log: log,
                fetchPool: pool, patchPool: patchPool, sizes: sizes, space: space, flushes: flushes, settings: settings,
                memory: memory.loops.account(of: eventLoop), fetchesMax: memory.fetchesMax, failure: failure)
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
        let replayer = Replayer(seats: opened.seats, resources: opened.resources, clockFloor: opened.clockFloor)
        var options = LogOptions()
        options.configuration.queueBytesMax = MemoryShares(memoryBytes: configuration.memoryBytes).logQueueBytes
        options.unsafeSyncDisabledForBenchmark = configuration.unsafeNoSync
        let (log, report) = try NodeLog.open(
            directory: path, identity: membership.logIdentity, dataTime: opened.clockFloor, applied: opened.applied,
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
        try ClockReport.judgeStart(newest: clockFloor, accepted: configuration.acceptsClock, logger)
        return Recovery(log: log, seats: seats, clockFloor: clockFloor, lastLSN: report.lastLSN)
    }

    // MARK: Life

    /// Starts what runs by itself. Call once, when the listeners are up.
    ///
    /// - Parameter addresses: where the node is reached; the cluster is told where that has changed.
    func begin(_ addresses: NodeAddresses) {
        let loop = group.next()
        let clock = ClockReport(time: time, logger: logger)
        let expiryTimer = loop.scheduleRepeatedTask(initialDelay: .zero, delay: .seconds(1)) { [expiry, time] _ in
            expiry.advance(to: time.removalTime())
            clock.look()
        }
        let own = [
            space.start(on: loop, pool: readPool), scrubber.start(on: loop), allocator.start(on: loop), expiryTimer,
        ]
        let all = flushes.start(on: loop) + own
        timers.withLockedValue { $0 = all }
        cluster.begin(addresses)
    }

    func view(listen: HostPort, admin: HostPort) -> NodeView {
        NodeView(
            membership: membership, cluster: cluster, listen: listen, admin: admin, table: table, loops: loops,
            log: log, flushes: flushes, space: space, resources: resources, time: time, memory: memory, lists: lists)
    }

    /// After the listeners have closed: waits for what is in flight, makes everything durable in the stores, and marks
    /// the directory clean. What does not end in its time is left behind: the log has all that was acknowledged.
    func close() async throws {
        scrubber.stop()
        EndSignals.shared.note(.cluster)
        if await !waiting(atMost: Limits.endClusterSecondsMax, for: { [cluster] in await cluster.close() }) {
            logger.warning("moves and the metadata store are left as they are: they did not end in time")
        }
        for timer in timers.withLockedValue({ $0 }) { timer.cancel() }
        EndSignals.shared.note(.shards)
        let deadline = NIODeadline.now() + .seconds(Int64(Limits.endShardsSecondsMax))
        for loop in loops { try await loop.whenIdle(until: deadline).get() }
        await noteTime()
        for loop in loops { try await loop.stop().get() }
        // Reads and lists that still wait for a thread are given up; those under way end soon.
        EndSignals.shared.note(.reads)
        try? await lists.shutdown()
        try? await readPool.shutdownGracefully()
        try? await patchPool.shutdown()
        EndSignals.shared.note(.disk)
        try await NIOThreadPool.singleton.runIfActive { self.flushAndClose() }
    }

    /// A run that has written has put the data on its clock already, so the rest of its time counts too: what expired
    /// in it stays so under a clock that is set back. An idle run leaves the data's time alone.
    private func noteTime() async {
        let written = table.hosts.filter { host in
            guard let start = startPositions[host.shard] else { return false }
            return host.isServing && host.appliedPosition > start
        }
        // The one that has most to flush anyway.
        let most = written.max { $0.store.unflushedBytes < $1.store.unflushedBytes }
        guard !space.isFull, let host = most else { return }
        let loop = loops[Int(host.shard.rawValue) % loops.count]
        let noted = loop.eventLoop.submit { [time] in
            var batch = StoreBatch()
            batch.put(clock: time.now())
            try host.store.apply(&batch, applied: host.store.applied)
        }
        do {
            try await noted.get()
        } catch {
            logger.warning("the time of the end could not be noted", metadata: ["reason": "\(error)"])
        }
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
