import ArgumentParser
import NIOCore
import NIOHTTP1
import NIOPosix

/// The yardstick: a plain NIOHTTP1 server that answers a fixed body from memory, written as a careful user of
/// SwiftNIO would write it (default pipeline, prepared body and headers, one flush a read).
@main
struct BareHTTP: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bare-http",
        abstract: "Answers GET with a fixed body and PUT with 204, from memory, over NIOHTTP1.")

    @Option(help: "The address to listen on.")
    var host = "127.0.0.1"

    @Option(help: "The port to listen on; 0 takes a free one.")
    var port = 7090

    @Option(help: "Event loops.")
    var threads = System.coreCount

    @Option(help: "Bytes of the fixed body.")
    var bytes = 1024

    func validate() throws {
        guard (0...65535).contains(port) else { throw ValidationError("--port is 0 to 65535") }
        guard (1...256).contains(threads) else { throw ValidationError("--threads is 1 to 256") }
        guard (0...(16 << 20)).contains(bytes) else { throw ValidationError("--bytes is 0 to 16777216") }
    }

    func run() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: threads)
        let body = ByteBuffer(repeating: UInt8(ascii: "x"), count: bytes)
        let server = try await ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 1024)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    try channel.pipeline.syncOperations.addHandler(FixedAnswerHandler(body: body))
                }
            }
            .bind(host: host, port: port).get()
        print("listening on \(host):\(server.localAddress?.port ?? port)")
        try await server.closeFuture.get()
        try await group.shutdownGracefully()
    }
}
