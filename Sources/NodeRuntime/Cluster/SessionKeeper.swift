import ClusterCore
import ClusterMetadata
import HashRing
import Logging
import NIOConcurrencyHelpers
import NIOCore
import Primitives

/// Keeps the node known as alive, tells the cluster where it is reached, and runs the controller while this node has
/// its seat.
///
/// Nothing here is needed to serve: while the metadata store is away the shards go on, and this tries again (G7).
final class SessionKeeper: Sendable {
    private let metadata: any MetadataStore
    private let view: ClusterView
    private let bootCount: UInt64
    private let time: NodeTime
    private let logger: Logger
    private let pulse = Pulse()
    private let session = NIOLockedValueBox<(any MetadataSession)?>(nil)

    /// Between two looks where nothing changes: operations also move on by time.
    private static let periodNanoseconds: UInt64 = 500_000_000
    private static let knownLimit = TimeAmount.seconds(2)
    private static let knownPollNanoseconds: UInt64 = 5_000_000

    init(metadata: any MetadataStore, view: ClusterView, bootCount: UInt64, time: NodeTime, logger: Logger) {
        self.metadata = metadata
        self.view = view
        self.bootCount = bootCount
        self.time = time
        self.logger = logger
    }

    /// Until the task is cancelled; the session is given back then.
    func run(_ addresses: NodeAddresses) async {
        view.observe { [pulse] _ in pulse.beat() }
        await pulse.drive(every: Self.periodNanoseconds) {
            do {
                if view.map.node(view.node)?.state == .removed { return await leave() }
                try await announce(addresses)
                let session = try await liveSession()
                try await makeKnown(session)
                try await takeSeat(session)
                try await control()
            } catch {
                logger.debug("the metadata store did not take a change", metadata: ["reason": "\(error)"])
                view.refresh()
            }
        }
        try? await session.withLockedValue { $0 }?.end()
    }

    /// The node was removed: it is nobody's controller any more, and the cluster hears nothing of it.
    private func leave() async {
        let last = session.withLockedValue { session in
            defer { session = nil }
            return session
        }
        guard let last else { return }
        logger.warning("this node was removed from the cluster: end it", metadata: ["node": "\(view.node)"])
        try? await last.end()
    }

    /// Waits until the cluster knows the node as alive and where it is reached, so that whoever acts on its being ready
    /// finds it in every plan. Not for long: without the metadata store its shards are served all the same (G7).
    func becomeKnown(_ addresses: NodeAddresses) async {
        let deadline = NIODeadline.now() + Self.knownLimit
        while NIODeadline.now() < deadline, !Task.isCancelled {
            let map = view.map
            let isKnown = map.sessions[view.node]?.bootCount == bootCount
            if isKnown, map.node(view.node)?.addresses == addresses { return }
            try? await Task.sleep(nanoseconds: Self.knownPollNanoseconds)
        }
    }

    /// The node's record says where it is reached.
    private func announce(_ addresses: NodeAddresses) async throws(MetadataError) {
        guard let known = view.map.node(view.node), known.addresses != addresses else { return }
        // Only what is read here may be written back: the map may be older than a drain or a removal.
        guard let entry = try await metadata.get(.node(view.node)).value,
            var node = try? NodeRecord(decoding: entry.value, of: entry.key), node.addresses != addresses
        else { return }
        node.addresses = addresses
        _ = try await metadata.transaction(
            MetadataTransaction(
                if: [.lastPut(entry.key, at: entry.modRevision)], then: [.put(entry.key, node.encoded())]))
        view.refresh()
    }

    private func liveSession() async throws(MetadataError) -> any MetadataSession {
        if let session = session.withLockedValue({ $0 }), session.isAlive { return session }
        let opened = try await metadata.openSession(timeToLiveSeconds: Limits.sessionSeconds)
        session.withLockedValue { $0 = opened }
        return opened
    }

    private func makeKnown(_ session: any MetadataSession) async throws(MetadataError) {
        let announcement = NodeSession.announcement(
            of: view.node, bootCount: bootCount, session: session.id, in: view.map)
        guard let announcement else { return }
        _ = try await metadata.transaction(announcement)
        view.refresh()
    }

    private func takeSeat(_ session: any MetadataSession) async throws(MetadataError) {
        guard let candidacy = Controller.candidacy(of: view.node, session: session.id, in: view.map) else { return }
        if case .committed = try await metadata.transaction(candidacy) {
            logger.notice("this node is the controller", metadata: ["node": "\(view.node)"])
        }
        view.refresh()
    }

    /// One pass of the controller: each transaction compares what it was decided on, so a late one changes nothing.
    private func control() async throws(MetadataError) {
        let map = view.map
        for transaction in Controller.pass(map, as: view.node, now: time.now()) {
            if case .conflict = try await metadata.transaction(transaction) { view.refresh() }
        }
    }
}
