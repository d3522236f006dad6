internal import Entities
internal import NIOCore
internal import Primitives
internal import Serving

/// A batch in progress: lines in, operations to the backend, answer lines out in the order of the lines. Memory is
/// bounded by the lines in flight (`Limits.batchLinesInFlightMax`, `Limits.batchBytesInFlightMax`), one unfinished
/// line, and the answers that the connection has not taken; where there is no room, the connection stops reading.
/// All of it is charged to the loop's account; a line that the account has no room for is refused by itself.
///
/// Lines on one entity keep their order: where requests may overtake each other, a line waits until the one before it
/// on its entity has been answered.
///
/// No batch holds its loop for long: long lines are read, and long answers are written, on a thread of the backend's,
/// one each at a time; and of many short lines some are taken in a turn.
// SAFETY: used on the connection's event loop only; `ReplySink` demands it of callers.
final class BatchExchange: ReplySink, @unchecked Sendable {
    /// The connection that the batch runs on.
    protocol Owner: AnyObject {
        /// Answers have come that may be written, and make room for more lines.
        func batchMoved()
    }

    private struct Slot {
        let key: EntityKey?
        let isWrite: Bool
        let startedAt: NIODeadline
        /// Of the line's operation.
        let byteCount: Int
        /// What its answer holds, or is taken to hold until it is there.
        var answerBytes: Int
        var charge: Int
        /// The backend has it: lines on its entity may have to wait.
        let isRun: Bool
        var answer: Answer?
    }

    private let backend: any EntityBackend
    private let loop: LoopContext
    /// Broken when the batch is over: the backend may hold the batch longer than the connection lives.
    private var owner: (any Owner)?

    private var splitter: LineSplitter
    /// What has come and has not been cut into lines yet.
    private var unread = ByteBuffer()
    private var slots = CircularBuffer<Slot>(initialCapacity: 16)
    private var firstSlot: UInt64 = 0
    private var bytesInFlight = 0
    private var answersHeld = 0
    /// What the answer of a read is taken to be, by the size of those before it.
    private var readAnswerBytes = FrontLimits.lineAnswerBytesFirst
    /// The charge of the batch itself, of the line that has not ended, and of `text`.
    private var ownCharge = 0
    private var lineCharge = 0
    private var textCharge = 0
    /// Of lines that the backend still has after the batch has left them.
    private var owed: [UInt64: Int] = [:]
    private var bodyIsComplete = false
    private var linesSeen = 0
    /// The entities of the lines that the backend has; kept only where requests may overtake each other.
    private var keysInFlight: Set<EntityKey> = []
    /// A line that has to wait for one of them.
    private var waiting: BatchLine?
    /// A long line is being read off the loop. No line behind it is taken in.
    private var isReading = false
    /// The first slot's answer is being written off the loop.
    private var isWriting = false
    /// How the body broke off behind the line that waits or is being read.
    private var breakage: Problem?
    /// Lines that may be taken in before the others of the loop have had a turn.
    private var turnLines = Limits.batchTurnLinesMax

    /// Answer lines, ready to go.
    var text = ByteBuffer()
    /// Every further line is refused.
    var isDraining = false

    init(backend: any EntityBackend, loop: LoopContext, owner: any Owner) {
        self.backend = backend
        self.loop = loop
        self.owner = owner
        splitter = LineSplitter(bytesMax: BatchLine.bytesMax(backend.limits))
    }

    var loopNumber: LoopNumber { loop.number }

    private var memory: MemoryAccount { loop.memory }

    /// Charges what every batch holds: a piece of its body and a piece of its answer. False where there is no room for
    /// it.
    func begin() -> Bool {
        guard memory.charge(FrontLimits.bodyChargeBytes, for: .batches, as: .small) else { return false }
        ownCharge = FrontLimits.bodyChargeBytes
        return true
    }

    /// No line has been taken in yet.
    var isUntouched: Bool { linesSeen == 0 }

    var hasLinesInFlight: Bool { !slots.isEmpty }

    /// Answers that are there or to come, as they are taken to be, and not taken by the connection.
    var answerBytesHeld: Int { answersHeld + text.readableBytes }

    /// Whether more of the body may be given to ``receive(_:)``.
    var wantsMore: Bool { !bodyIsComplete && unread.readableBytes == 0 && hasRoom }

    var isComplete: Bool { bodyIsComplete && unread.readableBytes == 0 && slots.isEmpty && !isHeldUp }

    /// A line has not been run yet, and those behind it must not be.
    private var isHeldUp: Bool { waiting != nil || isReading }

    private var hasRoom: Bool {
        !isHeldUp && turnLines > 0 && slots.count < Limits.batchLinesInFlightMax
            && bytesInFlight < Limits.batchBytesInFlightMax
            && answerBytesHeld < FrontLimits.answersHeldBytesMax
    }

    /// When the oldest line without an answer was run.
    var oldestStart: NIODeadline? { slots.first { $0.answer == nil }?.startedAt }

    // MARK: Lines

    func receive(_ piece: ByteBuffer, now: NIODeadline) {
        precondition(unread.readableBytes == 0, "a piece is given only when the one before has been read")
        unread = piece
        runLines(now)
    }

    /// Runs lines of what has come as far as there is room.
    func runLines(_ now: NIODeadline) {
        resume(now)
        while hasRoom, unread.readableBytes > 0, let line = splitter.next(&unread) { run(line, now) }
        if turnLines == 0 { endTurn() }
        chargeLine()
        if unread.readableBytes == 0 { unread = ByteBuffer() }
    }

    /// Others of the loop go first.
    private func endTurn() {
        turnLines = -1
        loop.eventLoop.scheduleTask(in: .microseconds(Limits.turnPauseMicroseconds)) {
            self.turnLines = Limits.batchTurnLinesMax
            self.owner?.batchMoved()
        }
    }

    /// The body is complete. All that came before has been cut into lines, or will be by ``runLines(_:)``.
    func bodyEnded(_ now: NIODeadline) {
        precondition(unread.readableBytes == 0, "the end comes after every piece has been read")
        if let line = splitter.last() { run(line, now) }
        bodyIsComplete = true
    }

    /// The body broke off: what came is answered, and then this, as a line of its own.
    func bodyBroke(_ problem: Problem, _ now: NIODeadline) {
        unread = ByteBuffer()
        bodyIsComplete = true
        if isHeldUp { breakage = problem } else { refuse(problem, key: nil, now) }
    }

    /// What a line was charged while it came is over with it: its operation is charged by itself.
    private func run(_ line: LineSplitter.Line, _ now: NIODeadline) {
        turnLines -= 1
        defer { if !isHeldUp { refundLine() } }
        switch line {
        case .givenUp: refuse(Self.noMemory, key: nil, now)
        case .tooLong:
            refuse(.bodyTooLarge(max: backend.limits.entityBytesMax), key: nil, now)
        case .text(let text):
            guard !text.allSatisfy({ ByteClasses.isBlank($0) || $0 == ByteClasses.carriageReturn }) else { return }
            run(text, now)
        }
    }

    private func run(_ text: [UInt8], _ now: NIODeadline) {
        guard !isDraining else { return refuse(Self.shuttingDown, key: nil, now) }
        guard text.count > Limits.loopTextBytesMax else {
            return take(BatchLine.result(of: text, seed: backend.ringSeed, limits: backend.limits), now)
        }
        isReading = true
        let (seed, limits, eventLoop) = (backend.ringSeed, backend.limits, loop.eventLoop)
        backend.runOffLoop {
            let line = BatchLine.result(of: text, seed: seed, limits: limits)
            eventLoop.execute { self.wasRead(line) }
        }
    }

    private func wasRead(_ line: Result<BatchLine, BatchLine.Refused>) {
        isReading = false
        guard let owner else { return }
        let now = loop.eventLoop.now
        if isDraining { refuse(Self.shuttingDown, key: nil, now) } else { take(line, now) }
        if waiting == nil {
            refundLine()
            tellBreakage(now)
        }
        owner.batchMoved()
    }

    private func take(_ line: Result<BatchLine, BatchLine.Refused>, _ now: NIODeadline) {
        switch line {
        case .success(let line) where keysInFlight.contains(line.key): waiting = line
        case .success(let line): run(line, now)
        case .failure(let refused): refuse(refused.problem, key: refused.key, now)
        }
    }

    private func run(_ line: BatchLine, _ now: NIODeadline) {
        guard let charge = charge(line) else { return refuse(Self.noMemory, key: line.key, now) }
        if backend.requestsMayOvertake { keysInFlight.insert(line.key) }
        switch line {
        case .read(let request):
            let expected = max(readAnswerBytes, backend.expectedAnswerBytes(of: request.key) ?? 0)
            let target = append(
                request.key, isWrite: false, byteCount: 0, answerBytes: expected, charge: charge, isRun: true, now)
            backend.read(request, replyTo: target)
        case .write(let operation):
            let target = append(
                operation.key, isWrite: true, byteCount: operation.byteCount,
                answerBytes: FrontLimits.plainAnswerBytes, charge: charge, isRun: true, now)
            backend.write(operation, replyTo: target)
        }
    }

    /// Runs the line that waited, once nothing before it is on its way.
    private func resume(_ now: NIODeadline) {
        guard let line = waiting, !keysInFlight.contains(line.key) else { return }
        waiting = nil
        refundLine()
        if isDraining {
            refuse(Self.shuttingDown, key: line.key, now)
        } else {
            run(line, now)
        }
        tellBreakage(now)
    }

    private func tellBreakage(_ now: NIODeadline) {
        guard let problem = breakage else { return }
        breakage = nil
        refuse(problem, key: nil, now)
    }

    private func refuse(_ problem: Problem, key: EntityKey?, _ now: NIODeadline) {
        let target = append(
            key, isWrite: false, byteCount: 0, answerBytes: FrontLimits.plainAnswerBytes, charge: 0, isRun: false, now)
        let position = key.flatMap { backend.currentPosition(of: $0) }
        deliver(.refused(problem, currentVersion: nil, position), slot: target.slot)
    }

    private func append(
        _ key: EntityKey?, isWrite: Bool, byteCount: Int, answerBytes: Int, charge: Int, isRun: Bool,
        _ now: NIODeadline
    ) -> ReplyTarget {
        linesSeen += 1
        bytesInFlight += byteCount
        answersHeld += answerBytes
        slots.append(
            Slot(
                key: key, isWrite: isWrite, startedAt: now, byteCount: byteCount, answerBytes: answerBytes,
                charge: charge, isRun: isRun, answer: nil))
        return ReplyTarget(sink: self, slot: firstSlot + UInt64(slots.count - 1))
    }

    // MARK: ReplySink

    func deliver(_ answer: Answer, slot: UInt64) {
        loop.eventLoop.assertInEventLoop()
        guard slot >= firstSlot, slot - firstSlot < UInt64(slots.count) else { return settleOwed(slot) }
        let offset = Int(slot - firstSlot)
        guard slots[offset: offset].answer == nil else { return settleOwed(slot) }
        let answer = charged(answer, offset)
        if slots[offset: offset].isRun, let key = slots[offset: offset].key { keysInFlight.remove(key) }
        slots[offset: offset].answer = answer
        if offset == 0 { writeAnswers() }
    }

    func flushAnswers() { owner?.batchMoved() }

    /// Writes the answers whose turn it is.
    private func writeAnswers() {
        while !isWriting, let answer = slots.first?.answer {
            guard slots[offset: 0].answerBytes <= Limits.loopTextBytesMax else { return writeOffLoop(answer) }
            let status = text.writeBatchAnswer(answer)
            removeFirst(answer, status)
        }
    }

    /// Its slot keeps the charge, which is twice the state, until the text is there.
    private func writeOffLoop(_ answer: Answer) {
        isWriting = true
        let eventLoop = loop.eventLoop
        backend.runOffLoop {
            var line = ByteBuffer()
            let status = line.writeBatchAnswer(answer)
            eventLoop.execute { [line] in self.wasWritten(line, answer, status) }
        }
    }

    private func wasWritten(_ line: ByteBuffer, _ answer: Answer, _ status: Int) {
        isWriting = false
        guard let owner else { return }
        if text.readableBytes == 0 { text = line } else { text.writeImmutableBuffer(line) }
        removeFirst(answer, status)
        writeAnswers()
        owner.batchMoved()
    }

    private func removeFirst(_ answer: Answer, _ status: Int) {
        let slot = slots.removeFirst()
        firstSlot += 1
        bytesInFlight -= slot.byteCount
        answersHeld -= slot.answerBytes
        chargeText()
        memory.refund(slot.charge, of: .batches)
        if case .refused(let problem, _, _) = answer { loop.counters.count(problem.code) }
        loop.counters.count(.batchLine, status: status)
    }

    // MARK: Ending

    /// Answers the lines that have waited too long.
    func expireLines(_ now: NIODeadline) {
        for slot in firstSlot..<(firstSlot + UInt64(slots.count)) where slot >= firstSlot {
            let waiting = slots[offset: Int(slot - firstSlot)]
            guard waiting.startedAt + .seconds(Int64(Limits.requestSecondsMax)) <= now else { return }
            guard waiting.answer == nil else { continue }
            loop.counters.count(.request)
            owe(slot)
            let position = waiting.key.flatMap { backend.currentPosition(of: $0) }
            deliver(.refused(.deadline(isWrite: waiting.isWrite), currentVersion: nil, position), slot: slot)
        }
    }

    /// The connection is done with the batch; answers that still come are dropped.
    func leave() {
        owner = nil
        refundAll()
        firstSlot += UInt64(slots.count)
        slots.removeAll()
        keysInFlight = []
        waiting = nil
        breakage = nil
        unread = ByteBuffer()
        text = ByteBuffer()
    }

    // MARK: Memory

    private static let shuttingDown = Problem(.shuttingDown, "this node is shutting down")

    private static let noMemory = Problem(
        .overloaded, "the node has no memory left for this line; try again shortly")

    /// Charges a line's operation; `nil` where there is no room.
    private func charge(_ line: BatchLine) -> Int? {
        let isRead: Bool
        var bytes = Limits.memoryRequestBytes
        switch line {
        case .read: isRead = true
        case .write(let operation):
            isRead = false
            bytes = memory.budget.bounds.clamped(bytes + operation.byteCount)
        }
        return memory.charge(bytes, for: .batches, as: MemoryRank(bytes: bytes, isRead: isRead)) ? bytes : nil
    }

    /// Charges the line that has not ended, step by step; without room it is passed over.
    private func chargeLine() {
        let needed = memory.budget.bounds.clamped(splitter.unfinishedBytes)
        guard needed > lineCharge + FrontLimits.bodyChargeBytes else { return }
        let step = max(needed - lineCharge, FrontLimits.bodyChargeBytes)
        if memory.charge(step, for: .batches, as: .large) {
            lineCharge += step
        } else {
            splitter.giveUp()
            refundLine()
        }
    }

    private func refundLine() {
        memory.refund(lineCharge, of: .batches)
        lineCharge = 0
    }

    /// Charges an answer by its true size. Without room a refusal takes the place of a read's.
    private func charged(_ answer: Answer, _ offset: Int) -> Answer {
        let bytes = Reply.answer(answer).heldBytes(isHead: false)
        answersHeld += bytes - slots[offset: offset].answerBytes
        slots[offset: offset].answerBytes = bytes
        let isWrite = slots[offset: offset].isWrite
        if !isWrite { readAnswerBytes = max(FrontLimits.lineAnswerBytesMin, bytes, readAnswerBytes / 8 * 7) }
        let more = memory.budget.bounds.clamped(2 * bytes) - slots[offset: offset].charge
        guard more > 0 else { return answer }
        if isWrite || !Reply.answer(answer).isRefusable {
            memory.chargeAnyway(more, for: .batches)
        } else if !memory.charge(more, for: .batches, as: MemoryRank(bytes: more, isRead: true)) {
            let position = slots[offset: offset].key.flatMap { backend.currentPosition(of: $0) }
            return charged(.refused(Self.noMemory, currentVersion: nil, position), offset)
        }
        slots[offset: offset].charge += more
        return answer
    }

    private func chargeText() {
        let more = text.readableBytes - textCharge
        memory.chargeAnyway(more, for: .batches)
        textCharge += more
    }

    /// The connection has taken the text over.
    func textWasTaken() {
        memory.refund(textCharge, of: .batches)
        textCharge = 0
    }

    /// The line's place goes before the backend has answered, and it holds the operation until it does.
    private func owe(_ slot: UInt64) {
        let offset = Int(slot - firstSlot)
        owed[slot] = slots[offset: offset].charge
        slots[offset: offset].charge = 0
    }

    private func settleOwed(_ slot: UInt64) {
        guard !owed.isEmpty, let charge = owed.removeValue(forKey: slot) else { return }
        memory.refund(charge, of: .batches)
    }

    private func refundAll() {
        for (offset, slot) in slots.enumerated() {
            if slot.answer == nil { owe(firstSlot + UInt64(offset)) } else { memory.refund(slot.charge, of: .batches) }
        }
        memory.refund(ownCharge, of: .batches)
        ownCharge = 0
        refundLine()
        textWasTaken()
        answersHeld = 0
    }
}
