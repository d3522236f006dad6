import ClusterCore
import HashRing
import Primitives
import Testing

@Suite struct RebalanceProposalTests {
    private let n1 = NodeID.named("n1")
    private let n2 = NodeID.named("n2")
    private let n3 = NodeID.named("n3")

    private func set(_ store: inout MemoryMetadata, _ shard: UInt32, on node: NodeID, _ move: ShardMove? = nil) {
        store.put(
            .shard(ShardID(shard)),
            ShardRecord(epoch: Epoch(5), primary: node, replicas: [node], inSync: [node], move: move))
    }

    @Test func sharesFollowTheWeights() throws {
        var store = MemoryMetadata.founded(["n1", "n2", "n3"])
        store.put(.node(n3), NodeRecord.named("n3", weight: 2000))
        store.put(.node(.named("n0")), NodeRecord.named("n0", .removed))
        let proposal = RebalanceProposal.rebalance(try store.map())
        #expect(proposal.shares.map(\.node) == [n1, n2, n3])
        #expect(proposal.shares.map(\.shards) == [16, 0, 0])
        #expect(proposal.shares.map(\.after) == [4, 4, 8])
        #expect(proposal.moves.count == 12 && proposal.lowerBound == 12)
        #expect(proposal.moves.allSatisfy { $0.from == n1 })
        #expect(proposal == RebalanceProposal.rebalance(try store.map()))
    }

    /// The name of a plan changes with its moves, and with the map.
    @Test func plansAreNamedByWhatTheyAre() throws {
        var store = MemoryMetadata.founded(["n1", "n2", "n3"])
        let first = RebalanceProposal.rebalance(try store.map()).plan
        store.put(.throttle, Throttle(bytesPerSecond: 1))
        #expect(RebalanceProposal.rebalance(try store.map()).plan == first)
        store.put(.node(n3), NodeRecord.named("n3", weight: 5000))
        let second = RebalanceProposal.rebalance(try store.map()).plan
        #expect(second != first && second.mapRevision == first.mapRevision)
        store.put(.mapRevision, MapRevision(9))
        #expect(RebalanceProposal.rebalance(try store.map()).plan == PlanID("p9-" + second.description.suffix(8)))
    }

    @Test func aNodeThatIsAwayKeepsWhatItHas() throws {
        var store = MemoryMetadata.founded(["n1", "n2", "n3"])
        for shard in UInt32(0)..<4 { set(&store, shard, on: n2) }
        store.setAlive(n2, false)
        let proposal = RebalanceProposal.rebalance(try store.map())
        #expect(proposal.moves.allSatisfy { $0.from == n1 && $0.to == n3 })
        #expect(proposal.shares.map(\.after) == [6, 4, 6])
    }

    /// Operations under way keep what they move; the plan is for what is left.
    @Test func operationsUnderWayAreLeftAlone() throws {
        var store = MemoryMetadata.founded(["n1", "n2"])
        store.put(
            .operation("op-1"),
            OperationRecord(
                id: "op-1", kind: .move, moves: [PlannedMove(shard: ShardID(0), from: n1, to: n2)], created: .zero))
        set(&store, 1, on: n1, ShardMove(stage: .copy, from: n1, to: n2, operation: "op-1"))
        set(&store, 2, on: n2, ShardMove(stage: .retire, from: n1, to: n2, operation: "op-1"))
        let proposal = RebalanceProposal.rebalance(try store.map())
        #expect(proposal.moves.count == 5)
        #expect(!proposal.moves.contains { $0.shard.rawValue <= 2 })
        #expect(proposal.shares.map(\.after) == [8, 8])
    }

    /// A drain moves the node's shards, and no other, even where the others are far from level.
    @Test func aDrainMovesOneNodesShards() throws {
        var store = MemoryMetadata.founded(["n1", "n2", "n3"])
        for shard in UInt32(0)..<5 { set(&store, shard, on: n2) }
        store.put(
            .operation("op-1"),
            OperationRecord(
                id: "op-1", kind: .move, moves: [PlannedMove(shard: ShardID(0), from: n2, to: n1)], created: .zero))
        set(&store, 1, on: n2, ShardMove(stage: .copy, from: n2, to: n3, operation: "op-1"))
        let proposal = RebalanceProposal.drain(n2, try store.map())
        #expect(proposal.moves.map(\.shard.rawValue) == [0, 2, 3, 4])
        #expect(proposal.moves.allSatisfy { $0.from == n2 })
        #expect(proposal.moves[0].to == n1, "where the other operation takes it")
        #expect(proposal.moves.dropFirst().allSatisfy { $0.to == n3 })
        #expect(proposal.shares.map(\.after) == [12, 0, 4])
    }

    @Test func aDrainThatNobodyCanTakeIsStranded() throws {
        var store = MemoryMetadata.founded(["n1", "n2"])
        store.put(.node(n2), NodeRecord.named("n2", .draining))
        let proposal = RebalanceProposal.drain(n1, try store.map())
        #expect(proposal.moves == [] && proposal.stranded.count == 16)
    }
}
