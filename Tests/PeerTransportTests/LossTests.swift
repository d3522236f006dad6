import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import PeerTransport
import PeerWire
import Primitives
import Testing

/// What a caller is told when something breaks: `notSent` only where nothing can have happened.
@Suite(.timeLimit(.minutes(2))) struct LossTests {
    private static let hello = PeerControl.hello(Cluster.hello("server")).frame(id: 0)

    @Test func nobodyListens() async throws {
        var options = PeerOptions.patient()
        options.backoffMin = .hours(1)
        options.backoffMax = .hours(1)
        try await withClient(options: options) { client, group in
            let (channel, address) = try await rawServer(group) { _, _ in }
            try await channel.close()
            let outcome = await client.ask(Cluster.numbered(1), address, on: group.next())
            #expect(outcome.notSentText?.hasSuffix("cannot be reached: connection refused") == true)
            #expect(client.isUnreachable(Cluster.node("server")))
            // While backing off there is no attempt: the node is back, and still nothing is sent.
            let server = try await PeerServer.serve(
                ScriptedService.echo, on: group, host: "127.0.0.1", port: address.port,
                identity: Cluster.identity("server"), options: .patient())
            let second = await client.ask(Cluster.numbered(2), address, on: group.next())
            #expect(second.notSentText == outcome.notSentText)
            #expect(server.connectionCount == 0)
            #expect(await client.counters().inFlight == 0)
            await server.shutDown(within: .seconds(1))
        }
    }

    @Test func aNodeThatComesBackIsFoundAgain() async throws {
        var options = PeerOptions.patient()
        options.backoffMin = .milliseconds(1)
        options.backoffMax = .milliseconds(2)
        try await withClient(options: options) { client, group in
            let (channel, address) = try await rawServer(group) { _, _ in }
            try await channel.close()
            for number in 0..<5 {
                #expect(await client.ask(Cluster.numbered(number), address, on: group.next()).notSentText != nil)
            }
            let server = try await PeerServer.serve(
                ScriptedService.echo, on: group, host: "127.0.0.1", port: address.port,
                identity: Cluster.identity("server"), options: options)
            try await eventually { await client.ask(Cluster.numbered(7), address, on: group.next()).number == 7 }
            #expect(!client.isUnreachable(Cluster.node("server")))
            await server.shutDown(within: .seconds(1))
        }
    }

    @Test func lostBeforeTheHandshakeEndsIsNotSent() async throws {
        try await withClient { client, group in
            let (channel, address) = try await rawServer(group) { _, channel in channel.close(promise: nil) }
            let outcome = await client.ask(Cluster.numbered(1), address, on: group.next())
            #expect(outcome.notSentText?.contains("lost") == true || outcome.notSentText?.contains("failed") == true)
            try await channel.close()
        }
    }

    /// Closing after the request, in the middle of its answer, or with a damaged answer.
    @Test(arguments: [0, 1, 19, 20, 27, -1]) func lostAfterSendingMayHaveBeenExecuted(answerBytes: Int) async throws {
        try await withClient { client, group in
            let (channel, address) = try await rawServer(group) { frame, channel in
                guard frame.type != 1 else { return channel.say(Self.hello) }
                var answer = PeerResponse.notOwner(mapRevision: 1).frame(id: frame.id)
                if answerBytes < 0 { answer[25] ^= 4 } else { answer = Array(answer[..<answerBytes]) }
                channel.say(answer)
                if answerBytes >= 0 { channel.close(promise: nil) }
            }
            let outcome = await client.ask(Cluster.numbered(1), address, on: group.next())
            #expect(outcome.lostText != nil, "\(outcome)")
            #expect(await client.counters() == PeerClientCounters())
            // The next request makes a new connection, without a pause.
            #expect(await client.ask(Cluster.numbered(1), address, on: group.next()).lostText != nil)
            try await channel.close()
        }
    }

    @Test func anAnswerOfALaterVersionIsLostAndTheConnectionLives() async throws {
        try await withClient { client, group in
            let connections = NIOLockedValueBox(0)
            let (channel, address) = try await rawServer(group) { raw, channel in
                switch raw.type {
                case 1:
                    connections.withLockedValue { $0 += 1 }
                    channel.say(Self.hello)
                    channel.say(frame(type: 0x0F, id: 0, [1, 2, 3]))
                default:
                    let isFirst = raw.body[4] == 1
                    channel.say(
                        isFirst
                            ? frame(type: 0x7F, id: raw.id) : PeerResponse.notOwner(mapRevision: 2).frame(id: raw.id))
                }
            }
            #expect(await client.ask(Cluster.numbered(1), address, on: group.next()).lostText != nil)
            #expect(await client.ask(Cluster.numbered(2), address, on: group.next()).number == 2)
            #expect(connections.withLockedValue { $0 } == 1)
            try await channel.close()
        }
    }

    /// The peer reads nothing, then goes: what the socket took is lost, what waited behind it was not sent.
    @Test func whatStillWaitedWasNotSent() async throws {
        var options = PeerOptions.patient()
        options.inFlightBytesMax = 1 << 30
        try await withClient(options: options) { client, group in
            let peers = NIOLockedValueBox<[any Channel]>([])
            let (channel, address) = try await rawServer(group) { frame, channel in
                guard frame.type == 1 else { return }
                channel.say(Self.hello)
                channel.setOption(.autoRead, value: false).whenComplete { _ in }
                peers.withLockedValue { $0.append(channel) }
            }
            let loop = group.next()
            let outcomes = try await withThrowingTaskGroup(of: PeerOutcome.self) { tasks in
                for _ in 0..<40 {
                    tasks.addTask { await client.ask(try Cluster.put(bytes: 1 << 20), address, on: loop) }
                }
                try await eventually { await client.counters().inFlight == 40 }
                // Some are written, and the others stay behind.
                try await eventually { await client.counters().pending > 0 }
                for peer in peers.withLockedValue({ $0 }) { try await peer.close() }
                return try await tasks.reduce(into: []) { $0.append($1) }
            }
            #expect(outcomes.count { $0.lostText != nil } > 0)
            #expect(outcomes.count { $0.notSentText != nil } > 0)
            #expect(outcomes.count { $0.lostText != nil || $0.notSentText != nil } == 40)
            #expect(await client.counters().inFlight == 0)
            try await channel.close()
        }
    }

    @Test func aSilentPeerIsGivenUp() async throws {
        var options = PeerOptions.patient()
        options.pingInterval = .milliseconds(100)
        try await withClient(options: options) { client, group in
            let pings = NIOLockedValueBox(0)
            let (channel, address) = try await rawServer(group) { frame, channel in
                if frame.type == 1 { channel.say(Self.hello) }
                if frame.type == 3 { pings.withLockedValue { $0 += 1 } }
            }
            let outcome = await client.ask(Cluster.numbered(1), address, on: group.next())
            #expect(outcome.lostText?.contains("ping") == true)
            #expect(pings.withLockedValue { $0 } > 0)
            #expect(client.isUnreachable(Cluster.node("server")))
            try await channel.close()
        }
    }

    /// A slow answer is no silence: pongs keep the connection.
    @Test func aPeerThatAnswersPingsIsWaitedFor() async throws {
        var options = PeerOptions.patient()
        options.pingInterval = .milliseconds(300)
        try await withClient(options: options) { client, group in
            let open = NIOLockedValueBox(UInt64(0))
            let pings = NIOLockedValueBox(0)
            let (channel, address) = try await rawServer(group) { frame, channel in
                switch frame.type {
                case 1: channel.say(Self.hello)
                case 3:
                    channel.say(PeerControl.pong.frame(id: frame.id))
                    let count = pings.withLockedValue { pings in
                        pings += 1
                        return pings
                    }
                    // By now it would have been given up without the pongs.
                    if count == 4 {
                        channel.say(PeerResponse.notOwner(mapRevision: 5).frame(id: open.withLockedValue { $0 }))
                    }
                default: open.withLockedValue { $0 = frame.id }
                }
            }
            #expect(await client.ask(Cluster.numbered(1), address, on: group.next()).number == 5)
            try await channel.close()
        }
    }

    @Test func aServerGivesASilentClientUp() async throws {
        var options = PeerOptions.patient()
        options.pingInterval = .milliseconds(50)
        try await withPair(ScriptedService.echo, options: options) { client, server, group in
            let (_, handler) = try await rawClient(group, server)
            try await eventually { handler.isClosed }
            // A client of ours that is idle pings, and so it stays.
            #expect(await client.ask(Cluster.numbered(1), server.address("server"), on: group.next()).number == 1)
            let (_, another) = try await rawClient(group, server)
            try await eventually { another.isClosed }
            #expect(server.connectionCount == 1)
        }
    }
}

@Suite(.timeLimit(.minutes(2))) struct EndTests {
    /// Nothing that was accepted is lost, and what comes too late is told so.
    @Test func aServerGoesDownGracefully() async throws {
        let service = HoldingService()
        try await withPair(service) { client, server, group in
            let address = server.address("server")
            async let first = client.ask(Cluster.numbered(1), address, on: group.next())
            let (raw, handler) = try await rawClient(group, server)
            try await eventually { service.count == 1 && handler.frames.count == 1 }
            async let down: Void = server.shutDown(within: .seconds(60))
            try await eventually { handler.frames.contains { $0.type == 5 } }
            raw.say(Cluster.numbered(1).frame(id: 1))
            try await eventually { handler.frames.contains { $0.type == 0x42 } }
            #expect(handler.frames.last?.body.first == 4, "shutting down")
            try await raw.close()
            let late = await client.ask(Cluster.numbered(2), address, on: group.next())
            #expect(late.notSentText != nil, "\(late)")
            var generator = SplitMix64(seed: 5)
            service.release(using: &generator)
            #expect(await first.number == 1)
            await down
            #expect(server.connectionCount == 0)
        }
    }

    @Test func whatOutlastsTheShutdownIsLost() async throws {
        let service = HoldingService()
        try await withPair(service) { client, server, group in
            async let outcome = client.ask(Cluster.numbered(1), server.address("server"), on: group.next())
            try await eventually { service.count == 1 }
            await server.shutDown(within: .milliseconds(20))
            #expect(await outcome.lostText != nil)
            // Its reply comes too late and does no harm.
            var generator = SplitMix64(seed: 6)
            service.release(using: &generator)
        }
    }

    @Test func aClosedClientSendsNothing() async throws {
        let service = HoldingService()
        try await withPair(service) { client, server, group in
            let address = server.address("server")
            async let open = client.ask(Cluster.numbered(1), address, on: group.next())
            try await eventually { service.count == 1 }
            await client.close()
            #expect(await open.lostText != nil)
            #expect(await client.ask(Cluster.numbered(2), address, on: group.next()).notSentText != nil)
            try await eventually { server.connectionCount == 0 }
            #expect(service.total == 1)
        }
    }

    @Test func anIdleConnectionIsClosedAndMadeAgain() async throws {
        var options = PeerOptions.patient()
        options.idleTimeout = .milliseconds(100)
        try await withPair(ScriptedService.echo, options: options) { client, server, group in
            for number in 1...2 {
                let outcome = await client.ask(Cluster.numbered(number), server.address("server"), on: group.next())
                #expect(outcome.number == UInt64(number))
                try await eventually { server.connectionCount == 0 }
            }
        }
    }

    @Test func aNodeThatListensElsewhereIsFollowed() async throws {
        let service = HoldingService()
        try await withPair(service) { client, server, group in
            async let old = client.ask(Cluster.numbered(1), server.address("server"), on: group.next())
            try await eventually { service.count == 1 }
            let other = try await PeerServer.serve(
                ScriptedService.echo, on: group, host: "127.0.0.1", port: 0, identity: Cluster.identity("server"),
                options: .patient())
            #expect(await client.ask(Cluster.numbered(2), other.address("server"), on: group.next()).number == 2)
            // What is open at the old place is still answered.
            var generator = SplitMix64(seed: 7)
            service.release(using: &generator)
            #expect(await old.number == 1)
            try await eventually { server.connectionCount == 0 }
            await other.shutDown(within: .milliseconds(200))
        }
    }
}
