import DequeModule
public import Entities
public import Primitives

extension ShardMachine {
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
            held.append(item)
        } else if hasMore || workLeft <= 0 {
            waiting.append(item)
        } else {
            enqueue(item, now: now, rows: rows)
        }
    }

    /// Runs an admitted operation, behind those of its entity that wait for a fetch or a job.
    mutating func enqueue(_ item: Item, now: Timestamp, rows: some CommittedRows) {
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
        guard let oldest = (gated.first?.item ?? waiting.first ?? held.first)?.arrival else { return 0 }
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
    mutating func rerun(_ items: [Item], now: Timestamp, rows: some CommittedRows) {
        for item in items.reversed() {
            lanes[item.key, default: Lane()].parked.prepend(item)
            lanes[item.key]!.errand = nil
            lanes[item.key]!.brought = Brought()
        }
        for item in items where lanes[item.key]?.errand == nil { runParked(item.key, now: now, rows: rows) }
    }

    /// Evaluates what the entity has parked, up to an operation that needs a row or a job, or the end of the turn.
    mutating func runParked(_ key: EntityKey, now: Timestamp, rows: some CommittedRows) {
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
}

/// What a fetch and a job brought.
struct Brought {
    /// The outer `nil`: not asked for; the inner: absent.
    var record: [UInt8]??
    var idempotencyRow: [UInt8]??
    var result: PatchResult?
}
