import Entities
public import LogCore
import Primitives
public import ShardCore

/// Everything that one simulation is run under. All of it is drawn from the seed; a shrunk run overrides parts.
public struct SimulationOptions: Sendable {
    public let seed: UInt64
    /// Faults that this seed may bring.
    public var faults: FaultSet
    /// Client operations before the liveness phase.
    public var operations: Int
    public var clients: Int
    public var entities: Int
    public var workloads: [WorkloadKind]
    public var shardCount: Int
    public var shard = ShardMachine.Settings()
    public var log = LogConfiguration()
    public var cacheRows: Int
    public var memtableRowsMax: Int
    public var stateBytesMax: Int
    public var clockDrift: Int64
    /// The mean span between troubles that the nemesis brings, in nanoseconds.
    public var troubleNanoseconds: UInt64
    public var thinkNanoseconds: UInt64
    public var timeoutNanoseconds: UInt64
    public var applyNanoseconds: UInt64
    public var readNanoseconds: UInt64
    public var flushNanoseconds: UInt64
    public var lossPercent: UInt64
    public var diskErrorEvery: UInt64
    /// What a shard evaluates in one turn, in bytes of work.
    public var turnWorkBytes = Limits.turnWorkBytesMax
    /// What a patch off the loop takes at most.
    public var jobNanoseconds = Span.millisecond
    /// The cluster; `nil`: one node alone.
    public var cluster: ClusterShape?
    public var moveSource = MoveSource.Settings()
    public var moveTarget = MoveTarget.Settings()

    var nodeCount: Int { cluster?.nodes ?? 1 }

    public var segmentBytes: Int { log.segmentBytes }

    var disk: DiskSettings {
        var settings = DiskSettings(faults: faults)
        settings.errorEvery = diskErrorEvery
        return settings
    }

    var network: NetworkSettings {
        var settings = NetworkSettings(faults: faults)
        settings.lossPercent = lossPercent
        return settings
    }

    /// Draws everything from `seed`.
    public init(seed: UInt64) {
        var random = SplitMix64(seed: seed ^ 0x6F70_7469_6F6E_7300)
        self.seed = seed
        faults = Self.drawFaults(&random)
        operations = 500 + random.below(300)
        clients = 3 + random.below(8)
        entities = 3 + random.below(30)
        workloads = Self.drawWorkloads(&random)
        shardCount = [1, 2, 4, 16][random.below(4)]
        cacheRows = faults.contains(.cacheMiss) ? 1 + random.below(20) : 1 << 20
        memtableRowsMax = 8 + random.below(120)
        stateBytesMax = [64, 400, 2_000, 8_000][random.below(4)]
        clockDrift = faults.contains(.clockDrift) ? Int64(random.below(20_001)) - 10_000 : 0
        troubleNanoseconds = Span.millisecond * (300 + random.below(UInt64(2_000)))
        thinkNanoseconds = Span.millisecond * [2, 20, 100][random.below(3)]
        timeoutNanoseconds = Span.millisecond * (400 + random.below(UInt64(1_600)))
        applyNanoseconds = Span.microsecond * (1 + random.below([400, 5_000, 50_000][random.below(3)]))
        readNanoseconds = Span.microsecond * (20 + random.below(UInt64(3_000)))
        flushNanoseconds = Span.millisecond * (1 + random.below(UInt64(60)))
        lossPercent = 2 + random.below(UInt64(7))
        diskErrorEvery = 300 + random.below(UInt64(2_000))
        drawLimits(&random)
    }

    private static func drawFaults(_ random: inout SplitMix64) -> FaultSet {
        var faults = FaultSet()
        // Three quarters of all kinds are on in a seed, and in one seed of sixteen nearly none.
        let calm = random.chance(1, in: 16)
        for fault in Fault.ofOneNode where random.chance(calm ? 1 : 3, in: calm ? 8 : 4) { faults.insert(fault) }
        // Something must happen in the shortest run, too.
        if !faults.contains(.packetLoss) { faults.insert(.packetDelay) }
        return faults
    }

    private static func drawWorkloads(_ random: inout SplitMix64) -> [WorkloadKind] {
        let drawn = WorkloadKind.allCases.filter { _ in random.chance(1, in: 2) }
        return drawn.isEmpty ? [.registers] : drawn
    }

    /// Small segments, groups and queues, so that their ends are met all the time.
    private mutating func drawLimits(_ random: inout SplitMix64) {
        shard.limits.entityBytesMax = stateBytesMax + 256
        shard.queueItemsMax = [4, 32, 4096][random.below(3)]
        shard.queueBytesMax = [stateBytesMax * 3 + 1024, 1 << 20][random.below(2)]
        shard.queueAgeMillisecondsMax = [50, 1_000][random.below(2)]
        log.recordBytesMax = stateBytesMax + 1_024
        log.shardsMax = shardCount
        log.groupRecordsMax = [1, 3, 64, 4096][random.below(4)]
        log.groupBytesMax = [512, 4_096, 16_384][random.below(3)]
        log.compressionBytesMin = [64, 256, 1 << 20][random.below(3)]
        let overhead = 4_096 + 4 * (64 + 8 + 32 * shardCount + 128)
        let least = overhead + 2 * (log.recordBytesMax + 128) + log.groupBytesMax
        log.segmentBytes = (least + [0, 8_192, 65_536][random.below(3)] + 7) / 8 * 8
        let live = 3 + random.below(6)
        log.replayBytesMax = log.segmentBytes * live
        log.liveBytesMax = log.segmentBytes * (live + 2 + random.below(6))
        log.queueBytesMax = [least, 1 << 20][random.below(2)]
        log.spareSegmentsMax = 1 + random.below(2)
        log.fillBytesMax = [4_096, 1 << 20][random.below(2)]
        log.hintDelayNanoseconds = Span.millisecond * [5, 20, 200][random.below(3)]
        log.retryDelayNanoseconds = Span.millisecond * [50, 1_000][random.below(2)]
        log.tornCopiesMax = 1 + random.below(3)
        // Looked ahead at, not drawn: what else a seed is stays as it is.
        var ahead = random
        log.gatherNanoseconds = Span.microsecond * [0, 0, 100, 1_000][ahead.below(4)]
        turnWorkBytes = [1, 1_200, 6_000, Limits.turnWorkBytesMax][ahead.below(4)]
        (log.largeBatchBytes, log.crowdedBytes) = [(200, 400), (1_000, 1), (64 << 10, 1 << 20)][ahead.below(3)]
        jobNanoseconds = Span.millisecond * [1, 20, 200][ahead.below(3)]
        shard.loopPatchWorkBytesMax = [0, 300, 2_000, Limits.loopPatchWorkBytesMax][ahead.below(4)]
    }
}

/// A cluster's shape, drawn from the seed.
public struct ClusterShape: Sendable, Equatable {
    /// Nodes that there will ever be.
    public var nodes: Int
    /// Nodes that are there at the beginning; the others join.
    public var founders: Int
    /// The mean span between what operators do, in nanoseconds.
    public var operatorNanoseconds: UInt64
    /// One in so many metadata transactions has an unknown outcome, while that fault is on.
    public var unknownEvery: UInt64
    public var watchLag: UInt64
}

extension SimulationOptions {
    /// Draws a cluster's run from `seed`.
    public init(clusterSeed seed: UInt64) {
        self.init(seed: seed)
        // Apart from what a node alone draws, so that the one can change without the other.
        var random = SplitMix64(seed: seed ^ 0x636C_7573_7465_7200)
        for fault in Fault.ofClusters where random.chance(3, in: 4) { faults.insert(fault) }
        for fault in Fault.notOfClusters { faults.remove(fault) }
        workloads.removeAll { $0 == .listing }
        if workloads.isEmpty { workloads = [.registers] }
        shardCount = [16, 16, 32][random.below(3)]
        let nodes = 2 + random.below(4)
        cluster = ClusterShape(
            nodes: nodes, founders: 1 + random.below(nodes),
            operatorNanoseconds: Span.millisecond * (200 + random.below(UInt64(1_500))),
            unknownEvery: 3 + random.below(UInt64(20)), watchLag: Span.millisecond * [10, 500, 5_000][random.below(3)])
        operations = 500 + random.below(300)
        troubleNanoseconds = troubleNanoseconds / UInt64(min(3, nodes))
        resizeLog()
        moveSource.teeBytesMax = [2_000, 20_000, 1 << 20][random.below(3)]
        moveSource.handoverLagBytes = [1_000, 1 << 20][random.below(2)]
        moveSource.freezePauseMilliseconds = [20, 1_000][random.below(2)]
        moveTarget.chunkBytesMax = [100, 2_000, 1 << 20][random.below(3)]
        moveTarget.pullBytesMax = [500, 1 << 20][random.below(2)]
        moveTarget.pullMilliseconds = [20, 1_000][random.below(2)]
        moveTarget.answerMilliseconds = [300, 2_000][random.below(2)]
    }

    /// Room for the table of every shard in each segment.
    private mutating func resizeLog() {
        log.shardsMax = shardCount
        let overhead = 4_096 + 4 * (64 + 8 + 32 * shardCount + 128)
        let least = overhead + 2 * (log.recordBytesMax + 128) + log.groupBytesMax
        let live = max(3, log.replayBytesMax / log.segmentBytes)
        log.segmentBytes = max(log.segmentBytes, (least + 7) / 8 * 8)
        log.replayBytesMax = log.segmentBytes * live
        log.liveBytesMax = log.segmentBytes * (live + 4)
        log.queueBytesMax = max(log.queueBytesMax, least)
    }
}

/// The kinds of work that clients do.
public enum WorkloadKind: UInt8, CaseIterable, Sendable {
    case registers, idempotent, counters, batches, expiring, listing, hotEntity, flood
}
