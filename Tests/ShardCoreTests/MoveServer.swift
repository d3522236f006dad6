import Entities
import Primitives
import ShardCore

/// A node's shard: its machine, its rows and its log, of which a crash keeps what was durable.
final class Server {
    let world: MoveWorld
    var machine: ShardMachine?
    var rows = Rows()
    /// The rows that were there before the first record of the log.
    var base = Rows()
    var basePosition = Position.zero
    /// Records after `basePosition`, and how many of them are durable.
    var log: [[UInt8]] = []
    var durableCount = 0
    var life = 0
    private var requests: [Ticket: Clients.Request] = [:]
    private var nextTicket: Ticket = 0
    var onCommit: (CommitGroup) -> Void = { _ in }
    var onChange: () -> Void = {}

    init(_ world: MoveWorld) { self.world = world }

    var isServing: Bool { machine != nil }

    var durable: Position { Position(basePosition.rawValue + UInt64(durableCount)) }

    func serve(epoch: Epoch, applied: Position) {
        machine = ShardMachine(
            shard: ShardID(3), epoch: epoch, applied: applied, mutants: world.options.mutants)
    }

    /// The process ends: rows are made again from the log.
    func crash() {
        life += 1
        machine = nil
        log.removeLast(log.count - durableCount)
        rows = base
        for payload in log { rows.apply(payload) }
        for request in requests.values.sorted(by: { $0.number < $1.number }) { world.clients.lost(request) }
        requests = [:]
    }

    func take(_ request: Clients.Request) {
        nextTicket += 1
        requests[nextTicket] = request
        switch request.work {
        case .write(let operation):
            machine?.write(operation, ticket: nextTicket, now: world.wall, arrival: world.now, rows: rows)
        case .read(let read):
            machine?.read(read, ticket: nextTicket, now: world.wall, arrival: world.now, rows: rows)
        }
        pump()
    }

    /// A request that was given back unevaluated.
    func giveBack(_ ticket: Ticket) -> Clients.Request? { requests.removeValue(forKey: ticket) }

    func thaw() { machine?.thaw(now: world.wall, at: world.now, rows: rows) }

    func pump() {
        while let group = machine?.takeGroup() { append(group.payloads) }
        while let (ticket, answer) = machine?.nextAnswer() {
            if let request = requests.removeValue(forKey: ticket) { world.clients.answered(request, answer) }
        }
        onChange()
    }

    /// Appends to the log, which makes it durable a little later.
    func append(_ payloads: [[UInt8]]) {
        log += payloads
        let (count, life) = (log.count, life)
        world.after(200_000 + world.random.below(UInt64(8_000_000))) { [self] in
            guard life == self.life, count > durableCount else { return }
            durableCount = count
            becameDurable()
        }
    }

    var onDurable: (Position) -> Void = { _ in }

    private func becameDurable() {
        guard machine != nil else { return onDurable(durable) }
        machine?.logDurable(upTo: durable)
        if let group = machine?.takeCommit() {
            rows.apply(group)
            machine?.applied(upTo: group.through)
            onCommit(group)
        }
        pump()
    }
}

extension Rows {
    mutating func apply(_ payload: [UInt8]) {
        guard let effect = EntityEffect(decoding: payload) else { fatalError("a record is no effect") }
        effect.forEachRow { row in rows[Array(row.key)] = row.value.map { Array($0) } }
    }

    /// A checkpoint: buckets of rows under names that do not change, and the position.
    func checkpoint(_ applied: Position) -> [String: [UInt8]] {
        var writers = Array(repeating: ByteWriter(), count: 4)
        for (row, value) in rows.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
            let bucket = Int(CRC32C.checksum(row) % 4)
            writers[bucket].write(UInt32(row.count))
            writers[bucket].write(row)
            writers[bucket].write(UInt32(value.count))
            writers[bucket].write(value)
        }
        var files: [String: [UInt8]] = [:]
        for (index, writer) in writers.enumerated() { files["bucket-\(index)"] = writer.bytes }
        var mark = ByteWriter()
        mark.write(applied.rawValue)
        files["mark-\(applied)"] = mark.bytes
        return files
    }

    /// What a checkpoint's files hold.
    static func open(_ files: [String: [UInt8]]) -> (Rows, Position)? {
        var rows = Rows()
        var position: Position?
        for (name, bytes) in files {
            var reader = ByteReader(bytes)
            if name.hasPrefix("mark") {
                position = reader.readUInt64().map { Position($0) }
                continue
            }
            while let count = reader.readUInt32(), let row = reader.readBytes(Int(count)),
                let length = reader.readUInt32(), let value = reader.readBytes(Int(length))
            {
                rows.rows[Array(row)] = Array(value)
            }
        }
        return position.map { (rows, $0) }
    }
}

/// Clients that increment counters, read them, and put entities, each request once.
final class Clients {
    struct Request {
        let number: Int
        let counter: Int
        let work: ShardMachine.Work
        /// Increments of the counter acknowledged before the request was made.
        let acknowledgedBefore: Int

        var isIncrement: Bool {
            if case .write(let operation) = work, case .patch = operation.action { true } else { false }
        }
    }

    static let counters = 3
    let world: MoveWorld
    var isWriting = true
    var burst = false
    var outstanding: [Int: Request] = [:]
    private var made = 0
    private var acknowledged = Array(repeating: 0, count: counters)
    /// Increments that may have happened.
    /// Entities put once, and the versions acknowledged.
    private var puts: [(number: Int, version: Position)] = []
    private var unknown = Array(repeating: 0, count: counters)

    init(_ world: MoveWorld) { self.world = world }

    func start() {
        let pause: UInt64 = burst ? 800_000 : 5_000_000
        world.after(100_000 + world.random.below(pause)) { [self] in
            guard isWriting else { return }
            make()
            start()
        }
    }

    private func make() {
        made += 1
        let counter = world.random.below(Self.counters)
        let name = "c/\(counter)"
        let work: ShardMachine.Work =
            switch world.random.below(4) {
            case 0:
                .read(ReadRequest(key: key(name), kind: .entity(.none), inQueueOrder: world.random.chance(1, in: 4)))
            case 1: .write(put("once/\(made)"))
            default: .write(increment(name))
            }
        let request = Request(
            number: made, counter: counter, work: work, acknowledgedBefore: acknowledged[counter])
        outstanding[made] = request
        route(request)
    }

    /// To the node that takes itself for the owner; where none does, again later.
    func route(_ request: Request) {
        let prefersTarget = world.target.server.isServing && world.random.chance(1, in: 2)
        if world.source.server.isServing, !prefersTarget {
            world.source.take(request)
        } else if world.target.server.isServing {
            if case .read(let read) = request.work, !read.inQueueOrder {
                answerBeside(request, world.target.server.rows)
            } else {
                world.target.server.take(request)
            }
        } else {
            world.after(10_000_000) { [self] in route(request) }
        }
    }

    func answerBeside(_ request: Request, _ rows: Rows) {
        outstanding[request.number] = nil
        checkRead(request, rows.counter(request.counter))
    }

    func lost(_ request: Request) {
        outstanding[request.number] = nil
        if request.isIncrement { unknown[request.counter] += 1 }
    }

    func answered(_ request: Request, _ answer: Answer) {
        guard outstanding.removeValue(forKey: request.number) != nil else {
            return world.fail("request \(request.number) is answered twice")
        }
        switch answer {
        case .written(_, let version, _, _, _):
            if request.isIncrement {
                acknowledged[request.counter] += 1
            } else {
                puts.append((request.number, version))
            }
        case .found(let record, _): checkRead(request, Rows.count(record.state))
        case .refused(let problem, _, _) where problem.code == .notFound: checkRead(request, 0)
        case .refused(let problem, _, _) where problem.code == .overloaded: world.seen.insert("overloaded")
        case .refused(let problem, _, _) where problem.code == .outcomeUnknown:
            if request.isIncrement { unknown[request.counter] += 1 }
        default: world.fail("request \(request.number) is answered \(answer)")
        }
    }

    private func checkRead(_ request: Request, _ count: Int) {
        if count < request.acknowledgedBefore {
            world.fail("a read of c/\(request.counter) sees \(count) of \(request.acknowledgedBefore)")
        }
    }

    /// Everything acknowledged is there, and nothing happened twice.
    func checkRows(_ rows: Rows) {
        for put in puts {
            let bytes = rows.rows[StoreRows.entity(key("once/\(put.number)"))]
            if bytes.flatMap({ StoredRecord(decoding: $0) })?.version != put.version {
                world.fail("once/\(put.number) was acknowledged at \(put.version) and is not there")
            }
        }
        for counter in 0..<Self.counters {
            let count = rows.counter(counter)
            let range = acknowledged[counter]...(acknowledged[counter] + unknown[counter])
            if !range.contains(count) { world.fail("c/\(counter) is \(count) and should be \(range)") }
        }
    }
}

extension Rows {
    func counter(_ counter: Int) -> Int {
        guard let bytes = rows[StoreRows.entity(key("c/\(counter)"))], let record = StoredRecord(decoding: bytes) else {
            return 0
        }
        return Self.count(record.state)
    }

    static func count(_ state: some Sequence<UInt8>) -> Int {
        state.reduce(0) { sum, byte in (48...57).contains(byte) ? sum * 10 + Int(byte) - 48 : sum }
    }
}
