import Entities
import Primitives
import ShardCore

/// Two nodes, the shard's record, a lossy wire and clients, all in one thread and from one seed: a driver of both
/// machines of a move, and the checks on them.
final class MoveWorld {
    struct Record {
        var revision: UInt64 = 1
        var epoch = Epoch(1)
        var sourceIsPrimary = true
        var stage = MoveStage.learner
        /// The move's number; `nil` where there is none.
        var move: Int? = 1
    }

    struct Event {
        let time: UInt64
        let number: Int
        let body: () -> Void
    }

    struct Options {
        var seed: UInt64
        var mutants = Mutants.none
        var crashes = true
        var cancels = true
        var loss = true
    }

    enum Outcome {
        case committed
        case conflict
        case unknown
    }

    let options: Options
    var random: SplitMix64
    private(set) var time: UInt64 = 1_000_000_000
    private var events: [Event] = []
    private var eventCount = 0
    var record = Record()
    var movesBegun = 1
    /// Faults still happen and clients still write.
    var isChaos = true
    var failure: String?
    var seen: Set<String> = []

    lazy var source = SourceNode(self)
    lazy var target = TargetNode(self)
    lazy var clients = Clients(self)

    init(_ options: Options) {
        self.options = options
        random = SplitMix64(seed: options.seed)
    }

    var now: MonotonicTime { MonotonicTime(nanoseconds: time) }
    var wall: Timestamp { Timestamp(milliseconds: time / 1_000_000) }

    func fail(_ text: String) {
        if failure == nil { failure = "seed \(options.seed) at \(time / 1_000_000) ms: \(text)" }
    }

    // MARK: Time

    func after(_ nanoseconds: UInt64, _ body: @escaping () -> Void) {
        eventCount += 1
        let event = Event(time: time + nanoseconds, number: eventCount, body: body)
        let index = events.firstIndex { $0.time < event.time || $0.time == event.time && $0.number < event.number }
        events.insert(event, at: index ?? events.count)
    }

    func soon(_ body: @escaping () -> Void) { after(50_000 + random.below(UInt64(2_000_000)), body) }

    /// A message: it may be lost, doubled or late.
    func send(_ body: @escaping () -> Void) {
        guard isChaos, options.loss else { return soon(body) }
        if random.chance(1, in: 30) { return }
        if random.chance(1, in: 15) { after(random.below(UInt64(600_000_000)), body) }
        if random.chance(1, in: 20) { return after(random.below(UInt64(300_000_000)), body) }
        soon(body)
    }

    func run(until isOver: () -> Bool, millisecondsMax: UInt64) {
        let end = time + millisecondsMax * 1_000_000
        while failure == nil, !isOver(), let event = events.popLast() {
            guard event.time <= end else {
                events.append(event)
                time = end
                return
            }
            time = event.time
            event.body()
            check()
        }
    }

    // MARK: The record

    func read(_ reply: @escaping (Record) -> Void) {
        soon { [self] in
            let read = record
            soon { reply(read) }
        }
    }

    func transact(
        at revision: UInt64, _ change: @escaping (inout Record) -> Void, reply: @escaping (Outcome) -> Void
    ) {
        let commit = { [self] in
            guard record.revision == revision else { return false }
            change(&record)
            record.revision += 1
            return true
        }
        let fate = isChaos && options.loss ? random.below(12) : 11
        if fate < 3 { after(20_000_000 + random.below(UInt64(100_000_000))) { reply(.unknown) } }
        switch fate {
        case 0: break
        case 1: after(random.below(UInt64(500_000_000))) { _ = commit() }
        case 2: soon { _ = commit() }
        default:
            soon { [self] in
                let outcome: Outcome = commit() ? .committed : .conflict
                after(fate == 3 ? random.below(UInt64(200_000_000)) : 1_000_000) { reply(outcome) }
            }
        }
    }

    // MARK: A run

    func play() -> String? {
        source.start()
        target.start()
        clients.start()
        scheduleChaos()
        after(2_000_000_000 + random.below(UInt64(6_000_000_000))) { [self] in
            isChaos = false
            clients.isWriting = false
        }
        run(
            until: { [self] in target.server.isServing && time - target.servedSince > 800_000_000 },
            millisecondsMax: 8_000)
        isChaos = false
        clients.isWriting = false
        run(
            until: { [self] in target.server.isServing && clients.outstanding.isEmpty && source.isGone },
            millisecondsMax: 120_000)
        guard failure == nil else { return failure }
        if !target.server.isServing { fail("the move does not end: \(target.text), \(source.text)") }
        if !clients.outstanding.isEmpty { fail("\(clients.outstanding.count) requests are never answered") }
        clients.checkRows(target.server.rows)
        return failure
    }

    private func scheduleChaos() {
        // With long pauses a move comes to its handover while faults still happen.
        let pause: UInt64 = [500_000_000, 10_000_000_000][Int(options.seed / 3 % 2)]
        after(50_000_000 + random.below(pause)) { [self] in
            guard isChaos else { return }
            switch random.below(6) {
            case 0, 1: if options.crashes { source.crash() }
            case 2, 3: if options.crashes { target.crash() }
            case 4: if options.cancels { cancel() }
            default:
                clients.burst = true
                after(200_000_000) { [self] in clients.burst = false }
            }
            scheduleChaos()
        }
    }

    /// The shard has just changed its owner: the new one may end at once, before it knows.
    func handedOver() {
        clients.burst = true
        after(100_000_000) { [self] in clients.burst = false }
        guard isChaos, options.crashes, random.chance(1, in: 3) else { return }
        after(random.below(UInt64(3_000_000))) { [self] in target.crash() }
    }

    private func cancel() {
        guard record.sourceIsPrimary, record.move != nil else { return }
        seen.insert("cancelled")
        record.move = nil
        record.revision += 1
        after(random.below(UInt64(300_000_000))) { [self] in
            movesBegun += 1
            record.move = movesBegun
            record.stage = .learner
            record.revision += 1
        }
    }

    /// At most one node may take writes.
    private func check() {
        let sourceServes = source.server.isServing && source.server.machine?.isHeld == false
        if sourceServes, target.server.isServing { fail("both nodes serve the shard") }
        if target.server.isServing, record.sourceIsPrimary { fail("the target serves a shard that is not its own") }
    }
}
