public import LogFormat
public import Primitives

/// Where a log begins to run: what ``LogRecovery`` hands to ``LogMachine``.
public struct LogStart: Sendable, Equatable {
    public let identity: LogIdentity
    /// Everything up to here is synced.
    public let durableLSN: LSN
    /// The LSN that the next record gets.
    public let nextLSN: LSN
    /// The header CRC of the record before it.
    let previousChecksum: UInt32
    let highestTime: Timestamp
    /// Oldest first. The last one is open for appending when `isLastOpen`.
    let segments: [LiveSegment]
    /// False when recovery needed no new segment and the disk had no room for one.
    let isLastOpen: Bool
    /// The record seed of the open segment.
    let openRecordSeed: UInt32
    /// Files that are ready to become segments.
    let spares: [SpareSegment]
    let nextSegmentNumber: UInt64
    let nextSpareNumber: UInt64
    /// In ascending order of shard: those that the node holds, quarantined ones included.
    let shards: [ShardStart]
    let saltSeed: UInt64
}

/// A shard as recovery leaves it.
struct ShardStart: Sendable, Equatable {
    /// Its last record in the log, or its store's mark where that is further.
    let last: DurableMark
    /// What its store had applied at the start: all of it flushed, for a store without a log of its own has only that.
    let flushedPosition: Position
    let isQuarantined: Bool
}

/// A file of full length whose blocks are all written.
struct SpareSegment: Sendable, Equatable {
    let number: UInt64
    /// Never used: all zeros.
    let isBlank: Bool
}

/// A segment that some store may still need.
struct LiveSegment: Sendable, Equatable {
    let number: UInt64
    /// The file's length.
    let fileBytes: Int
    /// Up to the end of its last record.
    var usedBytes: Int
    /// What it holds, one entry a shard, in the order of their first records.
    var entries: [SegmentEntry] = []
    /// It holds damage, or records that a quarantined shard has not applied: kept, not reused.
    var isEvidence = false
}

/// One shard's records in one segment.
struct SegmentEntry: Sendable, Equatable {
    let shard: ShardID
    let firstLSN: LSN
    var lastPosition: Position
}
