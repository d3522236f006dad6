/// How long a connection may keep silent, in sweeps.
struct PeerPace: Sendable {
    /// After so much silence the peer is pinged, and again after as much.
    let ping: Int
    /// So long after the first ping without an answer it counts as hanging.
    let patience: Int
}

/// The paces of a client's connections.
struct PeerPaces: Sendable {
    /// Nobody waits for an answer.
    let idle: PeerPace
    /// Somebody does: whether the peer still lives is found out soon. How long the answer takes is another matter.
    let awaited: PeerPace
}

/// The silence of one peer on one connection. Counted in sweeps, not timed, so that a pause of this process is not the
/// peer's. A new one begins with every sign of life.
struct PeerSilence {
    enum Step: Equatable {
        case wait
        case ping(UInt64)
        case giveUp
    }

    private var sweeps = 0
    private var pings: UInt64 = 0
    private var firstPing = 0
    private var lastPing = 0

    /// One sweep has passed without a sign of life.
    mutating func sweep(_ pace: PeerPace) -> Step {
        sweeps += 1
        if pings > 0, sweeps - firstPing >= pace.patience { return .giveUp }
        guard sweeps - lastPing >= pace.ping else { return .wait }
        if pings == 0 { firstPing = sweeps }
        pings += 1
        lastPing = sweeps
        return .ping(pings)
    }
}
