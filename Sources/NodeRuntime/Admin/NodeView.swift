import ClusterMetadata
import Entities
import HTTPFront
import HashRing
import LogFiles
import Primitives
import RocksStore

/// What the admin listener can see of a running node.
struct NodeView: Sendable {
    let membership: Membership
    let configuration: NodeConfiguration
    let listen: HostPort
    let admin: HostPort
    let table: ShardTable
    let loops: [ShardLoop]
    let log: NodeLog
    let flushes: FlushCoordinator
    let space: SpaceGuard
    let resources: StoreResources

    /// `GET /v1/cluster`.
    func cluster() -> JSONValue {
        let node = JSONValue.object([
            ("id", .text(membership.node.id.text)), ("state", .text(membership.node.state.rawValue)),
            ("zone", .text(membership.node.zone)),
            ("weight", .decimal(configuration.weight)), ("shards", .integer(table.ring.shardCount)),
            ("listen", .text(listen.description)), ("admin", .text(admin.description)),
        ])
        let shards = (0..<table.ring.shardCount).map { summary(ShardID(UInt32($0))) }
        return .object([
            ("cluster", .text(membership.config.name)), ("map-revision", .integer(membership.mapRevision.rawValue)),
            ("storage", .text(space.isFull ? "full" : "ok")),
            ("nodes", .list([node])), ("shards", .list(shards.map { .object($0) })), ("operations", .list([])),
        ])
    }

    private func summary(_ shard: ShardID) -> [(String, JSONValue)] {
        let (epoch, position, state) =
            switch table[shard] {
            case .served(let host): (host.epoch, host.appliedPosition, state(of: host))
            case .unavailable(let epoch, _): (epoch, Position.zero, "unavailable")
            }
        return [
            ("shard", .integer(shard.rawValue)), ("primary", .text(membership.node.id.text)),
            ("epoch", .integer(epoch.rawValue)),
            ("position", .integer(position.rawValue)), ("state", .text(state)),
        ]
    }

    private func state(of host: ShardHost) -> String {
        if !host.isServing { return "unavailable" }
        return host.troubleText == nil ? "serving" : "damaged"
    }

    /// `GET /v1/shards/N`.
    func shard(_ shard: ShardID) -> JSONValue {
        var members = summary(shard)
        members.append(("first-hash", .text(hex(table.ring.arc(of: shard).lowerBound))))
        members.append(("last-hash", .text(hex(table.ring.arc(of: shard).upperBound))))
        switch table[shard] {
        case .served(let host):
            members.append(("unflushed-bytes", .integer(host.store.unflushedBytes)))
            if let statistics = try? host.store.statistics() {
                members.append(("table-bytes", .integer(statistics.tableBytes)))
                members.append(("estimated-rows", .integer(statistics.estimatedRows)))
            }
            if let trouble = host.troubleText { members.append(("reason", .text(trouble))) }
        case .unavailable(_, let reason):
            members.append(("reason", .text(reason)))
        }
        return .object(members)
    }

    /// `GET /v1/where/KIND/ID`.
    func place(of key: EntityKey) -> JSONValue {
        let shard = table.shard(of: key.ringHash)
        let epoch =
            switch table[shard] {
            case .served(let host): host.epoch
            case .unavailable(let epoch, _): epoch
            }
        return .object([
            ("shard", .integer(shard.rawValue)), ("node", .text(membership.node.id.text)),
            ("epoch", .integer(epoch.rawValue)),
        ])
    }

    private func hex(_ value: UInt64) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}
