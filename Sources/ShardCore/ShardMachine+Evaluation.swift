import Entities
import Primitives

extension ShardMachine {
    /// Evaluates one operation. False: it needs rows that only the disk knows, or may take long; a fetch or a job is
    /// queued and nothing else has changed.
    mutating func run(_ item: Item, _ brought: Brought, now: Timestamp, rows: some CommittedRows) -> Bool {
        switch item.work {
        case .write(let operation): runWrite(operation, item, brought, now: now, rows: rows)
        case .read(let request): runRead(request, item, brought, now: now, rows: rows)
        }
    }

    /// DESIGN §4: idempotency row, then precondition, then operation, then new record.
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

    mutating func refuseUnreadable(_ item: Item, reason: String) {
        let problem = Problem(.shardUnavailable, "shard \(shard) cannot read the entity: \(reason)")
        release(item, .refused(problem, currentVersion: nil, place(applied)))
    }

    mutating func release(_ item: Item, _ answer: Answer) {
        queuedItems -= 1
        queuedBytes -= item.bytes
        ready.append((item.ticket, answer))
    }
}

/// A row as evaluation needs it.
private enum Resolved<Value> {
    case known(Value?)
    case notCached
    case failed(String)
}

extension ShardMachine {
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
}
