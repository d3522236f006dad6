/// Chooses each shard's primary among its replicas, level by weight, with as few changes as that takes.
struct PrimaryChooser {
    struct Choice {
        /// By shard; `nil` where there is no replica.
        var primary: [Int?]
        /// By node.
        var quotas: [Int]
    }

    private let table: PlacementTable
    private let field: PlanningField
    private var primary: [Int?]
    private var counts: [Int]
    private var quotas: [Int] = []

    init(table: PlacementTable, field: PlanningField, current: Assignment) {
        self.table = table
        self.field = field
        counts = Array(repeating: 0, count: field.ids.count)
        primary = Array(repeating: nil, count: table.shardCount)
        for shard in 0..<table.shardCount {
            guard let node = current.placements[shard].primary.flatMap({ field.index[$0] }), table.holds(node, shard)
            else { continue }
            primary[shard] = node
            counts[node] += 1
        }
        quotas = primaryQuotas()
    }

    consuming func choose() -> Choice {
        appoint()
        while swapAlongShortestChain() {}
        return Choice(primary: primary, quotas: quotas)
    }

    /// Nodes that take nothing new keep the primaries they have.
    private func primaryQuotas() -> [Int] {
        var seats = table.shardCount
        for node in field.ids.indices where !field.takes[node] { seats -= counts[node] }
        let members = field.ids.indices.map { node in
            Apportionment.Member(
                weight: field.takes[node] ? field.weights[node] : 0, cap: table.counts[node], group: 0)
        }
        var quotas = Apportionment.divide(seats, among: members, groupCaps: [table.shardCount])
        for node in field.ids.indices where !field.takes[node] { quotas[node] = counts[node] }
        return quotas
    }

    /// Gives every shard without a primary the replica that lacks the most of them, an active one if there is.
    private mutating func appoint() {
        for shard in 0..<table.shardCount where primary[shard] == nil {
            let candidates = table.replicas(of: shard).map { node in
                (field.takes[node] ? 0 : 1, counts[node] - quotas[node], table.rank(of: shard, on: node), node)
            }
            guard let chosen = candidates.min(by: <)?.3 else { continue }
            primary[shard] = chosen
            counts[chosen] += 1
        }
    }

    /// Passes one role from a node with too many to one with too few, over the fewest nodes between; false where that
    /// cannot be done any more.
    private mutating func swapAlongShortestChain() -> Bool {
        var roles = [[Int]](repeating: [], count: field.ids.count)
        for shard in 0..<table.shardCount { if let node = primary[shard] { roles[node].append(shard) } }
        var reachedBy = [(shard: Int, from: Int)?](repeating: nil, count: field.ids.count)
        var queue = field.ids.indices.filter { counts[$0] > quotas[$0] }
        var visited = [Bool](repeating: false, count: field.ids.count)
        for node in queue { visited[node] = true }
        var next = 0
        while next < queue.count {
            let node = queue[next]
            next += 1
            for shard in roles[node] {
                for target in table.replicas(of: shard) where !visited[target] && field.takes[target] {
                    visited[target] = true
                    reachedBy[target] = (shard, node)
                    queue.append(target)
                    guard counts[target] < quotas[target] else { continue }
                    pass(alongChainTo: target, reachedBy)
                    return true
                }
            }
        }
        return false
    }

    private mutating func pass(alongChainTo target: Int, _ reachedBy: [(shard: Int, from: Int)?]) {
        var node = target
        while let step = reachedBy[node] {
            primary[step.shard] = node
            counts[node] += 1
            counts[step.from] -= 1
            node = step.from
        }
    }
}
