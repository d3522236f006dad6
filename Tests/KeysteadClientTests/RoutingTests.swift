import ScriptedServer
import Synchronization
import Testing

@testable import KeysteadClient

/// A picture of a cluster of 16 shards, the even ones `a`'s, the odd ones `b`'s.
private func picture(
    a: String, b: String, revision: UInt64 = 7, hash: String = "xxh64", states: (String, String) = ("active", "active"),
    owner: (Int) -> String = { $0 % 2 == 0 ? "a" : "b" }
) -> String {
    let shards = (0..<16).map {
        #"{"shard":\#($0),"primary":"\#(owner($0))","epoch":1,"position":1,"state":"serving"}"#
    }
    return #"{"cluster":"c","map-revision":\#(revision),"ring":{"hash":"\#(hash)","seed":"0","shards":16},"#
        + #""nodes":[{"id":"a","state":"\#(states.0)","listen":"\#(a)"},"#
        + #"{"id":"b","state":"\#(states.1)","listen":"\#(b)"}],"#
        + #""shards":[\#(shards.joined(separator: ","))],"operations":[]}"#
}

private func read(_ text: String) throws -> ClusterPicture {
    try #require(JSONText(Array(text.utf8)).flatMap { ClusterPicture($0) })
}

@Suite struct RouteTableTests {
    /// The vectors of the contract, at 64 shards and at 16.
    @Test(arguments: [("user/42", 14), ("order/2024-000017", 0), ("a/b/c", 14), ("k/é", 11)])
    func keysHaveTheirShards(text: String, shard: Int) throws {
        let table = try #require(RouteTable(try read(picture(a: "h:1", b: "h:2")), endpoints: ["http://h:1"]))
        let key = try #require(EntityKey(text))
        #expect(table.shard(of: key) == shard)
        #expect(table.owner(of: key) == (shard % 2 == 0 ? "http://h:1" : "http://h:2"))
    }

    @Test(arguments: [
        (["http://h:1"], true), (["http://x:9", "http://h:2/"], true), (["https://h:2"], true), (["http://h:3"], false),
    ])
    func aMapIsKnownByAnEndpoint(endpoints: [String], isKnown: Bool) throws {
        #expect((RouteTable(try read(picture(a: "h:1", b: "h:2")), endpoints: endpoints) != nil) == isKnown)
    }

    @Test func localhostIsAnAddress() throws {
        let text = picture(a: "127.0.0.1:1", b: "h:2")
        #expect(RouteTable(try read(text), endpoints: ["http://localhost:1"]) != nil)
    }

    @Test func otherHashesAreNotGuessed() throws {
        #expect(RouteTable(try read(picture(a: "h:1", b: "h:2", hash: "other")), endpoints: ["http://h:1"]) == nil)
    }

    @Test(arguments: ["", ":7070", "0.0.0.0:7070", "[::]:7070"])
    func addressesThatLeadNowhereAreNoOwners(listen: String) throws {
        let table = try #require(RouteTable(try read(picture(a: "h:1", b: listen)), endpoints: ["http://h:1"]))
        #expect(table.owner(of: EntityKey(kind: "k", id: "é")) == nil)
        #expect(table.owner(of: EntityKey(kind: "user", id: "42")) == "http://h:1")
    }

    @Test func nodesThatAreDownAreNoOwners() throws {
        let text = picture(a: "h:1", b: "h:2", states: ("active", "down"))
        let table = try #require(RouteTable(try read(text), endpoints: ["http://h:1"]))
        #expect(table.owner(of: EntityKey(kind: "k", id: "é")) == nil)
    }
}

@Suite struct RouteMachineTests {
    private let start = ContinuousClock().now
    private let key = EntityKey(kind: "k", id: "é")

    private func table(_ revision: UInt64, owner: String = "b") throws -> RouteTable {
        try #require(
            RouteTable(
                try read(picture(a: "h:1", b: "h:2", revision: revision) { _ in owner }), endpoints: ["http://h:1"]))
    }

    /// Whether it asks at each of these times, in milliseconds.
    private func asks(_ machine: inout RouteMachine, at times: [Int]) -> [Bool] {
        times.map { machine.shouldAsk(now: start + .milliseconds($0)) }
    }

    @Test func asksOnceThenWhenTheMapIsOld() throws {
        var machine = RouteMachine()
        #expect(asks(&machine, at: [0, 60_000]) == [true, false])
        machine.answered(try table(1))
        #expect(asks(&machine, at: [9_999, 10_000]) == [false, true])
    }

    @Test func doubtsAreAskedAboutAtMostEverySecond() throws {
        var machine = RouteMachine()
        #expect(asks(&machine, at: [0]) == [true])
        machine.answered(try table(1))
        machine.doubt("http://h:2", avoid: false, now: start)
        #expect(asks(&machine, at: [999, 1000]) == [false, true])
        machine.answered(nil)
        #expect(asks(&machine, at: [1999, 2000]) == [false, true])
        machine.answered(try table(1))
        #expect(asks(&machine, at: [4000]) == [false])
    }

    @Test func aNodeThatIsBehindTakesNothingBack() throws {
        var machine = RouteMachine()
        machine.answered(try table(5, owner: "b"))
        machine.answered(try table(4, owner: "a"))
        #expect(machine.owner(of: key, now: start) == "http://h:2")
        machine.answered(try table(6, owner: "a"))
        #expect(machine.owner(of: key, now: start) == "http://h:1")
    }

    @Test func anOwnerThatFailedIsLeftAloneForLongerAndLonger() throws {
        var machine = RouteMachine()
        machine.answered(try table(1))
        #expect(machine.owner(of: key, now: start) == "http://h:2")
        for seconds in [1, 2, 4, 8, 16, 30, 30] {
            machine.doubt("http://h:2", avoid: true, now: start)
            #expect(machine.owner(of: key, now: start + .seconds(seconds) - .nanoseconds(1)) == nil)
            #expect(machine.owner(of: key, now: start + .seconds(seconds)) == "http://h:2")
        }
        machine.worked("http://h:2")
        machine.doubt("http://h:2", avoid: true, now: start)
        #expect(machine.owner(of: key, now: start + .seconds(1)) == "http://h:2")
    }
}

/// Two nodes that answer for themselves, and a map that a test can change.
@Suite struct RoutingTests {
    private let key = EntityKey(kind: "k", id: "é")

    private var routing: ClientConfiguration {
        var configuration = hasty
        configuration.routesByMap = true
        return configuration
    }

    /// Runs `body` once the client has learnt the map. Node `a` also is the admin endpoint.
    ///
    /// - Parameter isGone: the map tells of another `b`, where nobody listens.
    private func withNodes(
        b reaction: @escaping @Sendable (ScriptedServer.Request) -> ScriptedServer.Reaction, isGone: Bool = false,
        _ body: (Keystead, ScriptedServer, ScriptedServer) async throws -> Void
    ) async throws {
        let map = Mutex("")
        let dead = ScriptedServer.deadURL
        let script: ScriptedServer.Script = { request in
            if request.uri == "/v1/cluster" { return .answer(200, [:], map.withLock { $0 }) }
            return request.method == "GET" ? .answer(200, ["ETag": "\"7\""], "a") : .answer(204, ["ETag": "\"8\""])
        }
        try await ScriptedServer.run(reaction) { b in
            try await ScriptedServer.run(script) { a in
                map.withLock {
                    $0 = picture(
                        a: String(a.url.dropFirst(7)), b: String((isGone ? dead : b.url).dropFirst(7))
                    ) { _ in "b" }
                }
                let client = Keystead(endpoints: [a.url], adminEndpoints: [a.url], configuration: routing)
                _ = client.routes?.owner(of: key)
                while client.routes?.owner(of: key) == nil { await Task.yield() }
                try await body(client, a, b)
                await client.close()
            }
        }
    }

    private func state(_ client: Keystead) async throws -> String {
        String(decoding: try await client.get(key).state, as: UTF8.self)
    }

    private func entityRequests(_ server: ScriptedServer) -> [String] {
        server.requests.filter { $0.uri != "/v1/cluster" }.map { "\($0.method) \($0.uri)" }
    }

    @Test func aKeyGoesStraightToItsOwner() async throws {
        try await withNodes(b: { _ in .answer(200, ["ETag": "\"7\""], "b") }) { client, a, b in
            let found = try await state(client)
            #expect(found == "b")
            #expect(entityRequests(a).isEmpty)
            #expect(entityRequests(b) == ["GET /v1/entities/k/%C3%A9"])
        }
    }

    @Test func whatConcernsNoKeyGoesToTheEndpoints() async throws {
        try await withNodes(b: { _ in .close }) { client, a, b in
            _ = await failure { () throws(KeysteadError) in _ = try await client.page(of: "k") }
            _ = await failure { () throws(KeysteadError) in _ = try await client.batch([.get(key)]) }
            #expect(entityRequests(a).count == 2)
            #expect(entityRequests(b).isEmpty)
        }
    }

    @Test func anOwnerThatIsGoneCostsNothingButAHop() async throws {
        try await withNodes(b: { _ in .close }, isGone: true) { client, a, _ in
            try await client.put(key, [])
            try await client.put(key, [])
            #expect(entityRequests(a).count == 2)
        }
    }

    /// The owner may have done it before it broke off: the write must not go to anybody else.
    @Test func aBareWriteWhoseOutcomeIsUnknownIsNotSentToAnother() async throws {
        try await withNodes(b: { _ in .close }) { client, a, b in
            let error = await failure { () throws(KeysteadError) in try await client.put(key, []) }
            #expect(error?.code == .connectionLost)
            #expect(error?.applied == .unknown)
            #expect(entityRequests(a).isEmpty)
            #expect(entityRequests(b).count == 1)
        }
    }

    @Test func aReadWhoseAnswerWasLostGoesToAnyNode() async throws {
        try await withNodes(b: { _ in .close }) { client, a, b in
            let found = try await state(client)
            #expect(found == "a")
            #expect(entityRequests(b).count == 1)
        }
    }

    @Test func anOwnerThatShutsDownIsLeft() async throws {
        let leaving = problem("shutting-down", retry: "safe")
        try await withNodes(b: { _ in .answer(503, [:], leaving) }) { client, a, b in
            try await client.put(key, [])
            #expect(entityRequests(b).count == 1)
        }
    }

    @Test func aMapOfAnotherClusterIsNotUsed() async throws {
        try await ScriptedServer.run({ _ in .answer(200, ["ETag": "\"7\""], "foreign") }) { foreign in
            let map = picture(a: "h:1", b: String(foreign.url.dropFirst(7))) { _ in "b" }
            try await ScriptedServer.run({ request in
                request.uri == "/v1/cluster" ? .answer(200, [:], map) : .answer(200, ["ETag": "\"7\""], "own")
            }) { server in
                try await Keystead.withClient(
                    endpoints: [server.url], adminEndpoints: [server.url], configuration: routing
                ) { client in
                    // The second question shows that the answer to the first has been looked at.
                    while server.requests.count(where: { $0.uri == "/v1/cluster" }) < 2 {
                        let found = try await state(client)
                        #expect(found == "own")
                    }
                    #expect(foreign.requests.isEmpty)
                }
            }
        }
    }
}
