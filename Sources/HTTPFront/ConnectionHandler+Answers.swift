internal import Entities
internal import NIOCore
internal import Primitives
internal import Serving

extension ConnectionHandler {
    /// Takes the next slot in the order of answers.
    func append(_ exchange: Exchange) -> UInt64 {
        exchanges.append(exchange)
        bytesInFlight += exchange.byteCount
        answersHeld += exchange.answerBytes
        return firstSlot + UInt64(exchanges.count - 1)
    }

    // MARK: ReplySink

    func deliver(_ answer: Answer, slot: UInt64) { deliver(.answer(answer), slot: slot) }

    func deliver(_ response: AdminResponse, slot: UInt64) { deliver(.plain(response), slot: slot) }

    func flushAnswers() {
        eventLoop.assertInEventLoop()
        now = eventLoop.now
        settle()
    }

    /// Encodes the reply where it is its turn, with those behind it that waited for it; else keeps it. A slot that is
    /// gone or has its reply (the request's deadline came first) drops it.
    func deliver(_ reply: Reply, slot: UInt64) {
        eventLoop.assertInEventLoop()
        guard slot >= firstSlot, slot - firstSlot < UInt64(exchanges.count) else { return settleOwed(slot) }
        let offset = Int(slot - firstSlot)
        let exchange = exchanges[offset: offset]
        guard !exchange.isAnswered else { return settleOwed(slot) }
        let reply = charged(reply, exchange)
        guard offset == 0 else {
            exchange.reply = reply
            return
        }
        encodeFirst(reply)
        while let next = exchanges.first?.reply { encodeFirst(next) }
        if exchanges.isEmpty, owesContinue { writeContinue() }
    }

    /// Encodes the answer to the first exchange and takes it off the queue.
    private func encodeFirst(_ reply: Reply) {
        let isLast = exchanges.count == 1 && isFinishing
        let exchange = exchanges.removeFirst()
        firstSlot += 1
        bytesInFlight -= exchange.byteCount
        let persistence: Persistence = isLast ? .close : exchange.isOldVersion ? .keptAlive : .open
        let writer = ReplyWriter(loop: loop, persistence: persistence, isHead: exchange.isHead, origin: exchange.origin)
        let status = writer.write(reply, listShape: exchange.listShape, to: &output)
        chargeEncoded(exchange)
        loop.counters.count(exchange.route, status: status)
    }

    var isFinishing: Bool {
        if case .finishing = phase { true } else { false }
    }
}
