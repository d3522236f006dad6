internal import Entities
internal import NIOCore
internal import Primitives

/// What is being done with the body of the request that is being decoded.
enum Intake {
    /// No request is being decoded, or its head is.
    case none
    /// Kept until it is complete, then run.
    case collect(Collected)
    /// Complete, and to be run once the requests before it on its entity have been answered.
    case held(Collected)
    /// Given to the running batch.
    case batch
    /// The request has been refused; what is left of its body is dropped, up to this much.
    case discard(left: Int)
}

/// A request whose body is coming.
struct Collected {
    let work: Work
    let route: HTTPCounters.Route
    let isHead: Bool
    let isOldVersion: Bool
    let keepsAlive: Bool
    let origin: DoorPolicy.OriginMark?
    let bodyBytesMax: Int
}

extension ConnectionHandler {
    /// Decodes and runs requests until there are no more bytes or no more room.
    func decodeRequests() {
        runHeld()
        while case .serving = phase, hasRoom {
            switch decoder.next(&input) {
            case .needMore:
                inputIsExhausted()
                return
            case .head: receivedHead()
            case .chunk(let size): chunkBegins(size)
            case .body(let piece): received(piece)
            case .end: receivedEnd()
            case .refused(let problem): refuseConnection(Refusal(problem), route: .other)
            }
            if output.readableBytes >= FrontLimits.outputBytesMax { flush() }
        }
    }

    private func inputIsExhausted() {
        if input.readableBytes == 0 { input = ByteBuffer() }
        if clientFinished {
            clientEnded()
        } else if case .none = intake, batch == nil {
            clocks.waitsForHead(decoder.isBetweenRequests && input.readableBytes == 0 ? nil : now)
        }
    }

    /// The client has shut down its side. Whatever it sent completely is answered.
    private func clientEnded() {
        if decoder.isInBody || input.readableBytes > 0 {
            let problem = Problem(.badRequest, "the request ended before it was complete")
            refuseConnection(Refusal(problem), route: .other)
        } else {
            phase = .finishing
        }
    }

    // MARK: Head

    private func receivedHead() {
        clocks.waitsForHead(nil)
        defer { decoder.releaseHead() }
        let head = decoder.head
        let hasBody = head.hasBody
        if hasBody { clocks.bodyBegins(now) }
        switch loop.door.judge(head) {
        case .refused(let problem): return refuseRequest(Refusal(problem), .other)
        case .preflight(let asking):
            origin = asking
            return answerPreflight()
        case .passes(let asking): origin = asking
        }
        switch service.admit(head, loop) {
        case .refuse(let refusal, let route): refuseRequest(refusal, route)
        case .batch(let backend):
            guard beginBatch(backend) else { return refuseRequest(Refusal(Self.noMemory()), .batch) }
            if hasBody { expectBody(nil) }
        case .run(let work, let route, let bodyBytesMax):
            guard chargeRequest(head, isWrite: work.isWrite) else {
                let position = work.key.flatMap(service.position)
                return refuseRequest(Refusal(Self.noMemory(), position: position), route)
            }
            intake = .collect(
                Collected(
                    work: work, route: route, isHead: head.method == .head, isOldVersion: head.minorVersion == 0,
                    keepsAlive: head.keepsAlive, origin: origin, bodyBytesMax: bodyBytesMax))
            if hasBody { expectBody(head.contentLength) }
        }
    }

    /// Makes room for a body, and asks for it where the client waits to be asked (RFC 9110 §10.1.1).
    private func expectBody(_ length: Int?) {
        if let length { bodyBytes.reserveCapacity(length) }
        guard decoder.head.expectation == .hundredContinue, decoder.head.minorVersion >= 1,
            input.readableBytes == 0
        else { return }
        if exchanges.isEmpty { writeContinue() } else { owesContinue = true }
    }

    func writeContinue() {
        owesContinue = false
        output.writeStaticString("HTTP/1.1 100 Continue\r\n\r\n")
    }

    /// Refuses one request. The connection goes on behind its body, unless that is too large to be worth reading, or
    /// the client may not send it after this answer.
    private func refuseRequest(_ refusal: Refusal, _ route: HTTPCounters.Route) {
        let head = decoder.head
        let length = head.contentLength ?? 0
        let bodyMayNotCome = head.hasBody && head.expectation != .none
        guard head.keepsAlive, refusal.problem.code != .entityTooLarge, !bodyMayNotCome,
            length <= Limits.entityBytesDefault
        else {
            return refuseConnection(refusal, route: route, isHead: head.method == .head)
        }
        append(.refusal(refusal), route, isHead: head.method == .head, isOldVersion: head.minorVersion == 0)
        intake = .discard(left: Limits.entityBytesDefault)
    }

    /// A preflight has no body that is worth reading.
    private func answerPreflight() {
        let head = decoder.head
        if head.keepsAlive, !head.hasBody { intake = .discard(left: 0) } else { endInput() }
        append(.preflight, .other, isHead: false, isOldVersion: head.minorVersion == 0)
    }

    /// Takes nothing more from this connection.
    private func endInput() {
        phase = .finishing
        intake = .none
        owesContinue = false
        bodyBytes = []
        refundIntake()
        input = ByteBuffer()
    }

    /// Refuses, and takes nothing more from this connection.
    func refuseConnection(_ refusal: Refusal, route: HTTPCounters.Route, isHead: Bool = false) {
        endInput()
        if breakBatch(refusal.problem) { return }
        append(.refusal(refusal), route, isHead: isHead, isOldVersion: false)
    }

    /// Answers what the backend never sees.
    private func append(_ reply: Reply, _ route: HTTPCounters.Route, isHead: Bool, isOldVersion: Bool) {
        let slot = append(
            Exchange(
                route: route, isHead: isHead, isOldVersion: isOldVersion, origin: origin, key: nil, isWrite: false,
                listShape: nil, startedAt: now, byteCount: 0, charge: 0, answerBytes: FrontLimits.plainAnswerBytes))
        deliver(reply, slot: slot)
    }

    // MARK: Body

    /// A chunk that is too large for its request by what it says of itself is refused before its bytes come.
    private func chunkBegins(_ size: Int) {
        switch intake {
        case .none, .held: preconditionFailure("a body belongs to a request")
        case .collect(let collected):
            if size > collected.bodyBytesMax - bodyBytes.count { refuseBody(of: collected) }
        case .batch:
            guard size > FrontLimits.batchChunkBytesMax else { return }
            let detail = "a chunk of a batch may have at most \(FrontLimits.batchChunkBytesMax) bytes"
            refuseConnection(Refusal(Problem(.entityTooLarge, detail)), route: .batch)
        case .discard(let left):
            if size > left { phase = .finishing }
        }
    }

    private func refuseBody(of collected: Collected) {
        let position = collected.work.key.flatMap(service.position)
        let refusal = Refusal(Problem.bodyTooLarge(max: collected.bodyBytesMax), position: position)
        refuseConnection(refusal, route: collected.route, isHead: collected.isHead)
    }

    private func received(_ piece: ByteBuffer) {
        clocks.bodyReceived(piece.readableBytes)
        switch intake {
        case .none, .held: preconditionFailure("a body belongs to a request")
        case .collect(let collected):
            guard bodyBytes.count + piece.readableBytes <= collected.bodyBytesMax else {
                return refuseBody(of: collected)
            }
            guard chargeBody(bodyBytes.count + piece.readableBytes) else {
                let position = collected.work.key.flatMap(service.position)
                let refusal = Refusal(Self.noMemory(), position: position)
                return refuseConnection(refusal, route: collected.route, isHead: collected.isHead)
            }
            piece.withUnsafeReadableBytes { bodyBytes.append(contentsOf: $0) }
        case .batch:
            batch?.exchange.receive(piece, now: now)
            advanceBatch()
        case .discard(let left):
            guard piece.readableBytes <= left else {
                phase = .finishing
                return
            }
            intake = .discard(left: left - piece.readableBytes)
        }
    }

    private func receivedEnd() {
        clocks.bodyEnds()
        let ended = intake
        intake = .none
        defer { origin = nil }
        switch ended {
        case .held: preconditionFailure("nothing is decoded behind a request that is held")
        case .none, .discard:
            if isDraining { phase = .finishing }
        case .batch:
            batch?.exchange.bodyEnded(now)
            advanceBatch()
        case .collect(let collected):
            if mustWait(collected.work) { intake = .held(collected) } else { run(collected) }
        }
    }

    /// Whether it has to take effect after one before it, and could come before that on its way to another node: such
    /// are not pipelined any further (RFC 9112 §9.3.2).
    private func mustWait(_ work: Work) -> Bool {
        guard service.requestsMayOvertake, let key = work.key else { return false }
        return exchanges.contains { !$0.isAnswered && $0.key == key && ($0.isWrite || work.isWrite) }
    }

    private func runHeld() {
        guard case .held(let collected) = intake, !mustWait(collected.work) else { return }
        intake = .none
        run(collected)
    }

    private func run(_ collected: Collected) {
        owesContinue = false
        let body = bodyBytes
        bodyBytes = []
        if !collected.keepsAlive || isDraining { phase = .finishing }
        // A pipelined read sees the writes that its own connection sent before it.
        let isBehindWrite = exchanges.contains { $0.isWrite && !$0.isAnswered }
        let work = isBehindWrite ? collected.work.inQueueOrder : collected.work
        var listShape: ListShape?
        if case .list(_, let shape) = collected.work { listShape = shape }
        let charge = intakeCharge
        intakeCharge = 0
        let slot = append(
            Exchange(
                route: collected.route, isHead: collected.isHead, isOldVersion: collected.isOldVersion,
                origin: collected.origin, key: collected.work.key, isWrite: collected.work.isWrite,
                listShape: listShape, startedAt: now, byteCount: body.count, charge: charge,
                answerBytes: expectedAnswerBytes(collected.work)))
        service.run(work, body: body, replyTo: self, slot: slot)
    }
}
