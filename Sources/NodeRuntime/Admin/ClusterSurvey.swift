import ClusterCore
import HashRing
import NIOCore
import PeerTransport
import PeerWire
import Primitives

/// Asks every node of the cluster how its shards and moves are. What does not answer in time is left out.
struct ClusterSurvey: Sendable {
    private let cluster: ClusterParts
    private let loop: any EventLoop

    private static let patience = TimeAmount.milliseconds(1000)

    init(_ cluster: ClusterParts, _ loop: any EventLoop) {
        self.cluster = cluster
        self.loop = loop
    }

    /// By shard, from its owner.
    func reports(_ map: ClusterMap) async -> [ShardID: ShardReport] {
        let answers = await ask(.shards, map) { response -> [ShardReport]? in
            if case .shards(let reports) = response { reports } else { nil }
        }
        var reports: [ShardID: ShardReport] = [:]
        for (node, answer) in answers {
            for report in answer where map.shard(report.shard)?.record.primary == node {
                reports[report.shard] = report
            }
        }
        for report in cluster.keeper.shardReports() where map.shard(report.shard)?.record.primary == cluster.view.node {
            reports[report.shard] = report
        }
        return reports
    }

    /// How the moves are getting on, by shard, from their targets.
    func progress(_ map: ClusterMap) async -> [ShardID: MoveReport] {
        let answers = await ask(.moveProgress, map) { response -> [MoveReport]? in
            if case .progress(let reports) = response { reports } else { nil }
        }
        var reports: [ShardID: MoveReport] = [:]
        for report in answers.flatMap(\.1) + cluster.keeper.progress() { reports[report.shard] = report }
        return reports
    }

    private func ask<Value: Sendable>(
        _ request: PeerRequest, _ map: ClusterMap, _ read: @escaping @Sendable (PeerResponse) -> [Value]?
    ) async -> [(NodeID, [Value])] {
        let others = map.nodes.filter { $0.state != .removed && $0.id != cluster.view.node && map.isAlive($0.id) }
        return await withTaskGroup(of: (NodeID, [Value])?.self) { group in
            for node in others {
                guard let peer = cluster.view.address(of: node.id) else { continue }
                group.addTask { [cluster, loop] in
                    let outcome = await cluster.peers.send(
                        request, to: peer, lane: .requests, deadline: .now() + Self.patience, on: loop)
                    guard case .response(let response) = outcome, let value = read(response) else { return nil }
                    return (node.id, value)
                }
            }
            return await group.reduce(into: []) { if let answer = $1 { $0.append(answer) } }
        }
    }
}
