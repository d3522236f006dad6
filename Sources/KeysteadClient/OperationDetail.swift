/// An operation of the cluster in full (`GET /v1/operations/{id}`). It lives in the cluster and goes on whoever
/// watches.
public struct OperationDetail: Sendable {
    public let id: String
    /// `rebalance`, `drain`, `remove`, `weight` or `move`.
    public let kind: String
    /// `running`, `paused`, `done`, `failed` or `cancelled`.
    public let state: String
    /// Moves that have come to their end, of `total`.
    public let done: UInt64
    public let total: UInt64
    /// The node that it is about, where it is about one.
    public let node: String?
    /// The plan that it carries out, where it carries out one.
    public let plan: String?
    /// Why it failed, or what there is to say of it.
    public let detail: String
    /// The most that its moves may copy together in a second; 0 is unlimited.
    public let bytesPerSecondMax: UInt64
    public let bytesDone: UInt64
    public let bytesTotal: UInt64
    /// As the cluster reckons it; `nil` while it cannot.
    public let secondsLeft: UInt64?
    public let moves: [Move]
    /// What it waits for, in sentences.
    public let waitsFor: [String]
    /// The document as the server wrote it, with fields that this client does not know.
    package let text: JSONText

    /// One shard on its way.
    public struct Move: Hashable, Sendable {
        public let shard: UInt64
        public let from: String?
        public let to: String?
        /// `waiting`, a stage (`learner`, `copy`, `catch-up`, `handover`, `retire`) or `done`.
        public let state: String
        public let bytesDone: UInt64?
        public let bytesTotal: UInt64?
        /// As measured.
        public let bytesPerSecond: UInt64?
        /// Log positions that the target is behind.
        public let lag: UInt64?
        public let waitsFor: String?
    }

    /// Whether it has come to its end, well or not.
    public var isOver: Bool { state != "running" && state != "paused" }
}

/// What would move, and what for: a value that has changed nothing (`GET /v1/admin/rebalance/plan`).
public struct PlanDetail: Sendable {
    /// Its id, tied to the map revision.
    public let plan: String
    public let mapRevision: UInt64
    public let moves: [Move]
    /// Moves that no plan could do without.
    public let lowerBound: UInt64
    /// Of all moves together.
    public let byteCount: UInt64
    public let quotas: [Quota]
    package let text: JSONText

    public struct Move: Hashable, Sendable {
        public let shard: UInt64
        public let from: String?
        public let to: String?
        public let byteCount: UInt64
    }

    /// How many shards a node has, and would have after the plan.
    public struct Quota: Hashable, Sendable {
        public let node: String
        public let shards: UInt64
        public let after: UInt64
    }
}

/// What came of a verb that an operation carries out.
public enum AdminOutcome: Sendable {
    /// The operation that does it, or did.
    case operation(OperationDetail)
    /// It is so already, and no operation on record made it so.
    case nothingToDo(Unchanged)

    /// `nil` where there is none.
    public var operation: OperationDetail? {
        if case .operation(let operation) = self { operation } else { nil }
    }
}

/// That nothing had to change.
public struct Unchanged: Sendable {
    /// How it is, in words.
    public let note: String
    package let text: JSONText
}

/// What came of a cordon or an uncordon.
public struct NodeChange: Sendable {
    /// Whether it changed anything.
    public let changed: Bool
    package let text: JSONText
}

extension OperationDetail {
    init?(_ document: JSONText) {
        guard let id = document.member("id")?.plainText, let state = document.member("state")?.string else {
            return nil
        }
        self.id = id
        self.state = state
        kind = document.member("kind")?.plainText ?? ""
        done = document.member("done")?.unsigned ?? 0
        total = document.member("total")?.unsigned ?? 0
        node = document.member("node")?.plainText
        plan = document.member("plan")?.plainText
        detail = document.member("detail")?.string ?? ""
        bytesPerSecondMax = document.member("bytes-per-second")?.unsigned ?? 0
        bytesDone = document.member("bytes-done")?.unsigned ?? 0
        bytesTotal = document.member("bytes-total")?.unsigned ?? 0
        secondsLeft = document.member("eta-seconds")?.unsigned
        let texts = document.member("moves")?.elements ?? []
        moves = texts.compactMap { Move($0) }
        waitsFor = document.member("waits-for")?.elements.compactMap(\.plainText) ?? []
        text = document
        guard moves.count == texts.count else { return nil }
    }
}

extension OperationDetail.Move {
    init?(_ text: JSONText) {
        guard let shard = text.member("shard")?.unsigned, let state = text.member("state")?.string else { return nil }
        self.init(
            shard: shard, from: text.member("from")?.plainText, to: text.member("to")?.plainText, state: state,
            bytesDone: text.member("bytes-done")?.unsigned, bytesTotal: text.member("bytes-total")?.unsigned,
            bytesPerSecond: text.member("bytes-per-second")?.unsigned, lag: text.member("lag")?.unsigned,
            waitsFor: text.member("waits-for")?.plainText)
    }
}

extension PlanDetail {
    init?(_ document: JSONText) {
        guard let plan = document.member("plan")?.plainText,
            let mapRevision = document.member("map-revision")?.unsigned,
            let texts = document.member("moves")?.elements
        else { return nil }
        self.plan = plan
        self.mapRevision = mapRevision
        moves = texts.compactMap { Move($0) }
        lowerBound = document.member("lower-bound")?.unsigned ?? 0
        byteCount = document.member("bytes")?.unsigned ?? moves.reduce(0) { $0 &+ $1.byteCount }
        quotas = document.member("quotas")?.elements.compactMap { Quota($0) } ?? []
        text = document
        guard moves.count == texts.count else { return nil }
    }
}

extension PlanDetail.Move {
    init?(_ text: JSONText) {
        guard let shard = text.member("shard")?.unsigned else { return nil }
        self.init(
            shard: shard, from: text.member("from")?.plainText, to: text.member("to")?.plainText,
            byteCount: text.member("bytes")?.unsigned ?? 0)
    }
}

extension PlanDetail.Quota {
    init?(_ text: JSONText) {
        guard let node = text.member("node")?.plainText else { return nil }
        self.init(
            node: node, shards: text.member("shards")?.unsigned ?? 0, after: text.member("after")?.unsigned ?? 0)
    }
}
