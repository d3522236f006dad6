import Entities
import Primitives
import ShardCore

/// The node's front: requests in, answers out.
extension Node {
    func receive(_ request: Request) {
        later { [self] in take(request) }()
    }

    func receive(_ message: PeerMessage, from: Endpoint) {
        later { [self] in
            if state == .serving || state == .draining { agent?.receive(message, from: from) }
        }()
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
        world.trace.note(world.now, .request, UInt64(pending.request.attempt), UInt64(index)) {
            "request \(pending.request.attempt).\(index): \(line.summary)"
        }
        guard state == .serving else {
            let problem = Problem(.shuttingDown, "the node is stopping; try again")
            return settle(.line(pending, index), .refused(problem, currentVersion: nil, nil), of: nil)
        }
        if let agent { return agent.route(line, index, pending) }
        guard let shard = shard(of: line.key) else { return }
        execute(line, for: .line(pending, index), on: shard)
    }

    /// Runs one operation on a shard of this node.
    func execute(_ line: Line, for target: ReplyTarget, on shard: Shard) {
        guard shard.isServed else {
            let problem = Problem(.shardUnavailable, "shard \(shard.machine.shard) is quarantined")
            return settle(target, .refused(problem, currentVersion: nil, nil), of: shard)
        }
        shard.isTouched = true
        switch line {
        case .write(let operation):
            shard.machine.write(
                operation, ticket: ticket(for: target), now: now, arrival: clock.monotonic, rows: shard.store)
            noteFullness(shard)
        case .read(let read) where read.inQueueOrder || shard.readsStopped:
            shard.machine.read(
                read, ticket: ticket(for: target), now: now, arrival: clock.monotonic, rows: shard.store)
            noteFullness(shard)
        case .read(let read):
            readCommitted(read, line, shard, target)
        }
    }

    private func noteFullness(_ shard: Shard) {
        switch shard.machine.fullBy {
        case .items: world.probes.reached(.queueItemsFull)
        case .bytes: world.probes.reached(.queueBytesFull)
        case .age: world.probes.reached(.queueTooOld)
        case .frozen, nil: break
        }
    }

    private func ticket(for target: ReplyTarget) -> Ticket {
        defer { nextTicket += 1 }
        waiting[nextTicket] = target
        return nextTicket
    }

    func sendAnswers(_ shard: Shard) {
        while let (ticket, answer) = shard.machine.nextAnswer() {
            guard let target = waiting.removeValue(forKey: ticket) else {
                return world.fail(.answerMatchesLog, "ticket \(ticket) is answered twice")
            }
            settle(target, answer, of: shard)
        }
    }

    /// Lets go of an answer that was made here.
    private func settle(_ target: ReplyTarget, _ answer: Answer, of shard: Shard?) {
        switch target {
        case .line(let pending, let index):
            guard case .lines(let lines) = pending.request.body else { return }
            check(answer, to: lines[index], shard)
            settle(pending, index, answer)
        case .routed(let routed):
            check(answer, to: routed.line, shard)
            agent?.answered(routed, answer)
        case .peer(let asker, let request, let line):
            check(answer, to: line, shard)
            send(.peer(.answer(request, answer), from: index), asker)
        }
    }

    private func check(_ answer: Answer, to line: Line, _ shard: Shard?) {
        AnswerCheck(audit).check(answer, to: line, now: now, run: runID)
        guard let shard else { return }
        audit.acted(on: shard.machine.shard, shard.machine.epoch, node: index, "answers")
        switch answer {
        case .found, .notModified:
            audit.owners?.answeredRead(on: shard.machine.shard, shard.machine.epoch, node: index)
        case .refused(let problem, _, _) where problem.code == .notFound && !line.isWrite:
            audit.owners?.answeredRead(on: shard.machine.shard, shard.machine.epoch, node: index)
        default: return
        }
    }

    /// One line of a client's request is answered; with the last one the reply goes out.
    func settle(_ pending: PendingRequest, _ index: Int, _ answer: Answer) {
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
            default: break
            }
        default: break
        }
    }

    // MARK: Reads beside the queue

    /// From committed state: the row and the applied position of one moment.
    private func readCommitted(_ read: ReadRequest, _ line: Line, _ shard: Shard, _ target: ReplyTarget) {
        let row =
            switch read.kind {
            case .entity: StoreRows.entity(read.key)
            case .outcome(let name): StoreRows.idempotency(read.key, name)
            }
        switch shard.store.lookup(row) {
        case .found(let bytes): settle(target, evaluate(read, bytes, shard), of: shard)
        case .absent: settle(target, evaluate(read, nil, shard), of: shard)
        case .failed(let reason): settle(target, unreadable(reason, shard), of: shard)
        case .notCached:
            missCache()
            schedule(after: readLatency()) { [self] in
                readCommitted(read, fetching: row, line, shard, target)
                pump()
            }
        }
    }

    /// What the disk said counts only while the shard is here and its reads are not stopped (rule R13).
    private func readCommitted(
        _ read: ReadRequest, fetching row: [UInt8], _ line: Line, _ shard: Shard, _ target: ReplyTarget
    ) {
        if let agent, self.shard(shard.machine.shard) !== shard { return agent.sendOn(target) }
        if shard.readsStopped { return execute(line, for: target, on: shard) }
        if readFails() {
            settle(target, unreadable("read error", shard), of: shard)
        } else {
            settle(target, evaluate(read, shard.store.fetch(row), shard), of: shard)
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
        let shards = servedShards
        guard state == .serving, shards.allSatisfy(\.isServed), agent == nil else { return }
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
