internal import Entities
internal import NIOCore
internal import Primitives

extension ConnectionHandler: NIOScheduledCallbackHandler {
    func handleScheduledCallback(eventLoop: some EventLoop) {
        timer = nil
        now = eventLoop.now
        clocks.ticked(now)
        checkDeadlines()
        settle()
        setTimer()
    }

    /// The timer comes at the nearest deadline, and every few seconds. Deadlines are farther away than that when they
    /// are set, so only this moves it.
    func setTimer() {
        if case .closed = phase { return }
        var next = now + .seconds(Int64(FrontLimits.tickSecondsMax))
        for deadline in [clocks.stallDeadline, requestDeadline, inputDeadline] {
            if let deadline, deadline < next { next = deadline }
        }
        if isIdle { next = min(next, clocks.idleDeadline) }
        if let lingerDeadline = clocks.lingerDeadline { next = min(next, lingerDeadline) }
        // Fails only where the loop is shutting down, and the channel with it.
        timer = try? eventLoop.scheduleCallback(at: next, handler: self)
    }

    /// What still comes in has deadlines only as long as it is taken: a timer for a deadline that nobody looks at would
    /// come again at once, for ever.
    private var inputDeadline: NIODeadline? {
        guard case .serving = phase else { return nil }
        return [clocks.headDeadline, clocks.bodyDeadline].compactMap { $0 }.min()
    }

    /// Between requests, with nothing owed.
    var isIdle: Bool {
        guard case .serving = phase, case .none = intake else { return false }
        return exchanges.isEmpty && batch == nil
    }

    private var requestDeadline: NIODeadline? {
        let oldest = batch?.exchange.oldestStart ?? exchanges.first { !$0.isAnswered }?.startedAt
        return oldest.map { $0 + .seconds(Int64(Limits.requestSecondsMax)) }
    }

    private func checkDeadlines() {
        guard let context else { return }
        let unsent = (try? context.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
        clocks.looked(atUnsentBytes: unsent, now)
        if isPast(clocks.stallDeadline) {
            loop.counters.count(.stalledResponse)
            return context.close(promise: nil)
        }
        if isPast(clocks.lingerDeadline) { return context.close(promise: nil) }
        checkRequests()
        batch?.exchange.expireLines(now)
        guard case .serving = phase else { return }
        if isPast(clocks.headDeadline) {
            loop.counters.count(.header)
            let problem = Problem(.badRequest, "the request head must arrive within \(Limits.headerSecondsMax) s")
            refuseConnection(Refusal(problem), route: .other)
        } else if isPast(clocks.bodyDeadline) {
            checkBody()
        } else if isIdle, isPast(clocks.idleDeadline) {
            loop.counters.count(.idle)
            context.close(promise: nil)
        } else if isIdle, output.readableBytes == 0 {
            // An idle connection keeps no memory that it does not need.
            output = ByteBuffer()
        }
    }

    private func isPast(_ deadline: NIODeadline?) -> Bool { deadline.map { $0 <= now } ?? false }

    private func checkBody() {
        let waitsForUs = !hasRoom || batch?.exchange.hasLinesInFlight == true
        if clocks.bodyIsTooSlow, !waitsForUs {
            loop.counters.count(.body)
            let rate = Limits.bodyBytesPerSecondMin
            let problem = Problem(.badRequest, "the body must arrive at \(rate) bytes a second or more")
            refuseConnection(Refusal(problem), route: .other)
        } else {
            clocks.excuseBody(now)
        }
    }

    /// Answers the requests that have waited too long. A write may have happened or still happen; a read has not.
    private func checkRequests() {
        for slot in firstSlot..<(firstSlot + UInt64(exchanges.count)) {
            guard slot >= firstSlot else { continue }
            let exchange = exchanges[offset: Int(slot - firstSlot)]
            guard exchange.startedAt + .seconds(Int64(Limits.requestSecondsMax)) <= now else { return }
            guard exchange.reply == nil else { continue }
            loop.counters.count(.request)
            let position = exchange.key.flatMap(service.position)
            owe(for: exchange, slot: slot)
            deliver(.refusal(Refusal(Problem.deadline(isWrite: exchange.isWrite), position: position)), slot: slot)
        }
    }
}

extension Problem {
    /// What a request is told that was not answered in `Limits.requestSecondsMax`.
    static func deadline(isWrite: Bool) -> Problem {
        if isWrite {
            Problem(
                .outcomeUnknown,
                "no answer within \(Limits.requestSecondsMax) s: the write may have happened, or happen yet")
        } else {
            Problem(.shardUnavailable, "no answer within \(Limits.requestSecondsMax) s")
        }
    }
}
