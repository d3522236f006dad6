public import HashRing
public import Primitives

/// What never changes about a cluster: the key `config`.
public struct ClusterConfig: Sendable, Hashable {
    public let name: String
    public let clusterID: UniqueID
    public let shardCount: Int
    public let hash: RingHash
    public let created: Timestamp

    public init(name: String, clusterID: UniqueID, shardCount: Int, hash: RingHash, created: Timestamp) {
        self.name = name
        self.clusterID = clusterID
        self.shardCount = shardCount
        self.hash = hash
        self.created = created
    }
}

/// How keys become places on the ring.
public struct RingHash: Sendable, Hashable {
    /// The only algorithm so far: XXH64 of `kind/id` under the seed.
    public static let algorithm = "xxh64"
    public static let version = 1

    public let seed: UInt64

    public init(seed: UInt64) { self.seed = seed }
}

/// What the cluster knows of a node: the key `nodes/ID`.
public struct NodeRecord: Sendable, Hashable {
    public let id: NodeID
    /// Made when the node's data directory was; a node that comes with another one has lost its data (rule R8).
    public let storeID: UniqueID
    /// Starts of the node, counted here and on its disk; a disk that counts less was restored from the past (R8).
    public var bootCount: UInt64
    public var state: NodeState
    public var zone: String
    public var weight: NodeWeight
    public var addresses: NodeAddresses

    public init(
        id: NodeID, storeID: UniqueID, bootCount: UInt64, state: NodeState, zone: String, weight: NodeWeight,
        addresses: NodeAddresses
    ) {
        self.id = id
        self.storeID = storeID
        self.bootCount = bootCount
        self.state = state
        self.zone = zone
        self.weight = weight
        self.addresses = addresses
    }

    /// The node as the planner sees it.
    public var description: NodeDescription { NodeDescription(id: id, weight: weight, zone: zone, state: state) }
}

/// Where a node is reached, each `HOST:PORT`; empty where it does not listen.
public struct NodeAddresses: Sendable, Hashable {
    public var listen: String
    public var admin: String
    public var peer: String

    public init(listen: String, admin: String = "", peer: String = "") {
        self.listen = listen
        self.admin = admin
        self.peer = peer
    }
}

/// That a node is alive: the key `sessions/ID`, which vanishes with the session that it was put under.
public struct NodeSession: Sendable, Hashable {
    /// Of the start that put it.
    public let bootCount: UInt64

    public init(bootCount: UInt64) { self.bootCount = bootCount }
}

/// Who holds a shard: the key `shards/N`.
public struct ShardRecord: Sendable, Hashable {
    public let epoch: Epoch
    public let primary: NodeID
    /// Everyone who keeps the shard, the primary among them; ascending, each once.
    public let replicas: [NodeID]
    /// The replicas that must have every committed update; the primary among them.
    public let inSync: [NodeID]
    public let move: ShardMove?

    public init(epoch: Epoch, primary: NodeID, replicas: [NodeID], inSync: [NodeID], move: ShardMove? = nil) {
        precondition(replicas.contains(primary), "the primary is a replica")
        precondition(inSync.contains(primary), "the primary is in sync")
        precondition(inSync.allSatisfy(replicas.contains), "who is in sync is a replica")
        self.epoch = epoch
        self.primary = primary
        self.replicas = Array(Set(replicas)).sorted()
        self.inSync = Array(Set(inSync)).sorted()
        self.move = move
    }
}

/// A move of a shard under way (Architecture §9).
public struct ShardMove: Sendable, Hashable {
    public enum Stage: String, Sendable, Hashable, CaseIterable {
        case learner
        case copy
        case catchUp = "catch-up"
        case handover
        case retire
    }

    public let stage: Stage
    public let from: NodeID
    public let to: NodeID
    /// The operation that it belongs to.
    public let operation: OperationID

    public init(stage: Stage, from: NodeID, to: NodeID, operation: OperationID) {
        self.stage = stage
        self.from = from
        self.to = to
        self.operation = operation
    }
}

/// How often the placement of any shard has changed: the key `map-revision`, put with every such change. Plans are made
/// against one and refused under another; routing answers carry it.
public struct MapRevision: Sendable, Hashable, Comparable {
    public let rawValue: UInt64

    public init(_ rawValue: UInt64) { self.rawValue = rawValue }

    public var next: MapRevision { MapRevision(rawValue + 1) }

    public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}
