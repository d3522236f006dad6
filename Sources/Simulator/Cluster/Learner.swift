import ClusterCore
import LogFormat
import Primitives
import ShardCore

/// A copy of a shard in the making on this node.
final class Learner {
    let shard: ShardID
    let move: ShardMove
    var target: MoveTarget
    var store: VirtualStore?
    /// Updates that the log has taken, and how far it has made them durable.
    var appended = Position.zero
    var durable = Position.zero
    var payloads: [[UInt8]] = []
    var durableLSN = LSN.zero
    /// Of the copy and of the updates that followed it: the source's time, not this node's.
    var newestTime = Timestamp.zero
    /// What waits until the log holds nothing of the shard that is not durable.
    var whenSettled: (() -> Void)?

    init(shard: ShardID, move: ShardMove, target: MoveTarget) {
        self.shard = shard
        self.move = move
        self.target = target
    }

    /// Runs `body` once everything that the log was given is durable.
    func settle(_ body: @escaping () -> Void) {
        guard durable < appended else { return body() }
        whenSettled = body
    }
}

extension ShardMove {
    /// The same move, perhaps at another stage.
    func isSame(as other: ShardMove?) -> Bool {
        guard let other else { return false }
        return from == other.from && to == other.to && operation == other.operation
    }

    /// As the moves' machines know it; `nil` for `retire`.
    var machineStage: MoveStage? {
        switch stage {
        case .learner: .learner
        case .copy: .copy
        case .catchUp: .catchUp
        case .handover: .handover
        case .retire: nil
        }
    }
}
