import Entities
import Primitives

extension WorkloadKind {
    func make() -> any Workload {
        switch self {
        case .registers: Registers()
        case .idempotent: Idempotent()
        case .counters: Counters()
        case .batches: Batches()
        case .expiring: Expiring()
        case .listing: Listing()
        case .hotEntity: HotEntity()
        case .flood: Flood()
        }
    }
}

/// put, get and delete with every precondition.
final class Registers: Workload {
    let kind = WorkloadKind.registers

    func next(for client: Int, _ context: WorkloadContext) -> Work {
        let key = context.anyKey("register")
        let conditions = context.anyPreconditions(key)
        switch context.random.below(10) {
        case 0..<4: return .one(.read(context.get(key, preconditions: conditions)))
        case 4..<8:
            let id = context.nextID()
            return .one(.write(context.put(key, id: id, preconditions: conditions)), id: id)
        default:
            return .one(.write(WriteOperation(key: key, action: .delete, preconditions: conditions)))
        }
    }

    func answered(_ operations: [History.Operation], _ context: WorkloadContext) {
        for operation in operations { context.learn(operation) }
    }
}

/// Keyed writes, repeated late and early, some under a key that another request has used.
final class Idempotent: Workload {
    let kind = WorkloadKind.idempotent
    private var used: [(key: EntityKey, name: [UInt8])] = []

    func next(for client: Int, _ context: WorkloadContext) -> Work {
        let key = context.anyKey("keyed")
        let id = context.nextID()
        if let old = used.last, context.random.chance(1, in: 12) { return misuse(old, id: id, context) }
        if let old = used.last, context.random.chance(1, in: 6) {
            return .one(.read(ReadRequest(key: old.key, kind: .outcome(idempotencyKey: old.name), inQueueOrder: false)))
        }
        if context.random.chance(1, in: 5) { return .one(.read(context.get(key))) }
        let repeats = context.random.chance(1, in: 3) && context.options.faults.contains(.lateRetry)
        let repeatAfter = repeats ? context.random.below(4 * Span.second) : nil
        let conditions = context.anyPreconditions(key)
        let operation: WriteOperation
        if context.random.chance(1, in: 5) {
            operation = WriteOperation(
                key: key, action: .delete, preconditions: conditions, idempotencyKey: Array(String(id).utf8))
        } else {
            operation = context.put(key, id: id, preconditions: conditions, keyed: true)
        }
        used.append((key, operation.idempotencyKey ?? []))
        return .one(.write(operation), id: id, repeatAfter: repeatAfter)
    }

    /// Another body under a key that came before: it is refused, or the first of the two, whichever arrived first.
    private func misuse(_ old: (key: EntityKey, name: [UInt8]), id: UInt64, _ context: WorkloadContext) -> Work {
        let put = context.put(old.key, id: id)
        return .one(
            .write(WriteOperation(key: old.key, action: put.action, idempotencyKey: old.name)), id: id)
    }

    func answered(_ operations: [History.Operation], _ context: WorkloadContext) {
        for operation in operations { context.learn(operation) }
    }
}

/// Counters that go up by one with each update+json, and never regress or jump.
final class Counters: Workload {
    let kind = WorkloadKind.counters

    func next(for client: Int, _ context: WorkloadContext) -> Work {
        let key = context.anyKey("counter")
        if context.random.chance(1, in: 4) { return .one(.read(context.get(key))) }
        guard context.random.chance(1, in: 4) else {
            let id = context.nextID()
            return .one(increment(key, id, context), id: id)
        }
        // Several at once, so that they wait behind each other.
        let ids = (0..<(2 + context.random.below(6))).map { _ in context.nextID() }
        return Work(body: .lines(ids.map { increment(key, $0, context) }), ids: ids)
    }

    private func increment(_ key: EntityKey, _ id: UInt64, _ context: WorkloadContext) -> Line {
        let document = """
            {"do":[{"increment":"/n","by":1},{"set":"/op","to":\(id)}],"else-create":{"n":0,"op":0}}
            """
        let keyed = context.random.chance(2, in: 3)
        return .write(
            WriteOperation(
                key: key, action: .patch(.update, document: Array(document.utf8)),
                idempotencyKey: keyed ? Array(String(id).utf8) : nil))
    }

    /// Acknowledged increments are all in the end's count: each has an effect of its own, and effects count up by one.
    func check(_ context: WorkloadContext) {
        for operation in context.history.operations {
            guard case .write(let write) = operation.line, case .patch = write.action,
                case .written(_, let version, _, _, _)? = operation.answer, operation.effect != version
            else { continue }
            context.world.fail(.counter, "an increment of \(write.key.text) was acknowledged and is not counted")
        }
    }
}

/// Many lines at once, mostly on few entities, with reads that must see the lines before them.
final class Batches: Workload {
    let kind = WorkloadKind.batches

    func next(for client: Int, _ context: WorkloadContext) -> Work {
        let keys = [context.anyKey("batched"), context.anyKey("batched"), context.anyKey("register")]
        var lines: [Line] = []
        var ids: [UInt64] = []
        let keyed = context.random.chance(1, in: 2)
        for _ in 0..<(2 + context.random.below(14)) {
            let key = keys[context.random.below(3)]
            let id = context.nextID()
            switch context.random.below(6) {
            case 0..<3:
                let conditions = context.random.chance(1, in: 3) ? context.anyPreconditions(key) : .none
                lines.append(.write(context.put(key, id: id, preconditions: conditions, keyed: keyed)))
            case 3:
                lines.append(
                    .write(
                        WriteOperation(
                            key: key, action: .delete, idempotencyKey: keyed ? Array(String(id).utf8) : nil)))
            default: lines.append(.read(context.get(key, inOrder: true)))
            }
            ids.append(id)
        }
        return Work(body: .lines(lines), ids: ids)
    }

    func answered(_ operations: [History.Operation], _ context: WorkloadContext) {
        for operation in operations { context.learn(operation) }
    }
}

/// Short lives under clocks that jump.
final class Expiring: Workload {
    let kind = WorkloadKind.expiring

    func next(for client: Int, _ context: WorkloadContext) -> Work {
        let key = context.anyKey("expiring")
        guard context.random.chance(2, in: 5) else { return .one(.read(context.get(key))) }
        let id = context.nextID()
        let ttl = context.random.chance(4, in: 5) ? 1 + context.random.below(UInt64(8)) : nil
        let conditions = context.random.chance(1, in: 3) ? Preconditions(ifNoneMatch: .any) : .none
        return .one(.write(context.put(key, id: id, ttl: ttl, preconditions: conditions)), id: id)
    }
}

/// Scans beside writes of the same kind.
final class Listing: Workload {
    let kind = WorkloadKind.listing

    func next(for client: Int, _ context: WorkloadContext) -> Work {
        let key = context.anyKey("listed")
        switch context.random.below(6) {
        case 0: return Work(body: .scan(prefix: Array("listed/".utf8), pageItems: 1 + context.random.below(6)))
        case 1: return .one(.write(WriteOperation(key: key, action: .delete)))
        default:
            let id = context.nextID()
            return .one(.write(context.put(key, id: id)), id: id)
        }
    }
}

/// One entity that everybody wants.
final class HotEntity: Workload {
    let kind = WorkloadKind.hotEntity

    func next(for client: Int, _ context: WorkloadContext) -> Work {
        let key = context.key("hot", 0)
        switch context.random.below(4) {
        case 0: return .one(.read(context.get(key)))
        case 1: return .one(.read(context.get(key, inOrder: true)))
        default:
            let id = context.nextID()
            let conditions = context.random.chance(1, in: 3) ? context.anyPreconditions(key) : .none
            let keyed = context.random.chance(1, in: 3)
            return .one(.write(context.put(key, id: id, preconditions: conditions, keyed: keyed)), id: id)
        }
    }

    func answered(_ operations: [History.Operation], _ context: WorkloadContext) {
        for operation in operations { context.learn(operation) }
    }
}

/// More at once than any queue takes.
final class Flood: Workload {
    let kind = WorkloadKind.flood

    func next(for client: Int, _ context: WorkloadContext) -> Work {
        let key = context.anyKey("flooded")
        let id = context.nextID()
        guard context.random.chance(1, in: 12) else {
            return .one(.write(context.put(key, id: id)), id: id)
        }
        var lines: [Line] = []
        var ids: [UInt64] = []
        for _ in 0..<24 {
            let id = context.nextID()
            lines.append(.write(context.put(context.anyKey("flooded"), id: id)))
            ids.append(id)
        }
        return Work(body: .lines(lines), ids: ids, isFlood: true)
    }
}
