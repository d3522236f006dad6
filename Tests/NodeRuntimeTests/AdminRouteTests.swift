import ClusterCore
import Entities
import HTTPFront
import HashRing
import Primitives
import Testing

@testable import NodeRuntime

@Suite struct AdminRouteTests {
    private func route(
        _ path: String, method: String = "POST", query: [(name: String, value: String)] = []
    ) throws -> AdminRoute? {
        let request = AdminRequest(method: method, path: "/v1/admin/" + path, query: query, body: [])
        return try AdminRoute(path.split(separator: "/").map(String.init), request)
    }

    private func command(
        _ path: String, query: [(name: String, value: String)] = []
    ) throws -> AdminCommand? {
        guard case .command(let command) = try route(path, query: query) else { return nil }
        return command
    }

    @Test func commandsAreReadFromTheirPaths() throws {
        let node = try #require(NodeID("n1"))
        #expect(try command("nodes/n1/cordon") == .cordon(node))
        #expect(try command("nodes/n1/drain") == .drain(node))
        #expect(try command("nodes/n1/drain", query: [("dry-run", "false")]) == .drain(node))
        #expect(
            try command("nodes/n1/weight", query: [("weight", "2.5")])
                == .weight(node, thousandths: 2500))
        #expect(try command("shards/7/move", query: [("to", "n1")]) == .move(ShardID(7), to: node))
        #expect(try command("operations/op-3/cancel") == .cancel(OperationID(number: 3)))
        #expect(try command("throttle", query: [("bytes-per-second", "1000")]) == .throttle(bytesPerSecond: 1000))
        let plan = try #require(PlanID("p4-0000beef"))
        #expect(try command("rebalance/commit", query: [("plan", "p4-0000beef")]) == .commit(plan: plan))
    }

    @Test func aDryRunIsNoCommand() throws {
        guard case .dryDrain = try route("nodes/n1/drain", query: [("dry-run", "true")]) else {
            Issue.record("a dry drain is one")
            return
        }
    }

    @Test func aWeightMayBeNothing() throws {
        guard case .command(.weight(_, let thousandths)) = try route("nodes/n1/weight", query: [("weight", "0")]) else {
            Issue.record("that is a weight")
            return
        }
        #expect(thousandths == 0)
    }

    @Test func whatIsNoRouteIsNone() throws {
        #expect(try route("nodes/n1/explode") == nil)
        #expect(try route("rebalance") == nil)
        #expect(try route("") == nil)
    }

    @Test(arguments: [
        ("nodes/n1/weight", "weight", "0.0001"), ("nodes/n1/weight", "weight", "nan"),
        ("throttle", "bytes-per-second", "-1"), ("rebalance/commit", "plan", "latest"),
    ])
    func badValuesAreRefusedByName(path: String, name: String, value: String) {
        #expect(throws: Problem.self) { try route(path, query: [(name, value)]) }
    }
}
