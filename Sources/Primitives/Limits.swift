/// Every bound of the system, in one place. A queue, buffer, batch, count or retry that is not bounded here is a bug.
///
/// Names end in the unit and the sense of the bound. The relations between bounds are checked in
/// `Tests/PrimitivesTests`.
public enum Limits {
    // MARK: Entities (API §1)

    public static let kindBytesMax = 64
    public static let idBytesMax = 512
    /// `limits.entity-bytes` by default; an operator may raise it to `entityBytesCeiling`.
    public static let entityBytesDefault = 1 << 20
    public static let entityBytesCeiling = 16 << 20
    public static let contentTypeBytesMax = 255
    public static let idempotencyKeyBytesMax = 255
    public static let idempotencyRetentionSeconds: UInt64 = 24 * 3600
    public static let ttlSecondsMax: UInt64 = 315_360_000
    public static let jsonDepthMax = 64
    /// Operations and conditions in one patch document, so that one request cannot hold its shard's loop for long.
    public static let patchOperationsMax = 10_000

    // MARK: HTTP (API §1)

    public static let uriBytesMax = 8 << 10
    public static let fieldBytesMax = 8 << 10
    public static let fieldsBytesMax = 16 << 10
    public static let fieldCountMax = 64
    public static let headerSecondsMax: UInt64 = 10
    public static let bodyBytesPerSecondMin = 1 << 10
    /// A body may be slow for this long before its rate counts.
    public static let bodyGraceSeconds: UInt64 = 10
    public static let idleSecondsMax: UInt64 = 60
    public static let responseStallSecondsMax: UInt64 = 30
    public static let connectionsMax = 10_000
    /// Requests of one connection that are being answered at once; reading stops there and goes on below.
    public static let pipelinedRequestsMax = 64
    /// A chunk's size line, extensions included.
    public static let chunkLineBytesMax = 256
    public static let batchLinesInFlightMax = 256
    public static let batchBytesInFlightMax = 8 << 20
    public static let listItemsDefault = 100
    public static let listItemsMax = 1000
    /// A page of a list with values ends early at this many bytes; its cursor goes on from there.
    public static let listBytesMax = 8 << 20
    /// Rows that one page may look at before it ends early, so that a rare kind cannot hold a thread.
    public static let listRowsScannedMax = 200_000
    /// A request that is not answered after this long is answered 504 (a write) or 503 (a read).
    public static let requestSecondsMax: UInt64 = 30
    public static let retryAfterSecondsMax: UInt64 = 5

    // MARK: Shard queue (DESIGN §4)

    public static let queueItemsMax = 4096
    public static let queueBytesMax = 32 << 20
    /// When the oldest write of a shard has waited this long, new ones are refused.
    public static let queueAgeMillisecondsMax: UInt64 = 1000

    // MARK: Log (DESIGN §6)

    public static let segmentBytes = 64 << 20
    public static let groupBytesMax = 4 << 20
    public static let groupRecordsMax = 4096
    public static let compressionBytesMin = 256
    /// The payload of one record before compression: the largest entity with its key, content type and idempotency row.
    public static let recordBytesMax = entityBytesCeiling + (64 << 10)
    /// Checkpoints keep what a restart must replay below this.
    public static let replayBytesMax = 256 << 20
    /// Bytes waiting for the log writer, over all shards; beyond it writes are refused.
    public static let logQueueBytesMax = 64 << 20
    /// Segments kept zero-filled or emptied ahead of need.
    public static let spareSegmentsMax = 2

    // MARK: Ring (DESIGN §5)

    public static let shardsMin = 16
    public static let shardsMax = 4096
    public static let shardsDefault = 64

    // MARK: Memory (`--memory`)

    public static let memoryBytesDefault = 1 << 30
    public static let memoryBytesMin = 128 << 20
}
