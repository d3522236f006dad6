import NIOHTTP1
import Synchronization

/// A client of one Keystead cluster. Any node takes any key, so the endpoints are alike: the client stays with one and
/// falls over to the next when it cannot be reached.
///
/// It learns the map of the cluster from the admin endpoints and sends what concerns one entity straight to the node
/// that owns it, which saves a hop. Lists and batches go to any node. The map is asked for in the background; one that
/// is old or missing costs that hop and nothing else. A map in which none of the endpoints occurs may be another
/// cluster's and is not used.
///
/// Share one value among all tasks; it pools its connections. Call ``close()`` before letting it go, or use
/// ``withClient(endpoints:adminEndpoints:configuration:_:)``.
///
/// Errors are ``KeysteadError``. A request is sent again only where that is safe: nothing had happened, or it is a
/// read, or it is a write under an ``IdempotencyKey`` or a ``Precondition`` that its own effect makes false. A bare
/// write whose outcome is unknown is never repeated: the error says `applied: .unknown`, and the caller decides.
public final class Keystead: Sendable {
    let configuration: ClientConfiguration
    let transport: Transport
    let data: EndpointList
    let admin: EndpointList
    /// `nil` where requests go to the endpoints and nowhere else.
    let routes: Routes?

    /// - Parameters:
    ///   - endpoints: base URLs of nodes' data listeners, `http://HOST:PORT`; at least one.
    ///   - adminEndpoints: base URLs of nodes' admin listeners, for what is asked about the cluster, for its
    ///     administration, and for the map.
    public init(
        endpoints: [String] = ["http://127.0.0.1:7070"], adminEndpoints: [String] = ["http://127.0.0.1:7071"],
        configuration: ClientConfiguration = ClientConfiguration()
    ) {
        precondition(!endpoints.isEmpty, "a client needs an endpoint")
        self.configuration = configuration
        self.transport = Transport(configuration: configuration)
        self.data = EndpointList(endpoints)
        self.admin = EndpointList(adminEndpoints)
        self.routes =
            configuration.routesByMap && !adminEndpoints.isEmpty
            ? Routes(
                transport: transport, admin: admin, endpoints: endpoints, deadline: configuration.attemptDeadline,
                avoidance: configuration.avoidance)
            : nil
    }

    /// Closes every connection. Calls under way fail; later ones too.
    public func close() async {
        await routes?.close()
        await transport.close()
    }

    /// Makes a client, lends it to `body`, and closes it whichever way `body` ends.
    public static func withClient<Result>(
        endpoints: [String] = ["http://127.0.0.1:7070"], adminEndpoints: [String] = ["http://127.0.0.1:7071"],
        configuration: ClientConfiguration = ClientConfiguration(), _ body: (Keystead) async throws -> Result
    ) async rethrows -> Result {
        let client = Keystead(endpoints: endpoints, adminEndpoints: adminEndpoints, configuration: configuration)
        do {
            let result = try await body(client)
            await client.close()
            return result
        } catch {
            await client.close()
            throw error
        }
    }
}

/// How a call ended: by the request's own answer, or by the look-up that found the write done.
struct Reply: Sendable {
    let answer: Answer
    let isLookUp: Bool
}

/// The endpoints of one kind, and which of them is in use.
final class EndpointList: Sendable {
    private let urls: [String]
    private let current = Mutex(0)

    init(_ urls: [String]) {
        self.urls = urls.map { $0.hasSuffix("/") ? String($0.dropLast()) : $0 }
    }

    var count: Int { urls.count }

    /// The endpoint in use; `nil` where there is none at all.
    var url: String? { urls.isEmpty ? nil : urls[current.withLock { $0 }] }

    /// Leaves `failed`, unless another call has done so already.
    func moveOn(from failed: String) {
        current.withLock { if urls[$0] == failed { $0 = ($0 + 1) % urls.count } }
    }
}

extension Keystead {
    /// Sends `request` until it is answered for good, as ``RetryMachine`` decides.
    ///
    /// - Parameters:
    ///   - key: the entity that it concerns, if one: its owner is tried first.
    ///   - attemptDeadline: for one attempt; `nil` is that of the configuration.
    ///   - outcome: for a keyed write, the request that asks whether it took effect.
    func call(
        _ request: OutgoingRequest, to endpoints: EndpointList, about key: EntityKey? = nil, repetition: Repetition,
        deadline: Duration?, attemptDeadline: Duration? = nil, outcome: OutgoingRequest? = nil
    ) async throws(KeysteadError) -> Reply {
        let limit = deadline ?? configuration.deadline
        let clock = ContinuousClock()
        let start = clock.now
        let attemptLimit =
            attemptDeadline
            ?? (endpoints === admin ? configuration.adminAttemptDeadline : configuration.attemptDeadline)
        var machine = RetryMachine(
            repetition: repetition, policy: configuration.retries,
            endpointCount: max(endpoints.count, 1) + (key == nil || routes == nil ? 0 : 1), deadline: limit,
            seed: UInt64.random(in: .min ... .max))
        var isLookUp = false
        while true {
            let owner = key.flatMap { routes?.owner(of: $0) }
            guard let endpoint = owner ?? endpoints.url else {
                throw KeysteadError(
                    code: .invalidRequest, detail: "this client has no admin endpoint", applied: .no, retry: .never)
            }
            let left = limit - (clock.now - start)
            let allowance = repetition == .bare ? left : min(left, attemptLimit)
            let sent = isLookUp ? outcome ?? request : request
            let step: RetryMachine.Step
            do throws(KeysteadError) {
                let answer = try await send(sent, to: endpoint, within: allowance)
                if owner != nil { routes?.worked(endpoint) }
                if answer.isSuccess || answer.status == 304 || sent.accepts.contains(answer.status) {
                    return Reply(answer: answer, isLookUp: isLookUp)
                }
                if isLookUp && answer.status == 404 {
                    step = machine.outcomeAbsent()
                } else {
                    throw answer.error(isWrite: sent.isWrite)
                }
            } catch {
                if key != nil { routes?.failed(endpoint, error) }
                let elapsed = clock.now - start
                step = machine.failed(error, elapsed: elapsed)
                tell(of: step, after: error, elapsed: elapsed, left: limit - elapsed)
            }
            isLookUp = try await prepare(for: step, from: endpoint, of: endpoints, isWrite: request.isWrite)
        }
    }

    /// One attempt. Whoever watches is told when its answer is late.
    private func send(
        _ request: OutgoingRequest, to endpoint: String, within allowance: Duration
    ) async throws(KeysteadError) -> Answer {
        guard let onWait = configuration.onWait, allowance > configuration.waitNoticeAfter else {
            return try await transport.send(request, to: endpoint, within: allowance)
        }
        let since = configuration.waitNoticeAfter
        let notice = Task {
            try await Task.sleep(for: since)
            onWait(.unanswered(endpoint: endpoint, since: since, left: allowance - since))
        }
        defer { notice.cancel() }
        return try await transport.send(request, to: endpoint, within: allowance)
    }

    /// Tells whoever watches that the call goes on, once it has gone on for long enough to be asked about.
    private func tell(of step: RetryMachine.Step, after error: KeysteadError, elapsed: Duration, left: Duration) {
        switch step {
        case .fail: return
        case .attempt(let wait, _), .lookUp(let wait, _):
            guard let onWait = configuration.onWait, elapsed + wait >= configuration.waitNoticeAfter else { return }
            onWait(.trying(after: error, left: left))
        }
    }

    /// Waits and changes endpoint as the step says; whether the next request is a look-up.
    private func prepare(
        for step: RetryMachine.Step, from endpoint: String, of endpoints: EndpointList, isWrite: Bool
    ) async throws(KeysteadError) -> Bool {
        let wait: Duration
        let moves: Bool
        let isLookUp: Bool
        switch step {
        case .fail(let error): throw error
        case .attempt(let after, let nextEndpoint): (wait, moves, isLookUp) = (after, nextEndpoint, false)
        case .lookUp(let after, let nextEndpoint): (wait, moves, isLookUp) = (after, nextEndpoint, true)
        }
        if moves { endpoints.moveOn(from: endpoint) }
        guard wait > .zero else { return isLookUp }
        do {
            try await Task.sleep(for: wait)
        } catch {
            throw .afterSending(.cancelled, "cancelled between attempts", isWrite: isWrite)
        }
        return isLookUp
    }
}
