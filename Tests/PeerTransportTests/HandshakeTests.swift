import NIOCore
import NIOPosix
import PeerTransport
import PeerWire
import Primitives
import Testing

@Suite(.timeLimit(.minutes(2))) struct HandshakeTests {
    private func outcome(
        server: PeerIdentity, client: PeerIdentity = Cluster.identity("client"), expecting name: String = "server"
    ) async throws -> PeerOutcome {
        try await withClient(identity: client) { client, group in
            let server = try await PeerServer.serve(
                ScriptedService.echo, on: group, host: "127.0.0.1", port: 0, identity: server, options: .patient())
            let outcome = await client.ask(Cluster.numbered(1), server.address(name), on: group.next())
            await server.shutDown(within: .milliseconds(200))
            return outcome
        }
    }

    @Test func anotherClusterIsRefused() async throws {
        let outcome = try await outcome(server: Cluster.identity("server", cluster: 9))
        #expect(outcome.notSentText?.contains("refused the connection") == true)
        #expect(outcome.notSentText?.contains("another cluster") == true)
    }

    @Test func anotherNodeThanExpectedIsRefused() async throws {
        let outcome = try await outcome(server: Cluster.identity("somebody"))
        #expect(outcome.notSentText?.contains("is somebody, not server") == true)
    }

    @Test func twoProcessesWithOneNameAreRefused() async throws {
        let twin = PeerIdentity(
            node: Cluster.node("server"), clusterHigh: 1, clusterLow: 2, storeHigh: 99, storeLow: 99, bootCount: 1,
            ring: WireRing(seed: Cluster.seed, shardCount: 64))
        let outcome = try await outcome(server: Cluster.identity("server"), client: twin)
        #expect(outcome.notSentText?.contains("another process") == true)
    }

    @Test func aVersionNobodySpeaksIsRefused() async throws {
        var hello = Cluster.hello("server")
        hello.version = 8
        hello.versionMin = 7
        let answer = PeerControl.hello(hello).frame(id: 0)
        try await withClient { client, group in
            let (channel, address) = try await rawServer(group) { _, channel in channel.say(answer) }
            let outcome = await client.ask(Cluster.numbered(1), address, on: group.next())
            #expect(outcome.notSentText?.contains("versions 7 to 8") == true)
            try await channel.close()
        }
        try await withPair(ScriptedService.echo) { _, server, group in
            let (_, handler) = try await rawClient(group, server, first: answer)
            try await eventually { handler.isClosed }
            #expect(handler.frames.map(\.type) == [2])
            #expect(String(decoding: handler.frames[0].body.dropFirst(2), as: UTF8.self).contains("versions 7 to 8"))
        }
    }

    /// What is no peer gets a sentence and is closed.
    @Test(arguments: [
        Array("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".utf8), [UInt8](repeating: 0, count: 64),
        [UInt8](repeating: 0xFF, count: 64), frame(type: 1, id: 0, [UInt8](repeating: 0, count: 100)),
        frame(type: 1, id: 0, [UInt8](repeating: 0, count: 1000)), Cluster.numbered(1).frame(id: 1),
        PeerControl.ping.frame(id: 1),
    ]) func strangersAreRefused(first: [UInt8]) async throws {
        try await withPair(ScriptedService.echo) { _, server, group in
            let (_, handler) = try await rawClient(group, server, first: first)
            try await eventually { handler.isClosed }
            #expect(handler.frames.map(\.type) == [2])
        }
    }

    @Test func aServerThatIsNoPeerIsNotSentTo() async throws {
        try await withClient { client, group in
            let (channel, address) = try await rawServer(group) { _, channel in
                channel.say(Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8))
            }
            let outcome = await client.ask(Cluster.numbered(1), address, on: group.next())
            #expect(outcome.notSentText?.contains("does not speak the peer protocol") == true)
            try await channel.close()
        }
    }

    @Test func aHandshakeThatDoesNotEndIsGivenUp() async throws {
        var options = PeerOptions.patient()
        options.handshakeTimeout = .milliseconds(100)
        options.connectTimeout = .milliseconds(100)
        try await withClient(options: options) { client, group in
            let (channel, address) = try await rawServer(group) { _, _ in }
            let outcome = await client.ask(Cluster.numbered(1), address, on: group.next())
            #expect(outcome.notSentText?.contains("did not shake hands") == true)
            try await channel.close()
        }
        try await withPair(ScriptedService.echo, options: options) { _, server, group in
            let (_, handler) = try await rawClient(group, server, first: [1, 2, 3])
            try await eventually { handler.isClosed && server.connectionCount == 0 }
        }
    }

    @Test func requestsThatCannotBeReadAreRefusedOneByOne() async throws {
        try await withPair(ScriptedService.echo) { _, server, group in
            let (channel, handler) = try await rawClient(group, server)
            channel.say(frame(type: 0x3F, id: 1, [9]))
            channel.say(frame(type: 0x10, id: 2, [9]))
            channel.say(frame(type: 0x7F, id: 3))
            channel.say(frame(type: 0x0E, id: 4))
            channel.say(PeerControl.ping.frame(id: 5))
            channel.say(Cluster.numbered(6).frame(id: 6))
            try await eventually { handler.frames.count == 5 }
            #expect(handler.frames.map(\.type) == [1, 0x42, 0x42, 4, 0x41])
            #expect(handler.frames.map(\.id) == [0, 1, 2, 5, 6])
            #expect(handler.frames[1].body.first == 1 && handler.frames[2].body.first == 2)
            try await channel.close()
        }
    }

    /// Byte by byte, and many in one piece.
    @Test func framesComeInAnyPieces() async throws {
        try await withPair(ScriptedService.echo) { _, server, group in
            let hello = PeerControl.hello(Cluster.hello("raw")).frame(id: 0)
            let requests = (1...50).flatMap { Cluster.numbered($0).frame(id: UInt64($0)) }
            let (whole, one) = try await rawClient(group, server, first: hello + requests)
            try await eventually { one.frames.count == 51 }
            let (pieces, two) = try await rawClient(group, server, first: [])
            // Each byte is a write of its own; waiting for each could outlast the handshake on a busy machine.
            for byte in hello + requests { pieces.writeAndFlush(ByteBuffer(bytes: [byte]), promise: nil) }
            try await eventually { two.frames.count == 51 }
            #expect(two.frames.map(\.id) == Array(0...50))
            try await whole.close()
            try await pieces.close()
        }
    }

    @Test func oneIdForTwoOpenRequestsEndsTheConnection() async throws {
        let service = HoldingService()
        try await withPair(service) { _, server, group in
            let (channel, handler) = try await rawClient(group, server)
            channel.say(Cluster.numbered(1).frame(id: 1))
            channel.say(Cluster.numbered(2).frame(id: 1))
            try await eventually { handler.isClosed }
            #expect(handler.frames.map(\.type) == [1, 2])
            #expect(service.total == 1)
            var generator = SplitMix64(seed: 8)
            service.release(using: &generator)
        }
    }
}
