internal import Entities
internal import NIOCore
internal import Primitives

/// A batch in progress: lines in, operations to the backend, answer lines out in the order of the lines. Memory is
/// bounded by the lines in flight (`Limits.batchLinesInFlightMax`, `Limits.batchBytesInFlightMax`), one unfinished
/// line, and the answers that the connection has not taken; where there is no room, the connection stops reading.
///
/// Lines on one entity keep their order: where requests may overtake each other, a line waits until the one before it
/// on its entity has been answered.
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
        let byteCount: Int
        /// The backend has it: lines on its entity may have to wait.
        let isRun: Bool
        var answer: Answer?
    }

    let eventLoop: any EventLoop
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
    /// What a read in flight is taken to bring: the size of late answers, so that reads are bounded by bytes too.
    private var readCost = readCostMin
    private var bodyIsComplete = false
    private var linesSeen = 0
    /// The entities of the lines that the backend has; kept only where requests may overtake each other.
    private var keysInFlight: Set<EntityKey> = []
    /// A line that has to wait for one of them.
    private var waiting: BatchLine?
    /// How the body broke off behind the line that waits.
    private var breakage: Problem?

    /// Answer lines, ready to go.
    var text = ByteBuffer()
    /// Every further line is refused.
    var isDraining = false

    private static let readCostMin = 4 << 10

    init(backend: any EntityBackend, loop: LoopContext, owner: any Owner) {
        self.backend = backend
        self.loop = loop
        self.owner = owner
        eventLoop = loop.eventLoop
        splitter = LineSplitter(bytesMax: BatchLine.bytesMax(backend.limits))
    }

    /// No line has been taken in yet.
    var isUntouched: Bool { linesSeen == 0 }

    var hasLinesInFlight: Bool { !slots.isEmpty }

    /// Whether more of the body may be given to ``receive(_:)``.
    var wantsMore: Bool { !bodyIsComplete && unread.readableBytes == 0 && hasRoom }

    var isComplete: Bool { bodyIsComplete && unread.readableBytes == 0 && slots.isEmpty && waiting == nil }

    private var hasRoom: Bool {
        waiting == nil && slots.count < Limits.batchLinesInFlightMax && bytesInFlight < Limits.batchBytesInFlightMax
            && text.readableBytes < FrontLimits.outputBytesMax
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
        if unread.readableBytes == 0 { unread = ByteBuffer() }
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
        if waiting == nil { refuse(problem, key: nil, now) } else { breakage = problem }
    }

    private func run(_ line: LineSplitter.Line, _ now: NIODeadline) {
        switch line {
        case .tooLong:
            refuse(.bodyTooLarge(max: backend.limits.entityBytesMax), key: nil, now)
        case .text(let text):
            guard !text.allSatisfy({ ByteClasses.isBlank($0) || $0 == ByteClasses.carriageReturn }) else { return }
            run(text, now)
        }
    }

    private func run(_ text: [UInt8], _ now: NIODeadline) {
        guard !isDraining else { return refuse(Problem(.shuttingDown, "this node is shutting down"), key: nil, now) }
        do throws(BatchLine.Refused) {
            let line = try BatchLine.read(text, seed: backend.ringSeed, limits: backend.limits)
            if keysInFlight.contains(line.key) { waiting = line } else { run(line, now) }
        } catch {
            refuse(error.problem, key: error.key, now)
        }
    }

    private func run(_ line: BatchLine, _ now: NIODeadline) {
        if backend.requestsMayOvertake { keysInFlight.insert(line.key) }
        switch line {
        case .read(let request):
            let target = append(request.key, isWrite: false, byteCount: readCost, isRun: true, now)
            backend.read(request, replyTo: target)
        case .write(let operation):
            let target = append(operation.key, isWrite: true, byteCount: operation.byteCount, isRun: true, now)
            backend.write(operation, replyTo: target)
        }
    }

    /// Runs the line that waited, once nothing before it is on its way.
    private func resume(_ now: NIODeadline) {
        guard let line = waiting, !keysInFlight.contains(line.key) else { return }
        waiting = nil
        if isDraining {
            refuse(Problem(.shuttingDown, "this node is shutting down"), key: line.key, now)
        } else {
            run(line, now)
        }
        if let problem = breakage {
            breakage = nil
            refuse(problem, key: nil, now)
        }
    }

    private func refuse(_ problem: Problem, key: EntityKey?, _ now: NIODeadline) {
        let target = append(key, isWrite: false, byteCount: 0, isRun: false, now)
        let position = key.flatMap { backend.currentPosition(of: $0) }
        deliver(.refused(problem, currentVersion: nil, position), slot: target.slot)
    }

    private func append(
        _ key: EntityKey?, isWrite: Bool, byteCount: Int, isRun: Bool, _ now: NIODeadline
    ) -> ReplyTarget {
        linesSeen += 1
        bytesInFlight += byteCount
        slots.append(Slot(key: key, isWrite: isWrite, startedAt: now, byteCount: byteCount, isRun: isRun, answer: nil))
        return ReplyTarget(sink: self, slot: firstSlot + UInt64(slots.count - 1))
    }

    // MARK: ReplySink

    func deliver(_ answer: Answer, slot: UInt64) {
        eventLoop.assertInEventLoop()
        guard slot >= firstSlot, slot - firstSlot < UInt64(slots.count) else { return }
        let offset = Int(slot - firstSlot)
        guard slots[offset: offset].answer == nil else { return }
        if slots[offset: offset].isRun, let key = slots[offset: offset].key { keysInFlight.remove(key) }
        guard offset == 0 else {
            slots[offset: offset].answer = answer
            return
        }
        writeFirst(answer)
        while let next = slots.first?.answer { writeFirst(next) }
    }

    func flushAnswers() { owner?.batchMoved() }

    private func writeFirst(_ answer: Answer) {
        let slot = slots.removeFirst()
        firstSlot += 1
        bytesInFlight -= slot.byteCount
        let before = text.readableBytes
        let status = text.writeBatchAnswer(answer)
        if !slot.isWrite { readCost = max(Self.readCostMin, text.readableBytes - before, readCost / 8 * 7) }
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
            let position = waiting.key.flatMap { backend.currentPosition(of: $0) }
            deliver(.refused(.deadline(isWrite: waiting.isWrite), currentVersion: nil, position), slot: slot)
        }
    }

    /// The connection is done with the batch; answers that still come are dropped.
    func leave() {
        owner = nil
        firstSlot += UInt64(slots.count)
        slots.removeAll()
        keysInFlight = []
        waiting = nil
        breakage = nil
        unread = ByteBuffer()
        text = ByteBuffer()
    }
}
