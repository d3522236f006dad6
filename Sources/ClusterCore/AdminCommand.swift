public import HashRing
public import Primitives

/// What an operator may ask of a cluster.
public enum AdminCommand: Sendable, Hashable {
    case commit(plan: PlanID)
    case pauseRebalance
    case resumeRebalance
    case cancelRebalance
    case cordon(NodeID)
    case uncordon(NodeID)
    case drain(NodeID)
    case remove(NodeID)
    /// In thousandths; what is above the largest weight is refused.
    case weight(NodeID, thousandths: UInt64)
    case move(ShardID, to: NodeID)
    case pause(OperationID)
    case resume(OperationID)
    case cancel(OperationID)
    /// For operations under way and those that begin from here on; zero: without limit.
    case throttle(bytesPerSecond: UInt64)
}

/// What is to be done about a command: decided on one map, without doing anything.
public enum AdminDecision: Sendable, Hashable {
    /// Run the transaction. Committed, the command has taken effect; after a conflict decide again on a newer map, and
    /// after an unknown outcome as well: a command that has taken effect has nothing more to do.
    case change(MetadataTransaction, operation: OperationID?)
    /// It is so already, or an operation is at it.
    case nothingToDo(operation: OperationID?, text: String)
    case refused(Refusal, text: String)

    public enum Refusal: Sendable, Hashable {
        /// A precondition does not hold; the text says what, why and what to do instead.
        case refused
        case stalePlan
        case notFound
        /// Never decided on a map: for callers whose transactions conflict again and again.
        case concurrentChange
    }

    /// - Parameters:
    ///   - map: the latest that there is; the transaction compares what it was decided on.
    ///   - now: stands in the operation.
    public static func decide(_ command: AdminCommand, on map: ClusterMap, now: Timestamp) -> AdminDecision {
        let desk = AdminDesk(map: map, now: now)
        return switch command {
        case .commit(let plan): desk.commit(plan)
        case .pauseRebalance: desk.rebalance { desk.pause($0) }
        case .resumeRebalance: desk.rebalance { desk.resume($0) }
        case .cancelRebalance: desk.rebalance { desk.cancel($0) }
        case .cordon(let node): desk.onNode(node) { desk.cordon($0) }
        case .uncordon(let node): desk.onNode(node) { desk.uncordon($0) }
        case .drain(let node): desk.onNode(node) { desk.drain($0) }
        case .remove(let node): desk.remove(node)
        case .weight(let node, let thousandths): desk.onNode(node) { desk.weigh($0, thousandths) }
        case .move(let shard, let node): desk.onNode(node) { desk.move(shard, to: $0) }
        case .pause(let id): desk.onOperation(id) { desk.pause($0) }
        case .resume(let id): desk.onOperation(id) { desk.resume($0) }
        case .cancel(let id): desk.onOperation(id) { desk.cancel($0) }
        case .throttle(let limit): desk.throttle(limit)
        }
    }

    /// What is left to say when the cluster has changed under every attempt.
    public static let keepsChanging = AdminDecision.refused(
        .concurrentChange, text: "the cluster changes faster than this can be decided: nothing was done; try again")
}

/// One map, and what every decision on it needs.
struct AdminDesk {
    let map: ClusterMap
    let now: Timestamp

    func refuse(_ text: String) -> AdminDecision { .refused(.refused, text: text) }

    func onNode(_ id: NodeID, _ decide: (NodeRecord) -> AdminDecision) -> AdminDecision {
        guard let node = map.node(id) else {
            return .refused(.notFound, text: "there is no node \(id): see `keysteadctl node list`")
        }
        guard node.state != .removed else {
            return .refused(.notFound, text: "\(id) was removed from the cluster; its name is not used again")
        }
        return decide(node)
    }

    func onOperation(_ id: OperationID, _ decide: (OperationRecord) -> AdminDecision) -> AdminDecision {
        guard let operation = map.operation(id) else {
            return .refused(.notFound, text: "there is no operation \(id): see `keysteadctl op list`")
        }
        return decide(operation)
    }

    func active(_ kind: OperationRecord.Kind, of node: NodeID? = nil) -> OperationRecord? {
        map.operations.last { $0.kind == kind && $0.node == node && !$0.state.isFinished }
    }

    /// The next operation, in this state from the start.
    func operation(
        _ kind: OperationRecord.Kind, _ state: OperationRecord.State = .running, plan: PlanID? = nil,
        node: NodeID? = nil, moves: [PlannedMove] = [], detail: String = ""
    ) -> OperationRecord {
        OperationRecord(
            id: map.nextOperation, kind: kind, state: state, plan: plan, node: node, moves: moves,
            bytesPerSecond: map.throttle.bytesPerSecond, created: now, finished: state.isFinished ? now : nil,
            detail: detail)
    }

    /// Creates the operation and does what else belongs to it.
    func create(
        _ operation: OperationRecord, if conditions: [MetadataTransaction.Condition],
        then others: [MetadataTransaction.Operation] = []
    ) -> AdminDecision {
        let key = MetadataKey.operation(operation.id)
        return .change(
            MetadataTransaction(
                if: [.absent(key)] + conditions, then: [.put(key, operation.encoded())] + others),
            operation: operation.id)
    }

    /// That no node has changed; `first` are those that matter most, should there be more than one transaction takes.
    /// (The controller looks at both ends of a move again before it begins.)
    func unchangedNodes(_ first: Set<NodeID>) -> [MetadataTransaction.Condition] {
        let others = map.nodes.lazy.filter { $0.state != .removed }.map(\.id).filter { !first.contains($0) }
        return (first.sorted() + others).prefix(Limits.transactionOperationsMax - 8).map { map.unchanged(.node($0)) }
    }

    func count(_ number: Int, _ noun: String) -> String { "\(number) \(noun)\(number == 1 ? "" : "s")" }
}
