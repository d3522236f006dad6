import Entities
import NIOConcurrencyHelpers
import PeerWire
import Primitives
import RocksStore
import ShardCore
import Synchronization

/// One shard as this node runs it: the machine that orders its writes, and the store that holds its rows.
///
/// The machine belongs to one event loop, and ``ShardLoop`` alone touches it, there. The store and the published
/// positions may be read from any thread: that is the read path.
final class ShardHost: Sendable {
    let shard: ShardID
    let epoch: Epoch
    let store: ShardStore
    /// The position that the store is being brought to; ahead of ``appliedPosition`` only while a batch is written.
    private let applyingPosition: Synchronization.Atomic<UInt64>
    /// The position that the store reads back.
    private let appliedPositionRaw: Synchronization.Atomic<UInt64>
    private let service = Synchronization.Atomic(Service.serving.rawValue)
    /// Nanoseconds of the monotonic clock; zero where no write was refused since it was last looked at.
    private let overloadedUntil = Synchronization.Atomic<UInt64>(0)
    /// Why the shard is not served any more, or what of it cannot be read.
    private let trouble = NIOLockedValueBox<String?>(nil)

    init(shard: ShardID, epoch: Epoch, store: ShardStore, applied: Position) {
        self.shard = shard
        self.epoch = epoch
        self.store = store
        applyingPosition = Synchronization.Atomic(applied.rawValue)
        appliedPositionRaw = Synchronization.Atomic(applied.rawValue)
    }

    private enum Service: UInt8 {
        case serving
        /// Another node may own the shard by now: reads go to the queue, which holds them until that is known.
        case handingOver
        /// Another node owns the shard.
        case lost
        /// The store failed.
        case failed
    }

    private var serviceNow: Service {
        guard let service = Service(rawValue: service.load(ordering: .acquiring)) else {
            preconditionFailure("a service state is one of those stored")
        }
        return service
    }

    /// Whether reads beside the queue may answer for the shard. A read asks after it has read (rule R13).
    var isServing: Bool { serviceNow == .serving }

    /// Whether the shard's queue takes requests, be it to hold them.
    var takesRequests: Bool { serviceNow == .serving || serviceNow == .handingOver }

    var hasFailed: Bool { serviceNow == .failed }

    var state: ShardReport.State {
        guard takesRequests else { return .unavailable }
        return troubleText == nil ? .serving : .damaged
    }

    /// For good: only a restart, which replays the log, brings the shard back.
    func stopServing(_ reason: String) {
        trouble.withLockedValue { $0 = reason }
        service.store(Service.failed.rawValue, ordering: .releasing)
    }

    /// Before the transaction that gives the shard away is sent.
    func stopReads() { service.store(Service.handingOver.rawValue, ordering: .releasing) }

    /// The shard was not given away after all.
    func resumeReads() { service.store(Service.serving.rawValue, ordering: .releasing) }

    /// The shard is another node's: nothing is served from this host any more.
    func becomeLost() { service.store(Service.lost.rawValue, ordering: .releasing) }

    /// The shard has just refused a write for want of room.
    func noteOverload() {
        let until = NodeTime.monotonic().adding(nanoseconds: Limits.overloadPauseMilliseconds * 1_000_000)
        overloadedUntil.store(until.nanoseconds, ordering: .relaxed)
    }

    /// Whether another write would be refused, too, by all that is known: it need not come to the queue. Any thread.
    var isOverloaded: Bool {
        let until = overloadedUntil.load(ordering: .relaxed)
        if until == 0 { return false }
        if NodeTime.monotonic().nanoseconds < until { return true }
        // One write more finds out; a refusal that has come meanwhile is noted again by the next one.
        overloadedUntil.store(0, ordering: .relaxed)
        return false
    }

    /// A row could not be read. The shard serves on, but says so.
    func noteDamage(_ reason: String) { trouble.withLockedValue { $0 = $0 ?? reason } }

    var troubleText: String? { trouble.withLockedValue { $0 } }

    /// The last position that reads are sure to see.
    var appliedPosition: Position { Position(appliedPositionRaw.load(ordering: .acquiring)) }

    func beginApplying(_ position: Position) {
        applyingPosition.store(position.rawValue, ordering: .sequentiallyConsistent)
    }

    /// Nothing of the batch was written.
    func abandonApplying() {
        applyingPosition.store(appliedPositionRaw.load(ordering: .acquiring), ordering: .sequentiallyConsistent)
    }

    func finishApplying(_ position: Position) {
        appliedPositionRaw.store(position.rawValue, ordering: .sequentiallyConsistent)
    }

    /// Reads committed state and the position at which the reading is true.
    ///
    /// A found record is true at its own version and at every applied position read before it. An absence carries no
    /// version, so it is only true at a position if no batch was being written meanwhile; `nil` says that one was, and
    /// the caller reads again.
    func read(_ key: EntityKey, from tier: ReadSource) throws(StoreError) -> CommittedRead? {
        let before = appliedPositionRaw.load(ordering: .sequentiallyConsistent)
        switch try store.read(row: StoreRows.entity(key), from: tier) {
        case .found(let bytes):
            guard let record = StoredRecord(decoding: bytes) else {
                throw .corruption(file: store.directory, detail: "a row of shard \(shard) is in no known format")
            }
            return .found(record, max(Position(before), record.version))
        case .absent:
            guard applyingPosition.load(ordering: .sequentiallyConsistent) == before else { return nil }
            return .absent(Position(before))
        case .notCached:
            return .notCached
        }
    }
}

enum CommittedRead {
    case found(StoredRecord, Position)
    case absent(Position)
    case notCached
}

/// The committed rows of one shard, as its machine asks for them: never from the disk.
struct CachedRows: CommittedRows {
    let store: ShardStore

    func lookup(_ row: [UInt8]) -> RowLookup {
        do {
            switch try store.read(row: row, from: .cacheOnly) {
            case .found(let bytes): return .found(bytes)
            case .absent: return .absent
            case .notCached: return .notCached
            }
        } catch {
            return .failed("\(error)")
        }
    }
}
