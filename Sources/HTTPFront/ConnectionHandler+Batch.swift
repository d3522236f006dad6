internal import Entities
internal import NIOCore
internal import Primitives
internal import Serving

/// A batch on its connection.
struct RunningBatch {
    let exchange: BatchExchange
    /// HTTP/1.0 has no chunks: the answer ends where the connection does.
    let isOldVersion: Bool
    let origin: DoorPolicy.OriginMark?
    var keepsAlive: Bool
    var headIsWritten = false
}

extension ConnectionHandler: BatchExchange.Owner {
    func batchMoved() { flushAnswers() }

    /// The batch waits until all requests before it have been answered, since its own answer has no bound. False where
    /// the account has no room for it.
    func beginBatch(_ backend: any EntityBackend) -> Bool {
        let exchange = BatchExchange(backend: backend, loop: loop, owner: self)
        guard exchange.begin() else { return false }
        let isOldVersion = decoder.head.minorVersion == 0
        batch = RunningBatch(
            exchange: exchange, isOldVersion: isOldVersion, origin: origin,
            keepsAlive: decoder.head.keepsAlive && !isOldVersion)
        batch?.exchange.isDraining = isDraining
        intake = .batch
        return true
    }

    /// Whether the decoder may go on, as far as a batch is concerned.
    var batchHasRoom: Bool {
        guard let batch else { return true }
        return exchanges.isEmpty && batch.exchange.wantsMore
    }

    /// Runs lines that waited for room, writes the answers that are there, and ends the batch when all are out.
    func advanceBatch() {
        guard let exchange = batch?.exchange, exchanges.isEmpty else { return }
        while true {
            if answersHaveRoom { exchange.runLines(now) }
            writeBatchText()
            guard output.readableBytes >= FrontLimits.outputBytesMax, socketHasRoom else { break }
            flush()
            guard answersHaveRoom else { break }
        }
        if exchange.isComplete { endBatch() }
    }

    private func writeBatchText() {
        guard let exchange = batch?.exchange, exchange.text.readableBytes > 0 else { return }
        writeBatchHead()
        let isChunked = batch?.isOldVersion == false
        if isChunked {
            output.writeHexadecimal(exchange.text.readableBytes)
            output.writeStaticString("\r\n")
        }
        output.writeBuffer(&exchange.text)
        exchange.textWasTaken()
        if isChunked { output.writeStaticString("\r\n") }
        if exchange.text.capacity > FrontLimits.keptBufferBytesMax {
            exchange.text = ByteBuffer()
        } else {
            exchange.text.clear()
        }
    }

    /// The head goes out with the first answer, so that a body that is broken from its start can still be refused
    /// whole.
    private func writeBatchHead() {
        guard let batch, !batch.headIsWritten else { return }
        self.batch?.headIsWritten = true
        owesContinue = false
        loop.counters.count(.batch, status: 200)
        output.writeStatus(200, date: loop.date())
        loop.door.writeFields(batch.origin, to: &output)
        output.writeBytes(loop.clusterField)
        output.writeStaticString("Content-Type: application/x-ndjson\r\n")
        if !batch.isOldVersion { output.writeStaticString("Transfer-Encoding: chunked\r\n") }
        output.writeHeadEnd(length: nil, persistence: batch.keepsAlive && !isFinishing ? .open : .close)
    }

    private func endBatch() {
        guard let batch else { return }
        writeBatchHead()
        if !batch.isOldVersion { output.writeStaticString("0\r\n\r\n") }
        batch.exchange.leave()
        self.batch = nil
        if !batch.keepsAlive || isDraining { phase = .finishing }
    }

    /// The body of the running batch cannot be read on. False where nothing of it has been taken, and it can be refused
    /// like any request.
    func breakBatch(_ problem: Problem) -> Bool {
        guard let exchange = batch?.exchange else { return false }
        if exchange.isUntouched {
            exchange.leave()
            batch = nil
            return false
        }
        batch?.keepsAlive = false
        exchange.bodyBroke(problem, now)
        return true
    }
}
