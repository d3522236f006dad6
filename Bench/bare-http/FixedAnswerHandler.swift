import NIOCore
import NIOHTTP1

/// Answers each request when its end has arrived: GET and HEAD with the fixed body, PUT with 204, the rest with 405.
final class FixedAnswerHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let body: ByteBuffer
    private let found: HTTPHeaders
    private let empty: HTTPHeaders
    private var method = HTTPMethod.GET
    private var keepAlive = true

    init(body: ByteBuffer) {
        self.body = body
        self.found = [
            "Content-Type": "application/octet-stream", "Content-Length": "\(body.readableBytes)", "ETag": "\"1\"",
        ]
        self.empty = ["ETag": "\"1\""]
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            method = head.method
            keepAlive = head.isKeepAlive
        case .body:
            break
        case .end:
            answer(context: context)
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        context.flush()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }

    private func answer(context: ChannelHandlerContext) {
        switch method {
        case .GET, .HEAD:
            write(status: .ok, headers: found, context: context)
            if method == .GET {
                context.write(wrapOutboundOut(.body(.byteBuffer(body))), promise: nil)
            }
        case .PUT:
            write(status: .noContent, headers: empty, context: context)
        default:
            write(
                status: .methodNotAllowed, headers: ["Content-Length": "0", "Allow": "GET, HEAD, PUT"], context: context
            )
        }
        context.write(wrapOutboundOut(.end(nil)), promise: keepAlive ? nil : closing(context))
    }

    private func write(status: HTTPResponseStatus, headers: HTTPHeaders, context: ChannelHandlerContext) {
        let head = HTTPResponseHead(version: .http1_1, status: status, headers: headers)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
    }

    /// A promise that closes the connection once what it stands for is written.
    private func closing(_ context: ChannelHandlerContext) -> EventLoopPromise<Void> {
        let promise = context.eventLoop.makePromise(of: Void.self)
        promise.futureResult.assumeIsolated().whenComplete { _ in context.close(promise: nil) }
        return promise
    }
}
