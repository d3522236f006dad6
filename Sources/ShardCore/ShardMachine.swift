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
/// A shard that is about to change its owner is frozen by ``hold()`` (Architecture §9): what comes is kept unevaluated,
/// what was admitted goes through the cycle until ``isDrained``. Then either ``thaw(now:rows:)`` evaluates what was
/// kept, or ``surrender()`` gives it back to be sent to the new owner, whose machine begins at the position where this
/// one ended.
///
/// Invariant: `applied <= durable <= submitted <= appended`.
public struct ShardMachine {
    public let shard: ShardID
    public let epoch: Epoch
    /// The last position given to an effect.
    public private(set) var appended: Position
    /// The last position handed to the log.
    public private(set) var submitted: Position
    /// The last position known to be on stable storage.
    public private(set) var durable: Position
    /// The last position readable in the store.
    public private(set) var applied: Position

    private let settings: Settings
    private let mutants: Mutants

    /// Effects at positions `applied + 1 ... appended`, in order.
    private var effects = Deque<PendingEffect>()
    /// Answers that wait for a position, in the order of their gates.
    private var gated = Deque<GatedAnswer>()
    /// Answers that may go out.
    private var ready = Deque<(Ticket, Answer)>()
    private var fetches = Deque<Fetch>()
    private var jobs = Deque<PatchJob>()
    /// The number of the last fetch or job. None is used again when the shard comes back to its node: what was under
    /// way before it left finds nobody waiting.
    private var lastErrand: UInt64
    /// Entities with something in flight. Never iterated: only looked up.
    private var lanes: [EntityKey: Lane] = [:]

    /// What may still be evaluated in this turn, in bytes of work (`Limits.turnWorkBytesMax`). Below zero it is what
    /// the last operation took too much. The owner sets it, and may share one turn among machines.
    public var workLeft = Limits.turnWorkBytesMax
    /// What was admitted and waits for a turn, in order. Behind ``stalled``.
    private var waiting = Deque<Item>()
    /// Entities whose parked operations wait for no row any more, only for a turn.
    private var stalled = Deque<EntityKey>()
    /// States that several operations of a group may patch; see ``forgetReadStates()``. Never iterated.
    private var readStates: [EntityKey: ReadState] = [:]
    private var readStatesBytes = 0
    /// States of entities that were read to be patched, rather than found read.
    public private(set) var statesRead = 0

    /// While the shard is frozen: what came meanwhile, in order. Nothing of it is evaluated.
    private var held: Deque<Item>?

    /// The last operation that came was refused because the shard's queue takes no more, whatever the entity.
    public var isFull: Bool { fullBy != nil }
    /// The bound by which it was.
    public private(set) var fullBy: QueueBound?
    /// Operations admitted and not yet answered, those that are held among them, and what they hold.
    public private(set) var queuedItems = 0
    public private(set) var queuedBytes = 0
    /// What the effects hold that are appended and not yet applied, and the states beside them that patches made.
    public private(set) var effectBytes = 0

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

    /// Whether the shard is frozen.
    public var isHeld: Bool { held != nil }

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

    private func place(_ position: Position) -> ShardPosition { ShardPosition(shard: shard, position: position) }

    // MARK: Admission

    /// Admits and evaluates one write, or refuses it by name while the queue is full (G9).
    ///
    /// - Parameters:
    ///   - ticket: comes back with the answer.
    ///   - now: becomes `updatedAt` and decides expiry.
    ///   - arrival: when the request came, for the queue's age limit.
    ///   - rows: the committed rows, asked only for what the operation depends on.
    public mutating func write(
        _ operation: WriteOperation, ticket: Ticket, now: Timestamp, arrival: MonotonicTime,
        rows: some CommittedRows
    ) {
        let item = Item(work: .write(operation), ticket: ticket, arrival: arrival, bytes: operation.byteCount)
        admit(item, now: now, rows: rows)
    }

    /// Admits a read, of an entity or of an outcome, that must see the writes queued before it. Other reads go beside
    /// the queue, to committed state, except while the shard is frozen and its reads are stopped: then they come here.
    public mutating func read(
        _ request: ReadRequest, ticket: Ticket, now: Timestamp, arrival: MonotonicTime, rows: some CommittedRows
    ) {
        let item = Item(
            work: .read(request), ticket: ticket, arrival: arrival, bytes: request.key.bytes.count)
        admit(item, now: now, rows: rows)
    }

    private mutating func admit(_ item: Item, now: Timestamp, rows: some CommittedRows) {
        if let problem = fullness(adding: item) {
            ready.append((item.ticket, .refused(problem, currentVersion: nil, place(applied))))
            return
        }
        queuedItems += 1
        queuedBytes += item.bytes
        if isHeld {
            held?.append(item)
        } else if hasMore || workLeft <= 0 {
            waiting.append(item)
        } else {
            enqueue(item, now: now, rows: rows)
        }
    }

    /// Runs an admitted operation, behind those of its entity that wait for a fetch or a job.
    private mutating func enqueue(_ item: Item, now: Timestamp, rows: some CommittedRows) {
        if let lane = lanes[item.key], !lane.parked.isEmpty, !mutants.has(.parkedOrderLost) {
            lanes[item.key]!.parked.append(item)
            return
        }
        if !run(item, Brought(), now: now, rows: rows) {
            lanes[item.key, default: Lane()].parked.append(item)
        }
    }

    /// Why nothing more is admitted, or `nil`. Who is refused now knows that nothing happened; who waits in vain does
    /// not.
    private mutating func fullness(adding item: Item) -> Problem? {
        let age = ageOfOldest(at: item.arrival)
        fullBy = bound(adding: item, age: age)
        guard let fullBy else { return entityFullness(adding: item) }
        let what =
            switch fullBy {
            case .items: "shard \(shard) has \(queuedItems) operations queued, the most it takes"
            case .bytes: "shard \(shard) has \(queuedBytes) bytes queued"
            case .age: "the oldest write of shard \(shard) has waited \(age) ms"
            case .frozen: "shard \(shard) is changing hands and has held requests for \(age) ms"
            }
        return Problem(.overloaded, "\(what); try again shortly")
    }

    private func bound(adding item: Item, age: UInt64) -> QueueBound? {
        if queuedItems >= settings.queueItemsMax { return .items }
        if queuedBytes + item.bytes > settings.queueBytesMax, queuedItems > 0 { return .bytes }
        guard age > settings.queueAgeMillisecondsMax else { return nil }
        return gated.isEmpty && waiting.isEmpty ? .frozen : .age
    }

    /// In milliseconds: of the oldest operation that waits for the log or for the end of a freeze.
    private func ageOfOldest(at time: MonotonicTime) -> UInt64 {
        guard let oldest = (gated.first?.item ?? waiting.first ?? held?.first)?.arrival else { return 0 }
        return time.nanoseconds(since: oldest) / 1_000_000
    }

    /// Operations on other entities of the shard are admitted all the same.
    private func entityFullness(adding item: Item) -> Problem? {
        guard let lane = lanes[item.key], let oldest = lane.parked.first?.arrival else { return nil }
        let age = item.arrival.nanoseconds(since: oldest) / 1_000_000
        if age > settings.queueAgeMillisecondsMax {
            return Problem(.overloaded, "the oldest operation on this entity has waited \(age) ms; try again shortly")
        }
        guard lane.parked.count * lane.patchBytes > settings.entityQueueBytesMax else { return nil }
        return Problem(
            .overloaded,
            "\(lane.parked.count) operations on this entity of \(lane.patchBytes) bytes wait; try again shortly")
    }

    /// Rows that a fetch was for. `nil` bytes mean that the row is absent; a row that was not asked for is ignored, and
    /// so is a fetch that a refused group has made void.
    ///
    /// - Parameter time: of now, by the clock of arrivals. The age of a write in the log is counted from here.
    public mutating func fetched(
        _ fetch: Fetch, record: [UInt8]?, idempotencyRow: [UInt8]?, now: Timestamp, at time: MonotonicTime,
        rows: some CommittedRows
    ) {
        guard waits(for: fetch.number, of: fetch.key) else { return }
        lanes[fetch.key]!.brought = Brought(
            record: fetch.recordRow == nil ? nil : .some(record),
            idempotencyRow: fetch.idempotencyRow == nil ? nil : .some(idempotencyRow))
        restartClock(of: fetch.key, at: time)
        runParked(fetch.key, now: now, rows: rows)
    }

    /// A job has been evaluated. One that a refused group has made void is ignored.
    ///
    /// - Parameter time: as in ``fetched(_:record:idempotencyRow:now:at:rows:)``.
    public mutating func finished(
        _ result: PatchResult, now: Timestamp, at time: MonotonicTime, rows: some CommittedRows
    ) {
        guard waits(for: result.number, of: result.key) else { return }
        lanes[result.key]!.brought.result = result
        restartClock(of: result.key, at: time)
        runParked(result.key, now: now, rows: rows)
    }

    /// There is no room for the job: its operation is refused, and the next one tries for itself.
    public mutating func refuse(_ job: PatchJob, _ problem: Problem, now: Timestamp, rows: some CommittedRows) {
        guard waits(for: job.number, of: job.key), let item = lanes[job.key]!.parked.popFirst() else { return }
        lanes[job.key]!.brought = Brought()
        keep(job.known, of: job.key)
        release(item, .refused(problem, currentVersion: nil, place(applied)))
        runParked(job.key, now: now, rows: rows)
    }

    /// The first parked operation has what it waited for: how long it waited says nothing of the log.
    private mutating func restartClock(of key: EntityKey, at time: MonotonicTime) {
        lanes[key]!.parked[0].arrival = max(lanes[key]!.parked[0].arrival, time)
    }

    /// The rows could not be read: the operation at the head is refused, and the next one tries for itself.
    public mutating func fetchFailed(_ fetch: Fetch, reason: String, now: Timestamp, rows: some CommittedRows) {
        guard waits(for: fetch.number, of: fetch.key), let item = lanes[fetch.key]?.parked.popFirst() else { return }
        refuseUnreadable(item, reason: reason)
        runParked(fetch.key, now: now, rows: rows)
    }

    /// Whether an operation still waits for the fetch or job `number`, which then has ended.
    private mutating func waits(for number: UInt64, of key: EntityKey) -> Bool {
        guard let lane = lanes[key], lane.errand == number else { return false }
        precondition(!lane.parked.isEmpty, "an entity of shard \(shard) waits for what no operation has asked for")
        lanes[key]!.errand = nil
        return true
    }

    /// Evaluates `items` before all that their entities have parked: they were admitted earlier. What was being fetched
    /// or evaluated for those entities may be out of date by the time it comes, and is void.
    private mutating func rerun(_ items: [Item], now: Timestamp, rows: some CommittedRows) {
        for item in items.reversed() {
            lanes[item.key, default: Lane()].parked.prepend(item)
            lanes[item.key]!.errand = nil
            lanes[item.key]!.brought = Brought()
        }
        for item in items where lanes[item.key]?.errand == nil { runParked(item.key, now: now, rows: rows) }
    }

    /// Evaluates what the entity has parked, up to an operation that needs a row or a job, or the end of the turn.
    private mutating func runParked(_ key: EntityKey, now: Timestamp, rows: some CommittedRows) {
        while let item = lanes[key]?.parked.first {
            guard workLeft > 0 else { return stalled.append(key) }
            // What was brought is for the first one alone. Where a refused group took away an overlay that it had
            // relied on, it asks for that row, too.
            let brought = lanes[key]!.brought
            lanes[key]!.brought = Brought()
            guard run(item, brought, now: now, rows: rows) else { return }
            lanes[key]!.parked.removeFirst()
        }
        if lanes[key]?.isIdle == true { lanes[key] = nil }
    }

    // MARK: Turns

    /// Operations wait for a turn.
    public var hasMore: Bool { !waiting.isEmpty || !stalled.isEmpty }

    /// Evaluates what waits for a turn, in order, as far as ``workLeft`` goes. The operation that passes it is
    /// finished.
    public mutating func carryOn(now: Timestamp, rows: some CommittedRows) {
        while workLeft > 0, let key = stalled.popFirst() {
            if lanes[key]?.errand == nil { runParked(key, now: now, rows: rows) }
        }
        while workLeft > 0, stalled.isEmpty {
            let item = mutants.has(.waitingOrderLost) ? waiting.popLast() : waiting.popFirst()
            guard let item else { return }
            enqueue(item, now: now, rows: rows)
        }
    }

    /// Lets go of the states that were kept read. The owner calls it when a group has ended and nothing waits that
    /// could use them, or when another machine needs the memory: what is forgotten is read anew.
    public mutating func forgetReadStates() {
        guard !readStates.isEmpty else { return }
        readStates.removeAll()
        readStatesBytes = 0
    }

    /// Takes out the state of `record`, where it is kept read.
    private mutating func takeReadState(of key: EntityKey, _ record: StoredRecord?) -> ReadState? {
        guard let record, record.state.count >= Limits.readStateBytesMin,
            let state = readStates.removeValue(forKey: key)
        else { return nil }
        readStatesBytes -= state.byteCount
        return state
    }

    /// Keeps a state for the next operation of its entity; the others have to go where there is not room for all.
    private mutating func keep(_ state: ReadState?, of key: EntityKey) {
        guard let state, state.byteCount >= Limits.readStateBytesMin else { return }
        if readStatesBytes + state.byteCount > Limits.readStatesBytesMax { forgetReadStates() }
        readStates[key] = state
        readStatesBytes += state.byteCount
    }

    // MARK: Evaluation

    /// Evaluates one operation. False: it needs rows that only the disk knows, or may take long; a fetch or a job is
    /// queued and nothing else has changed.
    private mutating func run(_ item: Item, _ brought: Brought, now: Timestamp, rows: some CommittedRows) -> Bool {
        switch item.work {
        case .write(let operation): runWrite(operation, item, brought, now: now, rows: rows)
        case .read(let request): runRead(request, item, brought, now: now, rows: rows)
        }
    }

    /// Architecture §4: idempotency row, then precondition, then operation, then new record.
    private mutating func runWrite(
        _ operation: WriteOperation, _ item: Item, _ brought: Brought, now: Timestamp, rows: some CommittedRows
    ) -> Bool {
        if operation.isBlind { return append(operation, item, current: nil, now: now) }
        let row = idempotencyRow(of: operation, brought, rows: rows)
        let record = currentRecord(of: operation.key, brought, rows: rows)
        switch (row, record) {
        case (.failed(let reason), _), (_, .failed(let reason)):
            refuseUnreadable(item, reason: reason)
        case (.notCached, _), (_, .notCached):
            // What an earlier fetch brought is asked for again: a small cache may have dropped it by the next time, and
            // two rows that push each other out would be fetched in turn for ever.
            let needsRecord = if case .notCached = record { true } else { brought.record != nil }
            let needsRow = if case .notCached = row { true } else { brought.idempotencyRow != nil }
            ask(
                for: operation.key, recordRow: needsRecord ? StoreRows.entity(operation.key) : nil,
                idempotencyRow: needsRow
                    ? operation.idempotencyKey.map { StoreRows.idempotency(operation.key, $0) } : nil)
            return false
        case (.known(let row), .known(let current)):
            return decide(operation, item, brought, row: row, current: current, now: now)
        }
        return true
    }

    private mutating func decide(
        _ operation: WriteOperation, _ item: Item, _ brought: Brought, row: IdempotencyRow?, current: StoredRecord?,
        now: Timestamp
    ) -> Bool {
        if mutants.has(.idempotencyAfterPrecondition),
            case .refused(let problem, let version) = operation.evaluate(
                current: current, position: appended.next, now: now, limits: settings.limits)
        {
            settle(item, .refused(problem, currentVersion: version, place(appended)))
            return true
        }
        switch ReplayCheck(operation, row: row, now: now) {
        case .replay(let status, let version):
            settle(
                item,
                .written(
                    status: status, version: version, place(version), representation: nil, replayed: true))
        case .mismatch(let problem):
            settle(item, .refused(problem, currentVersion: current?.version, place(settledPosition(of: item.key))))
        case .none:
            if let result = brought.result, mutants.has(.staleResultUsed) || result.holds(for: current, now: now) {
                append(operation, item, result)
            } else if operation.patchBytes(on: current) > settings.loopPatchWorkBytesMax {
                ask(forJob: operation, on: current, brought, wasCut: false, now: now)
                return false
            } else if !append(operation, item, current: current, now: now) {
                ask(forJob: operation, on: current, brought, wasCut: true, now: now)
                return false
            }
        }
        return true
    }

    /// Appends what a job has made of the entity, or refuses.
    private mutating func append(_ operation: WriteOperation, _ item: Item, _ result: PatchResult) {
        statesRead += result.statesRead
        workLeft -= Limits.turnOperationWorkBytes
        switch result.evaluation {
        case .refused:
            keep(result.known, of: operation.key)
            append(operation, item, result.evaluation, now: result.now)
        case .effect(let record, let status):
            let position = appended.next
            workLeft -= record?.state.count ?? 0
            keep(result.known?.at(position), of: operation.key)
            append(operation, item, .effect(record: record?.at(position), status: status), now: result.now)
        }
    }

    /// Evaluates against `current`, and appends the effect or refuses. A blind put passes `nil`: it does not ask.
    /// False: it takes too long for the owner's thread, and nothing has changed.
    private mutating func append(
        _ operation: WriteOperation, _ item: Item, current: StoredRecord?, now: Timestamp
    ) -> Bool {
        let version = mutants.has(.versionResetOnDelete) && current == nil ? Position(1) : appended.next
        var state = takeReadState(of: operation.key, current)
        var cost = EvaluationCost()
        let evaluation = operation.evaluate(
            current: current, position: version, now: now, limits: settings.limits, known: &state, cost: &cost,
            patchWorkMax: settings.loopPatchWorkBytesMax)
        workLeft -= cost.work + Limits.turnOperationWorkBytes
        statesRead += cost.statesRead
        keep(state, of: operation.key)
        guard let evaluation else { return false }
        append(operation, item, evaluation, now: now)
        return true
    }

    /// - Parameter evaluation: of an effect at the position after ``appended``.
    private mutating func append(_ operation: WriteOperation, _ item: Item, _ evaluation: Evaluation, now: Timestamp) {
        switch evaluation {
        case .refused(let problem, let version):
            settle(item, .refused(problem, currentVersion: version, place(settledPosition(of: item.key))))
        case .effect(let record, let status):
            let position = appended.next
            let row = operation.idempotencyKey.map { _ in
                IdempotencyRow(
                    status: status, version: position,
                    expiresAt: now.adding(seconds: settings.idempotencyRetentionSeconds),
                    fingerprint: .init(of: operation.action))
            }
            let effect = EntityEffect(
                key: operation.key, record: record, idempotencyKey: operation.idempotencyKey, idempotencyRow: row)
            // The payload has the state, too: one copy is enough of a large one.
            let record = (record?.state.count ?? 0) > Limits.readStateBytesMin ? effect.record : record
            appended = position
            keep(effect, at: position, beside: operation, record)
            note(record, idempotencyKey: operation.idempotencyKey, row: row, of: operation.key)
            let answer = Answer.written(
                status: status, version: position, place(position),
                representation: operation.wantsRepresentation ? record : nil, replayed: false)
            gated.append(GatedAnswer(gate: position, item: item, answer: answer))
        }
    }

    /// A put's state is its request's own; what a patch has made stays beside its encoding until both are applied.
    private mutating func keep(
        _ effect: EntityEffect, at position: Position, beside operation: WriteOperation, _ record: StoredRecord?
    ) {
        var bytes = effect.encoded.count
        if case .patch = operation.action { bytes += record?.encodedCount ?? 0 }
        effectBytes += bytes
        effects.append(PendingEffect(key: operation.key, position: position, effect: effect, bytes: bytes))
    }

    /// Remembers what the entity will be once its pending effects are applied.
    private mutating func note(
        _ record: StoredRecord?, idempotencyKey: [UInt8]?, row: IdempotencyRow?, of key: EntityKey
    ) {
        func update(_ lane: inout Lane) {
            lane.pendingEffects += 1
            if !mutants.has(.overlayIgnored) { lane.overlay = .known(record) }
            if let idempotencyKey, let row { lane.pendingRows.append((idempotencyKey, row)) }
        }
        update(&lanes[key, default: Lane()])
    }

    private mutating func runRead(
        _ request: ReadRequest, _ item: Item, _ brought: Brought, now: Timestamp, rows: some CommittedRows
    ) -> Bool {
        let preconditions: Preconditions
        switch request.kind {
        case .entity(let given): preconditions = given
        case .outcome(let name): return runOutcome(request.key, name, item, brought, now: now, rows: rows)
        }
        switch currentRecord(of: request.key, brought, rows: rows) {
        case .failed(let reason):
            refuseUnreadable(item, reason: reason)
        case .notCached:
            ask(for: request.key, recordRow: StoreRows.entity(request.key), idempotencyRow: nil)
            return false
        case .known(let current):
            workLeft -= (current?.state.count ?? 0) + Limits.turnOperationWorkBytes
            let place = place(settledPosition(of: request.key))
            switch preconditions.evaluateRead(current: current, now: now) {
            case .found(let record): settle(item, .found(record, place))
            case .notModified(let record): settle(item, .notModified(record, place))
            case .refused(let problem, let version):
                settle(item, .refused(problem, currentVersion: version, place))
            }
        }
        return true
    }

    private mutating func runOutcome(
        _ key: EntityKey, _ name: [UInt8], _ item: Item, _ brought: Brought, now: Timestamp,
        rows: some CommittedRows
    ) -> Bool {
        switch idempotencyRow(name, of: key, brought, rows: rows) {
        case .failed(let reason):
            refuseUnreadable(item, reason: reason)
        case .notCached:
            ask(for: key, recordRow: nil, idempotencyRow: StoreRows.idempotency(key, name))
            return false
        case .known(let row):
            let position = settledPosition(of: key)
            if let row, !row.isExpired(at: now) {
                let place = place(max(position, row.version))
                settle(item, .outcome(status: row.status, version: row.version, place))
            } else {
                let problem = Problem(.notFound, "no write of this entity with this Idempotency-Key is recorded")
                settle(item, .refused(problem, currentVersion: nil, place(position)))
            }
        }
        return true
    }

    private mutating func ask(for key: EntityKey, recordRow: [UInt8]?, idempotencyRow: [UInt8]?) {
        lastErrand += 1
        lanes[key, default: Lane()].errand = lastErrand
        fetches.append(
            Fetch(key: key, number: lastErrand, recordRow: recordRow, idempotencyRow: idempotencyRow))
    }

    /// - Parameter brought: kept for the time after the job; a small cache may have dropped those rows by then.
    private mutating func ask(
        forJob operation: WriteOperation, on current: StoredRecord?, _ brought: Brought, wasCut: Bool, now: Timestamp
    ) {
        lastErrand += 1
        var brought = brought
        brought.result = nil
        lanes[operation.key, default: Lane()].errand = lastErrand
        lanes[operation.key]!.brought = brought
        lanes[operation.key]!.patchBytes = operation.patchBytes(on: current)
        jobs.append(
            PatchJob(
                key: operation.key, number: lastErrand, operation: operation, current: current, now: now,
                limits: settings.limits, wasCut: wasCut))
    }

    /// Answers without an effect. What was seen through the overlay rests on positions that are not applied yet, and
    /// waits for them; what committed state alone decided goes at once.
    private mutating func settle(_ item: Item, _ answer: Answer) {
        if mutants.has(.refusalNotGated) || (lanes[item.key]?.pendingEffects ?? 0) == 0 {
            release(item, answer)
        } else {
            gated.append(GatedAnswer(gate: appended, item: item, answer: answer))
        }
    }

    /// A position at which the entity is as the queue sees it now.
    private func settledPosition(of key: EntityKey) -> Position {
        (lanes[key]?.pendingEffects ?? 0) == 0 ? applied : appended
    }

    private mutating func refuseUnreadable(_ item: Item, reason: String) {
        let problem = Problem(.shardUnavailable, "shard \(shard) cannot read the entity: \(reason)")
        release(item, .refused(problem, currentVersion: nil, place(applied)))
    }

    private mutating func release(_ item: Item, _ answer: Answer) {
        queuedItems -= 1
        queuedBytes -= item.bytes
        ready.append((item.ticket, answer))
    }

    // MARK: Rows

    private func currentRecord(
        of key: EntityKey, _ brought: Brought, rows: some CommittedRows
    ) -> Resolved<StoredRecord> {
        if case .known(let record) = lanes[key]?.overlay { return .known(record) }
        if let bytes = brought.record { return decode(bytes) { StoredRecord(decoding: $0) } }
        return resolve(rows.lookup(StoreRows.entity(key))) { StoredRecord(decoding: $0) }
    }

    private func idempotencyRow(
        of operation: WriteOperation, _ brought: Brought, rows: some CommittedRows
    ) -> Resolved<IdempotencyRow> {
        guard let name = operation.idempotencyKey else { return .known(nil) }
        return idempotencyRow(name, of: operation.key, brought, rows: rows)
    }

    private func idempotencyRow(
        _ name: [UInt8], of key: EntityKey, _ brought: Brought, rows: some CommittedRows
    ) -> Resolved<IdempotencyRow> {
        if let pending = lanes[key]?.pendingRows.last(where: { $0.key == name }) { return .known(pending.row) }
        if let bytes = brought.idempotencyRow { return decode(bytes) { IdempotencyRow(decoding: $0) } }
        return resolve(rows.lookup(StoreRows.idempotency(key, name))) { IdempotencyRow(decoding: $0) }
    }

    private func resolve<Value>(_ lookup: RowLookup, _ decoded: ([UInt8]) -> Value?) -> Resolved<Value> {
        switch lookup {
        case .found(let bytes): decode(bytes, decoded)
        case .absent: .known(nil)
        case .notCached: .notCached
        case .failed(let reason): .failed(reason)
        }
    }

    private func decode<Value>(_ bytes: [UInt8]?, _ decoded: ([UInt8]) -> Value?) -> Resolved<Value> {
        guard let bytes else { return .known(nil) }
        guard let value = decoded(bytes) else { return .failed("its row is in no format that this version knows") }
        return .known(value)
    }

    // MARK: Commit

    /// Every effect not yet handed to the log, or `nil`.
    public mutating func takeGroup() -> AppendGroup? {
        guard submitted < appended else { return nil }
        let first = submitted.next
        let start = Int(first.rawValue - applied.rawValue) - 1
        let payloads = effects[start...].map { payload(of: $0.effect) }
        submitted = appended
        return AppendGroup(shard: shard, epoch: epoch, first: first, payloads: payloads)
    }

    private func payload(of effect: EntityEffect) -> [UInt8] {
        guard mutants.has(.idempotencyRowOutsideBatch) else { return effect.encoded }
        return EntityEffect(key: effect.key, record: effect.record, idempotencyKey: nil, idempotencyRow: nil).encoded
    }

    /// The log has enough to write before the group that began at `first`. It stays here, and ``takeGroup()`` gives it
    /// again, with what was appended meanwhile.
    public mutating func groupKept(from first: Position) {
        precondition(first > durable && first <= submitted, "only a group that was just taken is kept")
        submitted = Position(first.rawValue - 1)
    }

    /// The log did not take the group that began at `first`: none of it happened. Its writes are refused with
    /// `problem`, their positions are given back, and whatever was evaluated on top of them is evaluated anew.
    public mutating func groupRefused(
        from first: Position, problem: Problem, now: Timestamp, rows: some CommittedRows
    ) {
        precondition(first > durable && first <= appended, "only a group that the log has not taken is refused")
        var again: [Item] = []
        var kept = gated
        kept.removeAll()
        while let waiting = gated.popFirst() {
            if waiting.gate < first {
                kept.append(waiting)
            } else if case .written(_, let version, _, _, false) = waiting.answer, version == waiting.gate {
                release(waiting.item, .refused(problem, currentVersion: nil, place(applied)))
            } else {
                again.append(waiting.item)
            }
        }
        gated = kept
        // Positions are given anew, and a state that was read is known by its position.
        forgetReadStates()
        appended = Position(first.rawValue - 1)
        submitted = min(submitted, appended)
        while let last = effects.last, last.position >= first {
            effectBytes -= last.bytes
            effects.removeLast()
            forget(last.key, from: first)
        }
        rerun(again, now: now, rows: rows)
    }

    /// Takes an effect that did not happen out of its entity's overlay.
    private mutating func forget(_ key: EntityKey, from first: Position) {
        guard let index = lanes.index(forKey: key) else {
            preconditionFailure("an effect in flight has a lane")
        }
        let newest = effects.last { $0.key == key }
        lanes.values[index].pendingEffects -= 1
        lanes.values[index].pendingRows.removeAll { $0.row.version >= first }
        lanes.values[index].overlay = newest.map { .known($0.effect.record) } ?? .unknown
        if lanes.values[index].isIdle { lanes.remove(at: index) }
    }

    /// Positions up to `position` are on stable storage, which commits them. Never goes back.
    public mutating func logDurable(upTo position: Position) {
        precondition(position <= submitted, "the log cannot have what it was not given")
        durable = max(durable, position)
        if mutants.has(.answerBeforeApply) { releaseGated(upTo: durable) }
    }

    /// Every committed effect not yet applied, or `nil`. The caller writes them, and `through`, in one batch, and then
    /// calls ``applied(upTo:)``. Changes nothing; `mutating`, since a machine that is a property of a class would
    /// otherwise be copied for the call.
    public mutating func takeCommit() -> CommitGroup? {
        guard applied < durable else { return nil }
        let count = Int(durable.rawValue - applied.rawValue)
        return CommitGroup(
            shard: shard, epoch: epoch, through: durable, effects: effects.prefix(count).map(\.effect))
    }

    /// The store reads back everything up to `position`: what rests on it may be said.
    public mutating func applied(upTo position: Position) {
        precondition(position <= durable, "only committed effects enter the store")
        while applied < position {
            guard let effect = effects.popFirst() else {
                preconditionFailure("shard \(shard) applied \(position) but has no effect after \(applied)")
            }
            precondition(effect.position == applied.next, "positions are contiguous")
            applied = effect.position
            effectBytes -= effect.bytes
            settleLane(effect.key)
        }
        releaseGated(upTo: applied)
    }

    /// The shard stops being served here: what the log may have is unknown, all else did not happen. Afterwards nothing
    /// is in flight, and fetches and jobs under way must not be given back.
    public mutating func stepDown(_ problem: Problem) {
        let unknown = Problem(
            .outcomeUnknown, "the write was on its way to stable storage when shard \(shard) stopped being served")
        while let waiting = gated.popFirst() {
            let isWrite = if case .written = waiting.answer { true } else { false }
            let mayHaveHappened = isWrite && waiting.gate <= submitted
            release(
                waiting.item, .refused(mayHaveHappened ? unknown : problem, currentVersion: nil, place(applied)))
        }
        // Sorted, since a dictionary's order must not decide anything.
        let parked = lanes.values.flatMap { Array($0.parked) }.sorted { $0.ticket < $1.ticket }
        for item in parked { release(item, .refused(problem, currentVersion: nil, place(applied))) }
        while let item = waiting.popFirst() { release(item, .refused(problem, currentVersion: nil, place(applied))) }
        while let item = held?.popFirst() { release(item, .refused(problem, currentVersion: nil, place(applied))) }
        stalled.removeAll()
        forgetReadStates()
        lanes.removeAll()
        effects.removeAll()
        effectBytes = 0
        fetches.removeAll()
        jobs.removeAll()
    }

    private mutating func releaseGated(upTo position: Position) {
        while let waiting = gated.first, waiting.gate <= position {
            gated.removeFirst()
            release(waiting.item, waiting.answer)
        }
    }

    private mutating func settleLane(_ key: EntityKey) {
        guard let index = lanes.index(forKey: key) else {
            preconditionFailure("an effect in flight has a lane")
        }
        lanes.values[index].settle(upTo: applied)
        if lanes.values[index].isIdle { lanes.remove(at: index) }
    }

    // MARK: The freeze of a shard that is about to change its owner (Architecture §9)

    /// From now on what comes, and what waits for a turn, is kept in order, unevaluated, and counts towards the limits
    /// of the queue. What was evaluated or waits for a row goes on. Does nothing where the shard is frozen already.
    public mutating func hold() {
        guard !isHeld else { return }
        held = waiting
        waiting = Deque()
    }

    /// The shard is frozen, and nothing that was admitted before is left: every effect is applied, no answer waits for
    /// a position and no operation for a row. ``applied`` is then the shard's last position, and stays it. Answers may
    /// still be waiting for ``nextAnswer()``.
    public var isDrained: Bool { effects.isEmpty && queuedItems == held?.count }

    /// Ends the freeze: evaluates what was kept, in order and as far as ``workLeft`` goes. Refuses what has been kept
    /// for so long that nobody waits for it any more. Does nothing where the shard is not frozen.
    ///
    /// - Parameter time: of now, by the clock of arrivals. The queue's age is counted from here.
    public mutating func thaw(now: Timestamp, at time: MonotonicTime, rows: some CommittedRows) {
        if mutants.has(.freezeDropsQueue) { _ = takeHeld() }
        var kept = held ?? Deque()
        held = nil
        while var item = kept.popFirst() {
            guard time.nanoseconds(since: item.arrival) < Limits.requestSecondsMax * 1_000_000_000 else {
                release(item, .refused(waitedTooLong, currentVersion: nil, place(applied)))
                continue
            }
            item.arrival = time
            waiting.append(item)
        }
        carryOn(now: now, rows: rows)
    }

    private var waitedTooLong: Problem {
        Problem(
            .shardUnavailable,
            "shard \(shard) was about to change hands for longer than a request waits; nothing was done")
    }

    /// Takes out what the freeze has kept, in order: the shard is lost, and the new owner is to be asked. None of it
    /// was evaluated, so nothing can happen twice. The machine stays frozen, is empty where it ``isDrained``, and is to
    /// be thrown away.
    public mutating func surrender() -> [(ticket: Ticket, work: Work)] {
        precondition(isHeld, "shard \(shard) is given up without having been frozen")
        let taken = takeHeld()
        return mutants.has(.freezeDropsQueue) ? [] : taken
    }

    private mutating func takeHeld() -> [(ticket: Ticket, work: Work)] {
        var taken: [(ticket: Ticket, work: Work)] = []
        while let item = held?.popFirst() {
            queuedItems -= 1
            queuedBytes -= item.bytes
            taken.append((item.ticket, item.work))
        }
        return taken
    }
}

/// An effect on its way from evaluation to the store.
private struct PendingEffect {
    let key: EntityKey
    let position: Position
    let effect: EntityEffect
    /// What it holds, beside the request that made it.
    let bytes: Int
}

/// An answer and the position it rests on.
private struct GatedAnswer {
    let gate: Position
    let item: Item
    let answer: Answer
}

/// One admitted operation.
private struct Item {
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
private struct Lane {
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

    /// The store has caught up to `position`: what it knows by itself need not be remembered.
    mutating func settle(upTo position: Position) {
        pendingEffects -= 1
        pendingRows.removeAll { $0.row.version <= position }
        if pendingEffects == 0 { overlay = .unknown }
    }
}

/// What a fetch and a job brought.
private struct Brought {
    /// The outer `nil`: not asked for; the inner: absent.
    var record: [UInt8]??
    var idempotencyRow: [UInt8]??
    var result: PatchResult?
}

/// A row as evaluation needs it.
private enum Resolved<Value> {
    case known(Value?)
    case notCached
    case failed(String)
}
