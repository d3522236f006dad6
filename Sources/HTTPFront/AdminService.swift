internal import Entities
internal import NIOCore
internal import Serving

/// Hands every well-formed request of an admin listener to a closure.
final class AdminService: RequestService {
    private let handler: AdminHandler

    init(handler: @escaping AdminHandler) { self.handler = handler }

    /// Nothing of it is about one entity.
    var requestsMayOvertake: Bool { false }

    func expectedAnswerBytes(of key: EntityKey) -> Int? { nil }

    func position(of key: EntityKey) -> ShardPosition? { nil }

    /// What was asked is carried out to its end, and nobody is told.
    func callerLeft(_ sink: any ConnectionSink) {}

    func admit(_ head: RequestHead, _ loop: LoopContext) -> Admission {
        do throws(Problem) {
            let request = try Self.request(head)
            return .run(.admin(request), .admin, bodyBytesMax: FrontLimits.adminBodyBytesMax)
        } catch {
            return .refuse(Refusal(error), .admin)
        }
    }

    func run(_ work: consuming Work, body: consuming [UInt8], replyTo sink: any ConnectionSink, slot: UInt64) {
        guard case .admin(var request) = consume work else {
            preconditionFailure("an admin listener admits admin work only")
        }
        request.body = body
        let complete = request
        Task { [handler] in
            let response = await handler(complete)
            sink.eventLoop.execute {
                sink.deliver(response, slot: slot)
                sink.flushAnswers()
            }
        }
    }

    private static func request(_ head: RequestHead) throws(Problem) -> AdminRequest {
        guard head.form == .path, let path = String(validating: head.array(head.path), as: UTF8.self) else {
            throw Problem(.badRequest, "the target must be a path in UTF-8")
        }
        if head.expectation == .other, head.minorVersion >= 1 {
            throw Problem(.expectationFailed, "the only expectation understood is 100-continue")
        }
        let text = head.query.map(head.array)
        let parts = text?.split(separator: UInt8(ascii: "&"), omittingEmptySubsequences: false) ?? []
        if parts.contains(where: \.isEmpty) {
            throw Problem(.badRequest, "the query has an empty part")
        }
        let query = try QueryParameters(text ?? [])
        if let length = head.contentLength, length > FrontLimits.adminBodyBytesMax {
            throw .bodyTooLarge(max: FrontLimits.adminBodyBytesMax)
        }
        return AdminRequest(
            method: head.method == .head ? "GET" : String(decoding: head.array(head.methodName), as: UTF8.self),
            path: path,
            query: query.pairs.map {
                (String(decoding: $0.name, as: UTF8.self), String(decoding: $0.value, as: UTF8.self))
            }, body: [])
    }
}
