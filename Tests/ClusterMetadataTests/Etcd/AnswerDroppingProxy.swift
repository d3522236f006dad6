import NIOCore
import NIOPosix
import Synchronization

/// Stands before one port of loopback and passes bytes on, until it is told to cut every connection over which an
/// answer comes.
final class AnswerDroppingProxy: Sendable {
    private let dropsAnswers = Atomic(false)
    private let listener = Mutex<(any Channel)?>(nil)
    private let target: Int

    init(to target: Int) { self.target = target }

    /// - Returns: the port.
    func start() async throws -> Int {
        let bootstrap = ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .childChannelOption(.autoRead, value: false)
            .childChannelInitializer { client in
                ClientBootstrap(group: client.eventLoop).connect(host: "127.0.0.1", port: self.target).flatMap {
                    server in
                    do {
                        try client.pipeline.syncOperations.addHandler(Relay(to: server) { false })
                        try server.pipeline.syncOperations.addHandler(
                            Relay(to: client) { self.dropsAnswers.load(ordering: .acquiring) })
                    } catch {
                        return client.eventLoop.makeFailedFuture(error)
                    }
                    return client.setOption(.autoRead, value: true)
                }
            }
        let channel = try await bootstrap.bind(host: "127.0.0.1", port: 0).get()
        listener.withLock { $0 = channel }
        return channel.localAddress?.port ?? 0
    }

    func setDropsAnswers(_ value: Bool) { dropsAnswers.store(value, ordering: .releasing) }

    func close() async throws { try await listener.withLock { $0 }?.close() }
}

private final class Relay: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let other: any Channel
    private let cuts: () -> Bool

    init(to other: any Channel, cuts: @escaping () -> Bool) {
        self.other = other
        self.cuts = cuts
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if cuts() { return context.close(promise: nil) }
        other.writeAndFlush(unwrapInboundIn(data), promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) { other.close(promise: nil) }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
