import KeysteadClient
import Synchronization

/// A line that the server will not take.
struct ImportRefusal: Equatable, Sendable {
    let line: UInt64
    let reason: String
}

/// Whether the server has answered this import at all.
final class ServerContact: Sendable {
    private let made = Atomic(false)

    var isMade: Bool { made.load(ordering: .relaxed) }

    func make() { made.store(true, ordering: .relaxed) }
}

/// Sends one chunk until each of its lines has been written or refused.
///
/// Every line carries an idempotency key made of the import's run and the line's number. So a line whose answer was
/// lost can be sent again, now or by a resumed import: if it took effect it changes nothing a second time, not even
/// where somebody has written the entity since.
struct ChunkSender: Sendable {
    let client: Keystead
    let kind: String
    let run: UInt64
    let contact: ServerContact
    let notice: WaitNotice

    /// How long to go on without any line being taken before giving up.
    private static let patience = Duration.seconds(60)
    private static let ifUnknown = "lines after those that are in may be in too"
    private static let waitMin = Duration.milliseconds(200)
    private static let waitMax = Duration.seconds(2)

    func send(_ chunk: ImportLanes.Chunk) async throws -> [ImportRefusal] {
        let clock = ContinuousClock()
        var lines = chunk.lines
        var refusals: [ImportRefusal] = []
        var lastProgress = clock.now
        var wait = Self.waitMin
        while true {
            let outcome = try await attempt(lines)
            refusals += outcome.refusals
            guard let failure = outcome.failure else { return refusals }
            if outcome.again.count < lines.count {
                lastProgress = clock.now
                wait = Self.waitMin
            }
            lines = outcome.again
            let silence = clock.now - lastProgress + wait
            guard mayGoOn(after: failure, for: silence) else {
                throw CommandFailure(failure, ifUnknown: Self.ifUnknown)
            }
            notice.say("\(failure.detail); trying again for \(Format.time(Self.patience - silence)) more")
            try await Task.sleep(for: wait)
            wait = min(wait * 2, Self.waitMax)
        }
    }

    /// A server that is not there at all when the import begins is not waited for.
    private func mayGoOn(after failure: KeysteadError, for time: Duration) -> Bool {
        failure.code != .cancelled && time <= Self.patience && (failure.code != .unreachable || contact.isMade)
    }

    private struct Attempt {
        var refusals: [ImportRefusal] = []
        /// Lines to send again, and why.
        var again: [ImportLanes.Line] = []
        var failure: KeysteadError?
    }

    private func attempt(_ lines: [ImportLanes.Line]) async throws -> Attempt {
        var attempt = Attempt()
        do throws(KeysteadError) {
            let answers = try await client.batch(lines.map(operation))
            contact.make()
            sort(lines, answers, into: &attempt)
        } catch {
            guard error.retry != .never else { throw CommandFailure(error, ifUnknown: Self.ifUnknown) }
            attempt.again = lines
            attempt.failure = error
        }
        return attempt
    }

    private func sort(_ lines: [ImportLanes.Line], _ answers: [BatchAnswer], into attempt: inout Attempt) {
        var writtenLater: Set<String> = []
        // From the last line to the first: a line that is to go again is left out where a later line of the same entity
        // has been written, as it would undo that one.
        for (line, answer) in zip(lines, answers).reversed() {
            guard let error = answer.error else {
                writtenLater.insert(line.content.id)
                continue
            }
            if error.retry == .never, error.applied == .no {
                attempt.refusals.append(ImportRefusal(line: line.number, reason: "\(error)"))
            } else if !writtenLater.contains(line.content.id) {
                attempt.again.append(line)
                attempt.failure = error
            }
        }
        attempt.again.reverse()
        attempt.refusals.reverse()
    }

    private func operation(_ line: ImportLanes.Line) -> BatchOperation {
        let content = line.content
        return BatchOperation(
            .put(state: content.state, contentType: content.contentType, ttlSeconds: content.ttlSeconds),
            EntityKey(kind: kind, id: content.id),
            idempotencyKey: IdempotencyKey("import-\(hexadecimal(run))-\(line.number)"))
    }
}
