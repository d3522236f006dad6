import NIOCore
import NIOPosix
import Primitives

/// One event loop's part of a run: its connections, its operations and what it measured.
///
/// Every member is for its loop's thread only; `LoadRun` gets at it through `NIOLoopBound`.
final class Worker {
    private enum Stage {
        case idle
        case loading
        case running
    }

    private static let reconnectDelay = TimeAmount.milliseconds(100)
    /// Attempts at a connection, one after the other, before it is given up.
    private static let reconnectsMax = 50
    private static let loadFailuresMax = 1000

    private let loop: any EventLoop
    private let configuration: LoadConfiguration
    private let index: Int
    private var source: OperationSource
    private var sessions: [Session] = []
    /// Connected sessions without a request while an open loop waits for the next due time.
    private var waiting: [Session] = []
    private var busy = 0
    private var givenUp = 0
    private var stage = Stage.idle
    private var stageEnd: EventLoopPromise<Void>?
    private var counterPromise: EventLoopPromise<UInt64?>?
    private var plan = StagePlan()
    private var schedule: ArrivalSchedule?
    private var isTimerArmed = false
    private var isSweepScheduled = false
    /// The next record of this loop's part to be written, and those that were refused and are written again.
    private var loadCursor = 0
    private var loadRetries: [UInt64] = []
    private var loadFailures = 0
    private(set) var recorder = Recorder(start: 0)
    private(set) var acknowledgedIncrements = 0
    private(set) var uncertainIncrements = 0
    /// Processor time of the loop's thread when the stage began and ended, nanoseconds.
    private var cpuAtBegin: UInt64 = 0
    private var cpuAtEnd: UInt64 = 0

    init(loop: any EventLoop, configuration: LoadConfiguration, index: Int, zipfian: ZipfianDistribution?) {
        self.loop = loop
        self.configuration = configuration
        self.index = index
        var generator = SplitMix64(seed: configuration.seed &+ UInt64(index) &* 0x9E37_79B9_7F4A_7C15)
        self.source = OperationSource(configuration, zipfian: zipfian, loop: index, generator: generator.split())
        for connection in 0..<configuration.connections where connection % configuration.loops == index {
            sessions.append(Session(worker: self, configuration: configuration, generator: generator.split()))
        }
    }

    // MARK: Connections

    /// Opens all connections; fails if one cannot be opened.
    func connect() -> EventLoopFuture<Void> {
        EventLoopFuture.andAllSucceed(sessions.map(open), on: loop)
    }

    private func open(_ session: Session) -> EventLoopFuture<Void> {
        let bound = NIOLoopBound(session, eventLoop: loop)
        return ClientBootstrap(group: loop)
            .channelOption(.socketOption(.so_reuseaddr), value: 1)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(bound.value)
                }
            }
            .connect(host: configuration.host, port: configuration.port)
            .assumeIsolated().map { _ in session.opened() }
            .nonisolated()
    }

    func close() {
        stage = .idle
        for session in sessions { session.disconnect() }
    }

    /// A connection ended. What was asked on it may or may not have happened.
    func lost(_ session: Session, operation: Operation?, reason: String?) {
        waiting.removeAll { $0 === session }
        if let operation {
            settle(operation, due: 0, error: reason ?? "connection closed", isCertain: false)
        } else if let reason, stage != .idle {
            recorder.fail(reason)
        }
        if let counterPromise {
            self.counterPromise = nil
            counterPromise.succeed(nil)
        }
        reopen(session, attempt: 1)
        // A record that was lost with its connection may be written on another.
        if stage == .loading, let free = waiting.popLast() { feed(free) }
        endIfDone()
    }

    private func reopen(_ session: Session, attempt: Int) {
        guard stage != .idle, !session.isOpening else { return }
        guard attempt <= Self.reconnectsMax else {
            givenUp += 1
            if givenUp == sessions.count { fail(LoadError.unreachable("every connection was lost")) }
            return
        }
        session.isOpening = true
        open(session).assumeIsolated().whenComplete { result in
            session.isOpening = false
            switch result {
            case .success: self.feed(session)
            case .failure:
                self.recorder.fail("connection refused")
                self.loop.assumeIsolated().scheduleTask(in: Self.reconnectDelay) {
                    self.reopen(session, attempt: attempt + 1)
                }
            }
        }
    }

    // MARK: Stages

    /// Writes each record of this loop's part once.
    func load(start: UInt64) -> EventLoopFuture<Void> {
        loadCursor = index
        return begin(.loading, plan: StagePlan(start: start), schedule: nil)
    }

    /// Runs the workload as `plan` says.
    func run(_ plan: StagePlan) -> EventLoopFuture<Void> {
        let schedule = configuration.rate.map {
            ArrivalSchedule(start: plan.start, rate: $0, share: index, of: configuration.loops)
        }
        return begin(.running, plan: plan, schedule: schedule)
    }

    private func begin(_ next: Stage, plan: StagePlan, schedule: ArrivalSchedule?) -> EventLoopFuture<Void> {
        let promise = loop.makePromise(of: Void.self)
        stageEnd = promise
        self.plan = plan
        self.schedule = schedule
        let wrongBefore = recorder.wrongAnswers
        recorder = Recorder(start: plan.start)
        recorder.wrongAnswers = wrongBefore
        stage = next
        scheduleSweep()
        cpuAtBegin = ThreadTime.now()
        givenUp = 0
        for session in sessions {
            if session.isConnected { feed(session) } else { reopen(session, attempt: 1) }
        }
        endIfDone()
        return promise.futureResult
    }

    private func feed(_ session: Session) {
        feed(session, now: NIODeadline.now().uptimeNanoseconds)
    }

    /// Gives a free session its next operation, if there is one now.
    private func feed(_ session: Session, now: UInt64) {
        guard session.isConnected, stage != .idle else { return }
        guard let due = takeTurn(now) else { return wait(session) }
        busy += 1
        if stage == .running {
            session.start(source.next(), due: due, now: now)
        } else {
            let record = takeRecordToLoad()
            if configuration.isCounter {
                session.resetCounter(now: now)
            } else {
                session.start(Operation(kind: .insert, record: record), due: due, now: now)
            }
        }
    }

    private var hasRecordsToLoad: Bool { loadCursor < configuration.recordsToLoad || !loadRetries.isEmpty }

    private func takeRecordToLoad() -> UInt64 {
        if let again = loadRetries.popLast() { return again }
        defer { loadCursor += configuration.loops }
        return UInt64(loadCursor)
    }

    /// The due time of an operation that may be sent now; `nil` if none may.
    private func takeTurn(_ now: UInt64) -> UInt64? {
        switch stage {
        case .idle: return nil
        case .loading: return hasRecordsToLoad ? now : nil
        case .running:
            guard mayStart(at: now) else { return nil }
            guard let due = schedule == nil ? now : schedule?.take(at: now) else { return nil }
            plan.operationsLeft -= 1
            return due
        }
    }

    private func mayStart(at now: UInt64) -> Bool { now < plan.ends && plan.operationsLeft > 0 }

    private func wait(_ session: Session) {
        waiting.append(session)
        armTimer()
        endIfDone()
    }

    private func armTimer() {
        guard let schedule, !isTimerArmed, stage == .running, plan.operationsLeft > 0 else { return }
        isTimerArmed = true
        let wake = min(schedule.nextDue, plan.ends)
        loop.assumeIsolated().scheduleTask(deadline: .uptimeNanoseconds(wake)) { self.timerFired() }
    }

    private func timerFired() {
        isTimerArmed = false
        guard stage == .running else { return }
        let now = NIODeadline.now().uptimeNanoseconds
        while mayStart(at: now), let due = schedule?.nextDue, due <= now, let session = waiting.popLast() {
            feed(session, now: now)
        }
        if waiting.isEmpty || !mayStart(at: now) { endIfDone() } else { armTimer() }
    }

    private func endIfDone() {
        guard busy == 0, isExhausted, let promise = stageEnd else { return }
        stageEnd = nil
        stage = .idle
        cpuAtEnd = ThreadTime.now()
        waiting.removeAll()
        promise.succeed(())
    }

    private var isExhausted: Bool {
        switch stage {
        case .idle: false
        case .loading: !hasRecordsToLoad
        case .running: plan.operationsLeft <= 0 || NIODeadline.now().uptimeNanoseconds >= plan.ends
        }
    }

    private func fail(_ error: LoadError) {
        stage = .idle
        stageEnd?.fail(error)
        stageEnd = nil
    }

    /// Once a second: requests without an answer for too long are given up.
    private func scheduleSweep() {
        guard !isSweepScheduled else { return }
        isSweepScheduled = true
        loop.assumeIsolated().scheduleTask(in: .seconds(1)) {
            self.isSweepScheduled = false
            guard self.stage != .idle else { return }
            let now = NIODeadline.now().uptimeNanoseconds
            let patience = UInt64(self.configuration.timeoutSeconds * 1e9)
            for session in self.sessions {
                if let since = session.waitsSince, now > since + patience { session.abandon("timeout") }
            }
            self.endIfDone()
            self.scheduleSweep()
        }
    }

    // MARK: What sessions report

    /// - Parameter sent: when the last request of the operation went out.
    func answered(sent: UInt64, isRefusal: Bool) {
        guard stage == .running else { return }
        recorder.keepTime(sent: sent, now: NIODeadline.now().uptimeNanoseconds, isRefusal: isRefusal)
    }

    func finished(_ operation: Operation, due: UInt64, error: String?, session: Session) {
        settle(operation, due: due, error: error, isCertain: true)
        feed(session)
    }

    func conflicted() { recorder.conflicts += 1 }

    func verified(content: Bool, isWrong: Bool) {
        recorder.lengthsVerified += 1
        if content { recorder.contentsVerified += 1 }
        if isWrong { recorder.wrongAnswers += 1 }
    }

    private func settle(_ operation: Operation, due: UInt64, error: String?, isCertain: Bool) {
        busy -= 1
        if stage == .loading {
            settleLoad(operation, due: due, error: error, isCertain: isCertain)
            return
        }
        if operation.kind == .insert { source.finishInsert(operation.record, acknowledged: error == nil) }
        if operation.kind == .increment {
            if error == nil { acknowledgedIncrements += 1 } else if !isCertain { uncertainIncrements += 1 }
        }
        if let error {
            recorder.fail(error)
        } else {
            recorder.complete(operation.kind, due: due, now: NIODeadline.now().uptimeNanoseconds)
        }
    }

    private func settleLoad(_ operation: Operation, due: UInt64, error: String?, isCertain: Bool) {
        guard let error else {
            recorder.complete(operation.kind, due: due, now: NIODeadline.now().uptimeNanoseconds)
            return
        }
        loadFailures += 1
        loadRetries.append(operation.record)
        if loadFailures > Self.loadFailuresMax { fail(LoadError.loadFailed(error)) }
        // Each connection asked in vain once, and none was ever answered: whoever accepts them serves nothing.
        let isMute = recorder.completed == 0 && !isCertain && loadFailures >= sessions.count
        if isMute { fail(LoadError.unreachable("no record was acknowledged: \(error)")) }
    }

    // MARK: The counter of `hot`

    /// Reads the counter back, between stages; `nil` where it cannot be read.
    func readCounter() -> EventLoopFuture<UInt64?> {
        let promise = loop.makePromise(of: UInt64?.self)
        guard let session = sessions.first(where: { $0.isConnected }) else {
            promise.succeed(nil)
            return promise.futureResult
        }
        counterPromise = promise
        session.readCounter(now: NIODeadline.now().uptimeNanoseconds)
        return promise.futureResult
    }

    func counterRead(_ value: UInt64?) {
        counterPromise?.succeed(value)
        counterPromise = nil
    }

    /// Processor time that the loop's thread used in the stage that ended last, nanoseconds.
    var cpuNanoseconds: UInt64 { cpuAtEnd > cpuAtBegin ? cpuAtEnd - cpuAtBegin : 0 }

    /// Operations that were due in the run and that no connection was free for.
    var backlog: Int { schedule?.backlog(at: plan.ends == .max ? recorder.lastCompletion : plan.ends) ?? 0 }
}

/// When a stage begins and ends, for one loop. Times are nanoseconds of the loop's clock.
struct StagePlan: Sendable {
    var start: UInt64 = 0
    /// Nothing is sent from here on.
    var ends = UInt64.max
    var operationsLeft = Int.max
}
