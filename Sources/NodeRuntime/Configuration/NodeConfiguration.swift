import ClusterCore
public import ClusterMetadata
public import Entities
import HashRing
public import Primitives

/// Everything an operator can say about one node, already checked. Made by ``ConfigurationLoader``.
public struct NodeConfiguration: Sendable {
    public var dataDirectory = "keystead-data"
    public var listen = HostPort(host: "127.0.0.1", port: 7070)
    public var adminListen = HostPort(host: "127.0.0.1", port: 7071)
    public var peerListen = HostPort(host: "127.0.0.1", port: 7072)
    /// The address that others should use for this node, where it differs from `listen`.
    public var advertise: HostPort?
    public var advertiseAdmin: HostPort?
    public var advertisePeer: HostPort?
    /// Names, beside `localhost` and those of the addresses above, that callers may call the node by; `*` is any.
    public var hosts: [String] = []
    /// Origins of web pages that may use the listeners as the node's own page may.
    public var allowedOrigins: [String] = []
    /// Listeners that others can reach may go without TLS and without anything that says who may call.
    public var isInsecure = false
    public var metadata = MetadataLocation.embedded
    /// Of the metadata store, where it asks for them.
    public var metadataCredentials = MetadataCredentials()
    /// Between nodes, in both directions; plain TCP without.
    public var peerTLS: TLSFiles?
    public var cluster = "keystead"
    public var nodeID = "n1"
    public var zone = ""
    public var weight = 1.0
    /// Fixed when the cluster is created; later starts read it from the metadata store.
    public var shards = Limits.shardsDefault
    /// Somebody said how many: a cluster that has another number is then not meant.
    public var shardsAreGiven = false
    public var memoryBytes = Limits.memoryBytesDefault
    /// Event loops; 0 is one for each core.
    public var eventLoops = 0
    public var entityLimits = EntityLimits()
    public var idempotencyRetentionSeconds = Limits.idempotencyRetentionSeconds
    public var connectionsMax = Limits.connectionsMax
    public var logLevel = "info"
    public var logFormat = LogFormatName.text
    /// Answers writes before they are on stable storage. It breaks G4 and exists to measure what `fdatasync` costs.
    public var unsafeNoSync = false
    /// Starts although the wall clock is further ahead of the newest data than data rests.
    public var acceptsClock = false
    /// What the operator should hear of the settings; said in the log at the start.
    public var warnings: [String] = []
    /// The texts of the settings that were given, by name: two configurations differ where these do.
    var given: [String: Secret] = [:]

    /// Nodes of this process, which share its memory and its file descriptors.
    public var processNodes = 1
    /// Nodes that are part of the cluster from the start where this node founds it.
    var companions: [NodeRecord] = []

    public init() {}

    /// The node's part where several share a process; never less memory than a node needs.
    public mutating func shareProcess(among nodes: Int) {
        memoryBytes = max(Limits.memoryBytesMin, memoryBytes / nodes)
        processNodes = nodes
    }

    public enum LogFormatName: String, Sendable, CaseIterable {
        case text
        case json
    }
}

/// Where the metadata store is.
public enum MetadataLocation: Sendable, Equatable {
    /// A file in the data directory: one process.
    case embedded
    /// An etcd v3 cluster.
    case etcd(EtcdLocation)
}

/// How a node proves itself to the metadata store.
public struct MetadataCredentials: Sendable, Equatable {
    public var user = ""
    public var password = Secret.none
    /// Holds the password, where it was given so.
    public var passwordFile = ""
    public var certificate = ""
    public var key = ""
    /// Signed the store's certificate, where that is not one of the system's.
    public var authority = ""

    public init() {}
}

/// Three PEM files: a certificate, its key, and who signs those of the others.
public struct TLSFiles: Sendable, Equatable {
    public var certificate = ""
    public var key = ""
    public var authority = ""

    public init() {}
}

/// `HOST:PORT`, with IPv6 hosts in brackets.
public struct HostPort: Sendable, Equatable, CustomStringConvertible {
    public var host: String
    public var port: Int

    public init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    /// `nil` where `text` is no `HOST:PORT`. Port 0 asks the system for a free one.
    public init?(_ text: String) {
        guard let colon = text.lastIndex(of: ":") else { return nil }
        var host = text[..<colon]
        guard let port = UInt16(text[text.index(after: colon)...]) else { return nil }
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = host.dropFirst().dropLast()
        } else if host.contains(":") {
            return nil
        }
        guard !host.isEmpty else { return nil }
        self.host = String(host)
        self.port = Int(port)
    }

    public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

extension NodeConfiguration {
    var nodeWeight: NodeWeight { NodeWeight(thousandths: UInt32((weight * 1000).rounded())) }

    /// The node as a cluster knows it that was founded with it, before it has started; `nil` where the name is none.
    var awaited: NodeRecord? { NodeID(nodeID).map { .awaited($0, zone: zone, weight: nodeWeight) } }

    /// Where others reach this node, as far as it is known before the listeners are up.
    var addresses: NodeAddresses {
        NodeAddresses(
            listen: (advertise ?? listen.forOthers).description,
            admin: (advertiseAdmin ?? adminListen.forOthers).description,
            peer: (advertisePeer ?? peerListen.forOthers).description)
    }
}
