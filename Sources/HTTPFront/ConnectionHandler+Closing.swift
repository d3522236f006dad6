internal import NIOCore
internal import Primitives

extension ConnectionHandler: LoopConnection {
    /// Closes once nothing more will be taken and everything has been answered.
    func closeIfDone() {
        guard isFinishing, exchanges.isEmpty, batch == nil, let context else { return }
        phase = .lingering(outputDone: false, dropped: 0)
        readIsWanted = true
        let written = context.eventLoop.makePromise(of: Void.self)
        let count = output.readableBytes
        written.futureResult.assumeIsolated().whenComplete { [self] _ in
            socketTook(count)
            answersAreOut()
        }
        chargeOutput()
        let rest = output
        output = ByteBuffer()
        outputCharge = 0
        unsentBytes += rest.readableBytes
        context.writeAndFlush(wrapOutboundOut(rest), promise: written)
    }

    /// Everything has reached the kernel: says so to the client, and waits for its end, so that what it still sends
    /// does not make the kernel reset the connection under the answer.
    private func answersAreOut() {
        guard case .lingering(_, let dropped) = phase, let context else { return }
        if clientFinished {
            context.close(promise: nil)
        } else {
            phase = .lingering(outputDone: true, dropped: dropped)
            clocks.lingers(eventLoop.now)
            context.close(mode: .output, promise: nil)
        }
    }

    /// Input after the last answer.
    func drop(_ count: Int, outputDone: Bool, dropped: Int) {
        let dropped = dropped + count
        phase = .lingering(outputDone: outputDone, dropped: dropped)
        if dropped > FrontLimits.lingerBytesMax { context?.close(promise: nil) }
    }

    func drain() {
        guard case .serving = phase else { return }
        isDraining = true
        now = eventLoop.now
        if isIdle, decoder.isBetweenRequests, input.readableBytes == 0 { return abandon() }
        switch intake {
        case .none, .discard:
            if batch == nil { phase = .finishing }
        case .collect, .held: break
        case .batch: batch?.exchange.isDraining = true
        }
        settle()
    }

    func abandon() { context?.close(promise: nil) }

    /// The channel is gone; answers that still come are dropped.
    func closed() {
        if case .closed = phase { return }
        phase = .closed
        loop.remove(self)
        leaveAllowance()
        loop.counters.connectionsClosed &+= 1
        timer?.cancel()
        timer = nil
        context = nil
        refundAll()
        firstSlot += UInt64(exchanges.count)
        let leavesLists = waitsForList
        exchanges.removeAll()
        if leavesLists { service.callerLeft(self) }
        batch?.exchange.leave()
        batch = nil
        intake = .none
        bodyBytes = []
        input = ByteBuffer()
        output = ByteBuffer()
    }
}
