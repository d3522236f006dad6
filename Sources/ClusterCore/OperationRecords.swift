public import HashRing
public import Primitives

/// The name of an operation: `op-N`, numbered from 1 in the order of creation. A number is never used again.
public struct OperationID: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let number: UInt64

    public init(number: UInt64) { self.number = number }

    /// Reads what `description` writes; `nil` for anything else.
    public init?(_ text: String) {
        guard text.hasPrefix("op-"), let number = UInt64(text.dropFirst(3)), "op-\(number)" == text,
            number <= Limits.counterMax
        else { return nil }
        self.init(number: number)
    }

    public var next: OperationID { OperationID(number: number + 1) }

    public static func < (left: Self, right: Self) -> Bool { left.number < right.number }

    public var description: String { "op-\(number)" }
}

extension OperationID: ExpressibleByStringLiteral {
    /// A name that is known when the program is written.
    public init(stringLiteral text: StaticString) {
        guard let id = OperationID(String(describing: text)) else {
            preconditionFailure("\(text) is no name of an operation")
        }
        self = id
    }
}

/// The name of a plan: `p<map revision>-<8 hexadecimal digits>`, where the digits are a hash of its moves. The same
/// name means the same moves on the same map.
public struct PlanID: Hashable, Sendable, CustomStringConvertible {
    public let mapRevision: MapRevision
    public let movesHash: UInt32

    public init(mapRevision: MapRevision, movesHash: UInt32) {
        self.mapRevision = mapRevision
        self.movesHash = movesHash
    }

    /// Reads what `description` writes; `nil` for anything else.
    public init?(_ text: String) {
        let parts = text.dropFirst().split(separator: "-", omittingEmptySubsequences: false)
        guard text.hasPrefix("p"), parts.count == 2, let revision = UInt64(parts[0]),
            let hash = UInt32(parts[1], radix: 16)
        else { return nil }
        self.init(mapRevision: MapRevision(revision), movesHash: hash)
        guard description == text else { return nil }
    }

    public var description: String {
        let digits = String(movesHash, radix: 16)
        return "p\(mapRevision.rawValue)-" + String(repeating: "0", count: 8 - digits.count) + digits
    }
}

/// One shard that an operation takes from one node to another.
public struct PlannedMove: Sendable, Hashable {
    public let shard: ShardID
    public let from: NodeID
    public let to: NodeID

    public init(shard: ShardID, from: NodeID, to: NodeID) {
        self.shard = shard
        self.from = from
        self.to = to
    }
}

/// What the cluster has been asked to do: the key `operations/op-N`. It outlives whoever asked, the controller and a
/// restart of everything. How far it is follows from the shards' records (``OperationView``).
public struct OperationRecord: Sendable, Hashable {
    public enum Kind: String, Sendable, Hashable, CaseIterable {
        case rebalance
        case drain
        case remove
        case weight
        case move

        /// What the controller does for an operation of the kind.
        var work: Work {
            switch self {
            case .drain: .emptiesNode
            case .move: .movesShard
            case .rebalance: .balances
            case .remove, .weight: .nothing
            }
        }

        /// In the order in which moves begin: what empties a node, then what somebody asked for by name, then balance.
        enum Work: Int {
            case emptiesNode
            case movesShard
            case balances
            /// It is done with the transaction that creates it.
            case nothing
        }
    }

    public enum State: String, Sendable, Hashable, CaseIterable {
        case running
        /// Moves under way go on, none begins.
        case paused
        case done
        case failed
        case cancelled

        public var isFinished: Bool {
            switch self {
            case .running, .paused: false
            case .done, .failed, .cancelled: true
            }
        }
    }

    public let id: OperationID
    public let kind: Kind
    public var state: State
    /// The plan that a rebalance carries out.
    public let plan: PlanID?
    /// The node that it is about: drain, remove, weight.
    public let node: NodeID?
    /// By shard, each shard once.
    public var moves: [PlannedMove]
    /// The limit of each of its moves; zero: none.
    public var bytesPerSecond: UInt64
    public let created: Timestamp
    public var finished: Timestamp?
    /// In words: what it did, why it failed or was cancelled; empty where there is nothing to say.
    public var detail: String

    public init(
        id: OperationID, kind: Kind, state: State = .running, plan: PlanID? = nil, node: NodeID? = nil,
        moves: [PlannedMove] = [], bytesPerSecond: UInt64 = 0, created: Timestamp, finished: Timestamp? = nil,
        detail: String = ""
    ) {
        precondition(Set(moves.map(\.shard)).count == moves.count, "an operation moves a shard once")
        self.id = id
        self.kind = kind
        self.state = state
        self.plan = plan
        self.node = node
        self.moves = moves.sorted { $0.shard < $1.shard }
        self.bytesPerSecond = bytesPerSecond
        self.created = created
        self.finished = finished
        self.detail = detail
    }

    /// Adds to the detail, as far as there is room: an operation may be changed by many things.
    mutating func note(_ sentence: String) {
        guard detail.utf8.count + sentence.utf8.count <= Limits.operationDetailBytesMax else { return }
        detail = detail.isEmpty ? sentence : "\(detail); \(sentence)"
    }

    /// The same operation, ended.
    func ended(_ state: State, at now: Timestamp, _ detail: String? = nil) -> OperationRecord {
        var ended = self
        ended.state = state
        ended.finished = now
        if let detail { ended.detail = detail }
        return ended
    }
}

/// How fast new operations may copy, each move by itself: the key `throttle`. Where it is missing, ``standard`` holds.
public struct Throttle: Sendable, Hashable {
    /// Zero: without limit.
    public let bytesPerSecond: UInt64

    public static let standard = Throttle(bytesPerSecond: Limits.moveBytesPerSecondDefault)

    public init(bytesPerSecond: UInt64) { self.bytesPerSecond = bytesPerSecond }
}

/// Who runs the controller: the key `controller`, put if absent under the session of the node that it names.
public struct ControllerSeat: Sendable, Hashable {
    public let node: NodeID

    public init(node: NodeID) { self.node = node }
}
