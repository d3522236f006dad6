internal import Entities
internal import NIOCore
internal import Primitives

/// What a connection holds of its loop's account. Every charge is in one of five places: the connection's own, what
/// came and is not decoded, the request that is being read, the exchanges, the answers on their way out. A request that
/// the backend still has when its slot is gone is owed for until the backend lets go of it.
extension ConnectionHandler {
    var memory: MemoryAccount { loop.memory }

    static func noMemory() -> Problem {
        Problem(.overloaded, "the node has no memory left for this request; try again shortly")
    }

    // MARK: Requests

    /// Charges a request by its head, with all of a body whose length is known.
    func chargeRequest(_ head: RequestHead, isWrite: Bool) -> Bool {
        let bytes = Limits.memoryRequestBytes + memory.budget.bounds.clamped(head.contentLength ?? 0)
        guard memory.charge(bytes, for: .requests, as: MemoryRank(bytes: bytes, isRead: !isWrite)) else { return false }
        intakeCharge = bytes
        return true
    }

    /// Charges a body that comes in chunks, step by step, before it is kept.
    func chargeBody(_ bytes: Int) -> Bool {
        guard decoder.head.contentLength == nil else { return true }
        let needed = memory.budget.bounds.clamped(bytes + Limits.memoryRequestBytes)
        guard needed > intakeCharge else { return true }
        let step = max(needed - intakeCharge, FrontLimits.bodyChargeBytes)
        guard memory.charge(step, for: .requests, as: .large) else { return false }
        intakeCharge += step
        bodyBytes.reserveCapacity(intakeCharge)
        return true
    }

    /// The request that was being read is over without having been run.
    func refundIntake() {
        guard intakeCharge > 0 else { return }
        memory.refund(intakeCharge, of: .requests)
        intakeCharge = 0
    }

    /// The request's slot goes before the backend has answered, and it holds the request until it does.
    func owe(for exchange: Exchange, slot: UInt64) {
        guard exchange.charge > 0 else { return }
        owed[slot] = exchange.charge
        exchange.charge = 0
    }

    /// The backend has let go of a request whose slot is gone.
    func settleOwed(_ slot: UInt64) {
        guard !owed.isEmpty, let charge = owed.removeValue(forKey: slot) else { return }
        memory.refund(charge, of: .requests)
    }

    // MARK: Answers

    /// Whether another answer may be begun, as far as those are concerned that the client has not taken.
    var answersHaveRoom: Bool {
        answersHeld + output.readableBytes + unsentBytes + (batch?.exchange.answerBytesHeld ?? 0)
            < FrontLimits.answersHeldBytesMax
    }

    /// What the answer to a request is taken to hold until it is known.
    func expectedAnswerBytes(_ work: Work) -> Int {
        switch work {
        case .read(let request): max(readAnswerBytes, service.expectedAnswerBytes(of: request.key) ?? 0)
        case .write(let draft): draft.wantsRepresentation ? readAnswerBytes : FrontLimits.plainAnswerBytes
        case .list: FrontLimits.pageAnswerBytes
        case .admin: FrontLimits.adminAnswerBytes
        }
    }

    /// Charges an answer by its true size, before it is encoded or kept. Without room a refusal takes the place of a
    /// read's; what says that something was done is always given.
    func charged(_ reply: Reply, _ exchange: Exchange) -> Reply {
        let bytes = reply.heldBytes(isHead: exchange.isHead)
        answersHeld += bytes - exchange.answerBytes
        exchange.answerBytes = bytes
        if !exchange.isWrite, exchange.listShape == nil {
            readAnswerBytes = max(FrontLimits.readAnswerBytesMin, bytes, readAnswerBytes / 8 * 7)
        }
        let more = memory.budget.bounds.clamped(2 * bytes) - exchange.charge
        guard more > 0 else { return reply }
        if exchange.isWrite || !reply.isRefusable {
            memory.chargeAnyway(more, for: .requests)
        } else if !memory.charge(more, for: .requests, as: rank(of: exchange, more)) {
            let refusal = Refusal(Self.noMemory(), position: exchange.key.flatMap(service.position))
            return charged(.refusal(refusal), exchange)
        }
        exchange.charge += more
        return reply
    }

    /// A page that has been made goes before what is only beginning.
    private func rank(of exchange: Exchange, _ bytes: Int) -> MemoryRank {
        exchange.listShape == nil ? MemoryRank(bytes: bytes, isRead: true) : .small
    }

    /// An answer has been encoded: from now on its bytes in the output are charged, and nothing else of it.
    func chargeEncoded(_ exchange: Exchange) {
        answersHeld -= exchange.answerBytes
        chargeOutput()
        memory.refund(exchange.charge, of: .requests)
        exchange.charge = 0
    }

    func chargeOutput() {
        let more = output.readableBytes - outputCharge
        guard more > 0 else { return }
        memory.chargeAnyway(more, for: .answers)
        outputCharge += more
    }

    /// The socket has taken this much, or is gone.
    func socketTook(_ count: Int) {
        unsentBytes -= count
        memory.refund(count, of: .answers)
    }

    // MARK: Input

    /// Charges what came and is not decoded, beyond the one small buffer of every connection. Without room the client
    /// that sent it is refused.
    func chargeInput() {
        var capacity = 0
        if input.readableBytes > 0 {
            if input.storageCapacity > 2 * input.readableBytes + FrontLimits.inputSlackBytesMax {
                input = ByteBuffer(bytes: input.readableBytesView)
            }
            capacity = max(0, input.storageCapacity - Limits.receiveBytesMin)
        }
        guard capacity != inputCharge else { return }
        if capacity < inputCharge {
            memory.refund(inputCharge - capacity, of: .connections)
        } else if !memory.charge(capacity - inputCharge, for: .connections, as: .small) {
            memory.refund(inputCharge, of: .connections)
            inputCharge = 0
            if case .serving = phase { return refuseConnection(Refusal(Self.noMemory()), route: .other) }
            input = ByteBuffer()
            return
        }
        inputCharge = capacity
    }

    // MARK: The end

    /// The connection is gone. What the backend still has stays charged until it answers, and what the socket had until
    /// the channel lets go of it.
    func refundAll() {
        refundIntake()
        for (offset, exchange) in exchanges.enumerated() {
            if exchange.isAnswered {
                memory.refund(exchange.charge, of: .requests)
            } else {
                owe(for: exchange, slot: firstSlot + UInt64(offset))
            }
        }
        memory.refund(outputCharge, of: .answers)
        memory.refund(inputCharge + Limits.memoryConnectionBytes, of: .connections)
        outputCharge = 0
        inputCharge = 0
        answersHeld = 0
    }
}

extension Reply {
    /// What an answer holds beside its encoding, which has about as many bytes.
    func heldBytes(isHead: Bool) -> Int {
        switch self {
        case .answer(.found(let record, _)):
            FrontLimits.plainAnswerBytes + (isHead ? 0 : record.state.count)
        case .answer(.written(_, _, _, let representation, _)):
            FrontLimits.plainAnswerBytes + (representation?.state.count ?? 0)
        case .answer(.page(let page)):
            FrontLimits.plainAnswerBytes + (page.text?.count ?? page.items.reduce(0) { $0 + $1.byteCount })
        case .answer(.notModified), .answer(.outcome), .answer(.refused), .refusal, .preflight:
            FrontLimits.plainAnswerBytes
        case .plain(let response): FrontLimits.plainAnswerBytes + response.body.count
        }
    }

    /// Whether a refusal may be given in its place.
    var isRefusable: Bool {
        switch self {
        case .answer(.found), .answer(.page): true
        case .answer(.written), .answer(.notModified), .answer(.outcome), .answer(.refused), .refusal, .plain,
            .preflight:
            false
        }
    }
}
