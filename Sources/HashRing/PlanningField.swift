/// The nodes of a plan as numbers, ascending by name, and what follows from them for every shard alike.
struct PlanningField {
    let ids: [NodeID]
    let index: [NodeID: Int]
    let weights: [UInt64]
    /// May get replicas: active, with a weight.
    let takes: [Bool]
    /// Replicas that are there may stay.
    let keeps: [Bool]
    /// The zone of each node, as a number.
    let zones: [Int]
    let zoneCount: Int
    /// Replicas that each shard can have: as many as asked for, if there are nodes for them.
    let replicasPerShard: Int
    /// The fewest replicas of a shard that one zone must be allowed, for all of them to have room.
    let spread: Int

    init(nodes: [NodeDescription], replicationFactor: Int) {
        let ordered = nodes.sorted { $0.id < $1.id }
        ids = ordered.map(\.id)
        index = Dictionary(uniqueKeysWithValues: ids.enumerated().map { ($1, $0) })
        precondition(index.count == nodes.count, "a node is named once")
        weights = ordered.map { UInt64($0.weight.thousandths) }
        let names = Array(Set(ordered.map(\.zone))).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        let numbers = Dictionary(uniqueKeysWithValues: names.enumerated().map { ($1, $0) })
        zones = ordered.map { numbers[$0.zone] ?? 0 }
        zoneCount = names.count
        takes = ordered.map { $0.state.takesReplicas && $0.weight > .zero }
        // An active node without a weight gives everything away.
        keeps = ordered.map { $0.state.keepsReplicas && !($0.state.takesReplicas && $0.weight == .zero) }
        var sizes = [Int](repeating: 0, count: zoneCount)
        for node in ordered.indices where keeps[node] { sizes[zones[node]] += 1 }
        let usable = sizes.reduce(0, +)
        let replicas = min(replicationFactor, max(1, usable))
        var spread = 1
        while sizes.reduce(0, { $0 + min(spread, $1) }) < min(replicas, usable) { spread += 1 }
        replicasPerShard = replicas
        self.spread = spread
    }

    /// What each node should keep. Nodes that take nothing new should keep what they have.
    ///
    /// - Parameter kept: replicas that each node has and may keep.
    func replicaQuotas(shardCount: Int, kept: [Int]) -> [Int] {
        var zoneRoom = [Int](repeating: shardCount * spread, count: zoneCount)
        var seats = shardCount * replicasPerShard
        for node in ids.indices where !takes[node] && keeps[node] {
            zoneRoom[zones[node]] -= kept[node]
            seats -= kept[node]
        }
        let members = ids.indices.map { node in
            Apportionment.Member(weight: takes[node] ? weights[node] : 0, cap: shardCount, group: zones[node])
        }
        var quotas = Apportionment.divide(max(0, seats), among: members, groupCaps: zoneRoom)
        for node in ids.indices where !takes[node] && keeps[node] { quotas[node] = kept[node] }
        return quotas
    }
}
