import KeysteadClient
import ScriptedServer
import Testing

@testable import AdminTool

@Suite struct CommandTests {
    /// Runs the command against a server that always reacts so; the requests it saw.
    private func against(
        _ reaction: ScriptedServer.Reaction, _ verb: String, _ arguments: [String] = [],
        _ check: (CommandResult, [ScriptedServer.Request]) throws -> Void
    ) async throws {
        try await ScriptedServer.run({ _ in reaction }) { server in
            let environment = ["KEYSTEAD_ENDPOINT": server.url, "KEYSTEAD_ADMIN": server.url]
            let words = verb.split(separator: " ").map(String.init) + arguments
            try check(await command(words, environment), server.requests)
        }
    }

    private func command(_ words: [String], _ environment: [String: String]) async -> CommandResult {
        await run(words, environment: environment)
    }

    @Test(arguments: [
        ["put"], ["put", "nokey"], ["put", "a/b"], ["put", "a/b", "f", "--json", "1"], ["put", "a/b", "--json", "{"],
        ["put", "a/b", "--json", "1", "--ttl", "x"], ["get", "a/b", "--output", "xml"], ["get", "a/b", "--bogus"],
        ["get", "a/b", "--endpoint", "localhost:7070"], ["patch", "a/b", "{}", "--type", "diff"], ["nonsense"],
        ["import", "k", "f", "--format", "states"],
        ["import", "k", "f", "--format", "full", "--id-field", "id"],
        ["import", "k", "-", "--id-field", "id", "--resume"],
        ["delete", "a/b", "--if-match", "v"],
        ["put", "a/b", "--json", "1", "--if-absent", "--if-match", "1"], ["explain", "shard", "x"],
    ])
    func usageErrorsAreExit2(words: [String]) async {
        let result = await Tool.run(words, console: Console(environment: [:], output: { _ in }, error: { _ in }))
        #expect(result == .usage)
    }

    @Test(arguments: [["--help"], ["put", "--help"], ["help", "import"], ["node", "list", "--help"]])
    func helpIsData(words: [String]) async {
        let result = words.count == 1 ? await run(words[0]) : await command(words, [:])
        #expect(result.status == .done)
        #expect(result.output.contains("USAGE"))
        #expect(result.errors.isEmpty)
    }

    @Test(arguments: [
        (400, "bad-key", CommandExit.refused), (404, "not-found", .notFound), (405, "method-not-allowed", .failed),
        (412, "precondition-failed", .conflict), (412, "condition-failed", .conflict),
        (413, "entity-too-large", .refused), (414, "uri-too-long", .refused), (415, "unsupported-media-type", .refused),
        (422, "idempotency-mismatch", .refused), (431, "fields-too-large", .refused),
    ])
    func refusalsHaveTheirExit(status: Int, code: String, exit: CommandExit) async throws {
        try await against(.answer(status, [:], problem(code)), "delete a/b") { result, requests in
            #expect(result.status == exit)
            #expect(result.output.isEmpty)
            #expect(result.errors.hasPrefix("keysteadctl: \(code): D"))
            #expect(requests.count == 1)
        }
    }

    @Test func anUnknownOutcomeIsExit5AndSaysWhatToDo() async throws {
        let unknown = problem("outcome-unknown", applied: "unknown", retry: "with-key")
        for reaction in [ScriptedServer.Reaction.answer(504, [:], unknown), .close] {
            try await against(reaction, "delete a/b") { result, requests in
                #expect(result.status == .unknownOutcome)
                #expect(result.errors.contains("--idempotency-key"))
                #expect(requests.count == 1)
            }
        }
    }

    @Test func noServerIsExit7() async throws {
        let dead = ScriptedServer.deadURL
        #expect(await run("get", "a/b", "--endpoint", dead).status == .unreachable)
        let status = await run("status", "--check", "--admin", dead)
        #expect(status.status == .unreachable)
        #expect(status.output.hasPrefix("UNAVAILABLE: "))
    }

    @Test func flagsGoBeforeTheEnvironment() async throws {
        let dead = ScriptedServer.deadURL
        try await ScriptedServer.run({ _ in .answer(200, ["ETag": "\"1\""], "x") }) { server in
            let byFlag = await run("get", "a/b", "--endpoint", server.url, environment: ["KEYSTEAD_ENDPOINT": dead])
            #expect(byFlag.output == "x")
            let byVariable = await run("get", "a/b", environment: ["KEYSTEAD_ENDPOINT": "\(dead), \(server.url)"])
            #expect(byVariable.output == "x")
            let several = await run("get", "a/b", "--endpoint", dead, "--endpoint", server.url)
            #expect(several.output == "x")
        }
    }

    @Test func aWrongEndpointInTheEnvironmentIsUsage() async {
        #expect(await run("get", "a/b", environment: ["KEYSTEAD_ENDPOINT": "nowhere"]).status == .usage)
        for authority in ["h:0", "h:65536", "h:99999999999999999999", "h:", "h:x", "a b"] {
            let result = await run("get", "a/b", "--endpoint", "http://\(authority)")
            #expect(result.status == .usage, "\(authority)")
        }
    }

    @Test func getPrintsExactlyTheState() async throws {
        try await against(.answer(200, ["ETag": "\"7\""], "no line end"), "get a/b") { result, _ in
            #expect(result.status == .done)
            #expect(result.output == "no line end")
        }
    }

    @Test(arguments: [
        ("application/json", "{\"a\":\n 1.0}", #""json":{"a":  1.0}"#), ("text/plain", "a\"b", #""text":"a\"b""#),
        ("application/json", "{", #""text":"{""#),
    ])
    func getAsJSON(type: String, state: String, shown: String) async throws {
        let fields = ["ETag": "\"7\"", "Content-Type": type, "Keystead-Position": "3:9"]
        try await against(.answer(200, fields, state), "get a/b --output json") { result, _ in
            #expect(
                result.output
                    == #"{"key":"a/b","etag":"\"7\"","position":"3:9","content-type":"\#(type)",\#(shown)}"# + "\n")
        }
    }

    @Test func putPrintsTheNewTag() async throws {
        let reaction = ScriptedServer.Reaction.answer(204, ["ETag": "\"8\"", "Keystead-Position": "3:8"])
        try await against(reaction, "put a/b --json", ["{\"n\":1}"]) { result, requests in
            #expect(result.output == "\"8\"\n")
            #expect(requests[0].body == "{\"n\":1}")
            #expect(requests[0].headers["Content-Type"] == ["application/json"])
        }
        try await against(reaction, "put a/b --json", ["-5", "--output=json"]) { result, requests in
            #expect(result.output == #"{"key":"a/b","etag":"\"8\"","position":"3:8","replayed":false}"# + "\n")
            #expect(requests[0].body == "-5")
        }
    }

    @Test func putSendsAFileAsItIs() async throws {
        let directory = TemporaryDirectory()
        let path = try directory.write("state", "a\n\0b")
        try await against(.answer(204, ["ETag": "\"8\""]), "put a/b", [path, "--if-match", "12"]) { result, requests in
            #expect(result.status == .done)
            #expect(requests[0].body == "a\n\0b")
            #expect(requests[0].headers["Content-Type"] == [])
            #expect(requests[0].headers["If-Match"] == ["\"12\""])
        }
        #expect(await run("put", "a/b", directory.path + "/absent").status == .failed)
    }

    @Test(arguments: ["12", "\"12\""])
    func tagsMayBeQuoted(tag: String) async throws {
        try await against(.answer(204, ["ETag": "\"8\""]), "delete a/b --if-match", [tag]) { result, requests in
            #expect(result.output == "\"8\"\n")
            #expect(requests[0].headers["If-Match"] == ["\"12\""])
        }
    }

    @Test(arguments: [
        ("merge", "application/merge-patch+json"), ("json-patch", "application/json-patch+json"),
        ("update", "application/vnd.keystead.update+json"),
    ])
    func patchesByType(type: String, mediaType: String) async throws {
        try await against(.answer(204, ["ETag": "\"8\""]), "patch a/b {}", ["--type", type]) { result, requests in
            #expect(result.output == "\"8\"\n")
            #expect(requests[0].method == "PATCH")
            #expect(requests[0].headers["Content-Type"] == [mediaType])
        }
    }

    @Test func listPagesToTheEndOrTheLimit() async throws {
        let store = FakeStore()
        for index in 0..<1500 { store.put("k/\(10_000 + index)", "{\"n\":\n\(index)}") }
        try await store.serve { url, server in
            let all = await run("list", "k", "--endpoint", url)
            #expect(all.output.split(separator: "\n").count == 1501)
            #expect(all.output.hasPrefix("KEY      ETAG    BYTES  CONTENT-TYPE      UPDATED\nk/10000  \"1\"     "))
            let some = await run("list", "k", "--limit", "1200", "--endpoint", url, "--output", "json", "--values")
            let lines = some.output.split(separator: "\n")
            #expect(lines.count == 1200)
            #expect(lines.allSatisfy { JSONText(Array($0.utf8)) != nil })
            #expect(server.requests.last?.uri.contains("limit=200&values=true") == true)
        }
    }

    @Test(arguments: [
        ("http://h:1", "h", 1), ("http://[::1]:7070/", "::1", 7070), ("http://[::1]", "::1", nil),
        ("http://h", "h", nil),
    ])
    func endpointsHaveParts(url: String, host: String, port: Int?) {
        let parts = EndpointParts(url)
        #expect(parts.scheme == "http")
        #expect(parts.host == host)
        #expect(parts.port == port)
    }

    @Test func benchRefusesWhatCannotBeRun() async throws {
        #expect(await run("bench", "--operations", "1", "--duration", "1").status == .usage)
        #expect(await run("bench", "--workload", "z").status == .usage)
        let zero = await run("bench", "--connections", "0")
        #expect(zero.status == .usage)
        #expect(zero.errors.contains("--connections must be 1...10000"))
        let dead = ScriptedServer.deadURL
        #expect(await run("bench", "--duration", "1", "--endpoint", dead).status == .unreachable)
    }

    @Test func whereSaysShardAndNode() async throws {
        try await against(.answer(200, [:], #"{"shard":3,"node":"n1","epoch":2}"#), "where a/b") { result, requests in
            #expect(result.output == "SHARD  NODE  EPOCH\n3      n1    2\n")
            #expect(requests[0].uri == "/v1/where/a/b")
        }
    }
}
