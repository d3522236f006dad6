import ScriptedServer
import Testing

@testable import KeysteadClient

/// The requests that administration makes, and what becomes of their answers.
@Suite struct AdminTests {
    private static let operation =
        #"{"id":"op-3","kind":"drain","state":"running","done":1,"total":2,"node":"n 1","detail":"","#
        + #""bytes-per-second":1000,"created":"2026-01-01T00:00:00Z","moves":[{"shard":4,"from":"n 1","to":"n2","#
        + #""state":"copy","bytes-done":5,"bytes-total":9,"bytes-per-second":3,"lag":2,"waits-for":"the copy"}],"#
        + #""bytes-done":50,"bytes-total":90,"eta-seconds":12,"waits-for":["x"]}"#
    private static let plan =
        #"{"plan":"p7-0a","map-revision":7,"moves":[{"shard":1,"from":"a","to":"b","bytes":10}],"lower-bound":1,"#
        + #""bytes":10,"quotas":[{"node":"a","shards":2,"after":1}]}"#

    @Test func everyVerbHasItsRequest() async throws {
        try await withServer([.answer(202, [:], Self.operation)]) { client, server in
            _ = try await client.commitPlan("p7-0a")
            _ = try await client.rebalance(.pause)
            _ = try await client.drain(node: "n 1")
            _ = try await client.remove(node: "n1")
            _ = try await client.setWeight("1.5", ofNode: "n1")
            _ = try await client.move(shard: 3, to: "n1")
            _ = try await client.operation("op-3")
            _ = try await client.operation("op-3", .cancel)
            #expect(
                server.requests.map { "\($0.method) \($0.uri)" } == [
                    "POST /v1/admin/rebalance/commit?plan=p7-0a", "POST /v1/admin/rebalance/pause",
                    "POST /v1/admin/nodes/n%201/drain", "POST /v1/admin/nodes/n1/remove",
                    "POST /v1/admin/nodes/n1/weight?weight=1.5", "POST /v1/admin/shards/3/move?to=n1",
                    "GET /v1/operations/op-3", "POST /v1/admin/operations/op-3/cancel",
                ])
        }
        try await withServer([.answer(200, [:], Self.plan)]) { client, server in
            _ = try await client.rebalancePlan()
            _ = try await client.rebalancePlan("p7-0a")
            _ = try await client.drainPlan(node: "n1")
            #expect(
                server.requests.map { "\($0.method) \($0.uri)" } == [
                    "GET /v1/admin/rebalance/plan", "GET /v1/admin/rebalance/plans/p7-0a",
                    "POST /v1/admin/nodes/n1/drain?dry-run=true",
                ])
        }
        try await withServer([.answer(200, [:], #"{"node":"n1","changed":true}"#)]) { client, server in
            let changes = [try await client.cordon(node: "n1"), try await client.uncordon(node: "n1")]
            #expect(changes.map(\.changed) == [true, true])
            #expect(
                server.requests.map { "\($0.method) \($0.uri)" } == [
                    "POST /v1/admin/nodes/n1/cordon", "POST /v1/admin/nodes/n1/uncordon",
                ])
        }
        try await withServer([.answer(200, [:], #"{"bytes-per-second":10}"#)]) { client, server in
            let rates = [try await client.throttle(), try await client.setThrottle(bytesPerSecond: 10)]
            #expect(rates == [10, 10])
            #expect(
                server.requests.map { "\($0.method) \($0.uri)" } == [
                    "GET /v1/admin/throttle", "POST /v1/admin/throttle?bytes-per-second=10",
                ])
        }
    }

    @Test func operationsAreReadWhole() async throws {
        try await withServer([.answer(200, [:], Self.operation)]) { client, _ in
            let operation = try await client.operation("op-3")
            #expect(operation.id == "op-3" && operation.kind == "drain" && operation.state == "running")
            #expect(operation.done == 1 && operation.total == 2 && operation.node == "n 1" && operation.plan == nil)
            #expect(operation.bytesDone == 50 && operation.bytesTotal == 90 && operation.secondsLeft == 12)
            #expect(operation.bytesPerSecondMax == 1000 && operation.waitsFor == ["x"] && !operation.isOver)
            #expect(
                operation.moves == [
                    OperationDetail.Move(
                        shard: 4, from: "n 1", to: "n2", state: "copy", bytesDone: 5, bytesTotal: 9, bytesPerSecond: 3,
                        lag: 2, waitsFor: "the copy")
                ])
        }
    }

    @Test func plansAreReadWhole() async throws {
        try await withServer([.answer(200, [:], Self.plan)]) { client, _ in
            let plan = try await client.rebalancePlan()
            #expect(plan.plan == "p7-0a" && plan.mapRevision == 7 && plan.lowerBound == 1 && plan.byteCount == 10)
            #expect(plan.moves == [PlanDetail.Move(shard: 1, from: "a", to: "b", byteCount: 10)])
            #expect(plan.quotas == [PlanDetail.Quota(node: "a", shards: 2, after: 1)])
        }
    }

    /// A verb sent twice joins what the first began.
    @Test func aLostAnswerIsAskedForAgain() async throws {
        try await withServer([.close, .answer(200, [:], Self.operation)]) { client, server in
            let drain = try await client.drain(node: "n1")
            #expect(drain.operation?.id == "op-3")
            #expect(server.requests.count == 2)
        }
    }

    /// The refusal may be the first attempt's own doing: it does not prove that nothing happened.
    @Test func aRefusalAfterALostAnswerStaysUnknown() async throws {
        try await withServer([.close, .answer(404, [:], problem("not-found"))]) { client, _ in
            let error = await failure { () throws(KeysteadError) in _ = try await client.rebalance(.cancel) }
            #expect(error?.code == .notFound)
            #expect(error?.applied == .unknown)
        }
    }

    @Test(arguments: [
        (KeysteadError.Code.refused, 409), (.stalePlan, 409), (.concurrentChange, 409), (.notFound, 404),
    ])
    func refusalsAreFinal(code: KeysteadError.Code, status: Int) async throws {
        try await withServer([.answer(status, [:], problem("\(code)"))]) { client, server in
            let error = await failure { () throws(KeysteadError) in _ = try await client.commitPlan("p") }
            #expect(error?.code == code)
            #expect(error?.applied == .no)
            #expect(server.requests.count == 1)
        }
    }

    @Test(arguments: [
        ScriptedServer.Reaction.answer(503, [:], problem("metadata-unavailable", retry: "safe")), .close,
    ])
    func theNextNodeIsAsked(reaction: ScriptedServer.Reaction) async throws {
        let operation = Self.operation
        try await ScriptedServer.run({ _ in reaction }) { first in
            try await ScriptedServer.run({ _ in .answer(202, [:], operation) }) { second in
                try await Keystead.withClient(adminEndpoints: [first.url, second.url], configuration: hasty) { client in
                    let drain = try await client.drain(node: "n1")
                    #expect(drain.operation?.id == "op-3")
                    #expect(first.requests.count == 1)
                }
            }
        }
    }

    @Test func whatIsSoAlreadyIsNoOperation() async throws {
        let document = #"{"changed":false,"note":"shard 3 is on n1"}"#
        try await withServer([.answer(200, [:], document)]) { client, _ in
            guard case .nothingToDo(let unchanged) = try await client.move(shard: 3, to: "n1") else {
                Issue.record("an operation where none was begun")
                return
            }
            #expect(unchanged.note == "shard 3 is on n1")
        }
    }

    @Test func picturesTellOfTheRingAndOfMoves() async throws {
        let document =
            #"{"cluster":"c","map-revision":1,"ring":{"hash":"xxh64","seed":"00000000000000ff","shards":16},"#
            + #""nodes":[],"shards":[{"shard":0,"primary":"a","state":"serving","#
            + #""move":{"stage":"copy","from":"a","to":"b","operation":"op-1"}},"#
            + #"{"shard":1,"primary":"a","state":"serving","move":null}]}"#
        try await withServer([.answer(200, [:], document)]) { client, _ in
            let picture = try await client.cluster()
            #expect(picture.ring == ClusterPicture.Ring(hash: "xxh64", seed: 255, shards: 16))
            #expect(
                picture.shards[0].move == ClusterPicture.Move(stage: "copy", from: "a", to: "b", operation: "op-1"))
            #expect(picture.shards[1].move == nil)
        }
    }
}
