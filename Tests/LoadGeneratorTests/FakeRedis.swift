import NIOCore
import NIOPosix

@testable import LoadGenerator

/// A RESP server in memory on a free port of the loopback, with faults to order.
enum FakeRedis {
    enum Fault: Sendable {
        case none
        /// One byte of each read is changed.
        case corruptsReads
        /// Every tenth increment is acknowledged and forgotten.
        case losesIncrements
        /// Every hundredth command is answered by closing the connection.
        case closesConnections
        /// Every tenth write is refused.
        case refusesWrites
        /// No command is answered.
        case answersNothing
    }

    /// Runs `body` against a server that behaves as `fault` says, and stops it.
    static func with(_ fault: Fault, _ body: (Int) async throws -> Void) async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let loop = group.next()
        let table = try await loop.submit { NIOLoopBound(Table(fault: fault), eventLoop: loop) }.get()
        let channel = try await ServerBootstrap(group: group)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(CommandHandler(table: table.value))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        do {
            try await body(channel.localAddress?.port ?? 0)
        } catch {
            try await group.shutdownGracefully()
            throw error
        }
        try await group.shutdownGracefully()
    }

    private final class Table {
        let fault: Fault
        var values: [[UInt8]: [UInt8]] = [:]
        var commands = 0

        init(fault: Fault) { self.fault = fault }

        /// The reply, or `nil` to close the connection.
        func run(_ words: [[UInt8]]) -> [UInt8]? {
            commands += 1
            if case .closesConnections = fault, commands % 100 == 0 { return nil }
            if case .answersNothing = fault { return [] }
            switch words.first.map({ String(decoding: $0, as: UTF8.self) }) {
            case "GET": return get(words[1])
            case "SET":
                if case .refusesWrites = fault, commands % 10 == 0 { return Array("-OOM no room\r\n".utf8) }
                values[words[1]] = words[2]
                return Array("+OK\r\n".utf8)
            case "INCR": return increment(words[1])
            default: return Array("-ERR unknown\r\n".utf8)
            }
        }

        private func get(_ key: [UInt8]) -> [UInt8] {
            guard var value = values[key] else { return Array("$-1\r\n".utf8) }
            if case .corruptsReads = fault { value[value.count / 2] ^= 1 }
            return Array("$\(value.count)\r\n".utf8) + value + Array("\r\n".utf8)
        }

        private func increment(_ key: [UInt8]) -> [UInt8] {
            let next = (Int(String(decoding: values[key] ?? [0x30], as: UTF8.self)) ?? 0) + 1
            if case .losesIncrements = fault, next % 10 == 0 { return Array(":\(next)\r\n".utf8) }
            values[key] = Array("\(next)".utf8)
            return Array(":\(next)\r\n".utf8)
        }
    }

    /// Reads arrays of bulk strings, which is all that the generator sends.
    private final class CommandHandler: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer

        private let table: Table
        private var unread: [UInt8] = []

        init(table: Table) { self.table = table }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            unread += unwrapInboundIn(data).readableBytesView
            while let words = takeCommand() {
                guard let reply = table.run(words) else {
                    context.close(promise: nil)
                    return
                }
                context.writeAndFlush(wrapOutboundOut(ByteBuffer(bytes: reply)), promise: nil)
            }
        }

        private func takeCommand() -> [[UInt8]]? {
            var place = 0
            guard let count = number(after: "*", at: &place) else { return nil }
            var words: [[UInt8]] = []
            for _ in 0..<count {
                guard let size = number(after: "$", at: &place), unread.count >= place + size + 2 else { return nil }
                words.append(Array(unread[place..<(place + size)]))
                place += size + 2
            }
            unread.removeFirst(place)
            return words
        }

        private func number(after mark: Unicode.Scalar, at place: inout Int) -> Int? {
            guard let end = unread[place...].firstIndex(of: 0x0A), unread[place] == UInt8(ascii: mark) else {
                return nil
            }
            defer { place = end + 1 }
            return Int(String(decoding: unread[(place + 1)..<(end - 1)], as: UTF8.self))
        }
    }
}
