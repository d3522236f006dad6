import Logging
import Primitives
import Testing

@testable import NodeRuntime

@Suite struct DescriptorPlanTests {
    private func demand(
        held: Int, ring: Int? = nil, nodes: Int = 1, connections: Int = 10_000, loops: Int = 2
    ) -> DescriptorPlan.Demand {
        DescriptorPlan.Demand(
            nodes: nodes, held: held, ring: ring ?? held, connections: connections, eventLoops: loops,
            hasMetadataService: false)
    }

    /// Everything that a plan gives away, under its worst case, fits the limit.
    private func spent(_ plan: DescriptorPlan, _ demand: DescriptorPlan.Demand) -> Int {
        var bare = demand
        bare.held = 0
        bare.connections = 0
        return DescriptorPlan.needed(for: bare) + plan.storesMax * (3 + plan.tablesPerStore)
            + plan.connections * demand.nodes
    }

    @Test func whatIsGivenAwayNeverExceedsTheLimit() throws {
        for held in [0, 1, 16, 64, 100, 4096] {
            for nodes in [1, 3, 16] {
                for connections in [4, 10_000] {
                    let demand = demand(held: held, ring: max(held, 64), nodes: nodes, connections: connections)
                    let least = DescriptorPlan.needed(for: demand)
                    for limit in [least, least + 1, least + 100, 2 * least, 20_000 + least, 1 << 20] {
                        let plan = try #require(DescriptorPlan(limit: limit, demand: demand))
                        #expect(spent(plan, demand) <= limit)
                        #expect(plan.storesMax >= held && plan.storesMax <= max(held, 64))
                        #expect(plan.tablesPerStore >= Limits.tablesOpenMin)
                        #expect(plan.connections >= min(connections, Limits.connectionsMin))
                        #expect(plan.connections <= connections)
                    }
                    #expect(DescriptorPlan(limit: least - 1, demand: demand) == nil)
                }
            }
        }
    }

    @Test func plentyGivesEachItsMost() throws {
        let plan = try #require(DescriptorPlan(limit: 1 << 20, demand: demand(held: 64)))
        #expect(plan.tablesPerStore == Limits.tablesOpenMax)
        #expect(plan.connections == 10_000)
        #expect(plan.storesMax == 64)
    }

    /// The usual soft limit of a shell, and a small one.
    @Test func usualLimitsAreEnoughForUsualNodes() throws {
        let usual = try #require(DescriptorPlan(limit: 1024, demand: demand(held: 64)))
        #expect(usual.connections >= 100)
        let small = try #require(DescriptorPlan(limit: 256, demand: demand(held: 16)))
        #expect(small.connections >= Limits.connectionsMin)
    }

    /// A node with few of many shards starts, and takes as many more as there is room for.
    @Test func shardsThatMayComeTakeAtMostHalf() throws {
        let demand = demand(held: 40, ring: 4096)
        let plan = try #require(DescriptorPlan(limit: 4096, demand: demand))
        #expect(plan.storesMax > 40 && plan.storesMax < 4096)
        #expect(plan.connections > 900)
        #expect(DescriptorPlan(limit: 4096, demand: self.demand(held: 4096)) == nil)
    }

    @Test func aRefusalSaysTheLimitTheNeedAndTheCure() {
        let demand = demand(held: 4096)
        let text = DescriptorPlan.refusal(limit: 1024, demand: demand)
        #expect(text.contains("1024 file descriptors"))
        #expect(text.contains("4096 shards"))
        #expect(text.contains("ulimit -n \(DescriptorPlan.needed(for: demand))"))
        #expect(text.contains("LimitNOFILE="))
        #expect(!text.contains("\n"))
    }
}

@Suite struct ConnectionBudgetTests {
    /// Clients take what is shared and no more; the admin listener and the other nodes have their own then.
    @Test func clientsCannotTakeWhatIsKept() throws {
        let budget = ConnectionBudget(sharedMax: 1, logger: Logger(label: "test"))
        budget.settle(sharedMax: 5, reservedForPeers: 2)
        var places: [(ConnectionBudget.Listener, ConnectionBudget.Place)] = []
        func enter(_ listener: ConnectionBudget.Listener) -> Bool {
            guard let place = budget.enter(listener) else { return false }
            places.append((listener, place))
            return true
        }
        for _ in 0..<5 { #expect(enter(.client)) }
        #expect(!enter(.client))
        for _ in 0..<Limits.adminConnectionsReserved { #expect(enter(.admin)) }
        #expect(!enter(.admin))
        for _ in 0..<2 { #expect(enter(.peer)) }
        #expect(!enter(.peer))
        #expect(budget.openCount == places.count)
        for (listener, place) in places { budget.leave(listener, place) }
        #expect(budget.openCount == 0)
        #expect(enter(.client))
    }
}
