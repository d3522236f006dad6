internal import Primitives

/// Plans which replicas go where after nodes, weights or zones have changed, with as few moves as there can be.
///
/// 1. Quotas: what each node should keep, by weight, with the zones' room respected (``Apportionment``).
/// 2. Legality: replicas stay where they are, unless their node gives everything away or a zone has too many.
/// 3. Vacancies go to nodes under quota, then surplus goes from nodes over quota to nodes under; where zones or other
///    replicas are in the way, along the shortest chain of nodes that each pass a shard on.
/// 4. Primaries stay where they are if they can, then swap roles along chains until they are level.
///
/// Pure and deterministic: ties are broken by a hash of shard and node. The plan for a plan's result is empty. When a
/// node leaves only what it kept moves; when one joins, everything that moves goes to it.
public enum RebalancePlanner {
    /// - Parameters:
    ///   - current: may name nodes that are gone.
    ///   - nodes: each once, in any order.
    ///   - replicationFactor: replicas wanted of each shard, 1 or more.
    public static func plan(
        current: Assignment, nodes: [NodeDescription], replicationFactor: Int
    ) -> RebalancePlan {
        precondition(replicationFactor >= 1, "a shard has a replica")
        let field = PlanningField(nodes: nodes, replicationFactor: replicationFactor)
        var table = PlacementTable(
            shardCount: current.shardCount, replicationFactor: field.replicasPerShard, nodes: field.ids,
            zones: field.zones, spread: field.spread)
        let original = holdings(current, field)
        keepLegal(original, field, &table)
        let quotas = field.replicaQuotas(shardCount: current.shardCount, kept: table.counts)
        let lowerBound = lowerBound(original, table, quotas)
        var mover = ReplicaMover(table: table, original: original, quotas: quotas, takes: field.takes)
        mover.fillVacancies()
        mover.levelOut()
        let primaries = PrimaryChooser(table: mover.table, field: field, current: current).choose()
        return describe(
            current, field, mover.table, quotas: quotas, primaries: primaries, lowerBound: lowerBound,
            replicationFactor: replicationFactor)
    }

    /// The replicas of now on nodes that may keep them.
    private static func holdings(_ current: Assignment, _ field: PlanningField) -> Holdings {
        var holdings = Holdings(shardCount: current.shardCount, nodeCount: field.ids.count)
        for (shard, placement) in current.placements.enumerated() {
            for node in placement.replicas.compactMap({ field.index[$0] }) where field.keeps[node] {
                holdings.insert(node, shard)
            }
        }
        return holdings
    }

    /// Puts into the table what may stay. Where a shard has too many replicas, in a zone or in all, those stay whose
    /// node has the least to give away.
    private static func keepLegal(_ original: Holdings, _ field: PlanningField, _ table: inout PlacementTable) {
        var counts = [Int](repeating: 0, count: field.ids.count)
        var nodes = [[Int]](repeating: [], count: table.shardCount)
        for node in field.ids.indices {
            for shard in original.shards(of: node) {
                nodes[shard].append(node)
                counts[node] += 1
            }
        }
        let quotas = field.replicaQuotas(shardCount: table.shardCount, kept: counts)
        for shard in nodes.indices {
            let order = nodes[shard].map { node in
                (field.takes[node] ? counts[node] - quotas[node] : Int.min, table.rank(of: shard, on: node), node)
            }
            for (_, _, node) in order.sorted(by: <) {
                if table.accepts(node, shard) { table.add(node, to: shard) } else { counts[node] -= 1 }
            }
        }
    }

    /// What must be copied whatever the plan: what nodes lack of their quotas, even if all that they have may stay; and
    /// what shards lack of their replicas.
    private static func lowerBound(_ original: Holdings, _ legal: PlacementTable, _ quotas: [Int]) -> Int {
        let nodesLack = quotas.indices.reduce(0) { $0 + max(0, quotas[$1] - original.shards(of: $1).count) }
        let vacant = legal.filled.reduce(0) { $0 + legal.replicationFactor - $1 }
        return max(nodesLack, min(vacant, quotas.reduce(0, +) - legal.counts.reduce(0, +)))
    }

    private static func describe(
        _ current: Assignment, _ field: PlanningField, _ table: PlacementTable, quotas: [Int],
        primaries: PrimaryChooser.Choice, lowerBound: Int, replicationFactor: Int
    ) -> RebalancePlan {
        var moves: [RebalancePlan.Move] = []
        var changes: [RebalancePlan.PrimaryChange] = []
        var result = current
        var sharing: [ShardID] = []
        var short: [ShardID] = []
        for shard in 0..<current.shardCount {
            let id = ShardID(UInt32(shard))
            let before = current[id]
            let after = table.replicas(of: shard).map { field.ids[$0] }.sorted()
            let leaving = before.replicas.filter { !after.contains($0) }
            let arriving = after.filter { !before.replicas.contains($0) }
            for index in 0..<max(leaving.count, arriving.count) {
                let from = index < leaving.count ? leaving[index] : nil
                moves.append(.init(shard: id, from: from, to: index < arriving.count ? arriving[index] : nil))
            }
            let primary = primaries.primary[shard].map { field.ids[$0] }
            if let primary, primary != before.primary {
                changes.append(.init(shard: id, from: before.primary, to: primary))
            }
            result[id] = ShardPlacement(epoch: before.epoch, primary: primary, replicas: after)
            if Set(table.replicas(of: shard).map { field.zones[$0] }).count < after.count { sharing.append(id) }
            if after.count < replicationFactor { short.append(id) }
        }
        let shares = field.ids.indices.filter { quotas[$0] > 0 }.map {
            RebalancePlan.Quota(node: field.ids[$0], replicas: quotas[$0], primaries: primaries.quotas[$0])
        }
        return RebalancePlan(
            moves: moves, primaryChanges: changes, quotas: shares, lowerBoundMoves: lowerBound,
            shardsSharingZones: sharing, shardsShortOfReplicas: short, result: result)
    }
}
