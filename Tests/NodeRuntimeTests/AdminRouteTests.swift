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
        ("nodes/n1/weight", "weight", "0x10"), ("nodes/n1/weight", "weight", "+1"), ("nodes/n1/weight", "weight", "01"),
        ("nodes/n1/weight", "weight", "1e2"), ("nodes/n1/weight", "weight", ".5"), ("nodes/n1/weight", "weight", "1."),
        ("nodes/n1/weight", "weight", "-0"), ("nodes/n1/weight", "weight", " 1"), ("nodes/n1/weight", "weight", ""),
        ("nodes/n1/weight", "weight", "1001"), ("nodes/n1/weight", "weight", "inf"), ("nodes/n1/weight", "wait", "1"),
        ("throttle", "bytes-per-second", "-1"), ("throttle", "bytes-per-second", "+1"),
        ("throttle", "bytes-per-second", "0x10"), ("throttle", "bytes-per-second", "007"),
        ("throttle", "bytes-per-second", "1_000"), ("throttle", "bytes-per-second", "18446744073709551616"),
        ("throttle", "bytes-per-second", "1.0"), ("throttle", "bytes-per-second", "१"),
        ("rebalance/commit", "plan", "latest"), ("rebalance/commit", "plan", "p+4-0000beef"),
        ("rebalance/commit", "plan", "p04-0000beef"), ("nodes/n1/drain", "dry-run", ""),
        ("nodes/n1/drain", "dry-run", "yes"), ("nodes/n1/drain", "dryrun", "true"), ("nodes/n1/cordon", "now", "1"),
        ("shards/7/move", "to", ""), ("shards/7/move", "from", "n1"), ("rebalance/pause", "x", ""),
        ("operations/op-3/cancel", "force", "true"),
    ])
    func badValuesAreRefusedByName(path: String, name: String, value: String) {
        #expect(throws: Problem.self) { try route(path, query: [(name, value)]) }
    }

    @Test(arguments: [
        "shards/+7/move", "shards/07/move", "shards/0x7/move", "shards/7.0/move", "shards/4294967296/move",
        "operations/op-03/cancel", "operations/op-+3/cancel", "nodes/n%31/cordon", "rebalance/plans/p4-beef",
    ])
    func numbersInPathsHaveOneForm(path: String) {
        #expect(throws: Problem.self) { try route(path, query: path.hasPrefix("shards") ? [("to", "n1")] : []) }
    }

    @Test func whatStandsTwiceIsRefused() {
        let twice = [(name: "weight", value: "1"), (name: "weight", value: "2")]
        #expect(throws: Problem.self) { try route("nodes/n1/weight", query: twice) }
    }

    @Test(arguments: [("0", 0), ("7", 7), ("1000", 1000), ("2.5", 2.5), ("0.001", 0.001), ("1000.000", 1000)])
    func numbersAreRead(text: String, number: Double) {
        #expect(StrictNumber.decimal(text) == number)
        if !text.contains(".") { #expect(StrictNumber.whole(text) == UInt64(number)) }
    }

    // MARK: Paths

    private func answer(_ path: String, method: String = "GET", query: [(name: String, value: String)] = []) async
        -> AdminResponse
    {
        // Nothing is open yet: a path that there is answers 200, or 503 where it needs the data.
        let routes = AdminRoutes(status: NodeStatus(), view: { nil }, metrics: { _ in "" })
        return await routes.answer(AdminRequest(method: method, path: path, query: query, body: []))
    }

    @Test func pathsAreTakenAsTheyStand() async {
        for path in ["/livez", "/readyz", "/metrics", "/v1/cluster", "/v1/where/k/a//b/", "/v1/where//"] {
            #expect([200, 503].contains(await answer(path).status), "\(path)")
        }
        for path in [
            "//livez", "/livez/", "livez", "", "/", "//v1/cluster", "/v1//cluster", "/v1/cluster/",
            "/v1/admin//throttle", "/v1/admin/nodes/n1/cordon/", "/v1//where/k/a", "//v1/where/k/a",
            "/v1/./cluster/", "/%6Civez", "/livez/x", "/LIVEZ",
        ] {
            #expect(await answer(path).status == 404, "\(path)")
        }
    }

    @Test func readsHaveNoQuery() async {
        for path in ["/livez", "/readyz", "/metrics"] {
            #expect(await answer(path, query: [("x", "1")]).status == 400, "\(path)")
            #expect(await answer(path, method: "POST").status == 405, "\(path)")
        }
    }
}
