internal import HashRing
public import Primitives

/// How far the copy of one move is, as its target reports it.
public struct MoveProgress: Sendable, Hashable {
    public var operation: OperationID
    public var bytesDone: UInt64
    public var bytesTotal: UInt64
    public var bytesPerSecond: UInt64
    /// Positions that the target is behind.
    public var lag: UInt64
    /// Times that the copy has begun.
    public var rounds: Int
    /// Set where the move does not converge: the rate that it would need.
    public var neededBytesPerSecond: UInt64?

    public init(
        operation: OperationID, bytesDone: UInt64, bytesTotal: UInt64, bytesPerSecond: UInt64, lag: UInt64 = 0,
        rounds: Int = 1, neededBytesPerSecond: UInt64? = nil
    ) {
        self.operation = operation
        self.bytesDone = bytesDone
        self.bytesTotal = bytesTotal
        self.bytesPerSecond = bytesPerSecond
        self.lag = lag
        self.rounds = rounds
        self.neededBytesPerSecond = neededBytesPerSecond
    }
}

/// An operation as it stands: what is done, what goes on, what it waits for, when it will be through.
public struct OperationView: Sendable, Hashable {
    public enum MoveState: String, Sendable, Hashable, CaseIterable {
        case waiting
        case learner
        case copy
        case catchUp = "catch-up"
        case handover
        case retire
        case done

        init(_ stage: ShardMove.Stage) {
            self =
                switch stage {
                case .learner: .learner
                case .copy: .copy
                case .catchUp: .catchUp
                case .handover: .handover
                case .retire: .retire
                }
        }
    }

    public struct Move: Sendable, Hashable {
        public let plan: PlannedMove
        public let state: MoveState
        /// Of a move under way, where its target has said.
        public let progress: MoveProgress?
        /// `nil` where nothing is in its way.
        public let waitsFor: String?
    }

    public let operation: OperationRecord
    /// As in the operation: by shard.
    public let moves: [Move]
    /// Moves that are through.
    public let done: Int
    /// Moves whose size nobody has told count as the mean of the others.
    public let bytesDone: UInt64
    public let bytesTotal: UInt64
    /// Of all moves under way together.
    public let bytesPerSecond: UInt64
    /// `nil` where that cannot be told: nothing moves, or no size is known.
    public let etaSeconds: UInt64?
    /// Sentences, each once, at most `Limits.operationWaitsMax`.
    public let waitsFor: [String]

    public var total: Int { moves.count }

    /// - Parameters:
    ///   - progress: what the targets of moves under way report; others are ignored.
    ///   - shardBytes: what the owners of shards report.
    public init(
        _ operation: OperationRecord, in map: ClusterMap, progress: [ShardID: MoveProgress] = [:],
        shardBytes: [ShardID: UInt64] = [:]
    ) {
        let traffic = MoveTraffic(map)
        let moves = operation.moves.map { move in
            Self.view(move, of: operation, in: map, traffic, progress[move.shard])
        }
        self.operation = operation
        self.moves = moves
        done = moves.count { $0.state == .done }
        bytesPerSecond = moves.reduce(0) { $0 + ($1.progress?.bytesPerSecond ?? 0) }
        (bytesDone, bytesTotal) = Self.bytes(moves, shardBytes)
        etaSeconds = Self.eta(operation, left: bytesTotal - bytesDone, bytesTotal, bytesPerSecond)
        waitsFor = Self.sentences(operation, moves, map)
    }

    private static func view(
        _ move: PlannedMove, of operation: OperationRecord, in map: ClusterMap, _ traffic: MoveTraffic,
        _ reported: MoveProgress?
    ) -> Move {
        guard operation.state != .done, let shard = map.shard(move.shard)?.record else {
            return Move(plan: move, state: .done, progress: nil, waitsFor: nil)
        }
        if let current = shard.move, current.operation == operation.id {
            let progress = reported.flatMap { $0.operation == operation.id ? $0 : nil }
            return Move(
                plan: move, state: MoveState(current.stage), progress: progress,
                waitsFor: wait(of: current, shard: move.shard, progress, map))
        }
        if shard.primary == move.to { return Move(plan: move, state: .done, progress: nil, waitsFor: nil) }
        let obstacle =
            traffic.obstacle(to: move, of: operation, in: map) ?? (map.controller == nil ? .noController : nil)
        return Move(
            plan: move, state: .waiting, progress: nil,
            waitsFor: operation.state.isFinished ? nil : obstacle?.description)
    }

    /// What a move under way waits for.
    private static func wait(
        of move: ShardMove, shard: ShardID, _ progress: MoveProgress?, _ map: ClusterMap
    ) -> String? {
        guard map.isAlive(move.from) else { return "\(MoveObstacle.notAlive(move.from))" }
        guard !move.isBeforeHandover || map.isAlive(move.to) else { return "\(MoveObstacle.notAlive(move.to))" }
        guard move.isBeforeHandover, let needed = progress?.neededBytesPerSecond else { return nil }
        return "shard \(shard) does not converge: it needs \(needed) bytes/s"
    }

    private static func bytes(_ moves: [Move], _ shardBytes: [ShardID: UInt64]) -> (done: UInt64, total: UInt64) {
        let sizes = moves.map { move -> UInt64? in
            if let progress = move.progress { return max(progress.bytesTotal, progress.bytesDone) }
            return shardBytes[move.plan.shard]
        }
        let known = sizes.compactMap { $0 }
        guard !known.isEmpty else { return (0, 0) }
        let mean = known.reduce(0, +) / UInt64(known.count)
        var (done, total) = (UInt64(0), UInt64(0))
        for (move, size) in zip(moves, sizes) {
            total += size ?? mean
            switch move.state {
            case .done, .retire: done += size ?? mean
            case .waiting: break
            case .learner, .copy, .catchUp, .handover: done += move.progress?.bytesDone ?? 0
            }
        }
        return (min(done, total), total)
    }

    private static func eta(_ operation: OperationRecord, left: UInt64, _ total: UInt64, _ rate: UInt64) -> UInt64? {
        guard !operation.state.isFinished, total > 0 else { return nil }
        guard left > 0 else { return 0 }
        return rate > 0 ? (left + rate - 1) / rate : nil
    }

    private static func sentences(_ operation: OperationRecord, _ moves: [Move], _ map: ClusterMap) -> [String] {
        guard !operation.state.isFinished else { return [] }
        var sentences: [String] = []
        if operation.state == .paused { sentences.append("\(MoveObstacle.paused(operation.id))") }
        if map.controller == nil { sentences.append("\(MoveObstacle.noController)") }
        if operation.kind == .drain, let node = operation.node {
            let planned = Set(operation.moves.map(\.shard))
            let stranded = map.shardIDs.count { !planned.contains($0) && map.shards[Int($0.rawValue)].primary == node }
            if stranded > 0 { sentences.append("\(stranded) more shards of \(node) have no node to go to") }
        }
        // What is under way first: what waits only for its turn says the least.
        for move in moves.filter({ $0.state != .waiting }) + moves.filter({ $0.state == .waiting }) {
            if let sentence = move.waitsFor, !sentences.contains(sentence) { sentences.append(sentence) }
            if sentences.count >= Limits.operationWaitsMax { break }
        }
        return sentences
    }
}
