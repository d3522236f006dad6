import Entities
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import PeerTransport
import PeerWire
import Primitives
import Testing

/// What peers make a node hold is charged before it is held, and given back however a connection ends.
@Suite(.timeLimit(.minutes(2))) struct MemoryTests {
    /// A header that says how long its frame is, and no more.
    private static func header(type: UInt8, id: UInt64, bodyBytes: Int) -> [UInt8] {
        var writer = ByteWriter()
        writer.write(UInt32(0))
        writer.write(UInt32(bodyBytes))
        writer.write(id)
        writer.write(type)
        writer.write([0, 0, 0])
        return writer.bytes
    }

    private static let write: UInt8 = 0x10

    /// Frames that have only said how long they are fill the budget; the next is refused by name, passed over as it
    /// comes, and the connection goes on behind it.
    @Test func aLongFrameIsChargedByItsHeader() async throws {
        let memory = PlainMemory(capacity: 64 << 20)
        try await withPair(ScriptedService.echo, options: .patient(memory: memory)) { _, server, group in
            var connections: [(channel: any Channel, handler: RawHandler)] = []
            for _ in 0..<3 {
                let connection = try await rawClient(group, server)
                try await eventually { connection.handler.frames.count == 1 }
                connection.channel.say(Self.header(type: Self.write, id: 7, bodyBytes: 8 << 20))
                connections.append(connection)
            }
            try await eventually { connections.contains { $0.handler.frames.count == 2 } }
            let refused = try #require(connections.first { $0.handler.frames.count == 2 })
            #expect(refused.handler.frames[1].type == 0x42)
            #expect(refused.handler.frames[1].id == 7)
            #expect(connections.count { $0.handler.frames.count == 2 } == 1, "the other two have room")
            let charged = try await memory.charged(group)
            #expect(charged >= 32 << 20, "with what they are decoded to")
            #expect(charged <= 33 << 20)

            // The body of the refused frame comes, and a request behind it.
            let piece = [UInt8](repeating: 1, count: 1 << 20)
            for _ in 0..<8 { refused.channel.say(piece) }
            refused.channel.say(Cluster.numbered(9).frame(id: 8))
            try await eventually { refused.handler.frames.count == 3 }
            #expect(refused.handler.frames[2].id == 8)
            for connection in connections { try await connection.channel.close().get() }
            try await eventually { try await memory.charged(group) == 0 }
        }
    }

    /// Requests that the service has stay charged when their connection is gone.
    @Test func whatTheServiceHoldsOutlivesTheConnection() async throws {
        let memory = PlainMemory()
        let service = HoldingService()
        try await withPair(service, options: .patient(memory: memory)) { _, server, group in
            let (channel, _) = try await rawClient(group, server)
            channel.say(try Cluster.put(bytes: 300_000).frame(id: 1))
            try await eventually { service.count == 1 }
            try await channel.close().get()
            try await eventually { server.connectionCount == 0 }
            let charged = try await memory.charged(group)
            #expect(charged >= 300_000)
            #expect(charged < 600_000)
            for (_, reply) in service.take() { reply.send(.closed) }
            try await eventually { try await memory.charged(group) == 0 }
        }
    }

    /// A client that has no memory for a request refuses it, and nothing has left.
    @Test func aClientWithoutRoomRefuses() async throws {
        let memory = PlainMemory(capacity: 4 << 20)
        let service = HoldingService()
        try await withPair(service, options: .patient(memory: memory)) { client, server, group in
            memory.chargeAnyway(4 << 20)
            let loop = group.next()
            let outcome = await client.ask(try Cluster.put(bytes: 1 << 20), server.address("server"), on: loop)
            #expect(outcome.isOverloaded)
            #expect(service.total == 0)
            memory.giveBack(4 << 20)
        }
    }

    /// Answers that a peer does not read are bounded by the budget: beyond it reads are refused.
    @Test func answersThatNobodyReadsAreBounded() async throws {
        let memory = PlainMemory(capacity: 16 << 20)
        let record = StoredRecord(
            version: Position(1), updatedAt: .zero, expiresAt: nil, contentType: [UInt8](),
            state: [UInt8](repeating: 5, count: 1 << 20))
        let service = HoldingService()
        try await withPair(service, options: .patient(memory: memory)) { _, server, group in
            let (channel, handler) = try await rawClient(group, server, autoRead: false)
            let read = PeerRequest.read(
                ReadRequest(key: try Cluster.key("k/i"), kind: .entity(.none), inQueueOrder: false),
                deadlineMilliseconds: 1000, mapRevision: 1)
            for id in 1...40 { channel.say(read.frame(id: UInt64(id))) }
            try await eventually { service.count == 40 }
            for (_, reply) in service.take() {
                reply.send(.answer(.found(record, ShardPosition(shard: ShardID(0), position: Position(1)))))
            }
            try await eventually { try await memory.charged(group) >= 4 << 20 }
            #expect(try await memory.charged(group) <= 16 << 20)
            channel.setOption(.autoRead, value: true).whenComplete { _ in channel.read() }
            try await eventually { handler.frames.count == 41 }
            let refused = handler.frames.count { $0.type == 0x42 }
            #expect(refused > 10)
            #expect(refused < 36)
            try await channel.close().get()
            try await eventually { try await memory.charged(group) == 0 }
        }
    }
}
