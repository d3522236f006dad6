import Entities
import Primitives
import ShardCore

/// Committed rows of a test: what was applied, and which rows only the disk knows.
struct Rows: CommittedRows {
    var rows: [[UInt8]: [UInt8]] = [:]
    var uncached: Set<[UInt8]> = []
    var unreadable: Set<[UInt8]> = []

    func lookup(_ row: [UInt8]) -> RowLookup {
        if unreadable.contains(row) { return .failed("bad checksum") }
        if uncached.contains(row) { return .notCached }
        return rows[row].map { .found($0) } ?? .absent
    }

    mutating func apply(_ group: CommitGroup) {
        for effect in group.effects {
            effect.forEachRow { row in rows[Array(row.key)] = row.value.map { Array($0) } }
        }
    }
}

/// A machine with its rows, and a driver's moves over both.
struct Bench {
    var machine: ShardMachine
    var rows = Rows()
    var now = Timestamp(milliseconds: 1_000)
    var arrival = MonotonicTime(nanoseconds: 0)
    private var lastTicket: Ticket = 0

    init(_ settings: ShardMachine.Settings = .init(), applied: Position = .zero) {
        machine = ShardMachine(shard: ShardID(3), epoch: Epoch(1), applied: applied, settings: settings)
    }

    @discardableResult
    mutating func write(_ operation: WriteOperation) -> Ticket {
        lastTicket += 1
        machine.write(operation, ticket: lastTicket, now: now, arrival: arrival, rows: rows)
        return lastTicket
    }

    @discardableResult
    mutating func read(_ key: EntityKey) -> Ticket {
        read(ReadRequest(key: key, kind: .entity(.none), inQueueOrder: true))
    }

    @discardableResult
    mutating func read(_ request: ReadRequest) -> Ticket {
        lastTicket += 1
        machine.read(request, ticket: lastTicket, now: now, arrival: arrival, rows: rows)
        return lastTicket
    }

    mutating func answers() -> [Ticket: Answer] {
        var answers: [Ticket: Answer] = [:]
        while let (ticket, answer) = machine.nextAnswer() { answers[ticket] = answer }
        return answers
    }

    /// Takes what is appended all the way into the store.
    mutating func commit() {
        while machine.takeGroup() != nil {}
        machine.logDurable(upTo: machine.submitted)
        if let group = machine.takeCommit() {
            rows.apply(group)
            machine.applied(upTo: group.through)
        }
    }

    mutating func thaw() { machine.thaw(now: now, at: arrival, rows: rows) }

    mutating func fetch(record: [UInt8]? = nil, idempotencyRow: [UInt8]? = nil) -> Fetch? {
        guard let fetch = machine.nextFetch() else { return nil }
        machine.fetched(fetch, record: record, idempotencyRow: idempotencyRow, now: now, at: arrival, rows: rows)
        return fetch
    }

    /// Evaluates what waits to be evaluated off the loop; false where nothing does.
    @discardableResult
    mutating func work() -> Bool {
        guard let job = machine.nextJob() else { return false }
        machine.finished(job.run(), now: now, at: arrival, rows: rows)
        return true
    }

    mutating func refuse(from first: UInt64) {
        machine.groupRefused(
            from: Position(first), problem: Problem(.storageFull, "full"), now: now, rows: rows)
    }
}

func key(_ text: String) -> EntityKey {
    do {
        return try EntityKey(plain: Array(text.utf8)[...], seed: 0)
    } catch {
        fatalError("\(error.detail)")
    }
}

func put(
    _ name: String, _ state: String = "s", if preconditions: Preconditions = .none, once: String? = nil
) -> WriteOperation {
    WriteOperation(
        key: key(name), action: .put(state: Array(state.utf8), contentType: [], ttlSeconds: nil),
        preconditions: preconditions, idempotencyKey: once.map { Array($0.utf8) })
}

func increment(_ name: String) -> WriteOperation {
    let document = #"{"do":[{"increment":"/n","by":1}],"else-create":{"n":0}}"#
    return WriteOperation(key: key(name), action: .patch(.update, document: Array(document.utf8)))
}

func delete(_ name: String, if preconditions: Preconditions = .none) -> WriteOperation {
    WriteOperation(key: key(name), action: .delete, preconditions: preconditions)
}

extension Answer {
    var version: UInt64? {
        switch self {
        case .written(_, let version, _, _, _): version.rawValue
        case .found(let record, _), .notModified(let record, _): record.version.rawValue
        default: nil
        }
    }

    var isReplay: Bool {
        if case .written(_, _, _, _, true) = self { true } else { false }
    }

    var refusal: ProblemCode? {
        if case .refused(let problem, _, _) = self { problem.code } else { nil }
    }

    var state: String? {
        if case .found(let record, _) = self { String(decoding: record.state, as: UTF8.self) } else { nil }
    }

    var position: UInt64? {
        switch self {
        case .written(_, _, let place, _, _), .found(_, let place), .notModified(_, let place):
            place.position.rawValue
        case .refused(_, _, let place): place?.position.rawValue
        default: nil
        }
    }
}
