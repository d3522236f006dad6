import Entities
import Primitives

/// Per-entity linearizability in one sweep (the versions of an entity are totally ordered, so no search is needed).
///
/// A write that made version v has rank 2v; what saw v has rank 2v + 1; what saw the entity absent has the rank after
/// the removal that it saw, or 1. Ranks are a weak order in which any two operations may stand; real time demands that
/// an operation never ranks below one that had returned before it began. That is also enough: such an order exists
/// exactly if no pair breaks it. A write of unknown outcome that the log shows is a write that has not returned yet;
/// one that the log does not show is dropped.
struct Linearizability {
    let world: World
    let history: History
    let log: CommittedLog
    let shardOf: (EntityKey) -> ShardID

    private struct Event {
        let moment: UInt64
        let isReturn: Bool
        let operation: Int
    }

    func check() {
        var events: [Event] = []
        var ranks = [UInt64?](repeating: nil, count: history.operations.count)
        for (index, operation) in history.operations.enumerated() {
            checkOutcome(operation, index)
            guard let rank = rank(of: operation) else { continue }
            ranks[index] = rank
            events.append(Event(moment: operation.invoked, isReturn: false, operation: index))
            if let returned = operation.returned, !isOpen(operation) {
                events.append(Event(moment: returned, isReturn: true, operation: index))
            }
        }
        events.sort { ($0.moment, $0.isReturn ? 1 : 0, $0.operation) < ($1.moment, $1.isReturn ? 1 : 0, $1.operation) }
        sweep(events, ranks)
        checkLineOrder(ranks)
    }

    private func sweep(_ events: [Event], _ ranks: [UInt64?]) {
        var highest: [EntityKey: (rank: UInt64, operation: Int)] = [:]
        for event in events {
            guard let rank = ranks[event.operation] else { continue }
            let operation = history.operations[event.operation]
            let key = operation.line.key
            let before = highest[key]
            if event.isReturn {
                if rank > before?.rank ?? 0 { highest[key] = (rank, event.operation) }
            } else if let before, rank < before.rank, operation.repeats == nil {
                world.fail(
                    .linearizability,
                    "\(operation.line.summary) (operation \(event.operation), \(operation.answer?.summary ?? "open")) "
                        + "began after operation \(before.operation) had returned "
                        + "\(history.operations[before.operation].answer?.summary ?? "") and shows an older state")
                return
            }
        }
    }

    /// A refusal that one attempt was given says nothing of another that is still on its way.
    private func isOpen(_ operation: History.Operation) -> Bool {
        guard case .refused? = operation.answer else { return false }
        return operation.effect != nil
    }

    /// Lines of one request on one entity take effect in their order.
    private func checkLineOrder(_ ranks: [UInt64?]) {
        var last: [EntityKey: (request: UInt64, rank: UInt64)] = [:]
        for (index, operation) in history.operations.enumerated() {
            // An attempt that came twice, or a replay, shows its first coming.
            guard let rank = ranks[index], !operation.mayStillRun else { continue }
            if case .written(_, _, _, _, true)? = operation.answer { continue }
            // Nobody knows when it will come, if it does.
            if case .refused(let problem, _, _)? = operation.answer, problem.code == .outcomeUnknown { continue }
            let key = operation.line.key
            if let before = last[key], before.request == operation.request, rank < before.rank {
                world.fail(
                    .linearizability,
                    "line \(operation.lineIndex) of a batch, \(operation.line.summary), ran before a line above it")
                return
            }
            last[key] = (operation.request, rank)
        }
    }

    private func rank(of operation: History.Operation) -> UInt64? {
        let shard = shardOf(operation.line.key)
        guard let answer = operation.answer else { return operation.effect.map { 2 * $0.rawValue } }
        switch answer {
        case .found(let record, _), .notModified(let record, _): return 2 * record.version.rawValue + 1
        case .written(_, let version, _, _, _): return 2 * version.rawValue
        case .refused(let problem, let version, let place):
            if let effect = operation.effect { return 2 * effect.rawValue }
            switch problem.code {
            case .preconditionFailed, .conditionFailed, .notFound:
                if case .read(let read) = operation.line, case .outcome = read.kind { return nil }
                if let version { return 2 * version.rawValue + 1 }
                guard let place, place.position <= log.end(shard) else { return nil }
                // Absent: it saw the last update there was, a removal or one that had expired.
                let update = log.lastUpdate(of: operation.line.key, atOrBefore: place.position)
                return 2 * (update?.rawValue ?? 0) + 1
            default: return nil
            }
        case .outcome, .page: return nil
        }
    }

    /// What was said of a write, held against what the log has of it.
    private func checkOutcome(_ operation: History.Operation, _ index: Int) {
        guard case .write = operation.line else { return }
        let summary = operation.line.summary
        switch operation.answer {
        case .written(_, let version, _, _, let replayed)?:
            if let first = operation.repeats {
                guard case .written(_, let told, _, _, _)? = history.operations[first].answer, told == version else {
                    return world.fail(
                        .effectivelyOnce, "\(summary) was repeated and answered \(version), not as before")
                }
            } else if let effect = operation.effect, effect != version {
                world.fail(.effectivelyOnce, "\(summary) is in the log at \(effect) and was answered \(version)")
            } else if !replayed, operation.effect == nil, !isRemoval(operation) {
                world.fail(.acknowledgedWriteLost, "\(summary) was answered \(version), and no effect of it exists")
            }
        case .refused(let problem, _, _)? where problem.code != .outcomeUnknown:
            if let effect = operation.effect, !operation.mayStillRun {
                world.fail(
                    .definiteRefusal,
                    "\(summary) (operation \(index)) was refused (\(problem.code.name)), took effect at \(effect)")
            }
        default:
            world.probes.reached(operation.effect == nil ? .unknownOutcomeDidNot : .unknownOutcomeTookEffect)
        }
    }

    /// A removal without an Idempotency-Key leaves nothing that names it.
    private func isRemoval(_ operation: History.Operation) -> Bool {
        guard case .write(let write) = operation.line, case .delete = write.action else { return false }
        return true
    }
}
