import Entities
import Primitives

/// What each shard has committed, as the simulation saw it happen: append-only, across crashes. Every answer is held
/// against it.
final class CommittedLog {
    struct Entry {
        let effect: EntityEffect
        let payloadHash: UInt64
        /// The entity's last update before this one.
        let previous: Position?
        let moment: UInt64
        let time: UInt64
        /// The run of the node whose clock it carries; `nil` where an earlier one than the run that found it durable.
        let run: Int?
        /// Client operation, where the effect names one.
        var operation: Int?
    }

    private var shards: [[Entry]]
    /// The positions of each entity's updates, ascending. Never iterated.
    private var chains: [EntityKey: [Position]] = [:]
    /// Every entity, in the order of first commits.
    private(set) var keys: [EntityKey] = []

    init(shardCount: Int) { shards = Array(repeating: [], count: shardCount) }

    var shardCount: Int { shards.count }

    func count(_ shard: ShardID) -> UInt64 { UInt64(shards[Int(shard.rawValue)].count) }
    func end(_ shard: ShardID) -> Position { Position(count(shard)) }
    func entries(_ shard: ShardID) -> [Entry] { shards[Int(shard.rawValue)] }

    subscript(_ shard: ShardID, _ position: Position) -> Entry {
        get { shards[Int(shard.rawValue)][Int(position.rawValue) - 1] }
        set { shards[Int(shard.rawValue)][Int(position.rawValue) - 1] = newValue }
    }

    func chain(of key: EntityKey) -> [Position] { chains[key] ?? [] }

    /// The entity's last update at or before `position`.
    func lastUpdate(of key: EntityKey, atOrBefore position: Position) -> Position? {
        guard let chain = chains[key] else { return nil }
        var low = 0
        var high = chain.count
        while low < high {
            let middle = (low + high) / 2
            if chain[middle] <= position { low = middle + 1 } else { high = middle }
        }
        return low == 0 ? nil : chain[low - 1]
    }

    func append(_ entry: Entry, to shard: ShardID) {
        shards[Int(shard.rawValue)].append(entry)
        let key = entry.effect.key
        if chains[key] == nil { keys.append(key) }
        chains[key, default: []].append(end(shard))
    }
}
