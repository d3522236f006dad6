/// The cluster as one node sees it (`GET /v1/cluster`).
public struct ClusterPicture: Sendable {
    public let cluster: String
    public let mapRevision: UInt64
    public let nodes: [Node]
    public let shards: [Shard]
    public let operations: [Operation]
    /// How keys become shards; `nil` where the node does not say.
    public let ring: Ring?
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
        /// Where it is on its way to, where it is.
        public let move: Move?
    }

    /// The way of a shard from one node to another.
    public struct Move: Hashable, Sendable {
        /// `learner`, `copy`, `catch-up`, `handover` or `retire`.
        public let stage: String
        public let from: String
        public let to: String
        /// The operation that it belongs to.
        public let operation: String
    }

    /// How keys become shards: `shard = (hash × shards) >> 64`, the hash that of `kind/id` under the seed.
    public struct Ring: Hashable, Sendable {
        /// `xxh64` is the only one so far.
        public let hash: String
        public let seed: UInt64
        public let shards: UInt64
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
        self.ring = document.member("ring").flatMap { Ring($0) }
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
            position: text.member("position")?.unsigned ?? 0, state: state,
            move: text.member("move").flatMap { ClusterPicture.Move($0) })
    }
}

extension ClusterPicture.Move {
    init?(_ text: JSONText) {
        guard let from = text.member("from")?.plainText, let to = text.member("to")?.plainText else { return nil }
        self.init(
            stage: text.member("stage")?.plainText ?? "", from: from, to: to,
            operation: text.member("operation")?.plainText ?? "")
    }
}

extension ClusterPicture.Ring {
    init?(_ text: JSONText) {
        guard let hash = text.member("hash")?.string,
            let seed = text.member("seed")?.string.flatMap({ UInt64($0, radix: 16) }),
            let shards = text.member("shards")?.unsigned
        else { return nil }
        self.init(hash: hash, seed: seed, shards: shards)
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
