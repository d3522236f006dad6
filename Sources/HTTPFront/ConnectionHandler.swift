internal import Entities
internal import NIOCore
internal import Primitives
internal import Serving

/// One HTTP/1.1 connection: bytes in, requests to the service, answers out in request order.
///
/// Requests are decoded as far as there is room for their answers; where there is none, reading stops and the client's
/// socket fills (pipelining is bounded by `Limits.pipelinedRequestsMax`, by the bytes of bodies and by those of answers
/// that the client has not taken). What is beyond a connection's own bound waits; what is beyond the process' budget of
/// memory is refused. Answers are encoded into one buffer as soon as their turn comes and leave in one flush a wake-up.
/// A connection has one timer, which looks at all
/// deadlines when it comes.
///
/// The files beside this one hold the parts: reading, answering, memory, batches, deadlines and closing.
// SAFETY: every method and property is used on the connection's event loop only; `ReplySink` demands it of callers.
final class ConnectionHandler<Service: RequestService>: ChannelDuplexHandler, ConnectionSink, @unchecked Sendable {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    enum Phase {
        /// Takes requests.
        case serving
        /// Takes no more; closes once all answers are out.
        case finishing
        /// All answers have been handed to the socket; what still comes in is dropped.
        case lingering(outputDone: Bool, dropped: Int)
        case closed
    }

    let service: Service
    let loop: LoopContext
    let eventLoop: any EventLoop
    var loopNumber: LoopNumber { loop.number }
    var context: ChannelHandlerContext?
    var indexInLoop = 0
    private let isAdmitted: Bool
    private var verdict = ConnectionAllowance.Verdict.dropped
    private var address: CallerAddress?
    /// The process has a descriptor and memory for it.
    private var hasPlace = true

    // Reading.
    var phase = Phase.serving
    var decoder = RequestDecoder()
    var input = ByteBuffer()
    var intake = Intake.none
    /// The allowed origin of the request that is being decoded.
    var origin: DoorPolicy.OriginMark?
    /// The body of the request in `intake`, as far as it has come.
    var bodyBytes: [UInt8] = []
    var batch: RunningBatch?
    var clientFinished = false
    var readIsWanted = false
    var isDraining = false
    private var isWorking = false
    private var worksAgain = false

    // Answering.
    var exchanges = CircularBuffer<Exchange>(initialCapacity: 4)
    /// The slot of `exchanges.first`; slots count up by one.
    var firstSlot: UInt64 = 0
    var bytesInFlight = 0
    /// `100 Continue` is owed once all requests before have been answered.
    var owesContinue = false
    var output = ByteBuffer()
    var socketHasRoom = true
    /// Handed to the socket and not taken by the kernel.
    var unsentBytes = 0

    // Memory: charges, by where they are.
    /// The request in `intake`.
    var intakeCharge = 0
    /// What came and is not decoded.
    var inputCharge = 0
    /// What is in `output`.
    var outputCharge = 0
    /// Of requests that the backend has and whose slot is gone.
    var owed: [UInt64: Int] = [:]
    /// Of the exchanges: answers that are there, and those to come as they are taken to be.
    var answersHeld = 0
    /// What the answer of a read is taken to be.
    var readAnswerBytes = FrontLimits.readAnswerBytesFirst

    // Deadlines.
    var now: NIODeadline
    var clocks: ConnectionClocks
    var timer: NIOScheduledCallback?

    /// - Parameter isAdmitted: false: it is told that there are too many connections, and closed.
    init(service: Service, loop: LoopContext, isAdmitted: Bool = true) {
        self.isAdmitted = isAdmitted
        self.service = service
        self.loop = loop
        eventLoop = loop.eventLoop
        now = loop.eventLoop.now
        clocks = ConnectionClocks(now: now)
    }

    // MARK: Events of the channel

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        loop.counters.connectionsAccepted &+= 1
        loop.add(self)
        address = context.remoteAddress.flatMap(CallerAddress.init)
        verdict = loop.cap.open(of: address)
        hasPlace = isAdmitted
        if !memory.charge(Limits.memoryConnectionBytes, for: .connections, as: .small) {
            memory.chargeAnyway(Limits.memoryConnectionBytes, for: .connections)
            hasPlace = false
        }
        setTimer()
        if context.channel.isActive { begin() }
    }

    func channelActive(context: ChannelHandlerContext) {
        begin()
        context.fireChannelActive()
    }

    private func begin() {
        switch verdict {
        case _ where loop.isDraining: phase = .finishing
        case .served where hasPlace: break
        case .served: tell(.connections)
        case .told(let bound): tell(bound)
        case .dropped:
            loop.counters.connectionsRefused &+= 1
            abandon()
        }
        settle()
    }

    private func tell(_ bound: ConnectionAllowance.Bound) {
        loop.counters.connectionsRefused &+= 1
        refuseConnection(Refusal(Problem(.overloaded, bound.words)), route: .other)
    }

    /// Gives the connection's place back. Once.
    func leaveAllowance() { loop.cap.close(verdict, of: address) }

    func channelInactive(context: ChannelHandlerContext) { closed() }

    func handlerRemoved(context: ChannelHandlerContext) { closed() }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        now = eventLoop.now
        loop.counters.bytesIn &+= UInt64(bytes.readableBytes)
        if case .lingering(let outputDone, let dropped) = phase {
            drop(bytes.readableBytes, outputDone: outputDone, dropped: dropped)
            return
        }
        guard case .serving = phase else { return }
        if input.readableBytes == 0 { input = bytes } else { input.writeBuffer(&bytes) }
        work(flushes: false)
    }

    func channelReadComplete(context: ChannelHandlerContext) { settle() }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard case .some(.inputClosed) = event as? ChannelEvent else { return }
        now = eventLoop.now
        clientFinished = true
        if case .lingering(let outputDone, _) = phase {
            if outputDone { context.close(promise: nil) }
            return
        }
        settle()
        watchForAbsence()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        socketHasRoom = context.channel.isWritable
        guard socketHasRoom else { return }
        now = eventLoop.now
        settle()
    }

    /// Reads go on while there is room for what they may bring.
    func read(context: ChannelHandlerContext) {
        if mayRead { context.read() } else { readIsWanted = true }
    }

    // MARK: One wake-up's end

    /// Brings everything to rest after something happened: decodes what waited for room, writes what is ready, closes
    /// when all is done, and reads on.
    func settle() {
        work(flushes: true)
        // A round is under way: whoever began it ends it.
        guard !isWorking else { return }
        chargeInput()
        if readIsWanted, mayRead, let context {
            readIsWanted = false
            context.read()
        }
    }

    /// Writing may make the channel call back at once (it has room again, it has failed). Such calls only ask for
    /// another round, so no step ever runs inside another.
    private func work(flushes: Bool) {
        worksAgain = true
        guard !isWorking else { return }
        isWorking = true
        while worksAgain {
            worksAgain = false
            advanceBatch()
            decodeRequests()
            advanceBatch()
            if flushes {
                let hadRoom = answersHaveRoom
                flush()
                // What the socket took at once made room for what has come already.
                if !hadRoom, answersHaveRoom { worksAgain = true }
                closeIfDone()
            }
        }
        isWorking = false
    }

    private var mayRead: Bool {
        switch phase {
        case .serving: hasRoom
        case .finishing: false
        case .lingering: true
        case .closed: false
        }
    }

    /// Whether another request may be taken in.
    var hasRoom: Bool {
        exchanges.count < Limits.pipelinedRequestsMax && bytesInFlight < FrontLimits.pipelinedBytesMax && socketHasRoom
            && answersHaveRoom && batchHasRoom && !holdsRequest
    }

    private var holdsRequest: Bool {
        if case .held = intake { true } else { false }
    }

    func flush() {
        guard output.readableBytes > 0, let context else { return }
        chargeOutput()
        var bytes = output
        output = ByteBuffer()
        outputCharge = 0
        let count = bytes.readableBytes
        unsentBytes += count
        loop.counters.bytesOut &+= UInt64(count)
        clocks.wrote(count)
        clocks.touch(now)
        guard bytes.capacity <= FrontLimits.keptBufferBytesMax else {
            return writeTold(bytes, of: count, context)
        }
        context.writeAndFlush(wrapOutboundOut(bytes), promise: nil)
        // The kernel has usually taken it all by now, so the memory is free to be used again.
        if bytes.modifyIfUniquelyOwned({ $0.clear() }) != nil {
            socketTook(count)
            if output.capacity == 0 { output = bytes }
        } else {
            // What is written behind it tells when it is gone.
            writeTold(ByteBuffer(), of: count, context)
        }
    }

    /// Writes what is told of: by then the socket has taken `count` bytes more.
    private func writeTold(_ bytes: ByteBuffer, of count: Int, _ context: ChannelHandlerContext) {
        let taken = context.eventLoop.makePromise(of: Void.self)
        taken.futureResult.assumeIsolated().whenComplete { [self] _ in
            socketTook(count)
            if case .closed = phase { return }
            now = eventLoop.now
            settle()
        }
        context.writeAndFlush(wrapOutboundOut(bytes), promise: taken)
    }
}
