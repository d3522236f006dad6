import KeysteadClient
import Primitives
import ScriptedServer
import Synchronization
import Testing

@testable import AdminTool

@Suite struct ImportLineTests {
    private static func state(_ id: String, _ line: String) -> ImportLine {
        .entity(.init(id: id, state: Array(line.utf8)))
    }

    @Test(arguments: [
        (#"{"id":"a"}"#, "a"), (#"{"id":7}"#, "7"), (#"{"id":1.50e3}"#, "1.50e3"),
        (#" {"x":{"id":"no"}, "\u0069d" : "a\/b\u00e9"} "#, "a/bé"),
    ])
    func statesNameTheirEntity(line: String, id: String) {
        let expected = Self.state(id, line)
        #expect(ImportLine(Array(line.utf8)[...], .states(idField: "id"), kind: "k") == expected)
    }

    @Test(arguments: [
        (#"{"x":1}"#, #"no member "id""#), (#"{"id":"a","id":"a"}"#, #"member "id" stands 2 times"#),
        (#"{"id":null}"#, #""id" is neither a string nor a number"#),
        (#"{"id":true}"#, #""id" is neither a string nor a number"#),
        (#"{"id":["a"]}"#, #""id" is neither a string nor a number"#), (#"{"id":""}"#, #""id" is empty"#),
        (#"{"id":"\ud800"}"#, #""id" holds half a surrogate pair"#), (#"["id"]"#, "not a JSON object"),
        (#"{"id":"a"} x"#, "not a JSON object"), (#"{"id":"a""#, "not a JSON object"),
    ])
    func statesWithoutAnIdAreRefused(line: String, reason: String) {
        #expect(ImportLine(Array(line.utf8)[...], .states(idField: "id"), kind: "k") == .refused(reason))
    }

    @Test(arguments: ["", " \t\r"])
    func blankLinesAreNone(line: String) {
        for format in [LineFormat.states(idField: "id"), .full] {
            #expect(ImportLine(Array(line.utf8)[...], format, kind: "k") == .blank)
        }
    }

    @Test func bytesThatAreNoTextAreRefused() {
        for format in [LineFormat.states(idField: "id"), .full] {
            #expect(ImportLine([0x7B, 0xFF, 0x7D], format, kind: "k") == .refused("not valid UTF-8"))
        }
    }

    @Test func fullLinesSayEverything() {
        let line = #"{"ttl":9,"key":"k/a/b","base64":"AP8=","content-type":"image/x"}"#
        let expected = ImportLine.Content(id: "a/b", state: [0, 255], contentType: "image/x", ttlSeconds: 9)
        #expect(ImportLine(Array(line.utf8)[...], .full, kind: "k") == .entity(expected))
    }

    @Test func aFullLineOfAnotherKindIsRefused() {
        let line = Array(#"{"key":"other/a","text":"x"}"#.utf8)
        #expect(
            ImportLine(line[...], .full, kind: "k")
                == .refused("other/a is not of the kind k; import its kind by itself"))
    }

    @Test(
        arguments: [
            ([0xFF, 0xFE, 0x7B, 0], "UTF-16"), ([0xFE, 0xFF, 0, 0x7B], "UTF-16"), ([0x7B, 0, 0x22, 0], "UTF-16"),
            ([0, 0x7B], "UTF-16"), ([0xFF, 0xFE, 0, 0], "UTF-32"), ([0x1F, 0x8B, 8], "gzip"),
            ([0xEF, 0xBB, 0xBF], nil),
            ([0x7B, 0x7D], nil), ([], nil),
        ] as [([UInt8], String?)])
    func otherEncodingsAreTold(bytes: [UInt8], name: String?) { #expect(ImportEncoding.foreign(bytes[...]) == name) }
}

@Suite struct ImportChoiceTests {
    private func choice(_ named: LineFormatName? = nil, _ idField: String? = nil) -> ImportChoice {
        ImportChoice(input: "in", named: named, idField: idField)
    }

    @Test func theFirstLineTellsWhatTheLinesAre() throws {
        let full = Array(#"{"key":"k/a","text":"x"}"#.utf8)[...]
        let state = Array(#"{"key":"a","n":1}"#.utf8)[...]
        #expect(try choice().format(of: full, number: 1) == .full)
        #expect(try choice(nil, "id").format(of: full, number: 1) == .full)
        #expect(try choice(.states, "key").format(of: full, number: 1) == .states(idField: "key"))
        #expect(try choice(nil, "key").format(of: state, number: 1) == .states(idField: "key"))
        // With something wrong in it, it is refused as a full line, which says what.
        #expect(try choice().format(of: state, number: 1) == .full)
        #expect(try choice(.full).format(of: Array("?".utf8)[...], number: 1) == .full)
    }

    @Test(arguments: ["{}", "?", "[1]"])
    func aLineThatTellsNothingIsAsked(line: String) {
        let error = #expect(throws: CommandFailure.self) {
            try choice().format(of: Array(line.utf8)[...], number: 3)
        }
        #expect(error?.status == .usage)
        #expect(error?.message?.contains("line 3 of in") == true)
    }
}

@Suite struct ImportLanesTests {
    private func line(_ number: UInt64, _ id: String, bytes: Int = 10) -> ImportLanes.Line {
        .init(
            number: number, mark: InputMark(offset: number * 100, line: number - 1),
            content: .init(id: id, state: Array(repeating: 0x20, count: bytes)))
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
    @Test(arguments: [nil, LineFormat.full, .states(idField: "i\"d")])
    func progressRoundTrips(format: LineFormat?) {
        let origin = ImportProgress.Origin(
            kind: "k", format: format, cluster: format == nil ? nil : "c", byteCount: 5, modified: 7)
        var progress = ImportProgress(origin, run: .max)
        progress.mark = InputMark(offset: 12_345, line: 99)
        progress.blank = 3
        progress.refused = 4
        progress.prefixHash = 77
        #expect(ImportProgress(progress.encoded) == progress)
        #expect(progress.written == 92)
    }

    @Test(arguments: [("version\":2", "version\":1"), ("blank\":0", "blank\":9"), ("kind", "kin"), ("{", "")])
    func otherFilesAreNoProgress(part: String, instead: String) {
        let text = String(decoding: ImportProgress(.init(kind: "k"), run: 1).encoded, as: UTF8.self)
        #expect(ImportProgress(Array(text.utf8)) != nil)
        let parts = text.split(separator: part, maxSplits: 1, omittingEmptySubsequences: false)
        #expect(ImportProgress(Array(parts.joined(separator: instead).utf8)) == nil)
    }

    @Test func anotherClusterIsRefused() throws {
        let progress = ImportProgress(.init(kind: "k", cluster: "c1"), run: 1)
        try progress.check(cluster: "c1", input: "in")
        try ImportProgress(.init(kind: "k"), run: 1).check(cluster: "c1", input: "in")
        for other in ["c2", nil] {
            let error = #expect(throws: CommandFailure.self) { try progress.check(cluster: other, input: "in") }
            #expect(error?.status == .refused)
        }
    }
}

@Suite struct ImportTests {
    private func lines(_ numbers: Range<Int>) -> String {
        numbers.map { #"{ "id" : "e\#($0)", "n": \#($0).0}"# + "\n" }.joined()
    }

    @Test func exportGivesTheLinesBack() async throws {
        let directory = TemporaryDirectory()
        let store = FakeStore()
        let text = lines(0..<1200) + "{\"id\":\"é\\u0041\"}\t\n\n   \n" + #"{"id":7}"#
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
        #expect(!result.errors.contains("--resume"))
        #expect(directory.names == ["in"])
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
        let input = try InputFile(path: path)
        var origin = ImportProgress.Origin(kind: "k", format: .states(idField: "id"), cluster: "c1")
        (origin.byteCount, origin.modified) = (input.byteCount ?? 0, input.modified)
        var progress = ImportProgress(origin, run: 1)
        progress.mark = InputMark(offset: 100, line: 4)
        progress.prefixHash = XXH64.hash(Array(lines(0..<100).utf8.prefix(100)), seed: 0)
        func save() throws {
            _ = try directory.write("in.keystead-import", String(decoding: progress.encoded, as: UTF8.self))
        }
        try save()
        #expect(await run("import", "other", path, "--id-field", "id", "--resume").status == .refused)
        #expect(await run("import", "k", path, "--id-field", "other", "--resume").status == .refused)
        #expect(await run("import", "k", path, "--format", "full", "--resume").status == .refused)
        progress.origin.modified += 1
        try save()
        let touched = await run("import", "k", path, "--resume")
        #expect(touched.status == .refused)
        #expect(touched.errors.contains("has changed"))
        progress.origin.modified -= 1
        progress.prefixHash += 1
        try save()
        #expect(await run("import", "k", path, "--resume").errors.contains("has changed"))
        _ = try directory.write("in.keystead-import", "?")
        #expect(await run("import", "k", path, "--id-field", "id", "--resume").status == .refused)
    }

    /// The server at the address is another cluster's now: nothing is sent, and the progress stays for the first.
    @Test func aResumeBelongsToItsCluster() async throws {
        let directory = TemporaryDirectory()
        let path = try directory.write("in", lines(0..<10))
        let input = try InputFile(path: path)
        let origin = ImportProgress.Origin(
            kind: "k", format: .states(idField: "id"), cluster: "first", byteCount: input.byteCount ?? 0,
            modified: input.modified)
        var progress = ImportProgress(origin, run: 1)
        progress.prefixHash = XXH64.hash([UInt8](), seed: 0)
        _ = try directory.write("in.keystead-import", String(decoding: progress.encoded, as: UTF8.self))
        let store = FakeStore()
        try await store.serve { url, _ in
            let result = await run("import", "k", path, "--resume", "--endpoint", url)
            #expect(result.status == .refused)
            #expect(result.errors.contains("went into cluster first, and this is cluster fake"))
            #expect(store.entities.isEmpty)
            #expect(directory.names == ["in", "in.keystead-import"])
        }
    }

    @Test func lineEndsAndAByteOrderMarkAreNoPartOfAState() async throws {
        let directory = TemporaryDirectory()
        let store = FakeStore()
        let path = try directory.write("in", "\u{FEFF}{\"id\":1}\r\n\r\n{\"id\":2}\r\n{\"id\":3}\r")
        try await store.serve { url, _ in
            let result = await run("import", "k", path, "--id-field", "id", "--endpoint", url)
            #expect(result.status == .done)
            let expected = ["k/1": #"{"id":1}"#, "k/2": #"{"id":2}"#, "k/3": #"{"id":3}"#]
            #expect(store.entities.mapValues(\.state) == expected)
        }
    }

    @Test func aFileOfAnotherEncodingIsNamed() async throws {
        let directory = TemporaryDirectory()
        let store = FakeStore()
        try AtomicFile.replace(directory.path + "/in", with: [0xFF, 0xFE, 0x7B, 0, 0x7D, 0])
        try await store.serve { url, _ in
            let result = await run("import", "k", directory.path + "/in", "--id-field", "id", "--endpoint", url)
            #expect(result.status == .refused)
            #expect(result.errors.contains("is UTF-16: make it UTF-8 first"))
            #expect(directory.names == ["in"])
        }
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
