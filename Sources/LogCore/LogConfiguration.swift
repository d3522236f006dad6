import LogFormat
import Primitives

/// The bounds that a log runs under. Production uses the defaults; tests and the simulator shrink them.
public struct LogConfiguration: Sendable {
    /// The length of every segment file.
    public var segmentBytes = Limits.segmentBytes
    /// A group ends before the record that would make it larger than this; one record alone may be.
    public var groupBytesMax = Limits.groupBytesMax
    public var groupRecordsMax = Limits.groupRecordsMax
    public var compressionBytesMin = Limits.compressionBytesMin
    /// The largest payload; with an opening and a seal it must fit a segment.
    public var recordBytesMax = Limits.recordBytesMax
    /// What a restart may have to replay. From half of it on the shards that pin the oldest segments are to be flushed.
    public var replayBytesMax = Limits.replayBytesMax
    /// Live segments beyond this refuse appends (`queueFull`): flushing has fallen behind, and the disk is not endless.
    public var liveBytesMax = 2 * Limits.replayBytesMax
    /// Bytes accepted and not yet built into a group.
    public var queueBytesMax = Limits.logQueueBytesMax
    /// A batch of at least so many bytes that may wait is not taken while so many wait already.
    public var largeBatchBytes = Limits.logLargeBatchBytes
    public var crowdedBytes = Limits.logCrowdedBytes
    /// Spares to make ahead of need: one for the next rotation, one that is left for recovery when the disk is full.
    public var spareSegmentsMax = Limits.spareSegmentsMax
    /// Used segments kept as spares beyond that. Flushing gives several back at once; deleting them and filling new
    /// ones again would write everything twice.
    public var recycledSegmentsMax = Limits.replayBytesMax / Limits.segmentBytes
    /// Shards that one node may hold; room for their table is kept in every segment.
    public var shardsMax = Limits.shardsMax
    /// Lanes that batches name, numbered from 0: one an event loop.
    public var lanes = 1
    /// A group that would be less than half as large as the one before waits this long for more; 0: it does not wait.
    public var gatherNanoseconds: UInt64 = 0
    /// An idle log writes a commit hint after this long.
    public var hintDelayNanoseconds: UInt64 = 20_000_000
    /// After the disk was full, this long until the next try.
    public var retryDelayNanoseconds: UInt64 = 250_000_000
    /// A new spare is zero-filled and synced in pieces of this size, so that it never holds the disk for long.
    public var fillBytesMax = 8 << 20
    /// Copies of segments with torn tails that are kept; the oldest goes first.
    public var tornCopiesMax = 4

    public init() {}

    /// What is kept free at the end of each segment: the seal's table for every shard, and a clean close.
    var sealReserveBytes: Int {
        LogLayout.tableRecordBytes(shards: shardsMax) + LogLayout.recordBytes(storing: 0)
    }

    /// Traps unless the bounds fit each other.
    func check() {
        let emptySegment = segmentBytes - LogLayout.headerBlockBytes - LogLayout.tableRecordBytes(shards: shardsMax)
        precondition(
            LogLayout.recordBytes(storing: recordBytesMax) + sealReserveBytes <= emptySegment,
            "the largest record fits an empty segment")
        precondition(recordBytesMax <= Limits.recordBytesMax, "the largest record is within the format's bound")
        precondition(
            groupBytesMax + LogLayout.recordBytes(storing: recordBytesMax) + sealReserveBytes <= emptySegment,
            "what one group leaves unsynced can be written again into one new segment")
        precondition(spareSegmentsMax >= 1 && lanes >= 1 && shardsMax >= 1, "at least one spare, lane and shard")
        precondition(groupRecordsMax >= 1 && fillBytesMax >= 1, "groups and fills make progress")
        precondition(segmentBytes % LogLayout.alignment == 0, "segments are aligned")
    }
}
