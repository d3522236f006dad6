import KeysteadClient
import Primitives
import ScriptedServer
import Synchronization
import Testing

@testable import AdminTool

@Suite struct ImportLineTests {
    @Test(arguments: [
        (#"{"id":"a"}"#, ImportLine.entity(id: "a")), (#"{"id":7}"#, .entity(id: "7")),
        (#"{"id":1.50e3}"#, .entity(id: "1.50e3")),
        (#" {"x":{"id":"no"}, "\u0069d" : "a\/b\u00e9"} "#, .entity(id: "a/bé")), ("", .blank), (" \t\r", .blank),
        (#"{"x":1}"#, .refused(#"no member "id""#)),
        (#"{"id":"a","id":"a"}"#, .refused(#"member "id" stands 2 times"#)),
        (#"{"id":null}"#, .refused(#""id" is neither a string nor a number"#)),
        (#"{"id":true}"#, .refused(#""id" is neither a string nor a number"#)),
        (#"{"id":["a"]}"#, .refused(#""id" is neither a string nor a number"#)),
        (#"{"id":""}"#, .refused(#""id" is empty"#)),
        (#"{"id":"\ud800"}"#, .refused(#""id" holds half a surrogate pair"#)),
        (#"["id"]"#, .refused("not a JSON object")),
        (#"{"id":"a"} x"#, .refused("not a JSON object")), (#"{"id":"a""#, .refused("not a JSON object")),
    ])
    func linesNameTheirEntity(line: String, expected: ImportLine) {
        #expect(ImportLine(Array(line.utf8)[...], idField: "id") == expected)
    }

    @Test func bytesThatAreNoTextAreRefused() {
        #expect(ImportLine([0x7B, 0xFF, 0x7D], idField: "id") == .refused("not valid UTF-8"))
    }
}

@Suite struct ImportLanesTests {
    private func line(_ number: UInt64, _ id: String, bytes: Int = 10) -> ImportLanes.Line {
        .init(
            number: number, mark: InputMark(offset: number * 100, line: number - 1), id: id,
            state: Array(repeating: 0x20, count: bytes))
    }

    @Test func anIdKeepsToItsLane() {
        var lanes = ImportLanes(count: 4)
        let first = (0..<100).map { lanes.add(line(UInt64($0 + 1), "id\($0)")) }
        let second = (0..<100).map { lanes.add(line(UInt64($0 + 101), "id\($0)")) }
        #expect(first == second)
        #expect(Set(first) == [0, 1, 2, 3])
    }

    @Test func chunksAreBoundedByLinesAndBytes() {
        var lanes = ImportLanes(count: 1)
        for number in 1..<UInt64(ImportLanes.chunkLinesMax) { _ = lanes.add(line(number, "a")) }
        #expect(!lanes.isFull(0))
        _ = lanes.add(line(500, "a"))
        #expect(lanes.isFull(0))
        var heavy = ImportLanes(count: 1)
        _ = heavy.add(line(1, "a", bytes: ImportLanes.chunkBytesMax))
        #expect(heavy.isFull(0))
    }

    /// Against a model that remembers every line: the mark never passes a line that has not been confirmed, and reaches
    /// the reader when all have been.
    @Test(arguments: 0..<20 as Range<UInt64>)
    func theMarkNeverPassesAnUnconfirmedLine(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        var lanes = ImportLanes(count: 3)
        var reader = InputMark()
        var unconfirmed: Set<UInt64> = []
        var underWay: [Int: [UInt64]] = [:]
        for number in 1...300 as ClosedRange<UInt64> {
            let lane = lanes.add(line(number, "id\(random.below(UInt64(12)))"))
            reader = InputMark(offset: (number + 1) * 100, line: number)
            unconfirmed.insert(number)
            if random.chance(1, in: 5) {
                if let lines = underWay.removeValue(forKey: lane) {
                    lanes.finished(lane)
                    unconfirmed.subtract(lines)
                }
                underWay[lane] = lanes.take(lane).lines.map(\.number)
            }
            #expect(lanes.confirmed(reader: reader).line == unconfirmed.min().map { $0 - 1 } ?? reader.line)
        }
        for lane in underWay.keys { lanes.finished(lane) }
        for lane in lanes.unsent {
            _ = lanes.take(lane)
            lanes.finished(lane)
        }
        #expect(lanes.confirmed(reader: reader) == reader)
    }

    @Test func waitingLinesGrowOld() {
        var lanes = ImportLanes(count: 1)
        _ = lanes.add(line(1, "a"))
        #expect(lanes.overdue(at: ImportLanes.chunkAgeLinesMax) == [])
        #expect(lanes.overdue(at: ImportLanes.chunkAgeLinesMax + 1) == [0])
    }
}

@Suite struct ImportProgressTests {
    @Test func progressRoundTrips() {
        var progress = ImportProgress(kind: "k", idField: "i\"d", run: .max)
        progress.mark = InputMark(offset: 12_345, line: 99)
        progress.blank = 3
        progress.refused = 4
        progress.prefixHash = 77
        #expect(ImportProgress(progress.encoded) == progress)
        #expect(progress.written == 92)
    }

    @Test(arguments: [
        "", "{}",
        #"{"version":2,"kind":"k","id-field":"i","run":1,"offset":0,"line":0,"blank":0,"refused":0,"prefix-hash":0}"#,
        #"{"version":1,"kind":"k","id-field":"i","run":1,"offset":9,"line":1,"blank":1,"refused":1,"prefix-hash":0}"#,
    ])
    func otherFilesAreNoProgress(text: String) { #expect(ImportProgress(Array(text.utf8)) == nil) }
}

@Suite struct ImportTests {
    private func lines(_ numbers: Range<Int>) -> String {
        numbers.map { #"{ "id" : "e\#($0)", "n": \#($0).0}"# + "\n" }.joined()
    }

    @Test func exportGivesTheLinesBack() async throws {
        let directory = TemporaryDirectory()
        let store = FakeStore()
        let text = lines(0..<1200) + "{\"id\":\"é\\u0041\"}\t\r\n\n   \n" + #"{"id":7}"#
        let path = try directory.write("in", text)
        try await store.serve { url, _ in
            let result = await run("import", "k", path, "--id-field", "id", "--endpoint", url)
            #expect(result.status == .done)
            #expect(result.errors.contains("1,202 lines imported, 0 refused"))
            #expect(result.output.isEmpty)
            #expect(store.entities["k/7"]?.contentType == "application/json")
            #expect(directory.names == ["in"])

            let export = await run("export", "k", "--to", directory.path + "/out", "--endpoint", url)
            #expect(export.status == .done)
            #expect(directory.names == ["in", "out"])
        }
        let back = try await directory.read("out").utf8.split(separator: 0x0A).map { String(Substring($0)) }.sorted()
        let expected = text.utf8.split(separator: 0x0A).map { String(Substring($0)) }.filter { $0 != "   " }.sorted()
        let isSame = back == expected
        #expect(isSame)
    }

    @Test func refusedLinesAreNamedAndTheRestGoesIn() async throws {
        let directory = TemporaryDirectory()
        let store = FakeStore()
        let path = try directory.write("in", lines(0..<2) + "oops\n" + #"{"id":"refuse-me"}"# + "\n" + lines(2..<4))
        try await store.serve { url, _ in
            let result = await run("import", "k", path, "--id-field", "id", "--endpoint", url)
            #expect(result.status == .failed)
            #expect(result.errors.contains("line 3 refused: not a JSON object"))
            #expect(result.errors.contains("line 4 refused: bad-key: D"))
            #expect(result.errors.contains("4 lines imported, 2 refused"))
            #expect(store.entities.count == 4)
        }
    }

    @Test func theLastLineOfAnIdWins() async throws {
        let directory = TemporaryDirectory()
        let store = FakeStore()
        let text = (0..<4000).map { #"{"id":\#($0 % 7),"n":\#($0)}"# + "\n" }.joined()
        let path = try directory.write("in", text)
        try await store.serve { url, _ in
            let result = await run("import", "k", path, "--id-field", "id", "--endpoint", url)
            #expect(result.status == .done)
            for id in 0..<7 {
                let last = (0..<4000).last { $0 % 7 == id }
                #expect(store.entities["k/\(id)"]?.state == #"{"id":\#(id),"n":\#(last ?? -1)}"#)
            }
        }
    }

    /// Lost answers, lost requests and refusals that pass: each line takes effect once.
    @Test(arguments: [
        FakeStore.Disturbance.lose, .loseAnswers,
        .answerEach(#"{"status":503,"error":\#(problem("overloaded", retry: "safe"))}"#),
        .answerFirst(#"{"status":504,"error":\#(problem("outcome-unknown", applied: "unknown", retry: "with-key"))}"#),
    ])
    func everyLineTakesEffectOnce(disturbance: FakeStore.Disturbance) async throws {
        let directory = TemporaryDirectory()
        let store = FakeStore { $0 > 1 && $0.isMultiple(of: 2) && $0 < 8 ? disturbance : nil }
        let path = try directory.write("in", lines(0..<3000))
        try await store.serve { url, _ in
            let result = await run("import", "k", path, "--id-field", "id", "--endpoint", url)
            #expect(result.status == .done)
            #expect(store.entities.count == 3000)
            #expect(store.version == 3000)
        }
    }

    /// A line that has to go again must not undo a later line of the same entity.
    @Test func aLateLineDoesNotUndoALaterOne() async throws {
        let directory = TemporaryDirectory()
        let unknown = problem("outcome-unknown", applied: "unknown", retry: "with-key")
        let store = FakeStore { $0 == 2 ? .answerFirst(#"{"status":504,"error":\#(unknown)}"#) : nil }
        let filler = (0..<500).map { _ in #"{"id":"x","n":0}"# + "\n" }.joined()
        let path = try directory.write("in", filler + #"{"id":"x","n":1}"# + "\n" + #"{"id":"x","n":2}"# + "\n")
        try await store.serve { url, _ in
            #expect(await run("import", "k", path, "--id-field", "id", "--endpoint", url).status == .done)
            #expect(store.entities["k/x"]?.state == #"{"id":"x","n":2}"#)
            #expect(store.batches == 2)
        }
    }

    @Test func noServerIsExit7AtOnce() async throws {
        let directory = TemporaryDirectory()
        let path = try directory.write("in", lines(0..<10))
        let result = await run(
            "import", "k", path, "--id-field", "id", "--endpoint", ScriptedServer.deadURL)
        #expect(result.status == .unreachable)
        #expect(result.errors.contains("--resume"))
    }

    @Test func anInterruptedImportIsResumed() async throws {
        let directory = TemporaryDirectory()
        let refusal = problem("bad-request")
        let isBroken = Mutex(true)
        // A request that is refused whole ends the import at once; ten chunks are in by then.
        let store = FakeStore()
        let path = try directory.write("in", "oops\n" + lines(0..<9_000))
        let script: ScriptedServer.Script = { request in
            let isRefused = request.uri == "/v1/batch" && isBroken.withLock { $0 } && store.batches >= 10
            return isRefused ? .answer(400, [:], refusal) : store.script(request)
        }
        try await ScriptedServer.run(script) { server in
            let first = await run("import", "k", path, "--id-field", "id", "--endpoint", server.url)
            #expect(first.status == .refused)
            #expect(directory.names == ["in", "in.keystead-import"])
            let saved = try #require(try await ImportProgress.load(for: path))
            #expect(saved.mark.line > 0)
            let versions = store.version
            isBroken.withLock { $0 = false }

            // Somebody writes an entity that is in already: a resume must leave it alone.
            store.put("k/e0", "changed since")
            let second = await run("import", "k", path, "--id-field", "id", "--resume", "--endpoint", server.url)
            #expect(second.status == .failed)
            #expect(second.errors.contains("resuming after line"))
            #expect(second.errors.contains("9,000 lines imported, 1 refused"))
            #expect(store.entities.count == 9_000)
            #expect(store.entities["k/e0"]?.state == "changed since")
            #expect(store.version == 9_001)
            #expect(versions < 9_000)
            #expect(directory.names == ["in"])
        }
    }

    @Test func aResumeChecksThatItIsTheSameImport() async throws {
        let directory = TemporaryDirectory()
        let path = try directory.write("in", lines(0..<100))
        var progress = ImportProgress(kind: "k", idField: "id", run: 1)
        progress.mark = InputMark(offset: 100, line: 4)
        progress.prefixHash = XXH64.hash(Array(lines(0..<100).utf8.prefix(100)), seed: 0)
        _ = try directory.write("in.keystead-import", String(decoding: progress.encoded, as: UTF8.self))
        #expect(await run("import", "other", path, "--id-field", "id", "--resume").status == .refused)
        #expect(await run("import", "k", path, "--id-field", "other", "--resume").status == .refused)
        _ = try directory.write("in", lines(1..<100))
        let changed = await run("import", "k", path, "--id-field", "id", "--resume")
        #expect(changed.status == .refused)
        #expect(changed.errors.contains("has changed"))
        _ = try directory.write("in.keystead-import", "?")
        #expect(await run("import", "k", path, "--id-field", "id", "--resume").status == .refused)
    }

    /// Another import of the same file is another intent: it writes again what has been changed since.
    @Test func anotherImportWritesAgain() async throws {
        let directory = TemporaryDirectory()
        let store = FakeStore()
        let path = try directory.write("in", lines(0..<1))
        try await store.serve { url, _ in
            for _ in 0..<2 {
                #expect(await run("import", "k", path, "--id-field", "id", "--endpoint", url).status == .done)
                #expect(store.entities["k/e0"]?.state == #"{ "id" : "e0", "n": 0.0}"#)
                store.put("k/e0", "changed since")
            }
        }
    }
}

@Suite struct ExportTests {
    @Test(arguments: [
        ("{}", true), ("{\"a\":1}\r", true), (" {} ", true), ("{\n}", false), ("[]", false), ("1", false), ("", false),
        ("text", false),
    ])
    func onlyObjectsOnOneLineAreLines(state: String, can: Bool) {
        #expect(ExportLine.canCarry(Array(state.utf8)) == can)
    }

    @Test func whatLinesCannotCarryIsNamedAndCounted() async throws {
        let store = FakeStore()
        store.put("k/a", "{}")
        store.put("k/b", "plain", contentType: "text/plain")
        store.put("k/c", "{\n}")
        store.put("k/d", "{ }")
        try await store.serve { url, _ in
            let result = await run("export", "k", "--endpoint", url)
            #expect(result.status == .failed)
            #expect(result.output == "{}\n{ }\n")
            #expect(result.errors.contains("k/b left out: its state is not JSON"))
            #expect(result.errors.contains("k/c left out: its state is JSON of several lines"))
            #expect(result.errors.contains("2 entities exported, 2 left out"))
        }
    }

    /// The list shows the value without the white space around it; the bytes are asked for then.
    @Test func spaceAroundAStateIsKept() async throws {
        let store = FakeStore()
        store.put("k/a", " {\"a\": 1}\t")
        try await store.serve { url, _ in
            #expect(await run("export", "k", "--endpoint", url).output == " {\"a\": 1}\t\n")
        }
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
}
