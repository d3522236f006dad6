/// What `/v1/cluster` and `keysteadctl status --output json` say (Contract §2).
struct ClusterPicture: Decodable, Sendable {
    struct Node: Decodable, Sendable {
        let id: String
        let state: String
        let zone: String
        let weight: Double
        let shards: Int
        let listen: String
        let admin: String
    }

    struct Shard: Decodable, Sendable {
        struct Move: Decodable, Sendable {
            let from: String
            let to: String
            let stage: String
        }

        let shard: Int
        let primary: String?
        let epoch: UInt64
        let position: UInt64?
        let state: String
        let move: Move?
    }

    struct Operation: Decodable, Sendable {
        let id: String
        let kind: String
        let state: String
        let done: Int
        let total: Int
    }

    let cluster: String
    let mapRevision: UInt64
    let nodes: [Node]
    let shards: [Shard]
    let operations: [Operation]
    let controller: String?

    enum CodingKeys: String, CodingKey {
        case cluster, nodes, shards, operations, controller
        case mapRevision = "map-revision"
    }

    /// Who has which shard under which epoch.
    var placement: [Int: String] {
        Dictionary(uniqueKeysWithValues: shards.map { ($0.shard, "\($0.primary ?? "nobody") at \($0.epoch)") })
    }

    /// Shards by the node that has them, every node of the cluster named.
    var shardsByNode: [String: [Int]] {
        var result = Dictionary(uniqueKeysWithValues: nodes.map { ($0.id, [Int]()) })
        for shard in shards { result[shard.primary ?? "nobody", default: []].append(shard.shard) }
        return result
    }

    var runningOperations: [Operation] { operations.filter { $0.state == "running" } }
    var moves: [Shard.Move] { shards.compactMap(\.move) }

    func node(_ id: String) throws -> Node {
        guard let node = nodes.first(where: { $0.id == id }) else {
            throw HarnessError("\(id) is not among \(nodes.map(\.id))")
        }
        return node
    }

    func shard(_ number: Int) throws -> Shard {
        guard let shard = shards.first(where: { $0.shard == number }) else {
            throw HarnessError("there is no shard \(number) in \(shards.map(\.shard))")
        }
        return shard
    }
}

/// `/v1/where/KIND/ID`.
struct ShardPlace: Decodable, Hashable, Sendable {
    let shard: Int
    let node: String
    let epoch: UInt64
}

/// A plan: what would move.
struct PlanPicture: Decodable, Sendable {
    struct Move: Decodable, Hashable, Sendable {
        let shard: Int
        let from: String
        let to: String
        let bytes: UInt64
    }

    let plan: String
    let mapRevision: UInt64
    let moves: [Move]
    let lowerBound: Int

    enum CodingKeys: String, CodingKey {
        case plan, moves
        case mapRevision = "map-revision"
        case lowerBound = "lower-bound"
    }
}

/// `/v1/operations/ID`.
struct OperationPicture: Decodable, Sendable {
    struct Move: Decodable, Sendable {
        let shard: Int
        let from: String
        let to: String
        let state: String
    }

    let id: String
    let kind: String
    let state: String
    let done: Int
    let total: Int
    let node: String?
    let plan: String?
    let moves: [Move]?

    var isOver: Bool { ["done", "failed", "cancelled"].contains(state) }
}
