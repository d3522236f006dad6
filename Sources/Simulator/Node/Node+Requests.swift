import Entities
import Primitives
import ShardCore

/// The node's front: requests in, answers out.
extension Node {
    func receive(_ request: Request) {
        later { [self] in take(request) }()
    }

    private func take(_ request: Request) {
        guard state == .serving || state == .draining else { return }
        switch request.body {
        case .lines(let lines):
            let pending = PendingRequest(request, lines: lines.count)
            openRequests += 1
            for (index, line) in lines.enumerated() { take(line, index, pending) }
        case .list(let list):
            schedule(after: readLatency()) { [self] in answer(list, request) }
        }
        pump()
    }

    private func take(_ line: Line, _ index: Int, _ pending: PendingRequest) {
        let shard = shard(of: line.key)
        let id = shard.machine.shard
        world.trace.note(world.now, .request, UInt64(pending.request.attempt), UInt64(index)) {
            "request \(pending.request.attempt).\(index): \(line.summary)"
        }
        guard shard.isServed else {
            let problem = Problem(.shardUnavailable, "shard \(id) is quarantined")
            return settle(pending, index, .refused(problem, currentVersion: nil, nil))
        }
        guard state == .serving else {
            let problem = Problem(.shuttingDown, "the node is stopping; try again")
            return settle(pending, index, .refused(problem, currentVersion: nil, nil))
        }
        switch line {
        case .write(let operation):
            shard.machine.write(
                operation, ticket: ticket(for: pending, index), now: now, arrival: clock.monotonic, rows: shard.store)
        case .read(let read) where read.inQueueOrder:
            shard.machine.read(
                read, ticket: ticket(for: pending, index), now: now, arrival: clock.monotonic, rows: shard.store)
        case .read(let read):
            readCommitted(read, shard, index, pending)
        }
    }

    private func ticket(for pending: PendingRequest, _ line: Int) -> Ticket {
        defer { nextTicket += 1 }
        waiting[nextTicket] = (pending, line)
        return nextTicket
    }

    func sendAnswers(_ index: Int) {
        while let (ticket, answer) = shards[index].machine.nextAnswer() {
            guard let (pending, line) = waiting.removeValue(forKey: ticket) else {
                return world.fail(.answerMatchesLog, "ticket \(ticket) is answered twice")
            }
            settle(pending, line, answer)
        }
    }

    private func settle(_ pending: PendingRequest, _ index: Int, _ answer: Answer) {
        guard case .lines(let lines) = pending.request.body else { return }
        AnswerCheck(audit).check(answer, to: lines[index], now: now)
        note(answer, pending.request, index)
        pending.answers[index] = answer
        pending.missing -= 1
        guard pending.missing == 0 else { return }
        openRequests -= 1
        let answers = pending.answers.compactMap { $0 }
        send(.reply(Reply(attempt: pending.request.attempt, answers: answers)), pending.request.client)
    }

    private func note(_ answer: Answer, _ request: Request, _ index: Int) {
        world.trace.note(world.now, .answer, request.attempt, UInt64(index)) {
            "answer \(request.attempt).\(index): \(answer.summary)"
        }
        switch answer {
        case .written(_, _, _, _, true): world.probes.reached(.idempotentReplay)
        case .refused(let problem, _, _):
            switch problem.code {
            case .idempotencyMismatch: world.probes.reached(.idempotencyMismatch)
            case .preconditionFailed: world.probes.reached(.versionConflict)
            case .overloaded where problem.detail.contains("operations queued"): world.probes.reached(.queueItemsFull)
            case .overloaded where problem.detail.contains("bytes queued"): world.probes.reached(.queueBytesFull)
            case .overloaded where problem.detail.contains("oldest write"): world.probes.reached(.queueTooOld)
            default: break
            }
        default: break
        }
    }

    // MARK: Reads beside the queue

    /// From committed state: the row and the applied position of one moment.
    private func readCommitted(_ read: ReadRequest, _ shard: Shard, _ index: Int, _ pending: PendingRequest) {
        let row =
            switch read.kind {
            case .entity: StoreRows.entity(read.key)
            case .outcome(let name): StoreRows.idempotency(read.key, name)
            }
        switch shard.store.lookup(row) {
        case .found(let bytes): settle(pending, index, evaluate(read, bytes, shard))
        case .absent: settle(pending, index, evaluate(read, nil, shard))
        case .failed(let reason): settle(pending, index, unreadable(reason, shard))
        case .notCached:
            missCache()
            schedule(after: readLatency()) { [self] in
                if readFails() {
                    settle(pending, index, unreadable("read error", shard))
                } else {
                    settle(pending, index, evaluate(read, shard.store.fetch(row), shard))
                }
                pump()
            }
        }
    }

    private func unreadable(_ reason: String, _ shard: Shard) -> Answer {
        .refused(Problem(.shardUnavailable, reason), currentVersion: nil, place(shard))
    }

    private func place(_ shard: Shard) -> ShardPosition {
        ShardPosition(shard: shard.machine.shard, position: shard.machine.applied)
    }

    private func evaluate(_ read: ReadRequest, _ bytes: [UInt8]?, _ shard: Shard) -> Answer {
        switch read.kind {
        case .entity(let preconditions):
            let current = bytes.flatMap { StoredRecord(decoding: $0) }
            if current?.isExpired(at: now) == true { world.probes.reached(.expiredSeen) }
            switch preconditions.evaluateRead(current: current, now: now) {
            case .found(let record): return .found(record, place(shard))
            case .notModified(let record): return .notModified(record, place(shard))
            case .refused(let problem, let version):
                return .refused(problem, currentVersion: version, place(shard))
            }
        case .outcome:
            world.probes.reached(.outcomeRead)
            guard let row = bytes.flatMap({ IdempotencyRow(decoding: $0) }), !row.isExpired(at: now) else {
                let problem = Problem(.notFound, "no such write is recorded")
                return .refused(problem, currentVersion: nil, place(shard))
            }
            return .outcome(status: row.status, version: row.version, place(shard))
        }
    }

    // MARK: Lists

    /// One page: shards in ring order, entities in hash order, from committed state.
    private func answer(_ list: ListRequest, _ request: Request) {
        guard state == .serving, shards.allSatisfy(\.isServed) else { return }
        var page = ListPage(items: [], next: nil, shardCount: shards.count, missing: [])
        var after = [StoreRows.entityFamily]
        if let cursor = list.after { after = StoreRows.entity(at: cursor) }
        for shard in shards where page.items.count < list.itemsMax {
            for row in shard.store.scan(prefix: [StoreRows.entityFamily], after: after, limit: .max)
            where row.key.dropFirst(9).starts(with: list.keyPrefix) {
                guard let record = StoredRecord(decoding: row.value), !record.isExpired(at: now) else { continue }
                page.items.append(.init(keyBytes: Array(row.key.dropFirst(9)), record: record))
                if page.items.count == list.itemsMax {
                    page.next = ListCursor(rowKey: row.key)
                    break
                }
            }
        }
        if list.after != nil { world.probes.reached(.pageResumed) }
        send(.reply(Reply(attempt: request.attempt, answers: [.page(page)])), request.client)
    }
}

extension StoreRows {
    fileprivate static func entity(at cursor: ListCursor) -> [UInt8] {
        var writer = ByteWriter(reserving: 9 + cursor.keyBytes.count)
        writer.write(entityFamily)
        writer.writeBigEndian(cursor.ringHash)
        writer.write(cursor.keyBytes)
        return writer.bytes
    }
}

extension ListCursor {
    fileprivate init(rowKey: [UInt8]) {
        var hash: UInt64 = 0
        for byte in rowKey[1..<9] { hash = hash << 8 | UInt64(byte) }
        self.init(ringHash: hash, keyBytes: Array(rowKey[9...]))
    }
}
