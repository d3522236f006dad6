import Entities
import HashRing
import LogFiles
import LogFormat
import Logging
import NIOCore
import NIOPosix
import Primitives
import RocksStore
import ShardCore
import Synchronization

/// The stores of a node as they were opened.
struct OpenedStores {
    var seats: [ShardTable.Seat]
    var applied: [AppliedMark]
    let resources: StoreResources
    /// The latest time that any shard has seen.
    var clockFloor: Timestamp
}

extension StoreResources {
    /// What a node's stores share.
    convenience init(_ configuration: NodeConfiguration, _ plan: DescriptorPlan) {
        var settings = Configuration()
        settings.memoryBytes = configuration.memoryBytes
        settings.tablesOpenPerStore = plan.tablesPerStore
        self.init(settings)
    }
}

/// Opens every shard's store. A store that is damaged leaves its shard unavailable and the others alone.
struct StoreOpener {
    let directory: String
    let resources: StoreResources
    let expiry: ExpiryClock
    let create: Bool
    let logger: Logger

    /// - Parameter shards: those that this node owns; the others of the ring are elsewhere.
    func open(
        _ shards: [(shard: ShardID, epoch: Epoch)], of ring: Ring
    ) throws(NodeStartError) -> OpenedStores {
        var opened = OpenedStores(
            seats: Array(repeating: .elsewhere, count: ring.shardCount), applied: [], resources: resources,
            clockFloor: .zero)
        for (shard, epoch) in shards {
            let seat = Int(shard.rawValue)
            do {
                let store = try ShardStore.open(
                    directory: "\(directory)/\(shard)", resources: resources, create: create,
                    expiredRow: expiry.filter)
                opened.clockFloor = max(opened.clockFloor, try ShardClockRow.read(from: store))
                let mark = store.appliedAtOpen
                opened.applied.append(
                    AppliedMark(shard: shard, epoch: mark.epoch, position: mark.position, lsn: mark.lsn))
                opened.seats[seat] = .served(
                    ShardHost(shard: shard, epoch: epoch, store: store, applied: mark.position))
            } catch {
                opened.seats[seat] = .unavailable(epoch: epoch, reason: try reason(shard, error))
            }
        }
        return opened
    }

    /// Makes the empty stores of shards that nothing was ever written to.
    static func makeEmpty(
        _ shards: [ShardID], in directory: DataDirectory, _ configuration: NodeConfiguration, _ logger: Logger
    ) throws(NodeStartError) {
        var settings = StoreResources.Configuration()
        settings.memoryBytes = configuration.memoryBytes
        let resources = StoreResources(settings)
        for shard in shards {
            do {
                try ShardStore.open(directory: directory.shardPath(shard), resources: resources, create: true).close()
            } catch {
                throw NodeStartError(
                    "cannot make the store of shard \(shard): \(error)", isRefusal: error.passes || error.isRemains)
            }
        }
    }

    /// Damage is the shard's alone; anything else concerns the whole node and ends the start.
    private func reason(_ shard: ShardID, _ error: StoreError) throws(NodeStartError) -> String {
        switch error {
        case .corruption, .missing, .remains:
            logger.error("a shard cannot be served", metadata: ["shard": "\(shard)", "reason": "\(error)"])
            return "\(error)"
        case .noSpace, .noDescriptors, .io, .lockHeld, .backgroundError, .unsupportedFormat, .closed, .other:
            throw NodeStartError("cannot open the store of shard \(shard): \(error)")
        }
    }
}

/// The time by which compaction drops expired rows, as ``SteadyClock/removalTime(_:)`` gives it; zero, which drops
/// nothing, until the node has a clock. Any thread.
final class ExpiryClock: Sendable {
    private let milliseconds = Atomic<UInt64>(0)

    func advance(to removalTime: Timestamp) { milliseconds.store(removalTime.milliseconds, ordering: .relaxed) }

    var filter: RowExpiryFilter {
        { key, value in
            RowExpiry.isExpired(
                key: key, value: value,
                now: Timestamp(milliseconds: self.milliseconds.load(ordering: .relaxed)))
        }
    }
}

/// Applies the log's records to the stores that have not seen them, in batches.
final class Replayer {
    private var pending: [Pending?]
    private let resources: StoreResources
    /// The latest time that any shard has seen.
    private(set) var clockFloor: Timestamp

    private final class Pending {
        let host: ShardHost
        var batch = StoreBatch()
        var applied = AppliedState.none

        init(host: ShardHost) { self.host = host }
    }

    private static let batchBytesMax = 1 << 20

    init(seats: [ShardTable.Seat], resources: StoreResources, clockFloor: Timestamp) {
        self.resources = resources
        self.clockFloor = clockFloor
        pending = seats.map { if case .served(let host) = $0 { Pending(host: host) } else { nil } }
    }

    func replay(_ record: LogRecord) throws {
        guard let pending = pending[Int(record.shard.rawValue)] else { return }
        guard let effect = EntityEffect(decoding: record.payload) else {
            throw NodeStartError(
                "record \(record.lsn) of the log (shard \(record.shard), position \(record.position)) is in no format "
                    + "that this version knows",
                isRefusal: true)
        }
        clockFloor = max(clockFloor, record.time)
        pending.batch.put(effect)
        pending.batch.put(clock: record.time)
        pending.applied = AppliedState(epoch: record.epoch, position: record.position, lsn: record.lsn)
        if pending.batch.byteCount >= Self.batchBytesMax { try apply(pending) }
    }

    /// Applies what is left. After this the stores hold everything that the log has.
    func finish() throws {
        for case let pending? in pending where pending.batch.rowCount > 0 { try apply(pending) }
    }

    private func apply(_ pending: Pending) throws {
        pending.host.beginApplying(pending.applied.position)
        try pending.host.store.apply(&pending.batch, applied: pending.applied)
        pending.host.finishApplying(pending.applied.position)
        pending.batch.clear()
        try makeRoom()
    }

    /// Keeps memory in its budget. On a full disk the rows stay in memory: what is replayed fits it, since writers were
    /// refused when it was full.
    private func makeRoom() throws(StoreError) {
        guard !resources.hasRoomForWrites else { return }
        let largest = pending.compactMap { $0?.host.store }.max { $0.unflushedBytes < $1.unflushedBytes }
        do throws(StoreError) {
            try largest?.flush()
        } catch {
            guard error.passes else { throw error }
        }
    }
}
