import ClusterCore
import ClusterMetadata
import Entities
import HashRing
import JSON
import LogFiles
import NIOCore
import PeerTransport
import PeerWire
import Primitives
import RocksStore

/// What the admin listener can see of a running node, and of its cluster through it.
struct NodeView: Sendable {
    let membership: Membership
    let cluster: ClusterParts
    let listen: HostPort
    let admin: HostPort
    let table: ShardTable
    let loops: [ShardLoop]
    let log: NodeLog
    let flushes: FlushCoordinator
    let space: SpaceGuard
    let resources: StoreResources
    let time: NodeTime
    let memory: NodeMemory
    let lists: NodeLists

    /// Writes are answered 507.
    var isStorageFull: Bool { space.isFull || flushes.storesWaitForSpace || log.isStorageFull }

    var node: NodeID { membership.node.id }
    var survey: ClusterSurvey { ClusterSurvey(cluster, loops[0].eventLoop) }

    /// `GET /v1/cluster`.
    func clusterDocument() async -> JSONValue {
        let map = cluster.view.map
        let reports = await survey.reports(map)
        let counts = Dictionary(map.shards.map { ($0.primary, 1) }, uniquingKeysWith: +)
        let shards = map.shardIDs.map { JSONValue.object(summary($0, map, reports)) }
        let nodes = map.nodes.filter { $0.state != .removed }.map { node in
            JSONValue.object([
                ("id", .text(node.id.text)), ("state", .text(map.stateText(of: node))), ("zone", .text(node.zone)),
                ("weight", .decimal(Double(node.weight.thousandths) / 1000)),
                ("shards", .integer(counts[node.id] ?? 0)),
                ("listen", .text(node.addresses.listen)), ("admin", .text(node.addresses.admin)),
                ("alive", .bool(map.isAlive(node.id))),
            ])
        }
        return .object([
            ("cluster", .text(map.config.name)), ("map-revision", .integer(map.mapRevision.rawValue)),
            ("storage", .text(isStorageFull ? "full" : "ok")), ("metadata", metadataDocument),
            ("node", .text(node.text)), ("clock", clockDocument),
            ("controller", map.controller.map { .text($0.node.text) } ?? .null),
            (
                "ring",
                .object([
                    ("hash", .text(RingHash.algorithm)), ("seed", .text(hexadecimal(map.config.hash.seed))),
                    ("shards", .integer(map.config.shardCount)),
                ])
            ),
            ("nodes", .list(nodes)), ("shards", .list(shards)),
            ("operations", .list(await OperationDocuments(self).all(map, reports))),
        ])
    }

    /// The clocks of the node that answers: the difference is zero within a minute.
    private var clockDocument: JSONValue {
        .object([
            ("wall", .text(NodeTime.wall().rfc3339)), ("data", .text(time.now().rfc3339)),
            ("wall-ahead-milliseconds", .integer(time.gap().milliseconds)),
        ])
    }

    /// When the metadata store was last heard of: what is shown is no newer.
    private var metadataDocument: JSONValue {
        let age = cluster.view.contactAge(now: NodeTime.monotonic()) / 1_000_000_000
        return .object([
            ("reachable", .bool(age <= ClusterView.silenceSeconds)),
            ("last-seen", .text(cluster.now().before(seconds: age).rfc3339)), ("age-seconds", .integer(age)),
        ])
    }

    /// One shard as everybody should see it; what only its owner knows comes from `reports`.
    private func summary(
        _ shard: ShardID, _ map: ClusterMap, _ reports: [ShardID: ShardReport]
    ) -> [(String, JSONValue)] {
        let record = map.shards[Int(shard.rawValue)]
        let report = reports[shard]
        var members: [(String, JSONValue)] = [
            ("shard", .integer(shard.rawValue)), ("primary", .text(record.primary.text)),
            ("epoch", .integer(record.epoch.rawValue)), ("position", .integer(report?.position.rawValue ?? 0)),
            ("state", .text((report?.state ?? .unavailable).rawValue)), ("bytes", .integer(report?.byteCount ?? 0)),
        ]
        if let move = record.move {
            members.append(
                (
                    "move",
                    .object([
                        ("from", .text(move.from.text)), ("to", .text(move.to.text)),
                        ("stage", .text(move.stage.rawValue)), ("operation", .text("\(move.operation)")),
                    ])
                ))
        }
        return members
    }

    /// `GET /v1/shards/N`.
    func shardDocument(_ shard: ShardID) async -> JSONValue {
        let map = cluster.view.map
        let reports = await survey.reports(map)
        var members = summary(shard, map, reports)
        members.append(("first-hash", .text(hexadecimal(table.ring.arc(of: shard).lowerBound))))
        members.append(("last-hash", .text(hexadecimal(table.ring.arc(of: shard).upperBound))))
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
        case .elsewhere:
            break
        }
        return .object(members)
    }

    /// `GET /v1/where/KIND/ID`.
    func place(of key: EntityKey) -> JSONValue {
        let shard = table.shard(of: key.ringHash)
        let record = cluster.view.map.shards[Int(shard.rawValue)]
        return .object([
            ("shard", .integer(shard.rawValue)), ("node", .text(record.primary.text)),
            ("epoch", .integer(record.epoch.rawValue)),
        ])
    }

    private func hexadecimal(_ value: UInt64) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}

extension ClusterMap {
    /// The node's state, or `down` where nothing is heard of it.
    func stateText(of node: NodeRecord) -> String {
        switch node.state {
        case .active, .cordoned, .draining: isAlive(node.id) ? node.state.rawValue : NodeState.down.rawValue
        case .joining, .drained, .maintenance, .down, .removed: node.state.rawValue
        }
    }
}
