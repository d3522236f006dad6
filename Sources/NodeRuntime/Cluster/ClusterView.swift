import ClusterCore
import HashRing
import NIOConcurrencyHelpers
import PeerTransport
import Primitives

/// The cluster's map as this node last read it, and where each shard's requests go. Any thread; never waits.
///
/// The map is a hint for routing (a node that is asked for what it does not own says so), and what the node acts on is
/// read anew or compared.
final class ClusterView: Sendable {
    private struct State {
        var map: ClusterMap
        var addresses: [NodeID: PeerAddress]
        /// By shard; `nil` where the owner has no address.
        var peers: [PeerAddress?]
        var lastContact = NodeTime.monotonic()
        var whenChanged: [@Sendable (ClusterMap) -> Void] = []
        var refresh: @Sendable () -> Void = {}
    }

    let node: NodeID
    /// Never changes.
    let ringSeed: UInt64
    private let state: NIOLockedValueBox<State>

    init(node: NodeID, map: ClusterMap) {
        self.node = node
        ringSeed = map.config.hash.seed
        let addresses = Self.addresses(of: map)
        state = NIOLockedValueBox(
            State(map: map, addresses: addresses, peers: map.shards.map { addresses[$0.primary] }))
    }

    var map: ClusterMap { state.withLockedValue { $0.map } }

    /// Without the rest of the map, whose many parts cost a count each to be handed out.
    var mapRevision: MapRevision { state.withLockedValue { $0.map.mapRevision } }

    /// Where requests of the shard go; `nil` where nobody could be asked.
    func peer(of shard: ShardID) -> PeerAddress? {
        state.withLockedValue { state in
            let place = Int(shard.rawValue)
            return state.peers.indices.contains(place) ? state.peers[place] : nil
        }
    }

    /// `nil` where the ring has no such shard.
    func owner(of shard: ShardID) -> NodeID? {
        state.withLockedValue { state in
            let place = Int(shard.rawValue)
            return state.map.shards.indices.contains(place) ? state.map.shards[place].primary : nil
        }
    }

    /// A store that is well is heard of every few seconds; one that has been silent for longer is not.
    static let silenceSeconds: UInt64 = 15

    /// Nanoseconds since the metadata store was last heard of.
    func contactAge(now: MonotonicTime) -> UInt64 { now.nanoseconds(since: state.withLockedValue { $0.lastContact }) }

    /// It has answered, or told of a change.
    func noteContact() { state.withLockedValue { $0.lastContact = NodeTime.monotonic() } }

    /// Takes a newer map; an older one changes nothing, nor does one whose configuration is another: what never
    /// changes about a cluster is what this node was opened with.
    ///
    /// - Returns: whether the map is of this cluster as it was founded.
    @discardableResult
    func update(_ map: ClusterMap) -> Bool {
        let isOurs = state.withLockedValue { map.config == $0.map.config }
        guard isOurs else { return false }
        let observers = state.withLockedValue { state -> [@Sendable (ClusterMap) -> Void] in
            guard map.revision > state.map.revision else { return [] }
            state.map = map
            state.addresses = Self.addresses(of: map)
            state.peers = map.shards.map { state.addresses[$0.primary] }
            return state.whenChanged
        }
        for observer in observers { observer(map) }
        return true
    }

    /// Calls `body` with each newer map, on the thread that brings it; at once with the one of now.
    func observe(_ body: @escaping @Sendable (ClusterMap) -> Void) {
        let map = state.withLockedValue { state in
            state.whenChanged.append(body)
            return state.map
        }
        body(map)
    }

    /// Asks for the map to be read anew, soon: somebody has learnt that this one is old.
    func refresh() { state.withLockedValue { $0.refresh }() }

    func whenRefreshIsAsked(_ body: @escaping @Sendable () -> Void) { state.withLockedValue { $0.refresh = body } }

    /// Where a node is asked; `nil` where the map has no such address.
    func address(of node: NodeID) -> PeerAddress? { state.withLockedValue { $0.addresses[node] } }

    private static func addresses(of map: ClusterMap) -> [NodeID: PeerAddress] {
        var addresses: [NodeID: PeerAddress] = [:]
        for node in map.nodes where node.state != .removed {
            if let address = HostPort(node.addresses.peer) {
                addresses[node.id] = PeerAddress(node: node.id, host: address.host, port: address.port)
            }
        }
        return addresses
    }
}
