import KeysteadClient
import ScriptedServer
import Testing

/// What a caller learns of a call that did not succeed, and what the client does before it says so.
@Suite struct OutcomeTests {
    private let written = ScriptedServer.Reaction.answer(204, ["ETag": "\"8\""])
    private let lost = ScriptedServer.Reaction.answer(
        504, [:], problem("outcome-unknown", applied: "unknown", retry: "with-key"))
    private let overloaded = ScriptedServer.Reaction.answer(503, [:], problem("overloaded", retry: "safe"))
    private var keyed: WriteOptions { WriteOptions(idempotencyKey: IdempotencyKey("k")) }

    @Test func problemsAreReadWhole() async throws {
        let fields = ["ETag": "\"9\"", "Keystead-Position": "2:11", "Retry-After": "3"]
        try await withServer([.answer(412, fields, problem("precondition-failed"))]) { client, _ in
            let error = await failure { () throws(KeysteadError) in
                try await client.put(alice, [], options: WriteOptions(precondition: .absent))
            }
            #expect(
                error
                    == KeysteadError(
                        code: .preconditionFailed, status: 412, detail: "D", applied: .no, retry: .never,
                        currentETag: EntityTag(version: 9), retryAfter: .seconds(3),
                        position: ShardPosition(shard: 2, position: 11)))
        }
    }

    @Test(arguments: [
        (404, KeysteadError.Applied.no, KeysteadError.Retry.never), (502, .unknown, .withKey),
        (302, .unknown, .withKey),
    ])
    func answersOfOthersProveNothing(
        status: Int, applied: KeysteadError.Applied, retry: KeysteadError.Retry
    ) async throws {
        try await withServer([.answer(status, [:], "<html>")]) { client, server in
            let error = await failure { () throws(KeysteadError) in try await client.put(alice, []) }
            #expect(error?.code == .malformedAnswer)
            #expect(error?.applied == applied)
            #expect(error?.retry == retry)
            #expect(server.requests.count == 1)
        }
    }

    @Test func aBareWriteIsSentOnceWhenItsOutcomeIsUnknown() async throws {
        for reaction in [lost, .close] {
            try await withServer([reaction, written]) { client, server in
                let error = await failure { () throws(KeysteadError) in try await client.put(alice, []) }
                #expect(error?.applied == .unknown)
                #expect(error?.retry == .withKey)
                #expect(server.requests.count == 1)
            }
        }
    }

    @Test func aBareWriteThatChangedNothingIsSentAgain() async throws {
        try await withServer([overloaded, overloaded, written]) { client, server in
            let receipt = try await client.put(alice, [])
            #expect(receipt.etag.version == 8)
            #expect(server.requests.count == 3)
        }
    }

    @Test func aReadIsSentAgainAfterALostConnection() async throws {
        try await withServer([.close, .answer(200, ["ETag": "\"7\""], "x")]) { client, _ in
            let entity = try await client.get(alice)
            #expect(entity.etag.version == 7)
        }
    }

    @Test func aKeyedWriteThatTookEffectIsFoundByItsOutcome() async throws {
        try await withServer([.close, .answer(200, [:], #"{"status":204,"etag":"\"8\""}"#)]) { client, server in
            let receipt = try await client.put(alice, Array("x".utf8), options: keyed)
            #expect(receipt.replayed)
            #expect(receipt.etag.version == 8)
            #expect(server.requests.map(\.method) == ["PUT", "GET"])
            #expect(server.requests[1].uri == "/v1/outcomes/user/alice")
            #expect(server.requests[1].headers["Idempotency-Key"] == ["k"])
        }
    }

    @Test func aKeyedWriteThatDidNotIsSentAgainUnderItsKey() async throws {
        try await withServer([lost, .answer(404, [:], problem("not-found")), written]) { client, server in
            let receipt = try await client.put(alice, Array("x".utf8), options: keyed)
            #expect(receipt.etag.version == 8)
            #expect(server.requests.map(\.method) == ["PUT", "GET", "PUT"])
            #expect(server.requests[2].headers["Idempotency-Key"] == ["k"])
        }
    }

    @Test func aGuardedWriteIsSentAgainAndItsRefusalStaysUnknown() async throws {
        try await withServer([.close, .answer(412, ["ETag": "\"9\""], problem("precondition-failed"))]) {
            client, server in
            let options = WriteOptions(precondition: .matches(EntityTag(version: 7)))
            let error = await failure { () throws(KeysteadError) in try await client.put(alice, [], options: options) }
            #expect(error?.code == .preconditionFailed)
            #expect(error?.applied == .unknown)
            #expect(error?.currentETag?.version == 9)
            #expect(server.requests.count == 2)
        }
    }

    /// `If-Match: *` stays true after the write took effect: it guards nothing.
    @Test func existenceGuardsNothing() async throws {
        try await withServer([.close, written]) { client, server in
            let options = WriteOptions(precondition: .exists)
            let error = await failure { () throws(KeysteadError) in try await client.put(alice, [], options: options) }
            #expect(error?.applied == .unknown)
            #expect(server.requests.count == 1)
        }
    }

    @Test func whatCannotBeConnectedChangedNothing() async throws {
        let dead = ScriptedServer.deadURL
        await Keystead.withClient(endpoints: [dead], configuration: hasty) { client in
            let error = await failure { () throws(KeysteadError) in try await client.put(alice, []) }
            #expect(error?.code == .unreachable)
            #expect(error?.applied == .no)
            #expect(error?.retry == .safe)
        }
    }

    @Test func theNextEndpointTakesOver() async throws {
        let dead = ScriptedServer.deadURL
        try await ScriptedServer.run({ _ in .answer(204, ["ETag": "\"8\""]) }) { server in
            try await Keystead.withClient(endpoints: [dead, server.url], configuration: hasty) { client in
                try await client.put(alice, [])
                try await client.put(alice, [])
                #expect(server.requests.count == 2)
            }
        }
    }

    @Test func aHangingReadEndsAtItsDeadline() async throws {
        try await withServer([.hang]) { client, _ in
            let error = await failure { () throws(KeysteadError) in
                _ = try await client.get(alice, deadline: .milliseconds(50))
            }
            #expect(error?.code == .deadlineExceeded)
            #expect(error?.applied == .no)
        }
    }

    @Test func aHangingWriteIsUnknownAtItsDeadline() async throws {
        try await withServer([.hang]) { client, server in
            let error = await failure { () throws(KeysteadError) in
                try await client.put(alice, [], options: WriteOptions(deadline: .milliseconds(50)))
            }
            #expect(error?.code == .deadlineExceeded)
            #expect(error?.applied == .unknown)
            #expect(server.requests.count <= 1)
        }
    }

    @Test func aCancelledWriteIsUnknown() async throws {
        try await withServer([.hang]) { client, server in
            let call = Task { await failure { () throws(KeysteadError) in try await client.put(alice, []) } }
            while server.requests.isEmpty { await Task.yield() }
            call.cancel()
            #expect(await call.value?.code == .cancelled)
            #expect(await call.value?.applied == .unknown)
        }
    }

    @Test func anEndpointThatIsNoURLIsSaid() async throws {
        await Keystead.withClient(endpoints: ["localhost"], configuration: hasty) { client in
            let error = await failure { () throws(KeysteadError) in _ = try await client.get(alice) }
            #expect(error?.code == .invalidRequest)
            #expect(error?.retry == .never)
        }
    }
}
