internal import AsyncHTTPClient
internal import ClusterCore
internal import FoundationEssentials
internal import NIOCore
internal import NIOHTTP1
internal import NIOSSL
internal import Primitives
internal import Synchronization

/// Calls to etcd's endpoints: which one is asked, what a failure means, and when it is asked again.
///
/// One endpoint is preferred until it fails; then the next one is, for everybody. Any thread may call.
final class EtcdTransport: Sendable {
    /// What may be asked twice.
    enum Repetition {
        /// Asking again does no harm, whatever became of the first time.
        case always
        /// Only what surely had no effect is asked again.
        case ifNotDone
    }

    private struct State {
        var preferred = 0
        var isClosed = false
        /// `nil` until etcd has given one, or where it asks for none.
        var token: String?
    }

    let endpoints: [EtcdLocation.Endpoint]
    let clock = ContinuousClock()
    private let location: EtcdLocation
    private let client: HTTPClient
    private let state = Mutex(State())

    /// - Throws: `io` where a file of the location cannot be used.
    init(_ location: EtcdLocation) throws(MetadataError) {
        self.location = location
        endpoints = location.endpoints
        var settings = HTTPClient.Configuration()
        settings.redirectConfiguration = .disallow
        settings.httpVersion = .http1Only
        settings.decompression = .disabled
        settings.timeout.connect = .milliseconds(Int64(Limits.etcdConnectMilliseconds))
        settings.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = Limits.etcdConnectionsMax
        // Whether to connect again is decided here, and elsewhere first.
        settings.connectionPool.retryConnectionEstablishment = false
        if location.isTLS { settings.tlsConfiguration = try location.tlsConfiguration() }
        client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: settings)
    }

    deinit {
        // The client insists on being shut down; it keeps itself until that is done.
        if !state.withLock({ $0.isClosed }) { client.shutdown { _ in } }
    }

    var isClosed: Bool { state.withLock { $0.isClosed } }

    /// Ends whatever is under way.
    func close() async {
        let isFirst = state.withLock { state in
            defer { state.isClosed = true }
            return !state.isClosed
        }
        // Fails only where it was done before.
        if isFirst { try? await client.shutdown() }
    }

    var preferred: Int { state.withLock { $0.preferred } }

    /// Says that the endpoint failed: the next one is preferred, unless another call has gone on already.
    func leave(_ endpoint: Int) {
        state.withLock { if $0.preferred == endpoint { $0.preferred = (endpoint + 1) % endpoints.count } }
    }

    /// Asks until an endpoint answers, nothing would help, or time is up.
    ///
    /// - Parameter attempt: how long one endpoint may take.
    func call<Answer: Decodable & Sendable>(
        _ path: String, _ request: some Encodable, as: Answer.Type = Answer.self, repeating: Repetition,
        attempt: Duration = .milliseconds(Limits.etcdReadMilliseconds)
    ) async throws(EtcdFailure) -> Answer {
        try await timedCall(path, request, repeating: repeating, attempt: attempt).answer
    }

    /// - Returns: also when the request that was answered was sent, or a little before.
    func timedCall<Answer: Decodable & Sendable>(
        _ path: String, _ request: some Encodable, repeating: Repetition, attempt: Duration
    ) async throws(EtcdFailure) -> (answer: Answer, sent: ContinuousClock.Instant) {
        let body = try Self.encode(request)
        let deadline = clock.now + .milliseconds(Limits.etcdCallMilliseconds)
        var failures = 0
        while true {
            let endpoint = preferred
            let sent = clock.now
            do throws(EtcdFailure) {
                return (try await once(path, body, at: endpoint, within: attempt), sent)
            } catch {
                guard error.remedy == .elsewhere else { throw error }
                leave(endpoint)
                guard repeating == .always || error.effect == .none, !isClosed, !Task.isCancelled else { throw error }
                failures += 1
                if failures % endpoints.count == 0 {
                    let pause = Self.pause(afterRounds: failures / endpoints.count)
                    guard clock.now + pause < deadline else { throw error }
                    // Cancellation shows in the next attempt.
                    try? await Task.sleep(for: pause, clock: .continuous)
                } else if clock.now >= deadline {
                    throw error
                }
            }
        }
    }

    /// Asks one endpoint, a second time only for a fresh token.
    func once<Answer: Decodable & Sendable>(
        _ path: String, _ body: [UInt8], as: Answer.Type = Answer.self, at endpoint: Int, within limit: Duration
    ) async throws(EtcdFailure) -> Answer {
        let token = try await token(at: endpoint, within: limit)
        do throws(EtcdFailure) {
            return try await send(path, body, token: token, at: endpoint, within: limit)
        } catch {
            guard error.remedy == .newToken, location.user != nil else { throw error.final }
        }
        forget(token)
        let fresh = try await self.token(at: endpoint, within: limit)
        do throws(EtcdFailure) {
            return try await send(path, body, token: fresh, at: endpoint, within: limit)
        } catch {
            throw error.final
        }
    }

    /// Opens a stream of answers: the head has come when this returns.
    func open(
        _ path: String, _ request: some Encodable, at endpoint: Int, within limit: Duration
    ) async throws(EtcdFailure) -> HTTPClientResponse.Body {
        let body = try Self.encode(request)
        let token = try await token(at: endpoint, within: limit)
        let outgoing = outgoing(path, body, token: token, at: endpoint, sent: SentMark())
        let response: HTTPClientResponse
        do {
            response = try await client.execute(outgoing, deadline: .now() + TimeAmount(limit))
        } catch {
            throw .lost("\(endpoints[endpoint]): \(EtcdFailure.words(error))")
        }
        guard response.status == .ok else {
            let text = try? await response.body.collect(upTo: Limits.etcdWatchMessageBytesMax)
            let failure = failure(status: response.status, Array(text?.readableBytesView ?? .init()), at: endpoint)
            if failure.remedy == .newToken { forget(token) }
            throw failure
        }
        return response.body
    }

    static func pause(afterRounds rounds: Int) -> Duration {
        let doublings = UInt64(min(max(rounds - 1, 0), 10))
        return .milliseconds(min(Limits.etcdPauseMilliseconds << doublings, Limits.etcdPauseMillisecondsMax))
    }

    static func encode(_ request: some Encodable) throws(EtcdFailure) -> [UInt8] {
        do {
            return try [UInt8](JSONEncoder().encode(request))
        } catch {
            throw EtcdFailure(effect: .none, remedy: .nothing, detail: "a request cannot be encoded: \(error)")
        }
    }

    // MARK: Tokens

    /// The token to send, fetched where there is a user and none is known. Tokens end when etcd restarts or when they
    /// are not used for some minutes; `once` finds that out.
    private func token(at endpoint: Int, within limit: Duration) async throws(EtcdFailure) -> String? {
        guard let name = location.user else { return nil }
        if let token = state.withLock({ $0.token }) { return token }
        let body = try Self.encode(TokenRequest(name: name, password: location.password?.revealed() ?? ""))
        do throws(EtcdFailure) {
            let answer: TokenAnswer = try await send(
                "auth/authenticate", body, token: nil, at: endpoint, within: limit)
            state.withLock { $0.token = answer.token }
            return answer.token
        } catch {
            if error.message == EtcdFailure.authenticationOff { return nil }
            // Nothing but a token was asked for.
            throw EtcdFailure(effect: .none, remedy: error.remedy, detail: error.detail, message: error.message)
        }
    }

    func forgetToken() { state.withLock { $0.token = nil } }

    private func forget(_ token: String?) {
        state.withLock { if $0.token == token { $0.token = nil } }
    }

    // MARK: One request

    private func outgoing(
        _ path: String, _ body: [UInt8], token: String?, at endpoint: Int, sent: SentMark
    ) -> HTTPClientRequest {
        var request = HTTPClientRequest(
            url: "\(location.isTLS ? "https" : "http")://\(endpoints[endpoint])/v3/\(path)")
        request.method = .POST
        request.headers.add(name: "content-type", value: "application/json")
        // A member that has lost its leader refuses at once, rather than waiting, and ends its watches.
        request.headers.add(name: "grpc-metadata-hasleader", value: "true")
        if let token { request.headers.add(name: "authorization", value: token) }
        let marked = MarkedBody(bytes: ByteBuffer(bytes: body), mark: sent)
        request.body = .stream(marked, length: .known(Int64(body.count)))
        return request
    }

    private func send<Answer: Decodable & Sendable>(
        _ path: String, _ body: [UInt8], token: String?, at endpoint: Int, within limit: Duration
    ) async throws(EtcdFailure) -> Answer {
        let sent = SentMark()
        let request = outgoing(path, body, token: token, at: endpoint, sent: sent)
        let (client, name) = (client, endpoints[endpoint])
        let answer: (status: HTTPResponseStatus, body: [UInt8])
        do {
            let whole = try await within(limit) {
                let response = try await client.execute(request, deadline: .now() + TimeAmount(limit))
                let body = try await response.body.collect(upTo: Limits.etcdAnswerBytesMax)
                return (status: response.status, body: Array(body.readableBytesView))
            }
            guard let whole else { throw HTTPClientError.deadlineExceeded }
            answer = whole
        } catch {
            let detail = "\(name): \(EtcdFailure.words(error))"
            throw sent.isSet ? .lost(detail) : .notSent(detail)
        }
        guard answer.status == .ok else { throw failure(status: answer.status, answer.body, at: endpoint) }
        do {
            return try JSONDecoder().decode(Answer.self, from: Data(answer.body))
        } catch {
            throw .lost("\(name) gave an answer that cannot be read: \(error)")
        }
    }

    private func failure(status: HTTPResponseStatus, _ body: [UInt8], at endpoint: Int) -> EtcdFailure {
        let name = endpoints[endpoint]
        let answer = try? JSONDecoder().decode(ErrorAnswer.self, from: Data(body))
        guard let answer, let code = answer.code ?? answer.grpc_code, let message = answer.message ?? answer.error
        else { return .lost("\(name) answered \(status.code), which is not etcd's") }
        return .refused(code: code, message: message, by: "\(name)")
    }
}

/// Set once a request's body has been asked for, which is after there is a connection and its head has been written.
/// Before, no server can have acted on it, for it knows from the head that a body follows.
private final class SentMark: Sendable {
    private let flag = Atomic(false)

    var isSet: Bool { flag.load(ordering: .acquiring) }

    func set() { flag.store(true, ordering: .releasing) }
}

private struct MarkedBody: AsyncSequence, Sendable {
    let bytes: ByteBuffer
    let mark: SentMark

    struct AsyncIterator: AsyncIteratorProtocol {
        var rest: ByteBuffer?
        let mark: SentMark

        mutating func next() async -> ByteBuffer? {
            mark.set()
            defer { rest = nil }
            return rest
        }
    }

    func makeAsyncIterator() -> AsyncIterator { AsyncIterator(rest: bytes, mark: mark) }
}

/// Runs `body` for at most `limit`.
///
/// - Returns: `nil` when time was up; `body` was cancelled then, and has ended.
func within<Value: Sendable>(
    _ limit: Duration, _ body: @escaping @Sendable () async throws -> Value
) async throws -> Value? {
    try await withThrowingTaskGroup(of: Value?.self) { group in
        group.addTask { try await body() }
        group.addTask {
            try await Task.sleep(for: limit, clock: .continuous)
            return nil
        }
        defer { group.cancelAll() }
        return try await group.next() ?? nil
    }
}

extension EtcdFailure {
    /// As the end of a call: a token that was refused twice is refused.
    fileprivate var final: EtcdFailure {
        remedy == .newToken
            ? EtcdFailure(effect: effect, remedy: .nothing, detail: detail, message: message) : self
    }
}

extension EtcdLocation {
    fileprivate func tlsConfiguration() throws(MetadataError) -> TLSConfiguration {
        var configuration = TLSConfiguration.makeClientConfiguration()
        do {
            if let authoritiesFile { configuration.trustRoots = .file(authoritiesFile) }
            if let certificateFile, let keyFile {
                configuration.certificateChain = try NIOSSLCertificate.fromPEMFile(certificateFile).map {
                    .certificate($0)
                }
                configuration.privateKey = .privateKey(try NIOSSLPrivateKey(file: keyFile, format: .pem))
            }
            // Files are read when a context is made: what is wrong with them is known now, not at the first call.
            _ = try NIOSSLContext(configuration: configuration)
        } catch {
            throw .io(detail: "the TLS files for \(self) cannot be used: \(error)")
        }
        return configuration
    }
}
