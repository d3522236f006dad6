/// The cluster as one node sees it (`GET /v1/cluster`).
public struct ClusterPicture: Sendable {
    public let cluster: String
    public let mapRevision: UInt64
    public let nodes: [Node]
    public let shards: [Shard]
    public let operations: [Operation]
    /// The document as the server wrote it, with fields that this client does not know.
    package let text: JSONText

    public struct Node: Hashable, Sendable {
        public let id: String
        public let state: String
        public let zone: String
        public let weight: String
        public let shards: UInt64
        public let listen: String
        public let admin: String
    }

    public struct Shard: Hashable, Sendable {
        public let shard: UInt64
        /// The node that owns it; `nil` where none does.
        public let primary: String?
        public let epoch: UInt64
        public let position: UInt64
        public let state: String
    }

    public struct Operation: Hashable, Sendable {
        public let id: String
        public let kind: String
        /// `running`, `paused`, `done`, `failed` or `cancelled`.
        public let state: String
        public let done: UInt64
        public let total: UInt64
    }
}

/// Where an entity lives (`GET /v1/where/…`).
public struct EntityLocation: Sendable {
    public let shard: UInt64
    public let node: String
    public let epoch: UInt64
    package let text: JSONText
}

/// One shard in full (`GET /v1/shards/{n}`).
public struct ShardDetail: Sendable {
    public let shard: ClusterPicture.Shard
    package let text: JSONText
}

/// Whether a node takes requests (`GET /readyz`), and what keeps it from that.
public struct Readiness: Hashable, Sendable {
    public let isReady: Bool
    public let reasons: [String]
}

extension ClusterPicture {
    package init?(_ document: JSONText) {
        guard let cluster = document.member("cluster")?.plainText,
            let mapRevision = document.member("map-revision")?.unsigned,
            let nodes = document.member("nodes")?.elements, let shards = document.member("shards")?.elements
        else { return nil }
        self.cluster = cluster
        self.mapRevision = mapRevision
        self.nodes = nodes.compactMap { Node($0) }
        self.shards = shards.compactMap { Shard($0) }
        self.operations = document.member("operations")?.elements.compactMap { Operation($0) } ?? []
        self.text = document
        guard self.nodes.count == nodes.count, self.shards.count == shards.count else { return nil }
    }
}

extension ClusterPicture.Node {
    init?(_ text: JSONText) {
        guard let id = text.member("id")?.plainText, let state = text.member("state")?.plainText else { return nil }
        self.init(
            id: id, state: state, zone: text.member("zone")?.plainText ?? "",
            weight: text.member("weight")?.plainText ?? "", shards: text.member("shards")?.unsigned ?? 0,
            listen: text.member("listen")?.plainText ?? "", admin: text.member("admin")?.plainText ?? "")
    }
}

extension ClusterPicture.Shard {
    init?(_ text: JSONText) {
        guard let shard = text.member("shard")?.unsigned, let state = text.member("state")?.plainText else {
            return nil
        }
        self.init(
            shard: shard, primary: text.member("primary")?.plainText, epoch: text.member("epoch")?.unsigned ?? 0,
            position: text.member("position")?.unsigned ?? 0, state: state)
    }
}

extension ClusterPicture.Operation {
    init?(_ text: JSONText) {
        guard let id = text.member("id")?.plainText, let state = text.member("state")?.plainText else { return nil }
        self.init(
            id: id, kind: text.member("kind")?.plainText ?? "", state: state,
            done: text.member("done")?.unsigned ?? 0, total: text.member("total")?.unsigned ?? 0)
    }
}

extension JSONText {
    /// A string's characters or a number's text: ids may come as either.
    package var plainText: String? { string ?? numberText }
}
