import Entities
import HTTPFront
import HashRing
import Logging
import NIOCore
import NIOPosix
import Primitives
import RocksStore

/// The node behind its HTTP front: finds the shard of a key, posts writes to its loop, and reads beside it.
final class NodeBackend: EntityBackend {
    let ringSeed: UInt64
    let limits: EntityLimits
    private let table: ShardTable
    private let loops: [ShardLoop]
    private let time: NodeTime
    private let readPool: NIOThreadPool
    private let lister: Lister
    private let logger: Logger

    /// How often an absence is read again because a batch was being written meanwhile, before the queue decides.
    private static let absenceRetriesMax = 3

    init(
        ringSeed: UInt64, limits: EntityLimits, table: ShardTable, loops: [ShardLoop], time: NodeTime,
        readPool: NIOThreadPool, logger: Logger
    ) {
        self.ringSeed = ringSeed
        self.limits = limits
        self.table = table
        self.loops = loops
        self.time = time
        self.readPool = readPool
        self.lister = Lister(table: table, time: time)
        self.logger = logger
    }

    func currentPosition(of key: EntityKey) -> ShardPosition? {
        place(table.shard(of: key.ringHash))
    }

    /// A position at which a refusal is true; 0 where the shard's store could not be opened.
    private func place(_ shard: ShardID) -> ShardPosition {
        guard case .served(let host) = table[shard] else { return ShardPosition(shard: shard, position: .zero) }
        return ShardPosition(shard: shard, position: host.appliedPosition)
    }

    // MARK: Writes

    func write(_ operation: WriteOperation, replyTo target: ReplyTarget) {
        submit(.write(operation), on: table.shard(of: operation.key.ringHash), replyTo: target)
    }

    private func submit(_ work: ShardLoop.Arrival.Work, on shard: ShardID, replyTo target: ReplyTarget) {
        guard table.serving(shard) != nil else { return refuseUnavailable(shard, replyTo: target) }
        let loop = loops[Int(shard.rawValue) % loops.count]
        loop.submit(
            ShardLoop.Arrival(shard: shard, work: work, target: target, time: NodeTime.monotonic()))
    }

    private func refuseUnavailable(_ shard: ShardID, replyTo target: ReplyTarget) {
        let problem = Problem(
            .shardUnavailable, "shard \(shard) is unavailable: \(table.unavailability(of: shard))")
        deliver(.refused(problem, currentVersion: nil, place(shard)), target)
    }

    // MARK: Reads

    func read(_ request: ReadRequest, replyTo target: ReplyTarget) {
        let shard = table.shard(of: request.key.ringHash)
        if request.inQueueOrder { return submit(.read(request), on: shard, replyTo: target) }
        guard let host = table.serving(shard) else { return refuseUnavailable(shard, replyTo: target) }
        switch request.kind {
        case .entity(let preconditions):
            readEntity(request, preconditions, host, tier: .cacheOnly, replyTo: target)
        case .outcome(let idempotencyKey):
            readOutcome(request.key, idempotencyKey, host, tier: .cacheOnly, replyTo: target)
        }
    }

    /// On the connection's loop with what is cached, else on a thread of the read pool.
    private func readEntity(
        _ request: ReadRequest, _ preconditions: Preconditions, _ host: ShardHost, tier: ReadSource,
        replyTo target: ReplyTarget
    ) {
        do {
            for _ in 0..<Self.absenceRetriesMax {
                guard let read = try host.read(request.key, from: tier) else { continue }
                switch read {
                case .notCached:
                    return offLoop(target) {
                        self.readEntity(request, preconditions, host, tier: .disk, replyTo: target)
                    }
                case .found(let record, let position):
                    return answer(record, at: position, preconditions, host, target)
                case .absent(let position):
                    return answer(nil, at: position, preconditions, host, target)
                }
            }
            submit(.read(request), on: host.shard, replyTo: target)
        } catch {
            refuseUnreadable(host, error, target)
        }
    }

    private func answer(
        _ record: StoredRecord?, at position: Position, _ preconditions: Preconditions, _ host: ShardHost,
        _ target: ReplyTarget
    ) {
        let place = ShardPosition(shard: host.shard, position: position)
        let answer: Answer =
            switch preconditions.evaluateRead(current: record, now: time.now()) {
            case .found(let record): .found(record, place)
            case .notModified(let record): .notModified(record, place)
            case .refused(let problem, let version): .refused(problem, currentVersion: version, place)
            }
        // Ownership is checked after the read (rule R13): a value read before the shard was lost is not given out.
        guard host.isServing else { return refuseUnavailable(host.shard, replyTo: target) }
        deliver(answer, target)
    }

    private func readOutcome(
        _ key: EntityKey, _ idempotencyKey: [UInt8], _ host: ShardHost, tier: ReadSource, replyTo target: ReplyTarget
    ) {
        do {
            let place = ShardPosition(shard: host.shard, position: host.appliedPosition)
            switch try host.store.read(row: StoreRows.idempotency(key, idempotencyKey), from: tier) {
            case .notCached:
                offLoop(target) { self.readOutcome(key, idempotencyKey, host, tier: .disk, replyTo: target) }
            case .found(let bytes):
                if let row = IdempotencyRow(decoding: bytes), row.expiresAt > time.now() {
                    deliver(
                        .outcome(
                            status: row.status, version: row.version,
                            ShardPosition(shard: host.shard, position: max(place.position, row.version))), target)
                } else {
                    deliver(.refused(Self.noOutcome, currentVersion: nil, place), target)
                }
            case .absent:
                deliver(.refused(Self.noOutcome, currentVersion: nil, place), target)
            }
        } catch {
            refuseUnreadable(host, error, target)
        }
    }

    private static let noOutcome = Problem(
        .notFound, "no write of this entity with this Idempotency-Key is recorded")

    private func refuseUnreadable(_ host: ShardHost, _ error: StoreError, _ target: ReplyTarget) {
        let reason = "shard \(host.shard) cannot read the entity: \(error)"
        host.noteDamage(reason)
        logger.error("a read failed", metadata: ["shard": "\(host.shard)", "reason": "\(error)"])
        deliver(.refused(Problem(.shardUnavailable, reason), currentVersion: nil, place(host.shard)), target)
    }

    // MARK: Lists

    func list(_ request: ListRequest, replyTo target: ReplyTarget) {
        offLoop(target) { self.deliver(self.lister.page(request), target) }
    }

    // MARK: Threads

    /// Runs `work`, which may block, on the read pool.
    private func offLoop(_ target: ReplyTarget, _ work: @escaping @Sendable () -> Void) {
        readPool.submit { state in
            guard state == .active else {
                let problem = Problem(.shuttingDown, "the node is shutting down")
                return self.deliver(.refused(problem, currentVersion: nil, nil), target)
            }
            work()
        }
    }

    /// On the connection's loop at once, from elsewhere by way of it.
    private func deliver(_ answer: Answer, _ target: ReplyTarget) {
        let loop = target.sink.eventLoop
        if loop.inEventLoop {
            target.sink.deliver(answer, slot: target.slot)
        } else {
            loop.execute {
                target.sink.deliver(answer, slot: target.slot)
                target.sink.flushAnswers()
            }
        }
    }
}
