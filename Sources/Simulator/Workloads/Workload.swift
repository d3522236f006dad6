import Entities
import Primitives

/// A kind of work: what clients ask next, and what must hold of it at the end. Workloads share one node and one
/// history, and are mixed by the seed.
protocol Workload: AnyObject {
    var kind: WorkloadKind { get }
    /// Once, before anything runs.
    func setup(_ context: WorkloadContext)
    /// What `client` asks next. The lines of one answer go out as one request.
    func next(for client: Int, _ context: WorkloadContext) -> Work
    /// One of its requests was answered in full; unanswered ones are not told.
    func answered(_ operations: [History.Operation], _ context: WorkloadContext)
    /// At the end, beside the checkers that run for all.
    func check(_ context: WorkloadContext)
}

extension Workload {
    func setup(_ context: WorkloadContext) {}
    func answered(_ operations: [History.Operation], _ context: WorkloadContext) {}
    func check(_ context: WorkloadContext) {}
}

/// What a workload may use.
final class WorkloadContext {
    let world: World
    let options: SimulationOptions
    let history: History
    let log: CommittedLog
    let shardOf: (EntityKey) -> ShardID
    var random: SplitMix64
    /// Numbers operations whose effects name them. The simulation registers each with the audit as it is sent.
    private var lastID: UInt64 = 0
    /// The newest version that a client was told of each entity, for preconditions.
    private var seen: [EntityKey: UInt64] = [:]
    /// When an entity that a client was shown had been changed, in seconds since 1970.
    private var changed: [EntityKey: UInt64] = [:]

    init(
        world: World, options: SimulationOptions, history: History, log: CommittedLog,
        shardOf: @escaping (EntityKey) -> ShardID, random: SplitMix64
    ) {
        self.world = world
        self.options = options
        self.history = history
        self.log = log
        self.shardOf = shardOf
        self.random = random
    }

    func nextID() -> UInt64 {
        lastID += 1
        return lastID
    }

    func key(_ kind: String, _ index: Int) -> EntityKey {
        do {
            return try EntityKey(plain: Array("\(kind)/\(index)".utf8)[...], seed: 0)
        } catch {
            preconditionFailure("a key of digits is a key")
        }
    }

    /// Some entity of `kind`; low numbers come more often.
    func anyKey(_ kind: String) -> EntityKey {
        let count = options.entities
        return key(kind, min(random.below(count), random.below(count)))
    }

    /// A put whose state names it.
    func put(
        _ key: EntityKey, id: UInt64, ttl: UInt64? = nil, preconditions: Preconditions = .none, keyed: Bool = false
    ) -> WriteOperation {
        let state = OperationID.plainState(id, filler: random.below(options.stateBytesMax))
        let contentType = random.chance(1, in: 2) ? Array("text/plain".utf8) : []
        return WriteOperation(
            key: key, action: .put(state: state, contentType: contentType, ttlSeconds: ttl),
            preconditions: preconditions, idempotencyKey: keyed ? Array(String(id).utf8) : nil)
    }

    func get(_ key: EntityKey, preconditions: Preconditions = .none, inOrder: Bool = false) -> ReadRequest {
        ReadRequest(key: key, kind: .entity(preconditions), inQueueOrder: inOrder)
    }

    /// Sometimes a condition, mostly on a version that is or was the entity's.
    func anyPreconditions(_ key: EntityKey) -> Preconditions {
        let version = seen[key] ?? 1
        switch random.below(8) {
        case 0: return Preconditions(ifMatch: .versions([version]))
        case 1: return Preconditions(ifMatch: .versions([version &- 1, version]))
        case 2: return Preconditions(ifMatch: .any)
        case 3: return Preconditions(ifNoneMatch: .any)
        case 4: return Preconditions(ifNoneMatch: .versions([version]))
        case 5:
            let seconds = changed[key] ?? 0
            return Preconditions(ifModifiedSince: seconds, ifUnmodifiedSince: seconds)
        default: return .none
        }
    }

    func learn(_ operation: History.Operation) {
        switch operation.answer {
        case .found(let record, _)?, .notModified(let record, _)?:
            seen[operation.line.key] = record.version.rawValue
            changed[operation.line.key] = record.updatedAt.milliseconds / 1000
        case .written(_, let version, _, _, _)?: seen[operation.line.key] = version.rawValue
        case .refused(_, let version?, _)?: seen[operation.line.key] = version.rawValue
        default: break
        }
    }
}

/// One request to be sent.
struct Work {
    enum Body {
        case lines([Line])
        /// A whole scan of a kind, page by page.
        case scan(prefix: [UInt8], pageItems: Int)
    }

    let body: Body
    /// Operation ids of the lines, 0 for those that need none.
    var ids: [UInt64] = []
    /// Sends the request this many times at once, each as a request of its own with its own operations.
    var isFlood = false
    /// After the answer, sends the same keyed request again this much later.
    var repeatAfter: UInt64?

    static func one(_ line: Line, id: UInt64 = 0, repeatAfter: UInt64? = nil) -> Work {
        Work(body: .lines([line]), ids: [id], repeatAfter: repeatAfter)
    }
}
