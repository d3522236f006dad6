import Entities
import Primitives

/// Holds each answer, as the node lets go of it, against the committed log: an answer about position P shows the entity
/// after all its updates up to P and none beyond.
struct AnswerCheck {
    let audit: Audit
    private var world: World { audit.world }
    private var log: CommittedLog { audit.log }

    init(_ audit: Audit) { self.audit = audit }

    /// - Parameters:
    ///   - now: the node's time as it answers; what has expired by then may be shown as absent.
    ///   - run: the run of the node.
    func check(_ answer: Answer, to line: Line, now: Timestamp, run: Int) {
        checkExpiry(answer, line, run)
        let shard = audit.shardOf(line.key)
        switch answer {
        case .found(let record, let place), .notModified(let record, let place):
            guard isCommitted(place, line, "shows the entity") else { return }
            guard let update = log.lastUpdate(of: line.key, atOrBefore: place.position),
                let committed = log[shard, update].effect.record, committed == record
            else {
                return fail(line, "shows version \(record.version) at \(place.position), which is not what is there")
            }
            if case .notModified = answer, !isUnchanged(line, record) {
                fail(line, "says not modified of version \(record.version), which is what was asked for")
            }
        case .written(_, let version, let place, _, let replayed):
            guard isCommitted(place, line, "says it is written") else { return }
            checkWritten(line, shard, version, replayed: replayed)
        case .outcome(_, let version, let place):
            guard isCommitted(place, line, "tells an outcome") else { return }
            guard version <= log.end(shard), log[shard, version].effect.key == line.key else {
                return fail(line, "tells of an outcome at \(version) that is another entity's or none")
            }
        case .refused(let problem, let version, let place):
            guard let place, isCommitted(place, line, "refuses (\(problem.code.name))") else { return }
            checkRefusal(problem, version, at: place.position, line, shard, now)
        case .page:
            fail(line, "is a page")
        }
    }

    private func isUnchanged(_ line: Line, _ record: StoredRecord) -> Bool {
        guard case .read(let request) = line, case .entity(let conditions) = request.kind else { return false }
        if let noneMatch = conditions.ifNoneMatch { return noneMatch.holds(for: record.version) }
        return conditions.ifModifiedSince.map { record.updatedAt.milliseconds / 1000 <= $0 } ?? false
    }

    private func isCommitted(_ place: ShardPosition, _ line: Line, _ what: String) -> Bool {
        guard place.position > log.end(place.shard) else { return true }
        fail(line, "\(what) as of \(place.position), and only \(log.end(place.shard)) is committed")
        return false
    }

    private func checkWritten(_ line: Line, _ shard: ShardID, _ version: Position, replayed: Bool) {
        guard case .write(let operation) = line else { return fail(line, "to a read says it is written") }
        guard version > .zero, version <= log.end(shard) else {
            return fail(line, "names version \(version), which is not committed")
        }
        let entry = log[shard, version]
        guard entry.effect.key == line.key else { return fail(line, "names version \(version) of another entity") }
        if !replayed, case .delete = operation.action, entry.effect.record != nil {
            return fail(line, "says it removed the entity at \(version), where it is put")
        }
        if replayed {
            let name = operation.idempotencyKey ?? []
            guard audit.effects(of: line.key, name).contains(version) else {
                return fail(line, "replays \(version), which is no effect of its Idempotency-Key")
            }
        }
    }

    private func checkRefusal(
        _ problem: Problem, _ version: Position?, at position: Position, _ line: Line, _ shard: ShardID,
        _ now: Timestamp
    ) {
        let update = log.lastUpdate(of: line.key, atOrBefore: position)
        let record = update.flatMap { log[shard, $0].effect.record }
        let mayBeAbsent = record == nil || record?.isExpired(at: now) == true
        switch problem.code {
        case .notFound:
            if case .read(let request) = line, case .outcome(let name) = request.kind {
                if let effect = audit.effects(of: line.key, name).first, effect <= position {
                    fail(line, "says that no such write is recorded, and it took effect at \(effect)")
                }
            } else if !mayBeAbsent {
                fail(line, "says absent as of \(position), and version \(update?.description ?? "?") is there")
            }
        case .preconditionFailed:
            if let version, version != update || record == nil {
                return fail(line, "was refused for version \(version) as of \(position)")
            }
            if version == nil, !mayBeAbsent { return fail(line, "was refused as absent, and it is there") }
            if !fails(line, version, record) { fail(line, "was refused though its condition holds") }
        default:
            return
        }
    }

    /// - Parameters:
    ///   - version: what the condition was held against; `nil` is an absent entity.
    ///   - record: that version's.
    private func fails(_ line: Line, _ version: Position?, _ record: StoredRecord?) -> Bool {
        let conditions: Preconditions
        switch line {
        case .write(let operation): conditions = operation.preconditions
        case .read(let request):
            guard case .entity(let preconditions) = request.kind else { return false }
            conditions = preconditions
        }
        if let match = conditions.ifMatch {
            if !match.holds(for: version) { return true }
        } else if let date = conditions.ifUnmodifiedSince, version != nil, let record,
            record.updatedAt.milliseconds / 1000 > date
        {
            return true
        }
        if let noneMatch = conditions.ifNoneMatch, noneMatch.holds(for: version) { return true }
        return false
    }

    /// A read beside the queue is evaluated as it is answered: within one run of the node an entity is there for its
    /// time to live, by elapsed time, and not after. Clocks drift by up to 1 %.
    private func checkExpiry(_ answer: Answer, _ line: Line, _ run: Int) {
        guard case .read(let read) = line, !read.inQueueOrder, case .entity = read.kind else { return }
        let shard = audit.shardOf(line.key)
        let position: Position
        var isThere = false
        switch answer {
        case .found(let record, _): (position, isThere) = (record.version, true)
        case .refused(let problem, _, let place?) where problem.code == .notFound: position = place.position
        default: return
        }
        guard let update = log.lastUpdate(of: line.key, atOrBefore: position), update <= log.end(shard) else { return }
        let entry = log[shard, update]
        guard let record = entry.effect.record, let expiry = record.expiresAt, entry.run == run else { return }
        let life = (expiry.milliseconds - record.updatedAt.milliseconds) * Span.millisecond
        if isThere, (world.now - entry.time) / 100 * 98 > life + 2 * Span.millisecond {
            world.fail(.expiry, "\(line.summary) shows version \(update), whose time to live is over")
        }
        guard !isThere, let writer = entry.operation else { return }
        let sent = audit.history.operations[writer].invokedTime
        if (world.now - sent) / 100 * 102 + 2 * Span.millisecond < life {
            world.fail(.expiry, "\(line.summary) shows absent, and version \(update) has time left to live")
        }
    }

    private func fail(_ line: Line, _ text: String) {
        world.fail(.answerMatchesLog, "the answer to \(line.summary) \(text)")
    }
}

extension Line {
    /// For traces and reports.
    var summary: String {
        switch self {
        case .read(let request):
            if case .outcome = request.kind { return "outcome \(key.text)" }
            return "get \(key.text)"
        case .write(let operation):
            let verb =
                switch operation.action {
                case .put: "put"
                case .patch: "patch"
                case .delete: "delete"
                }
            let name = operation.idempotencyKey.map { " key " + String(decoding: $0, as: UTF8.self) } ?? ""
            return "\(verb) \(key.text)\(name)"
        }
    }
}

extension Answer {
    /// For traces and reports.
    var summary: String {
        switch self {
        case .found(let record, let place): "found \(record.version) as of \(place.position)"
        case .notModified(let record, _): "not modified \(record.version)"
        case .written(let status, let version, _, _, let replayed): "\(status) \(version)\(replayed ? " replayed" : "")"
        case .outcome(let status, let version, _): "outcome \(status) \(version)"
        case .page(let page): "page of \(page.items.count)"
        case .refused(let problem, let version, _):
            "refused \(problem.code.name)\(version.map { " at \($0)" } ?? "")"
        }
    }
}
