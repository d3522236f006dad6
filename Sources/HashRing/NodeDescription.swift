/// The name of a node: `[A-Za-z0-9][A-Za-z0-9._-]{0,63}`. Given by the operator, unique in the cluster for ever.
public struct NodeID: Hashable, Comparable, Sendable, Codable, CustomStringConvertible {
    public static let bytesMax = 64

    public let text: String

    /// `nil` where the text cannot be a node's name.
    public init?(_ text: String) {
        let bytes = text.utf8
        guard let first = bytes.first, bytes.count <= Self.bytesMax, Self.isAlphanumeric(first) else { return nil }
        let others = ".-_".utf8
        guard bytes.allSatisfy({ Self.isAlphanumeric($0) || others.contains($0) }) else { return nil }
        self.text = text
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let id = try NodeID(container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "not the name of a node")
        }
        self = id
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(text)
    }

    /// By bytes: names are ASCII.
    public static func < (left: Self, right: Self) -> Bool { left.text.utf8.lexicographicallyPrecedes(right.text.utf8) }

    public var description: String { text }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: false
        }
    }
}

/// Where a node stands in the cluster's life (Architecture §8).
public enum NodeState: String, Sendable, Hashable, CaseIterable, Codable {
    /// Known, not serving yet; it gets no shards.
    case joining
    case active
    /// Keeps what it has and gets nothing new.
    case cordoned
    /// Gives everything away.
    case draining
    /// Has given everything away.
    case drained
    /// Away for a moment, by intent: keeps what it has and gets nothing new.
    case maintenance
    /// Not reachable; keeps what it has until someone decides otherwise.
    case down
    /// Gone for good: whatever is still assigned to it must go elsewhere.
    case removed

    /// Whether new replicas may be placed here.
    public var takesReplicas: Bool { self == .active }

    /// Whether replicas that are here may stay.
    public var keepsReplicas: Bool {
        switch self {
        case .active, .cordoned, .maintenance, .down: true
        case .joining, .draining, .drained, .removed: false
        }
    }
}

/// A node's share of the shards relative to the others', in thousandths, so that plans never depend on rounding.
public struct NodeWeight: Hashable, Comparable, Sendable {
    public static let thousandthsMax: UInt32 = 1_000_000

    public let thousandths: UInt32

    public static let one = NodeWeight(thousandths: 1000)
    /// Takes nothing.
    public static let zero = NodeWeight(thousandths: 0)

    /// - Parameter thousandths: at most `thousandthsMax`, a weight of 1000.
    public init(thousandths: UInt32) {
        precondition(thousandths <= Self.thousandthsMax, "a weight is at most 1000")
        self.thousandths = thousandths
    }

    public static func < (left: Self, right: Self) -> Bool { left.thousandths < right.thousandths }
}

/// A node as the planner sees it.
public struct NodeDescription: Sendable, Hashable {
    public let id: NodeID
    public var weight: NodeWeight
    /// Nodes of one zone may fail together; replicas of a shard go to distinct zones wherever possible.
    public var zone: String
    public var state: NodeState

    public init(id: NodeID, weight: NodeWeight = .one, zone: String = "", state: NodeState = .active) {
        self.id = id
        self.weight = weight
        self.zone = zone
        self.state = state
    }
}
