import HashRing
import Primitives

/// The referee: the fewest copies with which any plan can meet given quotas, by minimum-cost flow over single replicas
/// (successive shortest paths, Bellman and Ford). Slow and simple, where the planner is neither.
///
/// source → shard (its replicas) → shard in zone (the spread) → node (1 each; free where the replica lies already,
/// else 1) → sink (the node's quota).
struct FewestCopies {
    private struct Edge {
        let to: Int
        var room: Int
        let cost: Int
    }

    private var edges: [Edge] = []
    private var leaving: [[Int]] = []

    /// `nil` where the quotas cannot be met at all.
    static func count(
        current: Assignment, nodes: [NodeDescription], quotas: [RebalancePlan.Quota], replicas: Int, spread: Int
    ) -> Int? {
        var flow = FewestCopies()
        let zones = Array(Set(nodes.map(\.zone))).sorted()
        let source = flow.vertex()
        let sink = flow.vertex()
        let ends = nodes.map { node in
            let vertex = flow.vertex()
            flow.edge(vertex, sink, room: quotas.first { $0.node == node.id }?.replicas ?? 0, cost: 0)
            return vertex
        }
        for placement in current.placements {
            let shard = flow.vertex()
            flow.edge(source, shard, room: replicas, cost: 0)
            for zone in zones {
                let inZone = flow.vertex()
                flow.edge(shard, inZone, room: spread, cost: 0)
                for (node, end) in zip(nodes, ends) where node.zone == zone {
                    let isThere = placement.replicas.contains(node.id) && node.state.keepsReplicas
                    if isThere || node.state.takesReplicas { flow.edge(inZone, end, room: 1, cost: isThere ? 0 : 1) }
                }
            }
        }
        let wanted = quotas.reduce(0) { $0 + $1.replicas }
        return flow.cheapest(wanted, from: source, to: sink)
    }

    private mutating func vertex() -> Int {
        leaving.append([])
        return leaving.count - 1
    }

    private mutating func edge(_ from: Int, _ to: Int, room: Int, cost: Int) {
        leaving[from].append(edges.count)
        edges.append(Edge(to: to, room: room, cost: cost))
        leaving[to].append(edges.count)
        edges.append(Edge(to: from, room: 0, cost: -cost))
    }

    private mutating func cheapest(_ wanted: Int, from source: Int, to sink: Int) -> Int? {
        var total = 0
        for _ in 0..<wanted {
            var cost = [Int](repeating: .max, count: leaving.count)
            var arrivedBy = [Int](repeating: -1, count: leaving.count)
            var queue = [source]
            var isQueued = [Bool](repeating: false, count: leaving.count)
            cost[source] = 0
            var next = 0
            while next < queue.count {
                let vertex = queue[next]
                next += 1
                isQueued[vertex] = false
                for index in leaving[vertex] where edges[index].room > 0 {
                    let reached = cost[vertex] + edges[index].cost
                    guard reached < cost[edges[index].to] else { continue }
                    cost[edges[index].to] = reached
                    arrivedBy[edges[index].to] = index
                    if !isQueued[edges[index].to] { queue.append(edges[index].to) }
                    isQueued[edges[index].to] = true
                }
            }
            guard cost[sink] < .max else { return nil }
            total += cost[sink]
            var vertex = sink
            while vertex != source {
                edges[arrivedBy[vertex]].room -= 1
                edges[arrivedBy[vertex] ^ 1].room += 1
                vertex = edges[arrivedBy[vertex] ^ 1].to
            }
        }
        return total
    }
}
