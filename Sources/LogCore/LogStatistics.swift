/// Counted since the log was opened, except what says "now".
public struct LogStatistics: Sendable, Equatable {
    public var groups = 0
    /// Records of shards.
    public var records = 0
    /// Payload bytes before compression.
    public var payloadBytes = 0
    /// Bytes written to segments, headers and padding included.
    public var writtenBytes = 0
    /// Groups' syncs.
    public var syncs = 0
    public var hints = 0
    public var rotations = 0
    public var segmentsRecycled = 0
    public var segmentsFilled = 0
    /// Times that the disk became full.
    public var storageFullTimes = 0
    /// Now: bytes from the oldest segment that is needed to the log's end.
    public var liveBytes = 0
    public var liveSegments = 0
    public var spareSegments = 0
    /// Now: bytes that wait to be built into a group.
    public var backlogBytes = 0

    public init() {}
}
