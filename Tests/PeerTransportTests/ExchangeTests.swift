import Entities
import HashRing
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import PeerTransport
import PeerWire
import Primitives
import Testing

@Suite(.timeLimit(.minutes(2))) struct ExchangeTests {
    @Test func aRequestIsAnsweredAndItsSenderKnown() async throws {
        let asked = NIOLockedValueBox<[String]>([])
        let service = ScriptedService { request, node, reply in
            asked.withLockedValue { $0.append(node.text) }
            reply.send(.notOwner(mapRevision: request.number ?? 0))
        }
        try await withPair(service) { client, server, group in
            let outcome = await client.ask(Cluster.numbered(42), server.address("server"), on: group.next())
            #expect(outcome.number == 42)
            #expect(asked.withLockedValue { $0 } == ["client"])
            #expect(!client.isUnreachable(Cluster.node("server")))
        }
    }

    @Test func eachLaneHasItsConnection() async throws {
        let service = HoldingService()
        try await withPair(service) { client, server, group in
            let loop = group.next()
            // A transfer that takes its time does not hold up a request.
            async let bulk = client.ask(Cluster.numbered(1), server.address("server"), lane: .bulk, on: loop)
            try await eventually { service.count == 1 }
            let transfer = service.take()
            async let quick = client.ask(Cluster.numbered(2), server.address("server"), on: loop)
            try await eventually { service.count == 1 }
            #expect(server.connectionCount == 2)
            var generator = SplitMix64(seed: 1)
            service.release(using: &generator)
            #expect(await quick.number == 2)
            transfer[0].1.send(.notOwner(mapRevision: 1))
            #expect(await bulk.number == 1)
        }
    }

    @Test func eachLoopHasItsConnectionAndIsAnsweredOnItself() async throws {
        try await withPair(ScriptedService.echo, loops: 3) { client, server, group in
            for loop in group.makeIterator() {
                let address = server.address("server")
                let onLoop = try await loop.flatSubmit { () -> EventLoopFuture<Bool> in
                    let promise = loop.makePromise(of: Bool.self)
                    let hasReturned = NIOLockedValueBox(false)
                    client.send(
                        Cluster.numbered(1), to: address, lane: .requests, deadline: .now() + .seconds(60), on: loop
                    ) { outcome in
                        let isLate = hasReturned.withLockedValue { $0 }
                        promise.succeed(loop.inEventLoop && isLate && outcome.number == 1)
                    }
                    hasReturned.withLockedValue { $0 = true }
                    return promise.futureResult
                }.get()
                #expect(onLoop)
            }
            #expect(server.connectionCount == 3)
        }
    }

    @Test func aLoopOfAnotherGroupIsAnsweredOnItself() async throws {
        let other = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let loop = other.next()
        try await withPair(ScriptedService.echo) { client, server, _ in
            let address = server.address("server")
            let onLoop = await withCheckedContinuation { continuation in
                client.send(
                    Cluster.numbered(1), to: address, lane: .requests, deadline: .now() + .seconds(60), on: loop
                ) { continuation.resume(returning: loop.inEventLoop && $0.number == 1) }
            }
            #expect(onLoop)
        }
        try await other.shutdownGracefully()
    }

    /// Answers come in any order, from any thread; each finds its request.
    @Test func thousandsAtOnceInArbitraryOrder() async throws {
        let service = HoldingService()
        try await withPair(service, loops: 2) { client, server, group in
            let address = server.address("server")
            let loops = Array(group.makeIterator())
            var generator = SplitMix64(seed: 11)
            for round in 0..<3 {
                let wrong = try await withThrowingTaskGroup(of: Bool.self) { tasks in
                    for number in 0..<6000 {
                        let loop = loops[number % 2]
                        tasks.addTask {
                            await client.ask(Cluster.numbered(number), address, on: loop).number != UInt64(number)
                        }
                    }
                    try await eventually { service.count == 6000 }
                    #expect(await client.counters().pending == 6000)
                    service.release(using: &generator)
                    return try await tasks.reduce(0) { $0 + ($1 ? 1 : 0) }
                }
                #expect(wrong == 0, "round \(round)")
                let counters = await client.counters()
                #expect(counters.pending == 0 && counters.inFlight == 0 && counters.inFlightBytes == 0)
            }
            #expect(server.connectionCount == 2)
        }
    }

    @Test func theLargestMessagesPass() async throws {
        let record = StoredRecord(
            version: Position(1), updatedAt: .zero, expiresAt: nil, contentType: [UInt8](),
            state: [UInt8](repeating: 5, count: Limits.listBytesMax / 100))
        let keys = try (0..<100).map { try Cluster.key("k/\($0)") }.sorted { $0.ringHash < $1.ringHash }
        let page = ListPage(
            items: keys.map { ListPage.Item(keyBytes: $0.bytes, record: record) }, next: nil, shardCount: 64,
            missing: [])
        let expected = [UInt8](repeating: 7, count: Limits.entityBytesCeiling)
        let service = ScriptedService { request, _, reply in
            if case .list = request { return reply.send(.answer(.page(page))) }
            guard case .write(let operation, _, _) = request, case .put(let state, _, _) = operation.action,
                state == expected
            else { return reply.send(.closed) }
            reply.send(.notOwner(mapRevision: 5))
        }
        try await withPair(service) { client, server, group in
            for _ in 0..<3 {
                let request = try Cluster.put(bytes: Limits.entityBytesCeiling)
                let put = await client.ask(request, server.address("server"), on: group.next())
                #expect(put.number == 5)
                let list = ListRequest(keyPrefix: Array("k/".utf8), itemsMax: 100, after: nil, withValues: true)
                let outcome = await client.ask(
                    .list(list, deadlineMilliseconds: 1000, first: ShardID(0), last: ShardID(63)),
                    server.address("server"), on: group.next())
                guard case .response(.answer(.page(let read))) = outcome else {
                    Issue.record("\(outcome)")
                    return
                }
                #expect(read.items.count == 100 && read.items.allSatisfy { $0.record == record })
            }
        }
    }

    @Test func aDeadlineEndsTheWaitAndLateAnswersFindNobody() async throws {
        let service = HoldingService()
        try await withPair(service) { client, server, group in
            let address = server.address("server")
            let loop = group.next()
            for number in 0..<10 {
                let outcome = await client.ask(
                    Cluster.numbered(number), address, deadline: .now() + .milliseconds(30), on: loop)
                if !outcome.isTimedOut { #expect(outcome.notSentText != nil) }
            }
            #expect(await client.counters().pending == 0)
            var generator = SplitMix64(seed: 2)
            service.release(using: &generator)
            async let fresh = client.ask(Cluster.numbered(99), address, on: loop)
            try await eventually { service.count == 1 }
            service.release(using: &generator)
            #expect(await fresh.number == 99)
            #expect(server.connectionCount == 1)
        }
    }

    @Test func aDeadlineThatPassedBeforeSendingIsNotSent() async throws {
        try await withClient { client, group in
            // Says nothing, so the handshake does not end.
            let (channel, address) = try await rawServer(group) { _, _ in }
            let outcome = await client.ask(
                Cluster.numbered(1), address, deadline: .now() + .milliseconds(1), on: group.next())
            #expect(outcome.notSentText?.contains("deadline") == true)
            try await channel.close()
        }
    }
}

@Suite(.timeLimit(.minutes(2))) struct BoundTests {
    @Test func beyondTheBoundRequestsAreRefused() async throws {
        var options = PeerOptions.patient()
        options.inFlightMax = 8
        let service = HoldingService()
        try await withPair(service, options: options) { client, server, group in
            let address = server.address("server")
            let loop = group.next()
            try await withThrowingTaskGroup(of: PeerOutcome.self) { tasks in
                for number in 0..<8 { tasks.addTask { await client.ask(Cluster.numbered(number), address, on: loop) } }
                try await eventually { service.count == 8 }
                let refused = await client.ask(Cluster.numbered(9), address, on: loop)
                #expect(refused.isOverloaded)
                var generator = SplitMix64(seed: 3)
                service.release(using: &generator)
                for try await outcome in tasks { #expect(outcome.number != nil) }
            }
            async let again = client.ask(Cluster.numbered(10), address, on: loop)
            try await eventually { service.count == 1 }
            var generator = SplitMix64(seed: 3)
            service.release(using: &generator)
            #expect(await again.number == 10)
        }
    }

    @Test func bytesAreBoundedToo() async throws {
        var options = PeerOptions.patient()
        options.inFlightBytesMax = 100_000
        let service = HoldingService()
        try await withPair(service, options: options) { client, server, group in
            let address = server.address("server")
            let loop = group.next()
            // One that is larger alone goes when nothing else is open.
            let large = try Cluster.put(bytes: 150_000)
            async let first = client.ask(large, address, on: loop)
            try await eventually { service.count == 1 }
            let refused = await client.ask(Cluster.numbered(2), address, on: loop)
            #expect(refused.isOverloaded)
            var generator = SplitMix64(seed: 3)
            service.release(using: &generator)
            #expect(await first.number == 0)
            #expect(await client.counters().inFlightBytes == 0)
        }
    }

    @Test func aServerReadsNoFurtherThanItsBound() async throws {
        var options = PeerOptions.patient()
        options.inFlightMax = 10
        let service = HoldingService()
        try await withPair(service, options: options) { _, server, group in
            let (channel, handler) = try await rawClient(group, server)
            for number in 1...100 { channel.say(Cluster.numbered(number).frame(id: UInt64(number))) }
            var generator = SplitMix64(seed: 4)
            var answered = 0
            while answered < 100 {
                try await eventually { service.count == 10 }
                // Nothing more comes while ten are open: ten loop ticks later there are still ten.
                for _ in 0..<10 { try await channel.eventLoop.submit {}.get() }
                #expect(service.count == 10)
                service.release(using: &generator)
                answered += 10
            }
            try await eventually { handler.frames.count == 101 }
            #expect(Set(handler.frames.dropFirst().map(\.id)) == Set(1...100))
            try await channel.close()
        }
    }

    /// A peer that sends requests and does not read the answers: the server stops, and loses nothing when it
    /// reads again.
    @Test func aSlowReaderStopsItsOwnRequestsOnly() async throws {
        let handled = NIOLockedValueBox(0)
        let chunk = PeerResponse.chunk(bytes: [UInt8](repeating: 1, count: 1 << 20), checksum: 0)
        let service = ScriptedService { _, node, reply in
            if node.text == "raw" { handled.withLockedValue { $0 += 1 } }
            reply.send(chunk)
        }
        try await withPair(service) { client, server, group in
            let (channel, handler) = try await rawClient(group, server, autoRead: false)
            let fetch = PeerRequest.moveFetch(shard: ShardID(1), session: 1, file: 0, offset: 0, length: 1 << 20)
            for number in 1...200 { channel.say(fetch.frame(id: UInt64(number))) }
            try await eventually { handled.withLockedValue { $0 } > 0 }
            // Others are served meanwhile.
            for _ in 0..<20 {
                let outcome = await client.ask(fetch, server.address("server"), on: group.next())
                guard case .response(.chunk) = outcome else {
                    Issue.record("\(outcome)")
                    return
                }
            }
            #expect(handled.withLockedValue { $0 } < 200)
            try await channel.setOption(.autoRead, value: true).get()
            try await eventually { handler.frames.count == 201 }
            #expect(handled.withLockedValue { $0 } == 200)
            try await channel.close()
        }
    }

    @Test func framesAreNoLongerThanThePeerTakes() async throws {
        try await withClient { client, group in
            let (channel, address) = try await rawServer(group) { frame, channel in
                guard frame.type == 1 else { return }
                var hello = Cluster.hello("server")
                hello.frameBytesMax = 600
                channel.say(PeerControl.hello(hello).frame(id: 0))
            }
            let outcome = await client.ask(try Cluster.put(bytes: 1000), address, on: group.next())
            #expect(outcome.notSentText?.contains("bytes") == true)
            #expect(await client.counters().inFlight == 0)
            try await channel.close()
        }
        let service = ScriptedService { _, _, reply in
            reply.send(.chunk(bytes: [UInt8](repeating: 0, count: 1000), checksum: 0))
        }
        try await withPair(service) { _, server, group in
            var hello = Cluster.hello("raw")
            hello.frameBytesMax = 600
            let (channel, handler) = try await rawClient(group, server, first: PeerControl.hello(hello).frame(id: 0))
            channel.say(Cluster.numbered(1).frame(id: 1))
            try await eventually { handler.frames.count == 2 }
            #expect(handler.frames[1].type == 0x42)
            #expect(handler.frames[1].body.first == 8, "the code says that it has been executed")
            try await channel.close()
        }
    }

    @Test func connectionsAreBounded() async throws {
        var options = PeerOptions.patient()
        options.connectionsMax = 2
        try await withPair(ScriptedService.echo, options: options) { _, server, group in
            let (first, one) = try await rawClient(group, server)
            let (second, two) = try await rawClient(group, server)
            try await eventually { one.frames.count == 1 && two.frames.count == 1 }
            let (_, three) = try await rawClient(group, server)
            try await eventually { three.isClosed }
            #expect(three.frames.isEmpty)
            try await first.close()
            try await eventually { server.connectionCount == 1 }
            let (fourth, four) = try await rawClient(group, server)
            try await eventually { four.frames.count == 1 }
            try await second.close()
            try await fourth.close()
        }
    }
}
