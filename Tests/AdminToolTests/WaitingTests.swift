import ScriptedServer
import Testing

@testable import AdminTool

/// A node that hangs, or whose metadata store does, is told of while somebody still looks.
@Suite struct WaitingTests {
    @Test(arguments: [
        (["node", "drain", "n1"], CommandExit.unknownOutcome), (["rebalance", "commit", "p"], .unknownOutcome),
        (["throttle", "set", "1MiB"], .unknownOutcome), (["status"], .unreachable), (["op", "list"], .unreachable),
        (["rebalance", "plan"], .unreachable), (["where", "k/a"], .unreachable),
    ])
    func aNodeThatHangsIsToldOf(words: [String], exit: CommandExit) async throws {
        try await ScriptedServer.run({ _ in .hang }) { server in
            let result = await run(words + ["--admin", server.url], patience: .seconds(3))
            #expect(result.status == exit)
            #expect(result.errors.contains("no answer from \(server.url) for 0:0"))
            #expect(result.errors.contains("; waiting for"))
        }
    }

    /// Nothing was asked for but to read, so nothing is unknown.
    @Test(arguments: [["get", "k/a"], ["list", "k"], ["export", "k"], ["bench"]])
    func aNodeThatHangsIsNotReadForLong(words: [String]) async throws {
        try await ScriptedServer.run({ _ in .hang }) { server in
            let result = await run(words + ["--endpoint", server.url], patience: .milliseconds(500))
            #expect(result.status == .unreachable)
            #expect(result.errors.contains("no answer from \(server.url)"))
        }
    }

    @Test(arguments: [["get", "k/a"], ["list", "k"], ["export", "k"]])
    func theNextNodeIsRead(words: [String]) async throws {
        let store = FakeStore()
        store.put("k/a", "{}")
        try await ScriptedServer.run({ _ in .hang }) { first in
            try await store.serve { url, _ in
                let result = await run(
                    words + ["--endpoint", first.url, "--endpoint", url], patience: .seconds(15))
                #expect(result.status == .done)
                #expect(result.errors.contains("no answer from \(first.url)"))
            }
        }
    }

    @Test func theNextNodeIsAsked() async throws {
        let answers = ["GET /v1/admin/throttle": FakeCluster.documents(Sample.throttle)]
        try await ScriptedServer.run({ _ in .hang }) { first in
            try await ScriptedServer.run(FakeCluster(answers).script) { second in
                let words = ["throttle", "show", "--admin", first.url, "--admin", second.url]
                let result = await run(words, patience: .seconds(15))
                #expect(result.status == .done)
                #expect(result.errors.contains("no answer from \(first.url)"))
            }
        }
    }

    @Test(arguments: [["node", "drain", "n1"], ["rebalance", "plan"], ["shard", "move", "1", "--to", "n2"]])
    func aMetadataStoreThatIsAwayIsExit7(words: [String]) async throws {
        let away = problem("metadata-unavailable", retry: "safe")
        try await ScriptedServer.run({ _ in .answer(503, [:], away) }) { server in
            let result = await run(words + ["--admin", server.url])
            #expect(result.status == .unreachable)
            #expect(result.errors.contains("metadata-unavailable: D; nothing was done, try again"))
        }
    }

    @Test func whatAWriteMayHaveDoneComesWithAWayToLook() async throws {
        try await ScriptedServer.run({ _ in .close }) { server in
            let bare = await run("put", "k/it's", "--json", "1", "--endpoint", server.url)
            #expect(bare.status == .unknownOutcome)
            #expect(bare.errors.contains(#"keysteadctl get 'k/it'\''s' --endpoint \#(server.url) shows what is there"#))
        }
        let unknown = problem("outcome-unknown", applied: "unknown", retry: "with-key")
        try await ScriptedServer.run({ _ in .answer(504, [:], unknown) }) { server in
            let keyed = await run(
                "delete", "k/a", "--idempotency-key", "i", "--endpoint", server.url)
            #expect(keyed.status == .unknownOutcome)
            #expect(keyed.errors.contains("the same command again cannot do it twice"))
        }
    }
}
