import NIOCore
import Primitives

/// One connection with one request on the wire at a time: asks, reads and checks the answer, and reports to its worker.
///
/// Lives on its worker's event loop, over reconnections: the same handler is put into each new channel.
final class Session: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// What the request on the wire asks.
    private enum Step {
        case read
        case write
        case increment
        /// The read of a read-modify-write, whose write follows.
        case readBeforeWrite
        case resetCounter
        case readCounter
    }

    private struct Exchange {
        var operation: Operation
        var step: Step
        /// When the operation was to be sent: what its latency counts from.
        var due: UInt64
        var sentAt: UInt64
        var conflicts = 0
    }

    /// Conflicts after which a read-modify-write is given up.
    private static let conflictsMax = 1000

    private unowned let worker: Worker
    private let check: AnswerCheck
    private let verifyEvery: UInt64
    private var encoder: RequestEncoder
    private var parser: AnswerParser
    private var generator: SplitMix64
    private var context: ChannelHandlerContext?
    private var exchange: Exchange?
    private var unread = ByteBuffer()
    private var out = ByteBuffer()
    private var etag: [UInt8] = []
    private(set) var isConnected = false
    /// Kept by the worker while it tries to open the connection anew.
    var isOpening = false

    init(worker: Worker, configuration: LoadConfiguration, generator: SplitMix64) {
        self.worker = worker
        self.check = AnswerCheck(dialect: configuration.dialect, valueBytes: configuration.valueBytes)
        self.verifyEvery = UInt64(configuration.verifyEvery)
        self.encoder = RequestEncoder(configuration)
        self.parser = AnswerParser(configuration.dialect)
        self.generator = generator
    }

    /// When the request on the wire was sent; `nil` if there is none.
    var waitsSince: UInt64? { exchange?.sentAt }

    // MARK: Asking

    /// Asks for `operation`. Nothing may be on the wire, and the session is connected.
    func start(_ operation: Operation, due: UInt64, now: UInt64) {
        let step: Step =
            switch operation.kind {
            case .read: .read
            case .update, .insert: .write
            case .readModifyWrite: .readBeforeWrite
            case .increment: .increment
            }
        begin(Exchange(operation: operation, step: step, due: due, sentAt: now))
    }

    /// Sets the counter of `hot` to zero; reported like an insert of record 0.
    func resetCounter(now: UInt64) {
        begin(Exchange(operation: Operation(kind: .insert, record: 0), step: .resetCounter, due: now, sentAt: now))
    }

    /// Reads the counter of `hot` back; reported by `Worker.counterRead`.
    func readCounter(now: UInt64) {
        begin(Exchange(operation: Operation(kind: .read, record: 0), step: .readCounter, due: now, sentAt: now))
    }

    private func begin(_ next: Exchange) {
        precondition(exchange == nil && isConnected, "one request at a time, on an open connection")
        etag.removeAll(keepingCapacity: true)
        send(next)
    }

    private func send(_ next: Exchange) {
        guard let context else { return finish(next, error: "connection closed") }
        exchange = next
        let record = next.operation.record
        out.clear()
        switch next.step {
        case .read, .readBeforeWrite, .readCounter: encoder.read(record, into: &out)
        case .write: encoder.write(record, token: generator.next(), etag: etag, into: &out)
        case .increment: encoder.increment(record, into: &out)
        case .resetCounter: encoder.resetCounter(record, into: &out)
        }
        context.writeAndFlush(wrapOutboundOut(out), promise: nil)
    }

    // MARK: Answers

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var incoming = unwrapInboundIn(data)
        if unread.readableBytes == 0 {
            unread = incoming
        } else {
            unread.writeBuffer(&incoming)
        }
        takeAnswers()
    }

    private func takeAnswers() {
        while unread.readableBytes > 0 {
            let bytes = unread
            do throws(ProtocolViolation) {
                guard exchange != nil else { throw ProtocolViolation(name: "answer to nothing") }
                guard let answer = try parser.parse(bytes.readableBytesUInt8Span) else { return }
                unread.moveReaderIndex(forwardBy: answer.length)
                take(answer, in: bytes.readableBytesUInt8Span)
            } catch {
                abandon(error.name)
                return
            }
        }
        unread = ByteBuffer()
    }

    private func take(_ answer: Answer, in bytes: Span<UInt8>) {
        if !answer.keepsAlive { disconnect() }
        if answer.isChunked {
            let payload = parser.dechunked
            settle(answer, payload: payload.span, bytes: bytes)
        } else {
            settle(answer, payload: bytes.extracting(answer.payload), bytes: bytes)
        }
        if !answer.keepsAlive { worker.lost(self, operation: nil, reason: nil) }
    }

    private func settle(_ answer: Answer, payload: Span<UInt8>, bytes: Span<UInt8>) {
        guard let current = exchange else { return }
        guard answer.verdict == .success else {
            if answer.verdict == .preconditionFailed, current.operation.kind == .readModifyWrite {
                retry(current)
            } else {
                finish(current, error: AnswerCheck.name(ofRefusal: answer, payload: payload), isRefusal: true)
            }
            return
        }
        switch current.step {
        case .read:
            finish(current, error: mismatch(ofRead: payload, record: current.operation.record))
        case .readBeforeWrite:
            if let mismatch = mismatch(ofRead: payload, record: current.operation.record) {
                finish(current, error: mismatch)
            } else {
                writeAfterRead(current, answer: answer, bytes: bytes)
            }
        case .write, .increment, .resetCounter:
            finish(current, error: check.mismatch(ofWrite: payload))
        case .readCounter:
            exchange = nil
            worker.counterRead(check.counter(in: payload))
        }
    }

    private func mismatch(ofRead payload: Span<UInt8>, record: UInt64) -> String? {
        let comparesContent = generator.chance(1, in: verifyEvery)
        let mismatch = check.mismatch(ofRead: payload, record: record, comparesContent: comparesContent)
        worker.verified(content: comparesContent, isWrong: mismatch != nil)
        return mismatch
    }

    private func writeAfterRead(_ current: Exchange, answer: Answer, bytes: Span<UInt8>) {
        etag.removeAll(keepingCapacity: true)
        for place in answer.etag { etag.append(bytes[place]) }
        var next = current
        next.step = .write
        next.sentAt = NIODeadline.now().uptimeNanoseconds
        send(next)
    }

    /// Another writer came between: the whole read-modify-write begins again, and its time runs on.
    private func retry(_ current: Exchange) {
        worker.conflicted()
        var next = current
        next.conflicts += 1
        next.step = .readBeforeWrite
        if next.conflicts < Self.conflictsMax { send(next) } else { finish(next, error: "412 without end") }
    }

    private func finish(_ current: Exchange, error: String?, isRefusal: Bool = false) {
        exchange = nil
        if error == nil || isRefusal { worker.answered(sent: current.sentAt, isRefusal: isRefusal) }
        worker.finished(current.operation, due: current.due, error: error, session: self)
    }

    // MARK: The connection

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
    }

    /// The connection is open, and the session may be asked for something.
    func opened() {
        isConnected = context != nil
    }

    func channelInactive(context: ChannelHandlerContext) {
        abandon("connection closed")
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        abandon("connection error")
    }

    /// Gives the request on the wire up as failed, and lets the worker open the connection anew.
    func abandon(_ reason: String) {
        guard isConnected else { return }
        disconnect()
        let operation = exchange?.operation
        exchange = nil
        worker.lost(self, operation: operation, reason: reason)
    }

    /// Closes the connection without a word to the worker.
    func disconnect() {
        let closing = context
        context = nil
        isConnected = false
        unread = ByteBuffer()
        parser = AnswerParser(check.dialect)
        closing?.close(promise: nil)
    }
}
