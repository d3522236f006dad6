import Entities
import Primitives

/// Lists: an entity that exists throughout a scan is in it exactly once, nothing is in it twice, and what is in it was
/// there at some time of the scan.
struct ScanCheck {
    let world: World
    let history: History
    let log: CommittedLog
    let shardOf: (EntityKey) -> ShardID

    /// When a client first knew of each update. Only looked up.
    private let acknowledged: [EntityKey: [Position: UInt64]]

    init(world: World, history: History, log: CommittedLog, shardOf: @escaping (EntityKey) -> ShardID) {
        self.world = world
        self.history = history
        self.log = log
        self.shardOf = shardOf
        var acknowledged: [EntityKey: [Position: UInt64]] = [:]
        for operation in history.operations {
            guard let returned = operation.returned, case .written(_, let version, _, _, _)? = operation.answer else {
                continue
            }
            let known = acknowledged[operation.line.key]?[version] ?? .max
            acknowledged[operation.line.key, default: [:]][version] = min(known, returned)
        }
        self.acknowledged = acknowledged
    }

    func check() {
        for scan in history.lists where scan.isComplete { check(scan) }
    }

    private func check(_ scan: ListScan) {
        var listed: [[UInt8]: Position] = [:]
        for item in scan.items {
            if listed.updateValue(item.version, forKey: item.key) != nil {
                return world.fail(.list, "a scan lists \(String(decoding: item.key, as: UTF8.self)) twice")
            }
        }
        for key in log.keys where key.bytes.starts(with: scan.prefix) {
            let shard = shardOf(key)
            let chain = log.chain(of: key)
            if let version = listed[key.bytes] {
                guard let place = chain.firstIndex(of: version), log[shard, version].effect.record != nil else {
                    return world.fail(.list, "a scan lists \(key.text) at \(version), which never was")
                }
                if log[shard, version].moment > scan.ended {
                    return world.fail(.list, "a scan lists \(key.text) at \(version), which came after it")
                }
                if place + 1 < chain.count, isAcknowledged(chain[place + 1], key, before: scan.began) {
                    return world.fail(.list, "a scan lists \(key.text) at \(version), replaced when it began")
                }
            } else if let present = presentThroughout(scan, key, shard, chain) {
                return world.fail(.list, "a scan leaves out \(key.text), there since \(present)")
            }
        }
    }

    private func isAcknowledged(_ position: Position, _ key: EntityKey, before moment: UInt64) -> Bool {
        guard let told = acknowledged[key]?[position] else { return false }
        return told < moment
    }

    /// The update since which the entity was there, acknowledged before the scan and with no removal before its end.
    private func presentThroughout(
        _ scan: ListScan, _ key: EntityKey, _ shard: ShardID, _ chain: [Position]
    ) -> Position? {
        guard let start = chain.last(where: { isAcknowledged($0, key, before: scan.began) }) else { return nil }
        for position in chain where position >= start && log[shard, position].moment <= scan.ended {
            guard let record = log[shard, position].effect.record, record.expiresAt == nil else { return nil }
        }
        return start
    }
}
