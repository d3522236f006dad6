import KeysteadClient

/// What has to be true of the cluster before a verb may end with 0. Pure.
enum Postcondition {
    case isEmpty(node: String)
    case isGone(node: String)
    /// What the node's verb asks for; the objection is to the node, or to there being none.
    case node(String, objection: @Sendable (ClusterPicture.Node?) -> String?)
    case owns(node: String, shard: UInt64)
    /// Each shard is where the move took it.
    case moved([OperationDetail.Move])
    /// Each shard is where the operation took it in the end. It may have planned moves anew, or dropped them, since a
    /// node died; where somebody's command was the reason, that is not what was asked for.
    case rebalanced(asked: [OperationDetail.Move], done: [OperationDetail.Move])

    /// What is not so; `nil` where it holds.
    func objection(in picture: ClusterPicture) -> String? {
        switch self {
        case .isEmpty(let id):
            let shards = picture.shards.filter { $0.primary == id || $0.move?.to == id }.map(\.shard)
            return shards.isEmpty ? nil : "node \(id) holds \(shardsText(shards))"
        case .isGone(let id):
            guard let node = node(id, picture), node.state != "removed" else { return nil }
            return "node \(id) is \(node.state)"
        case .node(let id, let objection): return objection(node(id, picture))
        case .owns(let id, let shard): return owner(of: shard, picture, id)
        case .moved(let moves): return objection(to: moves, picture)
        case .rebalanced(let asked, let done):
            let given = Set(done.map(\.shard))
            let diverted = asked.filter { owner(of: $0.shard, picture, $0.to ?? "") != nil }
            // A shard that the operation lets alone is where it was, unless another operation took it.
            let taken = diverted.filter { move in
                !given.contains(move.shard) && owner(of: move.shard, picture, move.from ?? "") != nil
            }
            return objection(to: done + taken, picture) ?? closedTarget(of: diverted, picture)
        }
    }

    private func objection(to moves: [OperationDetail.Move], _ picture: ClusterPicture) -> String? {
        let wrong = moves.compactMap { move in move.to.flatMap { owner(of: move.shard, picture, $0) } }
        return wrong.isEmpty ? nil : wrong.joined(separator: "; ")
    }

    /// A target that somebody has told to take no shards; one that is down was told nothing.
    private func closedTarget(of moves: [OperationDetail.Move], _ picture: ClusterPicture) -> String? {
        for id in Set(moves.compactMap(\.to)).sorted() {
            let state = node(id, picture)?.state ?? "removed"
            guard state != "active", state != "down" else { continue }
            let shards = moves.filter { $0.to == id }.map(\.shard)
            return "node \(id) is \(state) and did not get \(shardsText(shards))"
        }
        return nil
    }

    /// What has moved as it should and does not serve; `nil` where there is nothing.
    func trouble(in picture: ClusterPicture) -> String? {
        let moved: [UInt64] =
            switch self {
            case .owns(_, let shard): [shard]
            case .moved(let moves), .rebalanced(_, let moves): moves.map(\.shard)
            case .isEmpty, .isGone, .node: []
            }
        guard let shard = picture.shards.first(where: { moved.contains($0.shard) && !Verdict.isWell($0) }) else {
            return nil
        }
        let more = Advice.cluster("explain", "shard", String(shard.shard))
        return "shard \(shard.shard) is \(shard.state); \(more) says more"
    }

    private func node(_ id: String, _ picture: ClusterPicture) -> ClusterPicture.Node? {
        picture.nodes.first { $0.id == id }
    }

    private func owner(of shard: UInt64, _ picture: ClusterPicture, _ id: String) -> String? {
        let owner = picture.shards.first { $0.shard == shard }?.primary
        return owner == id ? nil : "shard \(shard) is owned by \(owner.map { "node \($0)" } ?? "nobody")"
    }

    private func shardsText(_ shards: [UInt64]) -> String {
        "\(shards.count == 1 ? "shard" : "shards") \(Verdict.runs(shards))"
    }

    // MARK: Reading it back

    /// A node may be a moment behind the one that did it.
    private static let patience = Duration.seconds(5)
    /// A new owner opens its copy first.
    private static let servingPatience = Duration.seconds(30)
    private static let interval = Duration.milliseconds(250)

    /// Reads the cluster until it holds, and what has moved serves. What was done and does not hold is a concurrent
    /// change; what does not serve is a failure.
    ///
    /// - Parameter done: what has been done, as a sentence.
    func readBack(_ client: Keystead, done: String) async throws {
        let clock = ContinuousClock()
        var firstAnswer: ContinuousClock.Instant?
        while true {
            let picture = try await client.cluster()
            // A cluster that answers slowly is asked twice all the same.
            let start = firstAnswer ?? clock.now
            firstAnswer = start
            let waited = clock.now - start
            if let objection = objection(in: picture) {
                guard waited < Self.patience else {
                    throw CommandFailure(.conflict, "\(done), but \(objection): something else has changed it since")
                }
            } else if let trouble = trouble(in: picture) {
                guard waited < Self.servingPatience else { throw CommandFailure(.failed, "\(done), but \(trouble)") }
            } else {
                return
            }
            try await Task.sleep(for: Self.interval)
        }
    }
}
