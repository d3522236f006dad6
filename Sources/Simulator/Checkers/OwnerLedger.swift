import ClusterCore
import HashRing
import Primitives

/// Watches the shards' records as they change: an epoch never goes back, each has one owner, and only that one commits
/// and answers.
final class OwnerLedger {
    private let world: World
    private let nodes: [NodeID: Int]
    private var records: [ShardRecord?]
    /// By shard: the owner of each epoch, by its index.
    private var owners: [[Epoch: Int]]
    /// Handovers so far.
    private(set) var handovers = 0

    init(world: World, shardCount: Int, nodes: [NodeID]) {
        self.world = world
        var indices: [NodeID: Int] = [:]
        for (index, node) in nodes.enumerated() { indices[node] = index }
        self.nodes = indices
        records = Array(repeating: nil, count: shardCount)
        owners = Array(repeating: [:], count: shardCount)
    }

    func record(_ shard: ShardID) -> ShardRecord? { records[Int(shard.rawValue)] }

    /// How many shards move.
    private(set) var movingCount = 0

    /// Moves under way.
    var moving: [ShardID] {
        records.indices.filter { records[$0]?.move != nil }.map { ShardID(UInt32($0)) }
    }

    func changed(_ change: MetadataChange) {
        for event in change.events {
            guard let shard = event.key.shardID else { continue }
            guard case .put(let entry) = event, let record = try? ShardRecord(decoding: entry.value, of: entry.key)
            else {
                return world.fail(.oneOwner, "the record of shard \(shard) is gone, or cannot be read")
            }
            changed(shard, record)
        }
    }

    private func changed(_ shard: ShardID, _ record: ShardRecord) {
        let index = Int(shard.rawValue)
        defer { records[index] = record }
        movingCount += (record.move == nil ? 0 : 1) - (records[index]?.move == nil ? 0 : 1)
        let owner = nodes[record.primary] ?? -1
        guard let before = records[index] else {
            owners[index][record.epoch] = owner
            return
        }
        if record.epoch < before.epoch {
            return world.fail(.oneOwner, "the epoch of shard \(shard) went from \(before.epoch) to \(record.epoch)")
        }
        if record.epoch == before.epoch {
            guard record.primary != before.primary else { return }
            return world.fail(.oneOwner, "shard \(shard) has two owners at epoch \(record.epoch)")
        }
        guard record.epoch.rawValue == before.epoch.rawValue + 1, before.move?.to == record.primary else {
            return world.fail(.oneOwner, "shard \(shard) was given to \(record.primary), to which it did not move")
        }
        handovers += 1
        world.probes.reached(.handedOver)
        owners[index][record.epoch] = owner
    }

    /// A read was answered at that epoch: by then nobody else may have been able to write.
    func answeredRead(on shard: ShardID, _ epoch: Epoch, node: Int) {
        guard let record = record(shard), record.epoch > epoch else { return }
        world.fail(
            .oneOwner, "node \(node) answers a read of shard \(shard) at epoch \(epoch), and \(record.epoch) has begun")
    }

    func acted(on shard: ShardID, _ epoch: Epoch, node: Int, _ what: String) {
        let owner = owners[Int(shard.rawValue)][epoch]
        guard owner != node else { return }
        world.fail(
            .oneOwner,
            "node \(node) \(what) on shard \(shard) at epoch \(epoch), whose owner is "
                + (owner.map { "node \($0)" } ?? "nobody"))
    }
}
