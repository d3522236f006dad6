import NIOHTTP1
import Synchronization

/// Sends a key's requests straight to its owner where the map is known, and keeps the map fresh in the background.
///
/// Nothing depends on it: any node takes any key. So no request ever waits for the map, and one whose owner cannot be
/// connected to goes to any node.
final class Routes: Sendable {
    private struct State {
        var machine: RouteMachine
        var refresh: Task<Void, Never>?
        var isClosed = false
    }

    private let state: Mutex<State>
    private let clock = ContinuousClock()
    private let transport: Transport
    private let admin: EndpointList
    private let endpoints: [String]
    private let deadline: Duration

    /// - Parameter endpoints: the client's own, by which a map is known for its cluster's.
    init(
        transport: Transport, admin: EndpointList, endpoints: [String], deadline: Duration,
        avoidance: RouteMachine.Avoidance
    ) {
        state = Mutex(State(machine: RouteMachine(avoidance: avoidance)))
        self.transport = transport
        self.admin = admin
        self.endpoints = endpoints
        self.deadline = deadline
    }

    /// The owner's URL; `nil` where any node is as good. Begins to ask for the map where that is due.
    func owner(of key: EntityKey) -> String? {
        let now = clock.now
        return state.withLock { state in
            if !state.isClosed, state.machine.shouldAsk(now: now) { state.refresh = Task { await ask() } }
            return state.machine.owner(of: key, now: now)
        }
    }

    /// An attempt at `endpoint` ended with `error`.
    func failed(_ endpoint: String, _ error: KeysteadError) {
        let isGone = error.status == nil && error.code != .cancelled || error.code == .shuttingDown
        guard isGone || error.code == .shardUnavailable else { return }
        let now = clock.now
        state.withLock { $0.machine.doubt(endpoint, avoid: isGone, now: now) }
    }

    func worked(_ endpoint: String) { state.withLock { $0.machine.worked(endpoint) } }

    /// Ends what runs in the background. No map is asked for afterwards.
    func close() async {
        let refresh = state.withLock { state in
            state.isClosed = true
            return state.refresh
        }
        refresh?.cancel()
        await refresh?.value
    }

    /// One attempt; the next use tries again, a second later.
    private func ask() async {
        var table: RouteTable?
        if let endpoint = admin.url {
            let request = OutgoingRequest(method: .GET, path: "/v1/cluster", isWrite: false)
            if let answer = try? await transport.send(request, to: endpoint, within: deadline), answer.isSuccess {
                let picture = JSONText(answer.body).flatMap { ClusterPicture($0) }
                table = picture.flatMap { RouteTable($0, endpoints: endpoints) }
            } else {
                admin.moveOn(from: endpoint)
            }
        }
        state.withLock { $0.machine.answered(table) }
    }
}
