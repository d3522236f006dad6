public import LogFormat
public import Primitives

/// Consecutive records of one shard, to be made durable.
public struct AppendBatch: Sendable {
    /// Who is told: an event loop's index, `0 ..< LogConfiguration.lanes`.
    public let lane: Int
    public let shard: ShardID
    public let epoch: Epoch
    /// One after the shard's last position; the payloads take this one and those that follow.
    public let firstPosition: Position
    /// At least one; each at most `LogConfiguration.recordBytesMax`.
    public let payloads: [[UInt8]]
    /// `.effect`, or `.epochStart` for the first of an epoch.
    public let type: RecordType
    /// The shard's time; recovery reports the highest one, as the floor of the next run's clock.
    public let time: Timestamp
    /// Its sender offers it again in a moment where it is large and there is enough to write (`SubmitResult.later`).
    public let mayWait: Bool
    /// What the batch takes in a segment at most.
    public let encodedBytesMax: Int

    public init(
        lane: Int, shard: ShardID, epoch: Epoch, firstPosition: Position, payloads: [[UInt8]],
        type: RecordType = .effect, time: Timestamp = .zero, mayWait: Bool = false
    ) {
        precondition(!payloads.isEmpty, "a batch has a record")
        precondition(type.takesPosition, "a batch holds records of a shard")
        precondition(firstPosition > .zero, "positions begin at 1")
        self.lane = lane
        self.shard = shard
        self.epoch = epoch
        self.firstPosition = firstPosition
        self.payloads = payloads
        self.type = type
        self.time = time
        self.mayWait = mayWait
        self.encodedBytesMax = payloads.reduce(0) { $0 + LogLayout.recordBytes(storing: $1.count) }
    }

    public var lastPosition: Position { Position(firstPosition.rawValue + UInt64(payloads.count) - 1) }
}

/// What became of a batch that was offered. Refused batches leave nothing behind: their positions are free again.
public enum SubmitResult: Sendable, Equatable {
    /// It will be durable, or the process ends.
    case accepted
    /// No space for another segment; heals by itself.
    case storageFull
    /// It may wait, is large, and there is enough to write: offer it again in a moment. Small ones are taken meanwhile.
    case later
    /// Too much is waiting, or flushing has fallen too far behind.
    case queueFull
    /// The log is closing or has failed.
    case stopped
}

/// What one lane is told after a group: for each of its shards in the group, how far it is durable now.
public struct LaneNotice: Equatable, Sendable {
    public let lane: Int
    /// At least one; each shard once, in the order in which the shards first stood in the group.
    public let marks: [DurableMark]
}
