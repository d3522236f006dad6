public import HashRing
public import Primitives

/// A key of the metadata store: ASCII, parts divided by `/`. Ordered by bytes.
///
/// | key | value |
/// | --- | --- |
/// | `config` | ``ClusterConfig`` |
/// | `nodes/ID` | ``NodeRecord`` |
/// | `sessions/ID` | ``NodeSession``, under the node's session |
/// | `shards/N` | ``ShardRecord`` |
/// | `operations/op-N` | ``OperationRecord`` |
/// | `map-revision` | ``MapRevision``: one more with every change of a shard's placement |
/// | `founding` | while a cluster is being founded, under the founder's session: its name |
/// | `controller` | ``ControllerSeat``, under the session of the node in it |
/// | `throttle` | ``Throttle`` |
public struct MetadataKey: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let text: String

    /// - Parameter text: printable ASCII without spaces, at most `MetadataLimits.keyBytesMax`.
    public init(_ text: String) {
        precondition(text.utf8.count <= MetadataLimits.keyBytesMax, "a metadata key is short")
        precondition(text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }, "a metadata key is printable ASCII")
        self.text = text
    }

    public static let config = MetadataKey("config")
    public static let founding = MetadataKey("founding")
    public static let mapRevision = MetadataKey("map-revision")
    public static let controller = MetadataKey("controller")
    public static let throttle = MetadataKey("throttle")
    public static let nodes = MetadataKey("nodes/")
    public static let sessions = MetadataKey("sessions/")
    public static let shards = MetadataKey("shards/")
    public static let operations = MetadataKey("operations/")

    public static func node(_ id: NodeID) -> MetadataKey { MetadataKey("nodes/\(id)") }
    public static func session(_ id: NodeID) -> MetadataKey { MetadataKey("sessions/\(id)") }
    public static func shard(_ id: ShardID) -> MetadataKey { MetadataKey("shards/\(id)") }
    public static func operation(_ id: OperationID) -> MetadataKey { MetadataKey("operations/\(id)") }

    /// The shard of a key `shards/N`, written as ``shard(_:)`` writes it.
    public var shardID: ShardID? {
        guard hasPrefix(.shards), let number = UInt32(text.dropFirst(Self.shards.text.count)) else { return nil }
        let shard = ShardID(number)
        return MetadataKey.shard(shard) == self ? shard : nil
    }

    /// The operation of a key `operations/op-N`.
    public var operationID: OperationID? {
        hasPrefix(.operations) ? OperationID(String(text.dropFirst(Self.operations.text.count))) : nil
    }

    /// The node of a key `nodes/ID` or `sessions/ID`.
    public var nodeID: NodeID? {
        for prefix in [Self.nodes, Self.sessions] where hasPrefix(prefix) {
            return NodeID(String(text.dropFirst(prefix.text.count)))
        }
        return nil
    }

    public func hasPrefix(_ prefix: MetadataKey) -> Bool { text.utf8.starts(with: prefix.text.utf8) }

    public static func < (left: Self, right: Self) -> Bool {
        left.text.utf8.lexicographicallyPrecedes(right.text.utf8)
    }

    public var description: String { text }
}
