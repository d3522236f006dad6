import HashRing
import Primitives
import Testing

@Suite struct RebalancePlannerTests {
    private func node(
        _ number: Int, weight: UInt32 = 1000, zone: String = "", state: NodeState = .active
    ) -> NodeDescription {
        guard let id = NodeID("n\(number)") else { fatalError("n and digits name a node") }
        return NodeDescription(id: id, weight: NodeWeight(thousandths: weight), zone: zone, state: state)
    }

    private func plan(
        _ current: Assignment, _ nodes: [NodeDescription], replicas: Int = 1
    ) -> RebalancePlan {
        RebalancePlanner.plan(current: current, nodes: nodes, replicationFactor: replicas)
    }

    private func counts(_ plan: RebalancePlan, _ nodes: [NodeDescription]) -> [Int] {
        let counts = plan.result.replicaCounts()
        return nodes.map { counts[$0.id] ?? 0 }
    }

    @Test func firstPlacementFollowsTheWeights() {
        let nodes = [node(1), node(2, weight: 2000), node(3, weight: 500), node(4, weight: 0)]
        let first = plan(Assignment(shardCount: 64), nodes)
        #expect(counts(first, nodes) == [18, 37, 9, 0])
        #expect(first.moves.count == 64)
        #expect(first.lowerBoundMoves == 64)
        #expect(first.moves.allSatisfy { $0.from == nil })
        #expect(plan(first.result, nodes).isEmpty)
    }

    /// Which shards go where looks random: with equal weights neighbours on the ring do not go in turns.
    @Test func placementScatters() {
        let nodes = (1...8).map { node($0) }
        let result = plan(Assignment(shardCount: 1024), nodes, replicas: 3).result
        for id in nodes.map(\.id) {
            let mates = result.placements.filter { $0.replicas.contains(id) }.flatMap(\.replicas).filter { $0 != id }
            for other in nodes.map(\.id) where other != id {
                // Each of the 384 shards of a node has two of seven mates: 110 in the mean.
                #expect((70...150).contains(mates.count { $0 == other }))
            }
        }
    }

    @Test func joinTakesItsShareAndNothingElseMoves() {
        let nodes = (1...6).map { node($0) }
        let before = plan(Assignment(shardCount: 64), nodes).result
        let joined = plan(before, nodes + [node(7)])
        #expect(joined.moves.count == 9)
        #expect(joined.moves.allSatisfy { $0.to == node(7).id })
        #expect(joined.lowerBoundMoves == 9)
    }

    @Test(arguments: [NodeState.draining, .drained, .removed, .joining])
    func leaverGivesEverythingAndNothingElseMoves(state: NodeState) {
        var nodes = (1...7).map { node($0) }
        let before = plan(Assignment(shardCount: 64), nodes).result
        let held = before.replicaCounts()[node(3).id] ?? 0
        nodes[2].state = state
        let left = plan(before, nodes)
        #expect(left.moves.count == held)
        #expect(left.moves.allSatisfy { $0.from == node(3).id })
        #expect(counts(left, nodes)[2] == 0)
        nodes.remove(at: 2)
        #expect(plan(before, nodes).result == left.result, "gone from the list is the same")
    }

    @Test(arguments: [NodeState.cordoned, .maintenance, .down])
    func othersKeepWhatTheyHaveAndGetNothing(state: NodeState) {
        var nodes = (1...4).map { node($0) }
        let before = plan(Assignment(shardCount: 64), nodes).result
        nodes[0].state = state
        #expect(plan(before, nodes).isEmpty)
        nodes[1].state = .draining
        let after = plan(before, nodes)
        #expect(counts(after, nodes) == [16, 0, 24, 24])
        #expect(after.moves.allSatisfy { $0.from == nodes[1].id })
    }

    @Test func primariesAreLevelAndSwapForFree() {
        var nodes = (1...9).map { node($0, zone: ["a", "b", "c"][$0 % 3]) }
        var current = plan(Assignment(shardCount: 256), nodes, replicas: 3).result
        nodes.remove(at: 4)
        let after = plan(current, nodes, replicas: 3)
        let primaries = after.result.primaryCounts()
        #expect(nodes.allSatisfy { (31...33).contains(primaries[$0.id] ?? 0) })
        // Only where the plan is carried out as a whole is a swap alone a change of roles.
        current = after.result
        #expect(plan(current, nodes, replicas: 3).isEmpty)
    }

    @Test func zonesAreKeptApartWhereThereAreEnough() {
        let nodes = (1...7).map { node($0, zone: ["a", "b", "c"][$0 % 3]) }
        let first = plan(Assignment(shardCount: 256), nodes, replicas: 3)
        #expect(first.shardsSharingZones.isEmpty)
        #expect(first.shardsShortOfReplicas.isEmpty)
        #expect(counts(first, nodes).sorted() == [85, 85, 86, 128, 128, 128, 128])

        let two = nodes.filter { $0.zone != "c" }
        let squeezed = plan(first.result, two, replicas: 3)
        #expect(squeezed.shardsSharingZones.count == 256, "two zones for three replicas: said, not refused")
        #expect(squeezed.shardsShortOfReplicas.isEmpty)
        let lone = plan(first.result, [nodes[0], nodes[1]], replicas: 3)
        #expect(lone.shardsShortOfReplicas.count == 256)
        #expect(lone.result.placements.allSatisfy { $0.replicas.count == 2 })
    }

    @Test func replicationFactorCanChange() {
        let nodes = (1...5).map { node($0) }
        let one = plan(Assignment(shardCount: 64), nodes, replicas: 1)
        let three = plan(one.result, nodes, replicas: 3)
        #expect(three.copies == 128)
        #expect(three.moves.allSatisfy { $0.from == nil })
        #expect(three.primaryChanges.isEmpty)
        let back = plan(three.result, nodes, replicas: 1)
        #expect(back.copies == back.lowerBoundMoves)
        #expect(back.result.placements.allSatisfy { $0.replicas == [$0.primary] })
    }

    @Test func nobodyToTakeAnything() {
        let empty = plan(Assignment(shardCount: 16), [])
        #expect(empty.isEmpty)
        #expect(empty.shardsShortOfReplicas.count == 16)
        let before = plan(Assignment(shardCount: 16), [node(1)]).result
        #expect(plan(before, []).result.placements.allSatisfy { $0.replicas.isEmpty && $0.primary == nil })
    }

    @Test func orderOfTheNodesDoesNotMatter() {
        let nodes = (1...9).map { node($0, weight: UInt32($0) * 300, zone: ["a", "b", "c", "d"][$0 % 4]) }
        let first = plan(Assignment(shardCount: 128), nodes, replicas: 3)
        #expect(plan(Assignment(shardCount: 128), nodes.reversed(), replicas: 3) == first)
    }
}
