internal import NIOCore

extension ConnectionHandler {
    /// Whether a list that was asked for has no answer.
    var waitsForList: Bool { exchanges.contains { $0.listShape != nil && !$0.isAnswered } }

    /// A caller that has shut its side may have gone, or wait for its answers: the two look alike until something is
    /// sent. A list takes long enough to ask, by an interim answer that every client of HTTP/1.1 skips (RFC
    /// 9110 §15.2): who has gone answers it with a reset, and the lists end.
    func watchForAbsence() {
        guard clientFinished, waitsForList else { return }
        eventLoop.scheduleTask(in: .milliseconds(FrontLimits.absenceMilliseconds)) { self.askWhetherThere() }
    }

    private func askWhetherThere() {
        // No answer to HTTP/1.0 is interim, and none stands inside another.
        guard context != nil, waitsForList, exchanges.allSatisfy({ !$0.isOldVersion }), batch == nil else { return }
        writeContinue()
        flush()
        eventLoop.scheduleTask(in: .milliseconds(FrontLimits.absenceAgainMilliseconds)) { self.askWhetherThere() }
    }
}
