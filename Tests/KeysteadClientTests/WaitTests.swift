import KeysteadClient
import ScriptedServer
import Synchronization
import Testing

/// Who watches a call is told what it waits for, and for how long it will.
@Suite struct WaitTests {
    private func configuration(_ waits: Waits) -> ClientConfiguration {
        var configuration = hasty
        configuration.waitNoticeAfter = .milliseconds(20)
        configuration.onWait = { waits.add($0) }
        return configuration
    }

    @Test func aLateAnswerIsTold() async throws {
        let waits = Waits()
        var configuration = configuration(waits)
        configuration.adminDeadline = .milliseconds(200)
        try await withServer([.hang], configuration: configuration) { client, server in
            let error = await failure { () throws(KeysteadError) in _ = try await client.drain(node: "n1") }
            #expect(error?.code == .deadlineExceeded)
            #expect(error?.applied == .unknown)
            guard case .unanswered(let endpoint, let since, let left) = waits.all.first else {
                Issue.record("a late answer was not told: \(waits.all)")
                return
            }
            #expect(endpoint == server.url)
            #expect(since == .milliseconds(20))
            #expect(left <= .milliseconds(180))
        }
    }

    @Test func aRepetitionIsTold() async throws {
        let waits = Waits()
        var configuration = configuration(waits)
        configuration.retries.backoffMin = .milliseconds(50)
        configuration.retries.backoffMax = .milliseconds(50)
        let away = ScriptedServer.Reaction.answer(503, [:], problem("metadata-unavailable", retry: "safe"))
        try await withServer([away, .answer(200, [:], #"{"bytes-per-second":1}"#)], configuration: configuration) {
            client, _ in
            let rate = try await client.throttle()
            #expect(rate == 1)
            let told = waits.all.contains {
                if case .trying(let error, _) = $0 { error.code == .metadataUnavailable } else { false }
            }
            #expect(told)
        }
    }

    @Test func nothingIsToldOfACallThatEndsAtOnce() async throws {
        let waits = Waits()
        var configuration = configuration(waits)
        configuration.waitNoticeAfter = .seconds(60)
        try await withServer([.answer(200, [:], #"{"bytes-per-second":1}"#)], configuration: configuration) {
            client, _ in
            _ = try await client.throttle()
            #expect(waits.all.isEmpty)
        }
    }
}

private final class Waits: Sendable {
    private let told = Mutex<[CallWait]>([])

    var all: [CallWait] { told.withLock { $0 } }

    func add(_ wait: CallWait) { told.withLock { $0.append(wait) } }
}

@Suite struct ClusterNameTests {
    @Test func dataListenersNameTheirCluster() async throws {
        try await withServer([.answer(200, ["Keystead-Cluster": "c"], ""), .answer(200, [:], "")]) { client, server in
            let names = [try await client.clusterID(), try await client.clusterID()]
            #expect(names == ["c", nil])
            #expect(server.requests.allSatisfy { $0.uri == "/v1/batch" && $0.body == "\n" })
        }
    }

    @Test func expiryIsRead() async throws {
        let item = #"{"key":"user/alice","etag":"\"1\"","bytes":1,"content-type":"a","updated":"u","ttl":7}"#
        let harvest = #"{"answered":1,"of":1,"missing":[]}"#
        let page = #"{"items":[\#(item)],"cursor":null,"harvest":\#(harvest)}"#
        let entity = ScriptedServer.Reaction.answer(200, ["ETag": "\"1\"", "Keystead-TTL": "9"], "x")
        let lasting = ScriptedServer.Reaction.answer(200, ["ETag": "\"1\""], "x")
        try await withServer([.answer(200, [:], page), entity, lasting]) { client, _ in
            let listed = try await client.page(of: "user").items.first?.ttlSeconds
            let read = [try await client.get(alice).ttlSeconds, try await client.get(alice).ttlSeconds]
            #expect(listed == 7)
            #expect(read == [9, nil])
        }
    }
}
