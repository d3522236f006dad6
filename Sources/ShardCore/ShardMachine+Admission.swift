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

    /// Runs an admitted operation, behind those of its entity that wait for a fetch.
    mutating func enqueue(_ item: Item, now: Timestamp, rows: some CommittedRows) {
        if let lane = lanes[item.key], !lane.parked.isEmpty, !mutants.has(.parkedOrderLost) {
            lanes[item.key]!.parked.append(item)
            return
        }
        if !run(item, fetched: nil, now: now, rows: rows) {
            lanes[item.key, default: Lane()].parked.append(item)
        }
    }

    /// Why nothing more is admitted, or `nil`. The age limit looks at the oldest operation that waits for the log or
    /// for the end of a freeze: who is refused now knows that nothing happened, who waits in vain may not.
    private func fullness(adding item: Item) -> Problem? {
        if queuedItems >= settings.queueItemsMax {
            return Problem(
                .overloaded, "shard \(shard) has \(queuedItems) operations queued, the most it takes; try again shortly"
            )
        }
        if queuedBytes + item.bytes > settings.queueBytesMax, queuedItems > 0 {
            return Problem(.overloaded, "shard \(shard) has \(queuedBytes) bytes queued; try again shortly")
        }
        if let oldest = (gated.first?.item ?? waiting.first ?? held.first)?.arrival {
            let age = item.arrival.nanoseconds(since: oldest) / 1_000_000
            if age > settings.queueAgeMillisecondsMax {
                let what =
                    gated.isEmpty && waiting.isEmpty
                    ? "shard \(shard) is changing hands and has held requests for"
                    : "the oldest write of shard \(shard) has waited"
                return Problem(.overloaded, "\(what) \(age) ms; try again shortly")
            }
        }
        return nil
    }

    /// Rows that a fetch was for. `nil` bytes mean that the row is absent; a row that was not asked for is ignored, and
    /// so is a fetch that a refused group has made void.
    public mutating func fetched(
        _ fetch: Fetch, record: [UInt8]?, idempotencyRow: [UInt8]?, now: Timestamp, rows: some CommittedRows
    ) {
        guard waits(for: fetch) else { return }
        lanes[fetch.key]?.fetched = FetchedRows(
            record: fetch.recordRow == nil ? nil : .some(record),
            idempotencyRow: fetch.idempotencyRow == nil ? nil : .some(idempotencyRow))
        runParked(fetch.key, now: now, rows: rows)
    }

    /// The rows could not be read: the operation at the head is refused, and the next one tries for itself.
    public mutating func fetchFailed(_ fetch: Fetch, reason: String, now: Timestamp, rows: some CommittedRows) {
        guard waits(for: fetch), let item = lanes[fetch.key]?.parked.popFirst() else { return }
        refuseUnreadable(item, reason: reason)
        runParked(fetch.key, now: now, rows: rows)
    }

    /// Whether an operation still waits for `fetch`, which then has ended.
    private mutating func waits(for fetch: Fetch) -> Bool {
        guard let lane = lanes[fetch.key], lane.fetch == fetch.number else { return false }
        precondition(!lane.parked.isEmpty, "an entity of shard \(shard) fetches a row that no operation waits for")
        lanes[fetch.key]?.fetch = nil
        return true
    }

    /// Evaluates `items` before all that their entities have parked: they were admitted earlier. What was being fetched
    /// for those entities may be out of date by the time it comes, and is void.
    mutating func rerun(_ items: [Item], now: Timestamp, rows: some CommittedRows) {
        for item in items.reversed() {
            lanes[item.key, default: Lane()].parked.prepend(item)
            lanes[item.key]?.fetch = nil
            lanes[item.key]?.fetched = nil
        }
        for item in items where lanes[item.key]?.fetch == nil { runParked(item.key, now: now, rows: rows) }
    }

    /// Evaluates what the entity has parked, up to an operation that needs a row, or the end of the turn.
    mutating func runParked(_ key: EntityKey, now: Timestamp, rows: some CommittedRows) {
        while let item = lanes[key]?.parked.first {
            guard workLeft > 0 else { return stalled.append(key) }
            // What was fetched is for the first one alone. Where a refused group took away an overlay that it had
            // relied on, it asks for that row, too.
            let fetched = lanes[key]?.fetched
            lanes[key]?.fetched = nil
            guard run(item, fetched: fetched, now: now, rows: rows) else { return }
            lanes[key]?.parked.removeFirst()
        }
        if lanes[key]?.isIdle == true { lanes[key] = nil }
    }
}

/// What a fetch brought. The outer `nil`: not asked for; the inner: absent.
struct FetchedRows {
    let record: [UInt8]??
    let idempotencyRow: [UInt8]??
}
