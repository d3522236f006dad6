import AsyncHTTPClient
import NIOCore
import NIOHTTP1
import NIOPosix

/// One request, to be sent to any endpoint.
struct OutgoingRequest: Sendable {
    var method: HTTPMethod
    /// From `/v1/…` on, percent-encoded, query included.
    var path: String
    var headers = HTTPHeaders()
    var body: ByteBuffer?
    /// Whether its effect could be there although no answer came.
    var isWrite: Bool
    /// Give what came of a body that broke off, rather than fail.
    var keepsPartialBody = false
    /// Statuses besides 2xx and 304 that are an answer and no error.
    var accepts: Set<Int> = []
}

/// Sends single attempts over AsyncHTTPClient's pool, and tells what a failed one means.
///
/// The pool never sends a request twice by itself: connecting is not retried, redirects are not followed.
struct Transport: Sendable {
    private let client: HTTPClient
    private let answerBytesMax: Int

    init(configuration: ClientConfiguration) {
        var settings = HTTPClient.Configuration()
        settings.redirectConfiguration = .disallow
        settings.httpVersion = .http1Only
        settings.decompression = .disabled
        settings.timeout.connect = TimeAmount(configuration.connectDeadline)
        // The deadline ends the wait for an answer's head; this ends the wait for the rest of its body.
        settings.timeout.read = TimeAmount(max(configuration.deadline, .seconds(30)) + .seconds(5))
        settings.connectionPool.idleTimeout = TimeAmount(configuration.idleConnectionsKept)
        settings.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = configuration.connectionsMax
        settings.connectionPool.retryConnectionEstablishment = false
        self.client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: settings)
        self.answerBytesMax = configuration.answerBytesMax
    }

    func close() async {
        // Shutting down fails only where it was done before, and then there is nothing left to do.
        try? await client.shutdown()
    }

    /// One attempt, read whole within about `allowance`.
    func send(
        _ request: OutgoingRequest, to endpoint: String, within allowance: Duration
    ) async throws(KeysteadError) -> Answer {
        var outgoing = HTTPClientRequest(url: endpoint + request.path)
        outgoing.method = request.method
        outgoing.headers = request.headers
        if let body = request.body { outgoing.body = .bytes(body) }
        do {
            let response = try await client.execute(outgoing, deadline: .now() + TimeAmount(allowance))
            if request.keepsPartialBody { return await partialAnswer(response, endpoint: endpoint) }
            let body = try await response.body.collect(upTo: answerBytesMax)
            return Answer(
                status: Int(response.status.code), headers: response.headers, body: Array(body.readableBytesView))
        } catch {
            throw Self.failure(error, endpoint: endpoint, isWrite: request.isWrite)
        }
    }

    private func partialAnswer(_ response: HTTPClientResponse, endpoint: String) async -> Answer {
        var body: [UInt8] = []
        var cut: KeysteadError?
        do {
            for try await piece in response.body {
                body.append(contentsOf: piece.readableBytesView)
                guard body.count <= answerBytesMax else {
                    cut = .malformed("an answer of more than \(answerBytesMax) bytes", isWrite: true)
                    break
                }
            }
        } catch {
            cut = Self.failure(error, endpoint: endpoint, isWrite: true)
        }
        return Answer(status: Int(response.status.code), headers: response.headers, body: body, cut: cut)
    }

    /// Sends a body as it is produced, and gives the answer as soon as its head is there.
    func stream<Body: AsyncSequence & Sendable>(
        _ request: OutgoingRequest, body: Body, to endpoint: String
    ) async throws(KeysteadError) -> HTTPClientResponse where Body.Element == ByteBuffer {
        var outgoing = HTTPClientRequest(url: endpoint + request.path)
        outgoing.method = request.method
        outgoing.headers = request.headers
        outgoing.body = .stream(body, length: .unknown)
        do {
            return try await client.execute(outgoing, deadline: .distantFuture)
        } catch {
            throw Self.failure(error, endpoint: endpoint, isWrite: request.isWrite)
        }
    }

    /// The error that an answer other than 200 to a stream is.
    func refusal(_ response: HTTPClientResponse) async -> KeysteadError {
        let body = (try? await response.body.collect(upTo: answerBytesMax)).map { Array($0.readableBytesView) }
        let answer = Answer(status: Int(response.status.code), headers: response.headers, body: body ?? [])
        return answer.error(isWrite: true)
    }

    /// What a failed attempt means. Only errors that can arise while connecting, and nowhere later, prove that nothing
    /// was sent.
    static func failure(_ error: any Error, endpoint: String, isWrite: Bool) -> KeysteadError {
        if error is CancellationError { return .afterSending(.cancelled, "cancelled", isWrite: isWrite) }
        if isFromConnecting(error) {
            return KeysteadError(
                code: .unreachable, detail: "cannot connect to \(endpoint)\(reason(error))", applied: .no, retry: .safe)
        }
        guard let known = error as? HTTPClientError else {
            return .afterSending(.connectionLost, "the connection to \(endpoint) broke: \(error)", isWrite: isWrite)
        }
        switch known {
        case .invalidURL, .emptyHost, .emptyScheme, .missingSocketPath:
            return KeysteadError(
                code: .invalidRequest, detail: "\(endpoint) is no URL of an endpoint", applied: .no, retry: .never)
        case .deadlineExceeded, .readTimeout, .writeTimeout:
            return .afterSending(.deadlineExceeded, "no answer from \(endpoint) in time", isWrite: isWrite)
        case .cancelled:
            return .afterSending(.cancelled, "cancelled", isWrite: isWrite)
        default:
            return .afterSending(.connectionLost, "the connection to \(endpoint) broke: \(known)", isWrite: isWrite)
        }
    }

    private static func isFromConnecting(_ error: any Error) -> Bool {
        switch error {
        case is NIOConnectionError: return true
        case let error as ChannelError:
            if case .connectTimeout = error { return true }
            return false
        case let error as IOError:
            // The other numbers can also end an established connection.
            return error.errnoCode == connectionRefused
        case let error as HTTPClientError:
            return error == .connectTimeout || error == .tlsHandshakeTimeout || error == .getConnectionFromPoolTimeout
        default: return false
        }
    }

    private static func reason(_ error: any Error) -> String {
        switch error {
        case let error as NIOConnectionError:
            if let refused = error.connectionErrors.first.flatMap({ $0.error as? IOError }),
                refused.errnoCode == connectionRefused
            {
                return ": connection refused"
            }
            return error.dnsAError == nil ? "" : ": the name does not resolve"
        case let error as IOError where error.errnoCode == connectionRefused: return ": connection refused"
        default: return " in time"
        }
    }
}

/// ECONNREFUSED on Linux.
private let connectionRefused: CInt = 111

extension TimeAmount {
    /// Clamps to what 64-bit nanoseconds hold.
    init(_ duration: Duration) {
        let (seconds, attoseconds) = duration.components
        let bounded = min(max(seconds, 0), 1 << 32)
        self = .nanoseconds(bounded * 1_000_000_000 + attoseconds / 1_000_000_000)
    }
}
