import KeysteadClient
import ScriptedServer
import Testing

@Suite struct ListTests {
    private func page(_ items: String, cursor: String?, missing: String = "[]") -> ScriptedServer.Reaction {
        let cursor = cursor.map { "\"\($0)\"" } ?? "null"
        return .answer(
            200, [:],
            #"{"items":[\#(items)],"cursor":\#(cursor),"harvest":{"answered":63,"of":64,"missing":\#(missing)}}"#)
    }

    private func item(_ id: String, _ value: String = "") -> String {
        #"{"key":"user/\#(id)","etag":"\"4\"","bytes":5,"content-type":"t","updated":"2026"\#(value)}"#
    }

    @Test func pagesFollowTheCursorToTheEnd() async throws {
        try await withServer([
            page(item("a") + "," + item("b"), cursor: "c+1"), page("", cursor: "c2"), page(item("z"), cursor: nil),
        ]) { client, server in
            var keys: [String] = []
            for try await page in client.list("user", ListOptions(prefix: "ü", pageItemsMax: 2)) {
                keys += page.items.map(\.key.description)
            }
            #expect(keys == ["user/a", "user/b", "user/z"])
            #expect(
                server.requests.map(\.uri) == [
                    "/v1/entities/user?limit=2&prefix=%C3%BC", "/v1/entities/user?limit=2&prefix=%C3%BC&cursor=c%2B1",
                    "/v1/entities/user?limit=2&prefix=%C3%BC&cursor=c2",
                ])
        }
    }

    @Test func valuesComeBackByteForByte() async throws {
        let items = [
            item("a", #","json":{ "n" : 1.50, "s":"\u0041" }"#), item("b", #","text":"\u0000\"é\ud83d\ude00""#),
            item("c", #","base64":"AP8=""#), item("d"),
        ]
        try await withServer([page(items.joined(separator: ","), cursor: nil)]) { client, _ in
            let page = try await client.page(of: "user", ListOptions(values: true))
            #expect(page.items[0].state == Array(#"{ "n" : 1.50, "s":"\u0041" }"#.utf8))
            #expect(page.items[1].state == Array("\0\"é😀".utf8))
            #expect(page.items[2].state == [0, 0xFF])
            #expect(page.items[3].state == nil)
            #expect(page.items[3].byteCount == 5)
        }
    }

    @Test func missingShardsAreNamed() async throws {
        try await withServer([page("", cursor: nil, missing: "[3,9]")]) { client, server in
            let page = try await client.page(of: "user", ListOptions(requiresFullHarvest: true))
            #expect(page.harvest.answered == 63)
            #expect(page.harvest.shards == 64)
            #expect(page.harvest.missing == [3, 9])
            #expect(server.requests[0].uri == "/v1/entities/user?limit=100&require=full")
        }
    }

    @Test(arguments: ["", "[]", "{}", #"{"items":[{}],"cursor":null}"#, #"{"items":[],"cursor":null,"harvest":1}"#])
    func otherDocumentsAreNoPage(body: String) async throws {
        try await withServer([.answer(200, [:], body)]) { client, _ in
            let error = await failure { () throws(KeysteadError) in _ = try await client.page(of: "user") }
            #expect(error?.code == .malformedAnswer)
        }
    }
}

@Suite struct BatchTests {
    private func lines(_ operations: [BatchOperation]) -> [String] {
        operations.map { operation in
            var line: [UInt8] = []
            operation.appendLine(to: &line)
            return String(decoding: line, as: UTF8.self)
        }
    }

    @Test func operationsAreLines() throws {
        let key = EntityKey(kind: "user", id: "a\"/é")
        #expect(
            lines([
                .get(key), .delete(key), .put(alice, json: "{\"a\":\n1}"),
                BatchOperation(.put(state: [0xFF], contentType: nil, ttlSeconds: 9), alice, precondition: .absent),
                BatchOperation(
                    .patch(.update("{\n\"do\":[]}")), alice, precondition: .matches(EntityTag(version: 3)),
                    idempotencyKey: IdempotencyKey("k")),
            ]) == [
                #"{"op":"get","key":"user/a\"/é"}"# + "\n", #"{"op":"delete","key":"user/a\"/é"}"# + "\n",
                #"{"op":"put","key":"user/alice","text":"{\"a\":\u000a1}","content-type":"application/json"}"# + "\n",
                #"{"op":"put","key":"user/alice","base64":"/w==","content-type":"application/octet-stream","ttl":9,"#
                    + #""if-none-match":"*"}"# + "\n",
                #"{"op":"patch","key":"user/alice","json":{ "do":[]},"patch":"update","if-match":"\"3\"","#
                    + #""idempotency-key":"k"}"# + "\n",
            ])
    }

    @Test func eachOperationHasItsAnswer() async throws {
        let body =
            #"{"status":204,"etag":"\"5\"","position":"1:5"}"# + "\n" + #"{"status":200,"etag":"\"5\"","text":"x"}"#
            + "\n" + #"{"status":412,"etag":"\"5\"","error":\#(problem("precondition-failed"))}"# + "\n"
        try await withServer([.answer(200, [:], body)]) { client, server in
            let answers = try await client.batch([.delete(alice), .get(alice), .delete(alice)])
            #expect(answers.map(\.status) == [204, 200, 412])
            #expect(answers.map(\.isSuccess) == [true, true, false])
            #expect(answers[0].position == ShardPosition(shard: 1, position: 5))
            #expect(answers[1].state == Array("x".utf8))
            #expect(answers[2].error?.currentETag?.version == 5)
            #expect(server.requests[0].uri == "/v1/batch")
        }
    }

    @Test func unansweredWritesAreUnknownAndReadsAreNot() async throws {
        let reactions: [ScriptedServer.Reaction] = [
            .cutOff(200, [:], #"{"status":204,"etag":"\"5\""}"# + "\n" + #"{"status":20"#), .close,
        ]
        for (reaction, answered) in zip(reactions, [1, 0]) {
            try await withServer([reaction]) { client, server in
                let answers = try await client.batch([.delete(alice), .delete(alice), .get(alice)])
                #expect(answers.count == 3)
                #expect(answers.filter(\.isSuccess).count == answered)
                #expect(answers[1].error?.applied == .unknown)
                #expect(answers[2].error?.applied == .no)
                #expect(server.requests.count == 1)
            }
        }
    }

    @Test func aBatchThatIsRefusedThrows() async throws {
        try await withServer([.answer(415, [:], problem("unsupported-media-type"))]) { client, _ in
            let error = await failure { () throws(KeysteadError) in _ = try await client.batch([.get(alice)]) }
            #expect(error?.code == .unsupportedMediaType)
        }
    }

    /// Each operation is made only after the one before has been answered: the stream runs both ways at once.
    @Test func aStreamRunsBothWaysAtOnce() async throws {
        let (operations, input) = AsyncStream<BatchOperation>.makeStream()
        let answer: @Sendable (String) -> String = { #"{"status":204,"etag":"\"\#($0.utf8.count)\""}"# }
        try await ScriptedServer.run(lines: answer, { _ in .hang }) { server in
            try await Keystead.withClient(endpoints: [server.url]) { client in
                input.yield(.delete(EntityKey(kind: "k", id: "0")))
                var answered = 0
                for try await answer in client.batch(operations) {
                    #expect(answer.status == 204)
                    answered += 1
                    if answered == 100 {
                        input.finish()
                    } else {
                        input.yield(.delete(EntityKey(kind: "k", id: "\(answered)")))
                    }
                }
                #expect(answered == 100)
            }
        }
    }

    @Test func aStreamThatBreaksThrowsOnce() async throws {
        let operations = AsyncStream<BatchOperation> {
            $0.yield(.delete(alice)); $0.finish()
        }
        try await withServer([.cutOff(200, [:], #"{"status":204,"etag":"\"5\""}"# + "\n")]) { client, _ in
            var answers = client.batch(operations).makeAsyncIterator()
            let first = try await answers.next()
            #expect(first?.status == 204)
            await #expect(throws: KeysteadError.self) { _ = try await answers.next() }
            let last = try await answers.next()
            #expect(last == nil)
        }
    }
}
