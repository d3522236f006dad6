import Entities
import Primitives

/// An independent search for a linear order of one entity's operations (Wing and Gong, 1993, with Lowe's memory of
/// configurations), by values alone: it knows no versions, positions or log. It goes through a sample of entities after
/// the sweep, so that a bug in the sweep cannot hide.
struct Referee {
    /// Configurations looked at before an entity is given up as too large.
    static let configurationsMax = 5_000

    /// One operation as a register sees it. A value is the id of the write that made it, 0 is absent.
    private struct Step {
        enum Kind {
            case write(UInt64)
            case read(UInt64)
        }

        let kind: Kind
        let invoked: UInt64
        let returned: UInt64
        /// It may never have happened.
        let isOptional: Bool
    }

    enum Verdict {
        case linearizable
        case notLinearizable
        case tooLarge
        /// The entity's operations are not all of a kind that can be judged by value.
        case notJudged
    }

    /// - Parameter operations: all of one entity, in any order.
    static func judge(_ operations: [History.Operation]) -> Verdict {
        var steps: [Step] = []
        for operation in operations {
            switch step(of: operation) {
            case .some(.some(let step)): steps.append(step)
            case .some(.none): continue
            case .none: return .notJudged
            }
        }
        steps.sort { ($0.invoked, $0.returned) < ($1.invoked, $1.returned) }
        return search(steps)
    }

    /// What is judged, for a report: `w` or `r`, the value, and the moments; `?` where it may not have happened.
    static func describe(_ operations: [History.Operation]) -> String {
        let steps = operations.compactMap { step(of: $0) ?? nil }
        return steps.map { step in
            let value =
                switch step.kind {
                case .write(let id): "w\(id)"
                case .read(let id): "r\(id)"
                }
            let end = step.returned == .max ? "" : String(step.returned)
            return "\(value)[\(step.invoked)-\(end)]\(step.isOptional ? "?" : "")"
        }.joined(separator: " ")
    }

    /// Outer `nil`: cannot be judged by value; inner: says nothing.
    private static func step(of operation: History.Operation) -> Step?? {
        let returned = operation.returned ?? .max
        switch (operation.line, operation.answer) {
        case (.read(let read), .found(let record, _)?):
            guard case .entity = read.kind, record.expiresAt == nil else { return .none }
            guard let id = OperationID.read(from: record.state) else { return .none }
            return Step(kind: .read(id), invoked: operation.invoked, returned: returned, isOptional: false)
        case (.read(let read), .refused(let problem, _, _)?) where problem.code == .notFound:
            guard case .entity = read.kind else { return .some(.none) }
            return Step(kind: .read(0), invoked: operation.invoked, returned: returned, isOptional: false)
        case (.read, _): return .some(.none)
        case (.write(let write), let answer):
            guard let id = value(leftBy: write) else { return .none }
            switch answer {
            case .written?:
                return Step(kind: .write(id), invoked: operation.invoked, returned: returned, isOptional: false)
            case .refused(let problem, _, _)? where !operation.mayStillRun && problem.code != .outcomeUnknown:
                return .some(.none)
            default: return Step(kind: .write(id), invoked: operation.invoked, returned: .max, isOptional: true)
            }
        }
    }

    /// 0 for a removal; `nil` where it depends on what was there, or passes with time.
    private static func value(leftBy write: WriteOperation) -> UInt64? {
        switch write.action {
        case .put(let state, _, nil): OperationID.read(from: state[...])
        case .delete: 0
        case .put, .patch: nil
        }
    }

    private struct Configuration: Hashable {
        var done: [UInt64]
        var value: UInt64
    }

    private static func search(_ steps: [Step]) -> Verdict {
        let first = Configuration(done: Array(repeating: 0, count: (steps.count + 63) / 64), value: 0)
        var seen: Set<Configuration> = [first]
        var stack = [first]
        while let configuration = stack.popLast() {
            if isComplete(configuration, steps) { return .linearizable }
            if seen.count > configurationsMax { return .tooLarge }
            for next in successors(of: configuration, steps) where seen.insert(next).inserted { stack.append(next) }
        }
        return .notLinearizable
    }

    private static func isDone(_ index: Int, _ configuration: Configuration) -> Bool {
        configuration.done[index / 64] & (1 << UInt64(index % 64)) != 0
    }

    private static func isComplete(_ configuration: Configuration, _ steps: [Step]) -> Bool {
        steps.indices.allSatisfy { steps[$0].isOptional || isDone($0, configuration) }
    }

    /// Whatever may come next: no other operation that is left had returned before it began.
    private static func successors(of configuration: Configuration, _ steps: [Step]) -> [Configuration] {
        var firstReturn = UInt64.max
        for index in steps.indices where !isDone(index, configuration) {
            firstReturn = min(firstReturn, steps[index].returned)
        }
        var next: [Configuration] = []
        for index in steps.indices {
            if steps[index].invoked > firstReturn { break }
            guard !isDone(index, configuration) else { continue }
            var successor = configuration
            successor.done[index / 64] |= 1 << UInt64(index % 64)
            switch steps[index].kind {
            case .write(let id): successor.value = id
            case .read(let id):
                guard id == configuration.value else { continue }
            }
            next.append(successor)
        }
        return next
    }
}
