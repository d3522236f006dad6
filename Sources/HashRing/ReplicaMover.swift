/// Brings the replicas of a table to their quotas.
struct ReplicaMover {
    private(set) var table: PlacementTable
    /// Before the plan: what lies in it needs no copy.
    private let original: Holdings
    private let quotas: [Int]
    /// Nodes that may get replicas.
    private let takers: [Int]

    /// Chains that may turn out illegal, which is rare, before what is left is left as it is.
    private static let attemptsMax = 8

    init(table: PlacementTable, original: Holdings, quotas: [Int], takes: [Bool]) {
        self.table = table
        self.original = original
        self.quotas = quotas
        takers = takes.indices.filter { takes[$0] }
    }

    private func deficit(_ node: Int) -> Int { quotas[node] - table.counts[node] }

    /// Gives each shard the replicas that it lacks: to the node that lacks the most, and where none that lacks any may
    /// take the shard, by a chain.
    mutating func fillVacancies() {
        var lacking = quotas.indices.filter { deficit($0) > 0 }
        for shard in 0..<table.shardCount {
            var attempts = Self.attemptsMax
            while table.filled[shard] < table.replicationFactor {
                if let node = neediest(of: lacking, for: shard, insteadOf: nil) {
                    table.add(node, to: shard)
                    if deficit(node) == 0 { lacking.removeAll { $0 == node } }
                    continue
                }
                let start = takers.filter { table.accepts($0, shard) }
                guard attempts > 0, let chain = cheapestChain(from: start), let first = chain.first else { break }
                attempts -= 1
                if apply(chain) { table.add(first.from, to: shard) }
                lacking = quotas.indices.filter { deficit($0) > 0 }
            }
        }
    }

    /// Moves replicas from nodes over quota to nodes under: directly where it goes, by chains for the rest.
    mutating func levelOut() {
        var lacking = quotas.indices.filter { deficit($0) > 0 }
        let over = quotas.indices.filter { deficit($0) < 0 }.sorted { (deficit($0), $0) < (deficit($1), $1) }
        for node in over {
            for shard in table.shards(of: node) where deficit(node) < 0 && !lacking.isEmpty {
                guard let target = neediest(of: lacking, for: shard, insteadOf: node) else { continue }
                table.move(shard, from: node, to: target)
                if deficit(target) == 0 { lacking.removeAll { $0 == target } }
            }
        }
        var attempts = Self.attemptsMax
        while attempts > 0 {
            let over = quotas.indices.filter { deficit($0) < 0 }
            guard !over.isEmpty, let chain = cheapestChain(from: over) else { return }
            if !apply(chain) { attempts -= 1 }
        }
    }

    private func neediest(of lacking: [Int], for shard: Int, insteadOf leaving: Int?) -> Int? {
        var best: (deficit: Int, rank: UInt64, node: Int)?
        for node in lacking {
            let lack = deficit(node)
            if let best, lack < best.deficit { continue }
            guard table.accepts(node, shard, insteadOf: leaving) else { continue }
            let rank = table.rank(of: shard, on: node)
            if let best, lack == best.deficit, rank > best.rank { continue }
            best = (lack, rank, node)
        }
        return best?.node
    }

    private struct Step {
        let shard: Int
        let from: Int
        let to: Int
    }

    /// The cheapest moves that take a replica off one of the nodes and end at a node under quota. Passing on a replica
    /// that this plan itself brought costs nothing, for it was to be copied anyway; any other costs a copy. Searched
    /// breadth first, one cost after the other.
    private func cheapestChain(from start: [Int]) -> [Step]? {
        var search = Search(start: start, nodeCount: quotas.count, takers: takers)
        var level = start
        while !level.isEmpty {
            if let target = expand(&level, &search, free: true) { return chain(to: target, search.reachedBy) }
            var nextLevel: [Int] = level
            if let target = expand(&nextLevel, &search, free: false) { return chain(to: target, search.reachedBy) }
            level = Array(nextLevel[level.count...])
        }
        return nil
    }

    private struct Search {
        var reachedBy: [Step?]
        var unvisited: [Int]

        init(start: [Int], nodeCount: Int, takers: [Int]) {
            reachedBy = Array(repeating: nil, count: nodeCount)
            let started = Set(start)
            unvisited = takers.filter { !started.contains($0) }
        }
    }

    /// Appends to `nodes` what they can pass a replica on to: with `free`, over any number of replicas that the plan
    /// itself brought; without, over one that lay there before.
    ///
    /// - Returns: a node under quota as soon as one is reached.
    private func expand(_ nodes: inout [Int], _ search: inout Search, free: Bool) -> Int? {
        let given = nodes.count
        var next = 0
        while next < (free ? nodes.count : given) {
            let node = nodes[next]
            next += 1
            for shard in table.shards(of: node) where original.contains(node, shard) != free {
                if search.unvisited.isEmpty { return nil }
                var reached: [Int] = []
                for target in search.unvisited where table.accepts(target, shard, insteadOf: node) {
                    search.reachedBy[target] = Step(shard: shard, from: node, to: target)
                    if deficit(target) > 0 { return target }
                    reached.append(target)
                }
                guard !reached.isEmpty else { continue }
                nodes += reached
                search.unvisited.removeAll { search.reachedBy[$0] != nil }
            }
        }
        return nil
    }

    private func chain(to target: Int, _ reachedBy: [Step?]) -> [Step] {
        var steps: [Step] = []
        var node = target
        while let step = reachedBy[node] {
            steps.append(step)
            node = step.from
        }
        return steps.reversed()
    }

    /// Takes the steps, the last first, so that every state between is legal. A shard that stands in two steps of one
    /// chain may make the earlier one illegal by the later: then the rest is not taken.
    ///
    /// - Returns: whether all were taken.
    private mutating func apply(_ chain: [Step]) -> Bool {
        for step in chain.reversed() {
            guard table.holds(step.from, step.shard), table.accepts(step.to, step.shard, insteadOf: step.from) else {
                return false
            }
            table.move(step.shard, from: step.from, to: step.to)
        }
        return true
    }
}
