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
    /// What has not answered a list by then is named in it as missing: before the request itself is given up.
    public static let listSecondsMax: UInt64 = 20
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
    /// A group of the log that is small beside the one before waits so long for more: a fraction of what a sync takes.
    public static let logGatherNanoseconds: UInt64 = 100_000
    /// Segments kept zero-filled or emptied ahead of need.
    public static let spareSegmentsMax = 2

    // MARK: The scrub of stores (rule W12)

    /// From one shard's to the next.
    public static let scrubSeconds: UInt64 = 60

    // MARK: Ring (DESIGN §5)

    public static let shardsMin = 16
    public static let shardsMax = 4096
    public static let shardsDefault = 64

    // MARK: Moves (DESIGN §9)

    /// Committed updates that the source keeps for the target; beyond it the target must copy anew.
    public static let moveTeeBytesMax = 64 << 20
    /// The source hands over once the target lacks no more than this.
    public static let moveHandoverLagBytes = 1 << 20
    public static let moveHandoverLagPositionsMax: UInt64 = 4096
    /// A freeze that has not come to the handover transaction after this long is given up.
    public static let moveFreezeMilliseconds: UInt64 = 200
    /// From a freeze that was given up to the next one; doubles up to the maximum.
    public static let moveFreezePauseMilliseconds: UInt64 = 1000
    public static let moveFreezePauseMillisecondsMax: UInt64 = 8000
    /// Rounds of copying, one after the other, that may leave no less to do before the move is called not converging.
    public static let moveRoundsMax = 3
    public static let moveChunkBytesMax = 1 << 20
    /// Chunks of one move asked for and not yet written.
    public static let moveChunksInFlightMax = 4
    public static let moveFilesMax = 65_536
    /// How often a file that turns out wrong is fetched anew before the whole copy is.
    public static let moveFileAttemptsMax = 3
    /// From so many requests a second on, callers count as using a node, and its moves begin this far apart.
    public static let movePaceCallsPerSecond: UInt64 = 50
    public static let movePaceMilliseconds: UInt64 = 1500
    public static let movePullBytesMax = 4 << 20
    /// How long a pull waits at the source for something to be given.
    public static let movePullMilliseconds: UInt64 = 1000
    /// A request to the source that has no answer after this long, beyond what it waits there, counts as lost.
    public static let moveAnswerMilliseconds: UInt64 = 10_000
    /// From a failed attempt of a move's step to the next; doubles up to the maximum.
    public static let moveBackOffMilliseconds: UInt64 = 100
    public static let moveBackOffMillisecondsMax: UInt64 = 5000

    // MARK: Cluster control (DESIGN §8)

    /// A node that has been silent for this long counts as gone.
    public static let sessionSeconds: UInt64 = 10
    /// A shard that has moved away stays in the trash for this long.
    public static let moveTrashSeconds: UInt64 = 24 * 3600

    // MARK: Requests for shards of other nodes (DESIGN §4)

    /// From an attempt that executed nothing to the next; doubles up to the maximum.
    public static let routePauseMilliseconds: UInt64 = 5
    public static let routePauseMillisecondsMax: UInt64 = 100
    /// A node that cannot be reached is tried for this long before its shards count as unavailable, so that a
    /// connection that is made anew costs no error.
    public static let routeUnreachableMilliseconds: UInt64 = 200

    // MARK: Transactions and operations of a cluster (DESIGN §8)

    /// Conditions, and changes, of one metadata transaction: what an etcd of default settings takes.
    public static let transactionOperationsMax = 128
    /// Moves of shards that a node takes in, and gives away, at the same time.
    public static let movesInMax = 2
    public static let movesOutMax = 2
    /// `throttle` where nobody has set it; zero: as fast as it goes.
    public static let moveBytesPerSecondDefault: UInt64 = 0
    /// Transactions that the controller wants of one look at the map.
    public static let controllerTransactionsMax = 64
    /// Finished operations that are remembered, the newest.
    public static let finishedOperationsMax = 100
    /// Sentences that say what an operation waits for.
    public static let operationWaitsMax = 16
    /// What an operation says of itself.
    public static let operationDetailBytesMax = 1000

    // MARK: Text for people

    /// Combining marks that one letter may carry where text is shown; further ones are escaped.
    public static let marksInRowMax = 6
    /// A message of the tool; longer ones are cut.
    public static let messageBytesMax = 16 << 10

    // MARK: Memory (`--memory`)

    public static let memoryBytesDefault = 1 << 30
    public static let memoryBytesMin = 128 << 20

    // MARK: Peer protocol (DESIGN §3)

    /// A frame, header included: a page of a list that ends with the largest entity, and the keys of its items.
    public static let peerFrameBytesMax = entityBytesCeiling + listBytesMax + (2 << 20)
    /// The first frame of a connection, before the other side is known.
    public static let peerHelloBytesMax = 512
    /// A sentence in a message; longer ones are cut.
    public static let peerTextBytesMax = 4 << 10
    /// The part of a file that one answer carries.
    public static let peerChunkBytesMax = 1 << 20
    public static let peerManifestFilesMax = 1 << 16
    public static let peerFileNameBytesMax = 255
    public static let peerRecordsMax = 1 << 16
    /// Open requests of one connection, and the bytes of their frames.
    public static let peerInFlightMax = 4096
    public static let peerInFlightBytesMax = 64 << 20
    public static let peerConnectionsMax = 4096
    public static let peerConnectMillisecondsMax: Int64 = 1000
    public static let peerHandshakeMillisecondsMax: Int64 = 3000
    public static let peerPingMilliseconds: Int64 = 5000
    /// Between attempts to connect; doubles up to the maximum. Shorter than ``routeUnreachableMilliseconds``: what a
    /// request is told of a node that cannot be reached was tried anew for it, so a node that is back is used at once.
    public static let peerBackoffMillisecondsMin: Int64 = 25
    public static let peerBackoffMillisecondsMax: Int64 = 150
    public static let peerIdleSecondsMax: Int64 = 300
    /// Deadlines of requests to peers are looked at this often.
    public static let peerSweepMilliseconds: Int64 = 50

    // MARK: etcd and the founding of a cluster (DESIGN §8)

    public static let etcdEndpointsMax = 16
    /// Operations of one transaction, and conditions: etcd's own default of `--max-txn-ops`.
    public static let etcdTransactionOperationsMax = 128
    /// Keys and values of one transaction: etcd's own default of `--max-request-bytes`, with room for the rest.
    public static let etcdTransactionBytesMax = (3 << 19) - (32 << 10)
    /// Of one transaction when a cluster is founded.
    public static let foundingOperationsMax = 100
    public static let foundingSecondsMax: UInt64 = 60
    /// How long a founder that died keeps the next one waiting.
    public static let foundingSessionSeconds: UInt64 = 10
    public static let foundingPauseMilliseconds: UInt64 = 200
    public static let joiningAttemptsMax = 16
    /// Entries of one page of a range.
    public static let etcdPageEntriesMax: UInt64 = 512
    public static let etcdRangeRestartsMax = 8
    public static let etcdAnswerBytesMax = 64 << 20
    /// One message of a watch; etcd divides larger ones, and base64 adds a third.
    public static let etcdWatchMessageBytesMax = 16 << 20
    public static let etcdConnectionsMax = 64
    public static let etcdConnectMilliseconds: UInt64 = 1000
    /// One attempt of what can be asked again, and of a transaction.
    public static let etcdReadMilliseconds: UInt64 = 3000
    public static let etcdTransactionMilliseconds: UInt64 = 5000
    /// All attempts together, at all endpoints; the last one may end later by its own limit.
    public static let etcdCallMilliseconds: UInt64 = 8000
    /// The pause after all endpoints have failed, twice as long after each round up to the last number.
    public static let etcdPauseMilliseconds: UInt64 = 100
    public static let etcdPauseMillisecondsMax: UInt64 = 1000
    /// A watch that etcd ends, rather than the network, ends for its holder after so many times in a row.
    public static let etcdWatchRefusalsMax = 5
    /// A watch that has heard nothing for this long looks whether its endpoint still answers.
    public static let etcdWatchSilenceMilliseconds: UInt64 = 3000
}
