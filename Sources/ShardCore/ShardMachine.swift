import DequeModule
public import Entities
public import Primitives

/// Names one request between a machine and whoever drives it.
public typealias Ticket = UInt64

/// One shard's single-writer queue: the order of its updates, decided here and nowhere else.
///
/// Pure: no clock, file, socket or thread. One owner drives it on one thread (the shard's event loop, or the
/// simulator), passing time in and carrying effects out, in this cycle:
///
/// 1. ``write(_:ticket:now:arrival:rows:)`` and ``read(_:ticket:now:arrival:rows:)`` evaluate an operation at once,
///    against committed rows overlaid with the queue's own pending effects, so that many updates of one entity in one
///    group each see the one before.
/// 2. ``takeGroup()`` hands effects to the log, in position order; ``groupKept(from:)`` takes one back for a moment,
///    ``groupRefused(from:problem:now:rows:)`` for good.
/// 3. ``logDurable(upTo:)`` is the log's word that positions are on stable storage: the commit rule of an unreplicated
///    shard.
/// 4. ``takeCommit()`` hands committed effects to the store as one batch; ``applied(upTo:)`` says that they are
///    readable.
/// 5. ``nextAnswer()`` releases what may now be said. An answer that rests on a position, whether a success or a
///    refusal seen through the overlay, waits until that position is applied.
/// 6. ``nextFetch()`` asks for rows that only the disk knows; only that entity's queue waits for them.
/// 7. ``nextJob()`` asks for the evaluation of a patch that takes long; again only that entity's queue waits.
///
/// What one turn of the owner's thread evaluates is bounded by ``workLeft``: operations beyond it wait, in order, for
/// ``carryOn(now:rows:)``.
///
/// A shard that is about to change its owner is frozen by ``hold()`` (DESIGN §9): what comes is kept unevaluated, what
/// was admitted goes through the cycle until ``isDrained``. Then either ``thaw(now:rows:)`` evaluates what was kept, or
/// ``surrender()`` gives it back to be sent to the new owner, whose machine begins at the position where this one
/// ended.
///
/// Invariant: `applied <= durable <= submitted <= appended`.
public struct ShardMachine {
    public let shard: ShardID
    public let epoch: Epoch
    /// The last position given to an effect.
    public internal(set) var appended: Position
    /// The last position handed to the log.
    public internal(set) var submitted: Position
    /// The last position known to be on stable storage.
    public internal(set) var durable: Position
    /// The last position readable in the store.
    public internal(set) var applied: Position

    let settings: Settings
    let mutants: Mutants

    /// Effects at positions `applied + 1 ... appended`, in order.
    var effects = Deque<PendingEffect>()
    /// Answers that wait for a position, in the order of their gates.
    var gated = Deque<GatedAnswer>()
    /// Answers that may go out.
    var ready = Deque<(Ticket, Answer)>()
    var fetches = Deque<Fetch>()
    var jobs = Deque<PatchJob>()
    /// The number of the last fetch or job. None is used again when the shard comes back to its node: what was under
    /// way before it left finds nobody waiting.
    var lastErrand: UInt64
    /// Entities with something in flight. Never iterated: only looked up.
    var lanes: [EntityKey: Lane] = [:]

    /// What may still be evaluated in this turn, in bytes of work (`Limits.turnWorkBytesMax`). Below zero it is what
    /// the last operation took too much. The owner sets it, and may share one turn among machines.
    public var workLeft = Limits.turnWorkBytesMax
    /// What was admitted and waits for a turn, in order. Behind ``stalled``.
    var waiting = Deque<Item>()
    /// Entities whose parked operations wait for no row any more, only for a turn.
    var stalled = Deque<EntityKey>()
    /// States that several operations of a group may patch; see ``forgetReadStates()``. Never iterated.
    var readStates: [EntityKey: ReadState] = [:]
    var readStatesBytes = 0
    /// States of entities that were read to be patched, rather than found read.
    public internal(set) var statesRead = 0

    /// Whether the shard is frozen.
    public internal(set) var isHeld = false
    /// What came while the shard was frozen, in order; nothing of it is evaluated.
    var held = Deque<Item>()

    /// The last operation that came was refused because the shard's queue takes no more, whatever the entity.
    public var isFull: Bool { fullBy != nil }
    /// The bound by which it was.
    public internal(set) var fullBy: QueueBound?
    /// Operations admitted and not yet answered, those that are held among them, and what they hold.
    public internal(set) var queuedItems = 0
    public internal(set) var queuedBytes = 0
    /// What the effects hold that are appended and not yet applied, and the states beside them that patches made.
    public internal(set) var effectBytes = 0

    public struct Settings: Sendable {
        public var limits: EntityLimits
        public var queueItemsMax: Int
        public var queueBytesMax: Int
        public var queueAgeMillisecondsMax: UInt64
        public var idempotencyRetentionSeconds: UInt64
        /// A patch that takes more is evaluated off the owner's thread, in bytes of work.
        public var loopPatchWorkBytesMax: Int
        /// What the patches of one entity that wait may read in sum, in bytes.
        public var entityQueueBytesMax: Int

        public init(
            limits: EntityLimits = EntityLimits(),
            queueItemsMax: Int = Limits.queueItemsMax,
            queueBytesMax: Int = Limits.queueBytesMax,
            queueAgeMillisecondsMax: UInt64 = Limits.queueAgeMillisecondsMax,
            idempotencyRetentionSeconds: UInt64 = Limits.idempotencyRetentionSeconds,
            loopPatchWorkBytesMax: Int = Limits.loopPatchWorkBytesMax,
            entityQueueBytesMax: Int = Limits.entityQueueBytesMax
        ) {
            self.limits = limits
            self.queueItemsMax = queueItemsMax
            self.queueBytesMax = queueBytesMax
            self.queueAgeMillisecondsMax = queueAgeMillisecondsMax
            self.idempotencyRetentionSeconds = idempotencyRetentionSeconds
            self.loopPatchWorkBytesMax = loopPatchWorkBytesMax
            self.entityQueueBytesMax = entityQueueBytesMax
        }
    }

    /// Why a shard's queue takes no more.
    public enum QueueBound: Sendable {
        case items
        case bytes
        /// The oldest operation has waited too long for the log.
        case age
        /// The shard has been frozen too long.
        case frozen
    }

    /// What one request asks of the shard.
    public enum Work: Sendable {
        case write(WriteOperation)
        case read(ReadRequest)
    }

    /// A machine over a store that has applied everything up to `applied`, with nothing in flight.
    public init(
        shard: ShardID, epoch: Epoch, applied: Position, settings: Settings = Settings(), mutants: Mutants = .none
    ) {
        self.shard = shard
        self.epoch = epoch
        lastErrand = epoch.rawValue << 32
        self.appended = applied
        self.submitted = applied
        self.durable = applied
        self.applied = applied
        self.settings = settings
        self.mutants = mutants
    }

    /// Nothing is in flight and nothing waits to be taken out.
    public var isIdle: Bool {
        queuedItems == 0 && effects.isEmpty && ready.isEmpty && fetches.isEmpty && jobs.isEmpty
    }

    /// The next answer that may go out, in the order of release.
    public mutating func nextAnswer() -> (ticket: Ticket, answer: Answer)? { ready.popFirst() }

    /// Whether there are rows to read off the loop.
    public var wantsFetch: Bool { !fetches.isEmpty }

    /// The next rows to read off the loop. Each is given back by `fetched` or `fetchFailed`, exactly once.
    public mutating func nextFetch() -> Fetch? { fetches.popFirst() }

    /// Whether there are patches to evaluate off the loop.
    public var wantsJob: Bool { !jobs.isEmpty }

    /// The next patch to evaluate off the loop. Each is given back by ``finished(_:now:at:rows:)`` or
    /// ``refuse(_:_:now:rows:)``, exactly once.
    public mutating func nextJob() -> PatchJob? {
        guard var job = jobs.popFirst() else { return nil }
        job.known = takeReadState(of: job.key, job.current)
        return job
    }

    func place(_ position: Position) -> ShardPosition { ShardPosition(shard: shard, position: position) }
}

/// An effect on its way from evaluation to the store.
struct PendingEffect {
    let key: EntityKey
    let position: Position
    let effect: EntityEffect
    /// What it holds, beside the request that made it.
    let bytes: Int
}

/// An answer and the position it rests on.
struct GatedAnswer {
    let gate: Position
    let item: Item
    let answer: Answer
}

/// One admitted operation.
struct Item {
    let work: ShardMachine.Work
    let ticket: Ticket
    /// When it came, or the freeze that held it ended.
    var arrival: MonotonicTime
    let bytes: Int

    var key: EntityKey {
        switch work {
        case .write(let operation): operation.key
        case .read(let request): request.key
        }
    }
}

/// What is in flight for one entity.
struct Lane {
    /// The entity's newest record, where the queue knows it better than the store.
    enum Overlay {
        case unknown
        case known(StoredRecord?)
    }

    var overlay: Overlay = .unknown
    /// Effects appended and not yet applied.
    var pendingEffects = 0
    /// Rows of Idempotency-Keys whose effect is not yet applied, oldest first.
    var pendingRows: [(key: [UInt8], row: IdempotencyRow)] = []
    /// Operations behind a fetch or a job, in order; the first is the one that it is for.
    var parked = Deque<Item>()
    /// The number of that fetch or job.
    var errand: UInt64?
    /// What it brought, until the first one is evaluated.
    var brought = Brought()
    /// What the last patch that was evaluated off the loop read: its document and the state.
    var patchBytes = 0

    var isIdle: Bool { pendingEffects == 0 && parked.isEmpty }
}
