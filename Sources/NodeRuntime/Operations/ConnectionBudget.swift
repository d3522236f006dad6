import Logging
import NIOCore
import PeerTransport
import Primitives
import Synchronization

/// The connections that the three listeners of a node share, and those that are kept for one of them. Asked where a
/// connection comes and goes; any thread.
final class ConnectionBudget: Sendable {
    enum Listener: Sendable, CaseIterable {
        case client
        case admin
        case peer
    }

    /// Where an open connection is counted.
    enum Place: Sendable {
        case shared
        case reserve
    }

    private let sharedMax: Synchronization.Atomic<Int>
    private let peersMax = Synchronization.Atomic<Int>(0)
    private let shared = Synchronization.Atomic<Int>(0)
    private let adminReserve = Synchronization.Atomic<Int>(0)
    private let peerReserve = Synchronization.Atomic<Int>(0)
    private let isFull = Synchronization.Atomic<Bool>(false)
    private let isOutOfDescriptors = Synchronization.Atomic<Bool>(false)
    private let logger: Logger

    init(sharedMax: Int, logger: Logger) {
        self.sharedMax = Synchronization.Atomic(sharedMax)
        self.logger = logger
    }

    /// What the stores leave is known only once the node knows its shards.
    ///
    /// - Parameter reservedForPeers: connections that only other nodes may take.
    func settle(sharedMax: Int, reservedForPeers: Int) {
        self.sharedMax.store(sharedMax, ordering: .relaxed)
        peersMax.store(reservedForPeers, ordering: .relaxed)
    }

    /// Connections that the listeners share.
    var connectionsMax: Int { sharedMax.load(ordering: .relaxed) }

    /// Connections that are open and counted.
    var openCount: Int {
        shared.load(ordering: .relaxed) + adminReserve.load(ordering: .relaxed) + peerReserve.load(ordering: .relaxed)
    }

    /// `nil`: there are too many, and nothing is counted. Otherwise ``leave(_:_:)`` gives it back.
    func enter(_ listener: Listener) -> Place? {
        recovered()
        if take(shared, max: sharedMax.load(ordering: .relaxed)) {
            noteRoom()
            return .shared
        }
        noteFull()
        switch listener {
        case .client: return nil
        case .admin: return take(adminReserve, max: Limits.adminConnectionsReserved) ? .reserve : nil
        case .peer: return take(peerReserve, max: peersMax.load(ordering: .relaxed)) ? .reserve : nil
        }
    }

    func leave(_ listener: Listener, _ place: Place) {
        switch (place, listener) {
        case (.shared, _), (.reserve, .client): shared.subtract(1, ordering: .relaxed)
        case (.reserve, .admin): adminReserve.subtract(1, ordering: .relaxed)
        case (.reserve, .peer): peerReserve.subtract(1, ordering: .relaxed)
        }
    }

    private func take(_ counter: borrowing Synchronization.Atomic<Int>, max: Int) -> Bool {
        if counter.add(1, ordering: .relaxed).newValue <= max { return true }
        counter.subtract(1, ordering: .relaxed)
        return false
    }

    // MARK: What is told once

    private func noteFull() {
        guard isFull.compareExchange(expected: false, desired: true, ordering: .relaxed).exchanged else { return }
        logger.warning(
            "all connections are in use: further ones are refused",
            metadata: [
                "connections": "\(sharedMax.load(ordering: .relaxed))",
                "hint": "limits.connections and the limit of file descriptors (ulimit -n, LimitNOFILE=) bound them",
            ])
    }

    private func noteRoom() {
        let max = sharedMax.load(ordering: .relaxed)
        guard isFull.load(ordering: .relaxed), shared.load(ordering: .relaxed) * 10 <= max * 9,
            isFull.compareExchange(expected: true, desired: false, ordering: .relaxed).exchanged
        else { return }
        logger.notice("connections are taken again")
    }

    /// A listener could not accept.
    func acceptFailed(_ error: IOError) {
        let isNews = isOutOfDescriptors.compareExchange(expected: false, desired: true, ordering: .relaxed).exchanged
        guard isNews else { return }
        logger.error(
            "no connection can be accepted: the process or the system is out of file descriptors or memory",
            metadata: ["reason": "\(error)", "hint": "raise the limit of file descriptors (ulimit -n, LimitNOFILE=)"])
    }

    private func recovered() {
        guard isOutOfDescriptors.load(ordering: .relaxed),
            isOutOfDescriptors.compareExchange(expected: true, desired: false, ordering: .relaxed).exchanged
        else { return }
        logger.notice("connections are accepted again")
    }
}

extension PeerOptions {
    /// What the listener for other nodes asks.
    mutating func admit(under budget: ConnectionBudget) {
        admit = {
            guard let place = budget.enter(.peer) else { return nil }
            return { budget.leave(.peer, place) }
        }
        acceptFailed = { budget.acceptFailed($0) }
    }
}
