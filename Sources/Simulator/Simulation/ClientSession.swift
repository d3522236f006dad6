import Entities
import Primitives

/// One client: asks, waits, retries what is safe to retry, and writes down what it was told.
final class ClientSession {
    static let attemptsMax = 4

    /// One request's way, over all its attempts.
    private final class Call {
        let work: Work
        let workload: (any Workload)?
        let lines: [Line]
        let operations: [Int]
        let attemptsMax: Int
        var attempts = 0
        var isOver = false
        /// Called once, with whether it was answered.
        let ended: (Bool) -> Void

        init(
            _ work: Work, _ workload: (any Workload)?, _ lines: [Line], _ operations: [Int],
            _ attemptsMax: Int, _ ended: @escaping (Bool) -> Void
        ) {
            self.attemptsMax = attemptsMax
            self.work = work
            self.workload = workload
            self.lines = lines
            self.operations = operations
            self.ended = ended
        }
    }

    let endpoint: Endpoint
    private let index: Int
    private let context: WorkloadContext
    private let audit: Audit
    private let workloads: [any Workload]
    private let send: (Request, _ mayRepeat: Bool) -> Bool
    private let mayStart: () -> Bool
    private var random: SplitMix64
    private var calls: [UInt64: Call] = [:]
    private var scans: [UInt64: Scan] = [:]
    private var lastAttempt: UInt64 = 0

    private var world: World { context.world }
    private var history: History { context.history }

    /// - Parameters:
    ///   - mayStart: takes one from the budget of operations; false when it is used up.
    ///   - send: puts a request on the network; whether it will arrive twice.
    init(
        index: Int, context: WorkloadContext, audit: Audit, workloads: [any Workload], random: SplitMix64,
        mayStart: @escaping () -> Bool, send: @escaping (Request, Bool) -> Bool
    ) {
        self.index = index
        self.context = context
        self.audit = audit
        self.workloads = workloads
        self.random = random
        self.mayStart = mayStart
        self.send = send
        endpoint = .client(index)
    }

    // MARK: Working

    /// Thinks, asks, and begins again, until the budget is used up.
    func work() {
        let think = random.below(context.options.thinkNanoseconds + 1)
        world.schedule(after: think) { [self] in
            guard mayStart() else { return }
            let workload = workloads[random.below(workloads.count)]
            begin(workload.next(for: index, context), workload)
        }
    }

    private func begin(_ work: Work, _ workload: any Workload) {
        switch work.body {
        case .scan(let prefix, let items): beginScan(prefix, items)
        case .lines(let lines) where work.isFlood:
            for (line, id) in zip(lines, work.ids) {
                ask(.one(line, id: id), workload, [line]) { _ in }
            }
            self.work()
        case .lines(let lines):
            ask(work, workload, lines) { [self] _ in self.work() }
        }
    }

    /// Asks for `line`, which may repeat, until it is answered with more than "try again", however long that takes.
    func insist(on line: Line, id: UInt64, done: @escaping () -> Void) {
        ask(.one(line, id: id), nil, [line], attemptsMax: .max) { _ in done() }
    }

    private func ask(
        _ work: Work, _ workload: (any Workload)?, _ lines: [Line], attemptsMax: Int = ClientSession.attemptsMax,
        ended: @escaping (Bool) -> Void
    ) {
        let moment = world.tick()
        let operations = lines.enumerated().map { position, line in
            let operation = history.begin(
                line, client: endpoint, lineIndex: position, request: moment, moment: moment, time: world.now)
            if work.ids[position] != 0 {
                audit.register(work.ids[position], operation: operation)
            }
            return operation
        }
        attempt(Call(work, workload, lines, operations, attemptsMax, ended))
    }

    private func attempt(_ call: Call) {
        call.attempts += 1
        lastAttempt += 1
        let number = lastAttempt << 16 | UInt64(index)
        calls[number] = call
        let request = Request(
            body: .lines(call.lines), client: endpoint, attempt: number, operations: call.operations)
        if send(request, call.lines.allSatisfy(\.mayRepeat)) {
            for operation in call.operations { history.leaveOpen(operation) }
            world.probes.reached(.duplicateRequestSeen)
        }
        world.schedule(after: context.options.timeoutNanoseconds) { [self] in timedOut(number, call) }
    }

    private func timedOut(_ number: UInt64, _ call: Call) {
        guard !call.isOver, calls[number] != nil else { return }
        world.trace.note(world.now, .client, number) { "client \(self.index): \(number) timed out" }
        for operation in call.operations { history.leaveOpen(operation) }
        guard call.attempts < call.attemptsMax, call.lines.allSatisfy(\.mayRepeat) else {
            call.isOver = true
            return call.ended(false)
        }
        attempt(call)
    }

    func receive(_ reply: Reply) {
        if let scan = scans.removeValue(forKey: reply.attempt) { return turnPage(scan, reply) }
        guard let call = calls.removeValue(forKey: reply.attempt) else { return }
        let moment = world.tick()
        if !call.isOver, call.lines.count == 1, call.lines[0].mayRepeat, call.attempts < call.attemptsMax,
            case .refused(let problem, _, _)? = reply.answers.first, problem.code.retry == .safe
        {
            return world.schedule(after: 20 * Span.millisecond + random.below(200 * Span.millisecond)) { [self] in
                if !call.isOver { attempt(call) }
            }
        }
        for (operation, answer) in zip(call.operations, reply.answers)
        where history.operations[operation].returned == nil {
            history.end(operation, answer, moment: moment)
        }
        guard !call.isOver else { return }
        call.isOver = true
        call.workload?.answered(call.operations.map { history.operations[$0] }, context)
        repeatLater(call)
        call.ended(true)
    }

    /// Sends what took effect once more, long after: a packet that was stuck somewhere, a client that forgot.
    private func repeatLater(_ call: Call) {
        guard let delay = call.work.repeatAfter, let first = call.operations.first,
            case .written? = history.operations[first].answer
        else { return }
        world.faults.hit(.lateRetry)
        world.schedule(after: delay) { [self] in
            guard !world.quiet else { return }
            let moment = world.tick()
            let operation = history.begin(
                call.lines[0], client: endpoint, lineIndex: 0, request: moment, moment: moment, time: world.now)
            history.repeated(operation, of: first)
            attempt(Call(.one(call.lines[0]), nil, call.lines, [operation], Self.attemptsMax) { _ in })
        }
    }

    /// The simulation is over: forgets whom it would have told.
    func tearDown() {
        calls = [:]
        scans = [:]
    }

    // MARK: Scans

    private struct Scan {
        var result: ListScan
        let pageItems: Int
    }

    private func beginScan(_ prefix: [UInt8], _ items: Int) {
        askPage(Scan(result: ListScan(prefix: prefix, began: world.tick()), pageItems: items), after: nil)
    }

    private func askPage(_ scan: Scan, after: ListCursor?) {
        lastAttempt += 1
        let number = lastAttempt << 16 | UInt64(index)
        scans[number] = scan
        let list = ListRequest(
            keyPrefix: scan.result.prefix, itemsMax: scan.pageItems, after: after, withValues: true)
        _ = send(Request(body: .list(list), client: endpoint, attempt: number, operations: []), false)
        world.schedule(after: context.options.timeoutNanoseconds) { [self] in
            if scans.removeValue(forKey: number) != nil { work() }
        }
    }

    private func turnPage(_ scan: Scan, _ reply: Reply) {
        guard case .page(let page)? = reply.answers.first else { return work() }
        var scan = scan
        scan.result.items += page.items.map { ($0.keyBytes, $0.record.version) }
        if let next = page.next { return askPage(scan, after: next) }
        scan.result.ended = world.tick()
        scan.result.isComplete = true
        history.record(scan.result)
        work()
    }
}
