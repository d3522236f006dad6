internal import ClusterCore
internal import Primitives
internal import Synchronization

/// A lease of etcd, renewed in the background until it ends or nobody holds this any more.
///
/// It is alive by this process's own monotonic clock, which also counts while the machine sleeps: from when the last
/// request that etcd answered was *sent*, less a margin for clocks that differ (rule R14). Once it is not,
/// it never is again: a renewal that comes late is not counted, and the lease is given up.
final class EtcdSession: MetadataSession {
    private let lease: EtcdLease
    private let renewal: Task<Void, Never>

    var id: SessionID { lease.id }
    var isAlive: Bool { lease.isAlive }

    init(lease: EtcdLease) {
        self.lease = lease
        renewal = Task { await lease.renewUntilEnded() }
    }

    deinit { renewal.cancel() }

    func end() async throws(MetadataError) {
        renewal.cancel()
        try await lease.revoke()
    }
}

/// What the session and its renewal share.
final class EtcdLease: Sendable {
    private struct State {
        var aliveUntil: ContinuousClock.Instant
        var isRevoked = false
    }

    let id: SessionID
    /// As etcd granted it.
    private let timeToLive: Duration
    private let transport: EtcdTransport
    private let state: Mutex<State>

    /// - Parameter sent: when the lease was asked for.
    init(id: SessionID, timeToLiveSeconds: UInt64, sent: ContinuousClock.Instant, transport: EtcdTransport) {
        self.id = id
        timeToLive = Self.believed(timeToLiveSeconds)
        self.transport = transport
        state = Mutex(State(aliveUntil: sent + Self.counted(timeToLive)))
    }

    /// What etcd says, as far as it can be: sums of times stay far from their end.
    private static func believed(_ seconds: UInt64) -> Duration { .seconds(min(seconds, Limits.etcdSessionSecondsMax)) }

    /// What of a time to live may be relied on: clocks may differ by 1 % each, and 10 % are margin.
    static func counted(_ timeToLive: Duration) -> Duration { timeToLive * 88 / 100 }

    var isAlive: Bool {
        let now = transport.clock.now
        return state.withLock { now < $0.aliveUntil }
    }

    /// Asks for renewal three times in a time to live, more often after failures, each time at one endpoint.
    func renewUntilEnded() async {
        guard let body = try? EtcdTransport.encode(LeaseRequest(ID: WideNumber(id.rawValue))) else { return }
        let attempt = min(timeToLive / 3, .milliseconds(Limits.etcdReadMilliseconds))
        var pause = timeToLive / 3
        while isAlive, !transport.isClosed {
            do { try await Task.sleep(for: pause, clock: .continuous) } catch { return }
            let endpoint = transport.preferred
            let sent = transport.clock.now
            do throws(EtcdFailure) {
                let answer: StreamAnswer<LeaseAnswer> = try await transport.once(
                    "lease/keepalive", body, at: endpoint, within: attempt)
                guard let result = answer.result else {
                    throw .lost("\(transport.endpoints[endpoint]): \(answer.error?.message ?? "no answer")")
                }
                // etcd leaves out the time to live of a lease that it does not have.
                guard let seconds = result.TTL?.value, seconds > 0 else { return expire() }
                renew(sent: sent, for: Self.believed(seconds))
                pause = timeToLive / 3
            } catch {
                if error.message == EtcdFailure.leaseNotFound { return expire() }
                transport.leave(endpoint)
                pause = min(timeToLive / 12, .milliseconds(Limits.etcdPauseMillisecondsMax))
            }
        }
        // Late, but etcd may have it still: a new leader gives every lease its whole time again.
        guard !Task.isCancelled, !transport.isClosed else { return }
        try? await revoke()
    }

    private func renew(sent: ContinuousClock.Instant, for timeToLive: Duration) {
        let now = transport.clock.now
        state.withLock { state in
            guard now < state.aliveUntil else { return }
            state.aliveUntil = max(state.aliveUntil, sent + Self.counted(timeToLive))
        }
    }

    private func expire() {
        let now = transport.clock.now
        state.withLock { state in
            state.aliveUntil = min(state.aliveUntil, now)
            state.isRevoked = true
        }
    }

    /// Ends the lease here at once, and in etcd before this returns.
    func revoke() async throws(MetadataError) {
        let now = transport.clock.now
        let isDone = state.withLock { state in
            state.aliveUntil = min(state.aliveUntil, now)
            return state.isRevoked
        }
        if isDone { return }
        do throws(EtcdFailure) {
            let _: NoFields = try await transport.call(
                "lease/revoke", LeaseRequest(ID: WideNumber(id.rawValue)), repeating: .always)
        } catch {
            guard error.message == EtcdFailure.leaseNotFound else { throw transport.readError(error) }
        }
        expire()
    }
}
