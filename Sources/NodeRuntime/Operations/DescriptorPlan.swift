import PeerTransport
import Primitives
import RocksStore

/// How the file descriptors of this process are divided: first what its nodes need to keep what they have, then what
/// connections may take. Pure arithmetic.
struct DescriptorPlan: Sendable, Equatable {
    /// What is to be planned for.
    struct Demand: Sendable, Equatable {
        /// Nodes of this process.
        var nodes = 1
        /// Shards that its nodes hold now.
        var held: Int
        /// Shards that they may come to hold: those of the ring.
        var ring: Int
        /// `limits.connections` of each node.
        var connections: Int
        /// Threads that wait for sockets, of each node.
        var eventLoops: Int
        /// Other nodes that each node speaks with.
        var peers = 0
        /// Whether the metadata store is another process.
        var hasMetadataService: Bool
    }

    /// Tables that each store keeps open.
    let tablesPerStore: Int
    /// Stores that there is room for; no shard moves here beyond it.
    let storesMax: Int
    /// Connections of each node, beside those that are kept for its admin listener and for other nodes.
    let connections: Int
    /// Connections of each node that only other nodes may take.
    let connectionsOfPeers: Int

    // What a process and a node have open whatever they hold: pools, timers, listeners, locks, the log's files.
    private static let ofProcess = 16
    private static let ofNode = 20
    private static let perEventLoop = 3
    private static let ofMetadataService = 24
    /// For what nobody thought of.
    private static let reserve = 16

    private static let perStoreMin = StoreResources.descriptorsPerIdleStore + Limits.tablesOpenMin

    /// `nil` where `limit` is too low for `demand`; see ``needed(for:)``.
    init?(limit: Int, demand: Demand) {
        guard limit >= Self.needed(for: demand) else { return nil }
        // What is neither needed by the shards that are here nor by the fewest connections: shards that may come take
        // at most half of it, more tables at most half of what is left then, and connections the rest.
        let rest = limit - Self.needed(for: demand)
        let coming = min(max(demand.ring - demand.held, 0), rest / 2 / Self.perStoreMin)
        let storesMax = demand.held + coming
        let left = rest - coming * Self.perStoreMin
        let more = min(left / 2 / max(storesMax, 1), Limits.tablesOpenMax - Limits.tablesOpenMin)
        self.storesMax = storesMax
        tablesPerStore = Limits.tablesOpenMin + more
        let fewest = min(demand.connections, Limits.connectionsMin)
        connections = min(demand.connections, fewest + (left - more * storesMax) / demand.nodes)
        connectionsOfPeers = Self.connectionsOfPeers(demand)
    }

    /// The least limit under which a process with this demand starts.
    static func needed(for demand: Demand) -> Int {
        let connections = min(demand.connections, Limits.connectionsMin)
        return fixed(demand) + demand.held * perStoreMin + connections * demand.nodes
    }

    /// What is neither a store's nor a connection that anybody may take.
    private static func fixed(_ demand: Demand) -> Int {
        let kept =
            Limits.adminConnectionsReserved + 2 * Limits.refusedConnectionsMax + 2 * connectionsOfPeers(demand)
        let ofEach =
            ofNode + demand.eventLoops * perEventLoop + StoreResources.descriptorsOfBackgroundWork + kept
            + (demand.hasMetadataService ? ofMetadataService + demand.eventLoops * perEventLoop : 0)
        return ofProcess + reserve + ofEach * demand.nodes
    }

    /// Of one node to its peers; as many come from them.
    static func connectionsOfPeers(_ demand: Demand) -> Int {
        demand.peers * demand.eventLoops * PeerLane.allCases.count
    }

    /// Why a process with this demand does not start, and what to do.
    static func refusal(limit: Int, demand: Demand) -> String {
        let needed = needed(for: demand)
        let what = demand.held == 1 ? "1 shard" : "\(demand.held) shards"
        return "this process may have \(limit) file descriptors, and \(what) need at least \(needed): raise the limit "
            + "(ulimit -n \(needed), or LimitNOFILE=\(needed) in a systemd unit)"
    }
}
