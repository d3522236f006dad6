import Primitives
import ScriptedServer
import Testing

@testable import AdminTool

/// Servers, keys, states and arguments are other people's text: none of it may drive a terminal, hide or forge a line.
@Suite struct HostileTextTests {
    private static let text =
        "x\u{1B}[2J\u{7}\u{9B}31m\u{202E}\u{2066}\u{200B}\u{2028}\u{FEFF}\u{E0041}\u{7F}\nFORGED\r\t"
    private static let json = VisibleText.jsonString(text)

    /// What is left of it besides the tool's own colours, bars and line ends.
    private func check(_ result: CommandResult, _ command: String) {
        for (name, shown) in [("output", result.output), ("errors", result.errors)] {
            var rest = shown.split(separator: "\r", omittingEmptySubsequences: false).joined()
            for own in ["\u{1B}[K", "\u{1B}[0m"] { rest = rest.split(separator: own).joined() }
            rest = rest.split(separator: "\u{1B}[30;48;5;").enumerated().map { index, part in
                String(index == 0 && !rest.hasPrefix("\u{1B}") ? part[...] : part.drop { $0 != "m" }.dropFirst())
            }.joined()
            let hidden = rest.unicodeScalars.filter { VisibleText.isHidden($0) && $0 != "\n" }
            #expect(hidden.isEmpty, "\(command): \(name) holds \(hidden.map(\.value))")
            let isForged = rest.split(separator: "\n").contains { $0.hasPrefix("FORGED") }
            #expect(!isForged, "\(command): a forged line in \(name)")
        }
    }

    private static var operation: String {
        #"{"id":\#(json),"kind":\#(json),"state":"failed","done":0,"total":1,"node":\#(json),"detail":\#(json),"#
            + #""bytes-per-second":0,"created":\#(json),"moves":[{"shard":0,"from":\#(json),"to":\#(json),"#
            + #""state":\#(json),"waits-for":\#(json)}],"bytes-done":0,"bytes-total":9,"waits-for":[\#(json)]}"#
    }

    private static var cluster: String {
        let shards = (0..<16).map { shard in
            #"{"shard":\#(shard),"primary":\#(json),"epoch":1,"position":1,"state":\#(json),"move":{"stage":\#(json),"#
                + #""from":\#(json),"to":\#(json),"operation":\#(json)}}"#
        }
        return #"{"cluster":\#(json),"map-revision":1,"nodes":[{"id":\#(json),"state":\#(json),"zone":\#(json),"#
            + #""weight":1,"shards":16,"listen":\#(json),"admin":\#(json)}],"#
            + #""shards":[\#(shards.joined(separator: ","))],"#
            + #""operations":[\#(operation),{"id":"op","kind":\#(json),"state":"running","done":0,"total":1}],"#
            + #""storage":\#(json),"metadata":{"reachable":false,"age-seconds":9},"extra":\#(json)}"#
    }

    private static let plan =
        #"{"plan":\#(json),"map-revision":1,"moves":[{"shard":0,"from":\#(json),"to":\#(json),"bytes":1}],"#
        + #""lower-bound":1,"bytes":1,"quotas":[{"node":\#(json),"shards":1,"after":0}]}"#

    private static func answer(_ request: ScriptedServer.Request) -> ScriptedServer.Reaction {
        let document =
            switch request.uri.split(separator: "?").first {
            case "/readyz": #"{"ready":false,"reasons":[\#(json)]}"#
            case "/v1/cluster": cluster
            case "/v1/shards/1": #"{"shard":1,"primary":\#(json),"epoch":1,"state":\#(json),"other":\#(json)}"#
            case "/v1/where/k/a": #"{"shard":1,"node":\#(json),"epoch":1,"more":\#(json)}"#
            case "/v1/entities/k":
                #"{"items":[{"key":\#(VisibleText.jsonString("k/" + text)),"etag":"\"1\"","bytes":5,"#
                    + #""content-type":\#(json),"updated":\#(json),"text":\#(json)}],"cursor":null,"#
                    + #""harvest":{"answered":1,"of":"1","missing":[]}}"#
            case "/v1/admin/throttle": #"{"bytes-per-second":1,"x":\#(json)}"#
            case let path? where path.hasPrefix("/v1/admin/rebalance/plan"): plan
            case let path? where path.hasSuffix("cordon"): #"{"changed":false,"note":\#(json)}"#
            case let path? where path.hasSuffix("move"): #"{"changed":false,"note":\#(json)}"#
            default: operation
            }
        return .answer(200, ["ETag": "\"1\"", "Content-Type": "text/plain"], document)
    }

    static let commands: [[String]] = [
        ["status"], ["ring"], ["ring", "--arcs"], ["node", "list"], ["shard", "list"], ["op", "list"],
        ["op", "show", "o"], ["op", "wait", "o"], ["op", "cancel", "o"], ["explain", "shard", "1"],
        ["explain", "node", text], ["explain", "node", "no"], ["rebalance", "plan"], ["rebalance", "commit", "p"],
        ["node", "drain", text, "--dry-run"], ["node", "drain", text, "--wait"], ["node", "cordon", text],
        ["node", "remove", text, "--dry-run"], ["node", "weight", text, "1"], ["shard", "move", "1", "--to", text],
        ["throttle", "show"], ["where", "k/a"], ["list", "k"], ["list", "k", "--values"], ["get", "k/a"],
        ["get", "k/" + text], ["put", "k/" + text, "--json", "1"], ["delete", "k/" + text],
        ["export", "k"], ["export", "k", "--format", "full"],
    ]

    @Test(arguments: commands)
    func answersAreShownHarmless(words: [String]) async throws {
        // Reading back what is so never ends well with such a server; it need not be waited for to look at the text.
        try await ScriptedServer.run(Self.answer) { server in
            let ends = ["--endpoint", server.url, "--admin", server.url]
            for output in [[], ["--output", "json"]] where output.isEmpty || words[0] != "export" {
                let result = await run(
                    words + output + ends, isErrorTerminal: true, isOutputTerminal: true)
                check(result, words.joined(separator: " "))
            }
        }
    }

    @Test(arguments: [404, 409, 400, 503])
    func errorsAreShownHarmless(status: Int) async throws {
        let problem =
            #"{"type":\#(VisibleText.jsonString("urn:keystead:error:" + Self.text)),"title":\#(Self.json),"#
            + #""status":1,"detail":\#(Self.json),"applied":"no","retry":"never"}"#
        try await ScriptedServer.run({ _ in .answer(status, [:], problem) }) { server in
            for words in Self.commands {
                let result = await run(words + ["--endpoint", server.url, "--admin", server.url])
                #expect(result.status != .done)
                check(result, words.joined(separator: " "))
            }
        }
    }

    @Test(arguments: [
        ["get", text], [text], ["get", "k/a", "--output", text], ["put", "k/a", "--if-match", text], ["--" + text],
        ["node", "weight", "n1", text], ["throttle", "set", text], ["get", "k/a", "--endpoint", text],
        ["get", "k/a", text], ["import", "k", text, "--id-field", text], ["export", "k", "--to", "/dev/null/" + text],
    ])
    func argumentsAreShownHarmless(words: [String]) async {
        let result = await run(words)
        #expect(result.status != .done)
        check(result, words[0])
    }

    @Test func theEnvironmentIsShownHarmless() async {
        let result = await run(["get", "k/a"], environment: ["KEYSTEAD_ENDPOINT": Self.text])
        #expect(result.status == .usage)
        check(result, "get")
    }

    @Test func refusedLinesAreShownHarmless() async throws {
        let directory = TemporaryDirectory()
        let lines = [
            #"{"key":\#(VisibleText.jsonString("other/" + Self.text)),"text":""}"#, #"{"key":"k/a",\#(Self.json):1}"#,
        ]
        let path = try directory.write("in", lines.joined(separator: "\n"))
        try await FakeStore().serve { url, _ in
            let result = await run("import", "k", path, "--endpoint", url)
            #expect(result.errors.contains("line 2 refused"))
            check(result, "import")
        }
    }

    /// To another program the bytes are what they are; on a terminal they are shown, and a message says so.
    @Test func statesAreExactUnlessATerminalShowsThem() async throws {
        let store = FakeStore()
        store.put("k/a", Self.text, contentType: "text/plain")
        store.put("k/b", "a\tb\nc", contentType: "text/plain")
        try await store.serve { url, _ in
            let piped = await run("get", "k/a", "--endpoint", url)
            #expect(piped.output == Self.text)
            #expect(!piped.errors.contains("exact bytes"))
            let shown = await run(["get", "k/a", "--endpoint", url], isOutputTerminal: true)
            #expect(shown.output.hasPrefix("x\\u{1b}[2J"))
            #expect(shown.errors.contains("not its exact bytes"))
            let plain = await run(["get", "k/b", "--endpoint", url], isOutputTerminal: true)
            #expect(plain.output == "a\tb\nc")
            #expect(!plain.errors.contains("exact bytes"))
        }
    }

    /// What is escaped in JSON says the same to whoever reads JSON.
    @Test func jsonSaysWhatItSaid() async throws {
        let store = FakeStore()
        store.put("k/a", "{\"a\":\"\u{9B}\u{202E}é\"}")
        try await store.serve { url, _ in
            let result = await run("get", "k/a", "--output", "json", "--endpoint", url)
            #expect(result.output.hasSuffix(#""json":{"a":"\u009b\u202eé"}}"# + "\n"))
        }
    }
}
