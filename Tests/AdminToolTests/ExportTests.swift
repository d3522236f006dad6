import KeysteadClient
import Primitives
import ScriptedServer
import Testing

@testable import AdminTool

@Suite struct FullLineTests {
    private func line(_ state: [UInt8], _ type: String = "application/json", ttl: UInt64? = nil) -> FullLine {
        FullLine(
            key: EntityKey(kind: "k", id: "ä\"/\u{202E}"), contentType: type, ttlSeconds: ttl, state: state)
    }

    private func expectReturn(_ line: FullLine) throws {
        let encoded = line.encoded
        #expect(!encoded.contains(0x0A))
        #expect(try FullLine(encoded[...]) == line)
        #expect(FullLine.isOne(encoded[...]))
    }

    @Test(arguments: [
        "", "{}", " {}", "{}\n", "{\n}", "{ \"a\" :1.0e0 , \"a\":2}", "1", "null", "\"\\ud800\"", "\u{FEFF}{}", "{}\r",
        "text\u{202E}\u{9B}\u{0}\u{E0041}", "{\"id\":\"x\",\"id\":\"y\"}", "12345678901234567890123456789",
    ])
    func everyTextComesBack(state: String) throws {
        for type in ["application/json", "text/plain", "x", "TEXT/x"] {
            try expectReturn(line(Array(state.utf8), type))
            try expectReturn(line(Array(state.utf8), type, ttl: Limits.ttlSecondsMax))
        }
    }

    @Test func deepJSONComesBack() throws {
        for depth in [511, 512, 513] {
            let state = [UInt8](repeating: UInt8(ascii: "["), count: depth) + [UInt8](repeating: 0x5D, count: depth)
            try expectReturn(line(state))
        }
    }

    @Test(arguments: 0..<40 as Range<UInt64>)
    func anyBytesComeBack(seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        let alphabet: [UInt8] = [0, 0x0A, 0x0D, 0x1B, 0x22, 0x5C, 0x7B, 0x7D, 0x31, 0xC2, 0x9B, 0xE2, 0x80, 0xAE, 0xFF]
        let state = (0..<random.below(UInt64(60))).map { _ in alphabet[Int(random.below(UInt64(alphabet.count)))] }
        for type in ["application/json", "text/plain", "x"] { try expectReturn(line(state, type)) }
    }

    @Test func formsAreTheReadableOnes() {
        func text(_ line: FullLine) -> String { String(decoding: line.encoded, as: UTF8.self) }
        let key = EntityKey(kind: "k", id: "a")
        #expect(
            text(FullLine(key: key, contentType: "application/json", ttlSeconds: 5, state: Array("{\"a\":1.0}".utf8)))
                == #"{"key":"k/a","content-type":"application/json","ttl":5,"json":{"a":1.0}}"#)
        #expect(
            text(FullLine(key: key, contentType: "text/plain", state: Array("12\u{202E}".utf8)))
                == #"{"key":"k/a","content-type":"text/plain","text":"12\u202e"}"#)
        #expect(
            text(FullLine(key: key, contentType: "x", state: [0xFF]))
                == #"{"key":"k/a","content-type":"x","base64":"/w=="}"#)
        let controls = FullLine(key: key, contentType: "text/plain", state: [UInt8](repeating: 1, count: 300))
        #expect(text(controls).contains("base64"))
    }

    @Test(arguments: [
        ("[]", "not a JSON object"), (#"{"text":""}"#, #"no member "key""#),
        (#"{"key":1,"text":""}"#, #""key" is no string"#),
        (#"{"key":"a","text":""}"#, #""key" is not KIND/ID"#),
        (#"{"key":"k/a"}"#, "a full line has one of json, text and base64"),
        (#"{"key":"k/a","text":"","json":1}"#, "a full line has one of json, text and base64"),
        (#"{"key":"k/a","text":1}"#, #""text" is no string of whole characters"#),
        (#"{"key":"k/a","text":"\udc00"}"#, #""text" is no string of whole characters"#),
        (#"{"key":"k/a","base64":"/w"}"#, #""base64" is no Base64 (RFC 4648, with padding)"#),
        (#"{"key":"k/a","json":1,"json":1}"#, #"member "json" stands twice"#),
        (#"{"key":"k/a","json":1,"etag":"1"}"#, #"a full line has no member "etag""#),
        (#"{"key":"k/a","json":1,"content-type":7}"#, #""content-type" is no string"#),
        (#"{"key":"k/a","json":1,"ttl":0}"#, #""ttl" is no whole number of seconds from 1 to 315360000"#),
        (#"{"key":"k/a","json":1,"ttl":1.5}"#, #""ttl" is no whole number of seconds from 1 to 315360000"#),
    ])
    func whatIsNoFullLineSaysWhy(text: String, reason: String) {
        #expect(throws: FullLine.Objection(reason)) { try FullLine(Array(text.utf8)[...]) }
    }

    @Test func contentTypesFollowTheForm() throws {
        for (form, type) in [
            ("\"json\":1", "application/json"), ("\"text\":\"\"", "text/plain; charset=utf-8"),
            ("\"base64\":\"\"", "application/octet-stream"),
        ] {
            #expect(try FullLine(Array("{\"key\":\"k/a\",\(form)}".utf8)[...]).contentType == type)
        }
    }
}

@Suite struct StatesFormTests {
    private func entity(
        _ state: String, id: String = "a", type: String = "application/json", ttl: UInt64? = nil
    ) -> FullLine {
        FullLine(
            key: EntityKey(kind: "k", id: id), contentType: type, ttlSeconds: ttl, state: Array(state.utf8))
    }

    @Test(arguments: [
        ("{}", true), ("{\"a\":1}\r", false), (" {} ", true), ("{\n}", false), ("[]", false), ("1", false), ("", false),
        ("text", false),
    ])
    func onlyObjectsOnOneLineAreLines(state: String, can: Bool) {
        #expect((StatesForm.objection(to: Array(state.utf8)) == nil) == can)
    }

    @Test func theMemberThatHoldsEveryIdIsFound() {
        var form = StatesForm()
        #expect(form.idField == nil)
        #expect(form.objection(to: entity(#"{"x":"a","n":"a","id":"a"}"#)) == nil)
        #expect(form.idField == "id")
        #expect(form.objection(to: entity(#"{"n":"b","id":"z","x":"b"}"#, id: "b")) == nil)
        #expect(form.idField == "n")
        #expect(form.objection(to: entity(#"{"x":7}"#, id: "7")) == nil)
        #expect(form.idField == "x")
        #expect(form.objection(to: entity(#"{"n":"c"}"#, id: "c")) == "its state holds its id under another name")
    }

    @Test func whatWouldBeLostIsObjectedTo() {
        func objection(_ entity: FullLine) -> String? {
            var form = StatesForm()
            return form.objection(to: entity)
        }
        #expect(objection(entity(#"{"id":"b"}"#)) == "its state does not hold its id")
        #expect(objection(entity(#"{"id":"a","id":"a"}"#)) == "its state does not hold its id")
        #expect(objection(entity(#"{"id":"a"}"#, ttl: 1)) == "it has an expiry")
        #expect(objection(entity(#"{"id":"a"}"#, type: "text/x")) == "its content type is text/x")
        #expect(
            objection(entity(#"{"key":"k/a","text":""}"#, id: "k/a"))
                == "its state looks like a line of a full export")
    }
}

@Suite struct ExportTests {
    @Test func statesThatHoldTheirIdsAreWrittenAlone() async throws {
        let store = FakeStore()
        store.put("k/a", #"{"id":"a"}"#)
        store.put("k/7", #" {"id":7, "n":1.0}"#)
        try await store.serve { url, _ in
            let result = await run("export", "k", "--endpoint", url)
            #expect(result.status == .done)
            #expect(result.output == " {\"id\":7, \"n\":1.0}\n{\"id\":\"a\"}\n")
            #expect(result.errors.contains("import takes them with --id-field id"))
            let full = await run("export", "k", "--format", "full", "--endpoint", url)
            #expect(
                full.output.hasSuffix(
                    "{\"key\":\"k/a\",\"content-type\":\"application/json\",\"json\":{\"id\":\"a\"}}\n"))
        }
    }

    @Test func whatStatesCannotCarryMakesFullLines() async throws {
        let directory = TemporaryDirectory()
        let store = FakeStore()
        store.put("k/a", #"{"id":"a"}"#)
        store.put("k/b", "plain", contentType: "text/plain", ttl: 60)
        store.put("k/c", "{\n}")
        try await store.serve { url, _ in
            let expected = """
                {"key":"k/a","content-type":"application/json","json":{"id":"a"}}
                {"key":"k/b","content-type":"text/plain","ttl":60,"text":"plain"}
                {"key":"k/c","content-type":"application/json","text":"{\\u000a}"}

                """
            let result = await run("export", "k", "--endpoint", url)
            #expect(result.status == .done)
            #expect(result.output == expected)
            #expect(result.errors.contains("k/b: its state is not JSON"))
            #expect(await run("export", "k", "--to", directory.path + "/out", "--endpoint", url).status == .done)
            let text = try await directory.read("out")
            #expect(text == expected)
        }
    }

    @Test func whatStatesCannotCarryIsNamedAndCountedWhereTheyAreWanted() async throws {
        let store = FakeStore()
        store.put("k/a", "{}")
        store.put("k/b", "plain", contentType: "text/plain")
        store.put("k/c", "{\n}")
        store.put("k/d", "{ }")
        try await store.serve { url, _ in
            let result = await run("export", "k", "--format", "states", "--endpoint", url)
            #expect(result.status == .failed)
            #expect(result.output == "{}\n{ }\n")
            #expect(result.errors.contains("k/b left out: its state is not JSON"))
            #expect(result.errors.contains("k/c left out: its state is JSON of several lines"))
            #expect(result.errors.contains("2 entities exported, 2 left out"))
            #expect(result.errors.contains("--format full takes every entity"))
        }
    }

    /// The list shows the value without the white space around it; the bytes are asked for then.
    @Test func spaceAroundAStateIsKept() async throws {
        let store = FakeStore()
        store.put("k/a", " {\"a\": 1}\t", ttl: 9)
        try await store.serve { url, _ in
            #expect(await run("export", "k", "--format", "states", "--endpoint", url).output == " {\"a\": 1}\t\n")
            let full = await run("export", "k", "--endpoint", url).output
            #expect(
                full == #"{"key":"k/a","content-type":"application/json","ttl":9,"text":" {\"a\": 1}\u0009"}"# + "\n")
        }
    }

    @Test func entitiesComeBackAsTheyWere() async throws {
        let directory = TemporaryDirectory()
        let (first, second) = (FakeStore(), FakeStore())
        let states = [
            "", "{}", " {} ", "{\n}", "[1.0,1e2]", "null", "a\u{0}\u{202E}b", "{\"key\":\"k/1\",\"text\":\"\"}",
            "\u{FEFF}{}",
        ]
        for (number, state) in states.enumerated() {
            for type in ["application/json", "text/plain", "x/y; a=\"b\""] {
                first.put("k/\(number) \(type.utf8.count)", state, contentType: type, ttl: number == 1 ? 77 : nil)
            }
        }
        let path = directory.path + "/all"
        try await first.serve { url, _ in
            #expect(await run("export", "k", "--to", path, "--endpoint", url).status == .done)
        }
        try await second.serve { url, _ in
            let result = await run("import", "k", path, "--id-field", "id", "--endpoint", url)
            #expect(result.status == .done)
            #expect(result.errors.contains("--id-field was not used"))
        }
        #expect(first.contents == second.contents)
    }

    @Test func aFailedExportLeavesNothingBehind() async throws {
        let directory = TemporaryDirectory()
        _ = try directory.write("out", "before")
        let result = await run(
            "export", "k", "--to", directory.path + "/out", "--endpoint", ScriptedServer.deadURL)
        #expect(result.status == .unreachable)
        #expect(directory.names == ["out"])
        #expect(try await directory.read("out") == "before")
    }

    @Test func nothingDoesNotReplaceAFile() async throws {
        let directory = TemporaryDirectory()
        let path = try directory.write("out", "before")
        try await FakeStore().serve { url, _ in
            let result = await run("export", "k", "--to", path, "--endpoint", url)
            #expect(result.status == .notFound)
            #expect(result.errors.contains("stays as it was"))
            let kept = try await directory.read("out")
            #expect(kept == "before")
            #expect(await run("export", "k", "--to", path, "--allow-empty", "--endpoint", url).status == .done)
            let emptied = try await directory.read("out")
            #expect(emptied.isEmpty)
            #expect(await run("export", "k", "--to", directory.path + "/new", "--endpoint", url).status == .done)
            #expect(await run("export", "k", "--endpoint", url).status == .done)
            #expect(directory.names == ["new", "out"])
        }
    }

    @Test func aFileKeepsItsPermissions() throws {
        let directory = TemporaryDirectory()
        let path = try directory.write("out", "before")
        #expect(permissions(path, set: 0o640) == 0o640)
        try AtomicFile.replace(path, with: [1])
        #expect(permissions(path) == 0o640)
    }
}
