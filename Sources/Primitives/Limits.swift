/// Every bound of the system, in one place. A queue, buffer, batch, count or retry that is not bounded here is a bug.
///
/// Names end in the unit and the sense of the bound. The relations between bounds are checked in
/// `Tests/PrimitivesTests`.
public enum Limits {
    // MARK: Entities (Contract §1)

    public static let kindBytesMax = 64
    public static let idBytesMax = 512
    /// `limits.entity-bytes` by default; an operator may raise it to `entityBytesCeiling`.
    public static let entityBytesDefault = 1 << 20
    public static let entityBytesCeiling = 16 << 20
    public static let contentTypeBytesMax = 255
    /// RFC 1035 §2.3.4, without the root's dot.
    public static let hostNameBytesMax = 253
    public static let idempotencyKeyBytesMax = 255
    public static let idempotencyRetentionSeconds: UInt64 = 24 * 3600
    public static let ttlSecondsMax: UInt64 = 315_360_000
    public static let jsonDepthMax = 64
    /// Operations and conditions in one patch document, so that one request cannot hold its shard's loop for long.
    public static let patchOperationsMax = 10_000
    /// What one patch may cost, in bytes of work: this much, and so much for each byte that a state may have. A byte of
    /// work takes a nanosecond or a few, so that a patch cannot hold its loop for longer than 50 ms.
    public static let patchWorkBytesBase = 11 << 20
    public static let patchWorkBytesPerStateByte = 3
    /// Numbers with more digits are stored and given back, and are neither compared nor computed with.
    public static let numberDigitsMax = 4096
    /// Patch documents and states up to here are read whole; larger ones where a patch touches them.
    public static let jsonReadWholeBytesMax = 2 << 10

    /// Versions that one `If-Match` or `If-None-Match` may name: as many as go into a request's fields.
    public static let preconditionVersionsMax = 4096

    // MARK: Numbers that come from outside

    /// Positions, epochs, revisions, numbers of operations: a higher one, from a disk, a peer or the metadata store, is
    /// nonsense. Below it the next one can always be counted.
    public static let counterMax: UInt64 = 1 << 62
    /// Starts of a node. Sessions of moves are numbered by them, 2^32 to each.
    public static let bootCountMax: UInt64 = 1 << 30
    /// The end of the year 9999, in milliseconds since 1970.
    public static let timeMillisecondsMax: UInt64 = 253_402_300_799_999

    // MARK: HTTP (Contract §1.11)

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
    /// Lines of one batch that its loop takes in before it lets others have a turn.
    public static let batchTurnLinesMax = 256
    /// A line of a batch that is longer, or has a longer state in its answer, is read or written off the loop.
    public static let loopTextBytesMax = 64 << 10
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
    /// Lists that a node makes pages for at once; it counts those that peers ask of it by themselves.
    public static let listsUnderWayMax = 16
    /// Lists behind those; beyond it they are refused.
    public static let listsWaitingMax = 256
    /// A list that has waited for its turn this long is refused.
    public static let listWaitSecondsMax: UInt64 = 10
    /// A page ends early when it has been looked for this long; its cursor goes on from there.
    public static let listScanSecondsMax: UInt64 = 5
    /// One turn of a list on a thread.
    public static let listTurnNanosecondsMax: UInt64 = 4_000_000
    /// A scan looks at the clock, and whether its caller has left, after so many rows or bytes of rows.
    public static let listLookRowsMax = 256
    public static let listLookBytesMax = 256 << 10
    public static let retryAfterSecondsMax: UInt64 = 5

    // MARK: File descriptors (Contract §7)

    /// Tables of one shard that its store keeps open: what a shard with a busy compaction has, and what it may have
    /// where there are descriptors in plenty.
    public static let tablesOpenMin = 4
    public static let tablesOpenMax = 118
    /// Connections that the descriptors must leave room for, or the node does not start.
    public static let connectionsMin = 16
    /// Connections that only the admin listener may take.
    public static let adminConnectionsReserved = 8
    /// Connections over the limit that are told so at the same time; more are closed without a word.
    public static let refusedConnectionsMax = 8
    /// After the process was out of descriptors, this long until it accepts again.
    public static let acceptPauseMilliseconds: Int64 = 500

    // MARK: The disk's space (Contract §7)

    /// Kept free for flushes, compactions and the files of the log; writes are refused below.
    public static let spaceReserveBytes = 32 << 20
    /// Files that can still be made; writes are refused below.
    public static let spaceReserveFiles = 64
    /// A file that gives its blocks to a start on a full disk: so much, and so much more for each shard.
    public static let ballastBytes = 8 << 20
    /// Beside one for each shard.
    public static let ballastFiles = 16
    public static let ballastBytesPerShard = 16 << 10
    /// What an empty store takes at most.
    public static let emptyStoreBytesMax = 48 << 10
    /// How often a store that waits for space or descriptors tries again, and a commit that waits for its store.
    public static let storeRetryMilliseconds: Int64 = 250
    public static let commitRetryMilliseconds: Int64 = 50

    // MARK: Shard queue (Architecture §4)

    public static let queueItemsMax = 4096
    public static let queueBytesMax = 32 << 20
    /// When the oldest write of a shard has waited this long, new ones are refused. One that waits as long for room in
    /// the memtables is refused itself.
    public static let queueAgeMillisecondsMax: UInt64 = 1000
    /// What the shards of one event loop evaluate in one turn, in bytes of work, before they let others have the loop.
    /// The operation that passes it is finished first.
    public static let turnWorkBytesMax = 2 << 20
    /// What an operation counts for in a turn beside its own work.
    public static let turnOperationWorkBytes = 512
    /// Bytes that the kernel takes for a connection whose client has no room for them yet.
    public static let socketUnsentBytesMax = 256 << 10
    /// Large entities whose size is remembered between reads from the disk.
    public static let readSizesMax = 4096
    /// A patch that takes more than this, in bytes of work, is evaluated off the loop: at once where its document and
    /// the state are larger, else when it has taken as much.
    public static let loopPatchWorkBytesMax = 256 << 10
    /// States and documents that the patches of one entity may read which wait for their turn off the loop.
    public static let entityQueueBytesMax = 64 << 20
    /// Such patches that one loop has under way: each reads a state and makes another.
    public static let patchJobsMax = 1
    /// What an event loop or the log's writer asks of the processor at a time.
    public static let loopSliceNanoseconds: UInt64 = 200_000
    /// From one turn to the next while operations wait: at least this long the loop is for others.
    public static let turnPauseMicroseconds: Int64 = 50
    /// States that a shard keeps read between the operations of a group, in bytes; smaller ones than the second bound
    /// are read anew faster than they are found.
    public static let readStatesBytesMax = 4 << 20
    public static let readStateBytesMin = 256

    /// After a write of a shard was refused for want of room, further ones are refused where they come in for so long.
    public static let overloadPauseMilliseconds: UInt64 = 5

    // MARK: Log (Architecture §6)

    public static let segmentBytes = 64 << 20
    /// What the header of a segment may say of its size.
    public static let segmentBytesCeiling = 1 << 40
    public static let groupBytesMax = 4 << 20
    public static let groupRecordsMax = 4096
    public static let compressionBytesMin = 256
    /// The payload of one record before compression: the largest entity with its key, content type and idempotency row.
    public static let recordBytesMax = entityBytesCeiling + (64 << 10)
    /// Checkpoints keep what a restart must replay below this.
    public static let replayBytesMax = 256 << 20
    /// Bytes waiting for the log writer, over all shards; beyond it writes are refused.
    public static let logQueueBytesMax = 64 << 20
    /// A batch of this size waits while so many bytes wait already: small ones never stand behind many large ones.
    public static let logLargeBatchBytes = 64 << 10
    public static let logCrowdedBytes = 1 << 20
    /// Until such a batch is offered again.
    public static let logOfferMilliseconds: Int64 = 1
    /// Until a batch is offered again that finds no room in the memtables: a flush takes some milliseconds.
    public static let storeOfferMilliseconds: Int64 = 5
    /// A group of the log that is small beside the one before waits so long for more: a fraction of what a sync takes.
    public static let logGatherNanoseconds: UInt64 = 100_000
    /// Segments kept zero-filled or emptied ahead of need.
    public static let spareSegmentsMax = 2

    // MARK: The scrub of stores (rule W12)

    /// From one shard's to the next.
    public static let scrubSeconds: UInt64 = 60

    // MARK: Ring (Architecture §5)

    public static let shardsMin = 16
    public static let shardsMax = 4096
    public static let shardsDefault = 64

    // MARK: Moves (Architecture §9)

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

    // MARK: Cluster control (Architecture §8)

    /// A node that has been silent for this long counts as gone.
    public static let sessionSeconds: UInt64 = 10
    /// A shard that has moved away stays in the trash for this long.
    public static let moveTrashSeconds: UInt64 = 24 * 3600

    // MARK: Requests for shards of other nodes (Architecture §4)

    /// From an attempt that executed nothing to the next; doubles up to the maximum.
    public static let routePauseMilliseconds: UInt64 = 5
    public static let routePauseMillisecondsMax: UInt64 = 100
    /// A node that cannot be reached is tried for this long before its shards count as unavailable, so that a
    /// connection that is made anew costs no error.
    public static let routeUnreachableMilliseconds: UInt64 = 200
    /// After the first answer that was lost no attempt begins later than this.
    public static let routeLostMilliseconds: UInt64 = 1000
    /// Once a node has kept silent, the other nodes of a list get until this long after its beginning.
    public static let listSilenceMilliseconds: UInt64 = 3500
    /// What the metadata store may take for one request of the admin listener, all its calls together: with what other
    /// nodes are then asked it is less than 5 s.
    public static let adminMetadataMilliseconds: UInt64 = 3500

    // MARK: Transactions and operations of a cluster (Architecture §8)

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
    /// Plans of one `rebalance` command, each made because the one before did not hold any more.
    public static let rebalancePlansMax = 5
    /// Sentences that say what an operation waits for.
    public static let operationWaitsMax = 16
    /// What an operation says of itself.
    public static let operationDetailBytesMax = 1000
    /// A text in a record of the metadata store: a zone, an address, a name.
    public static let recordTextBytesMax = 1 << 10
    /// Nodes that keep one shard.
    public static let shardReplicasMax = 16

    // MARK: Text for people

    /// Combining marks that one letter may carry where text is shown; further ones are escaped.
    public static let marksInRowMax = 6
    /// A message of the tool; longer ones are cut.
    public static let messageBytesMax = 16 << 10

    // MARK: Memory (`--memory`)

    public static let memoryBytesDefault = 1 << 30
    public static let memoryBytesMin = 128 << 20
    /// The memory holds this many entities of the largest size.
    public static let memoryEntitiesMin = 16
    /// What a loop borrows of the process' budget at a time, so that small requests touch its own numbers only.
    public static let memoryLumpBytesMax = 256 << 10
    /// What a request is charged before anything of it is known: its head, its place in a queue, its small answer.
    public static let memoryRequestBytes = 2 << 10
    /// An open connection with nothing in flight: its channel, its handler and one small buffer.
    public static let memoryConnectionBytes = 8 << 10
    /// A charge of no more than this counts as small: it may use what larger ones leave alone.
    public static let memorySmallBytesMax = 32 << 10
    /// What arrives is read in pieces: this much at first, and the larger size while they come full.
    public static let receiveBytesMin = 4 << 10
    public static let receiveBytesMax = 64 << 10
    public static let peerReceiveBytesMax = 256 << 10
    /// Allocations from this size on are given back to the system as soon as they are freed.
    public static let allocationMappedBytesMin = 128 << 10
    /// Of those, at once: the system bounds the mappings of a process.
    public static let allocationsMappedMax = 16 << 10
    /// Unused memory that the allocator may keep at the end of its arenas.
    public static let allocatorKeptBytesMax = 1 << 20
    /// From one look at what the allocator could give back to the next.
    public static let allocatorTrimMilliseconds: Int64 = 1000
    /// The budget in use has fallen by so much since the last time: the allocator is asked to give memory back.
    public static let allocatorTrimBytesMin = 4 << 20
    /// Rows that a loop has fetched from the disk or is fetching: each is as large as an entity.
    public static let fetchesInFlightMax = 64
    /// The least that a page of a list holds, however small the budget is.
    public static let listBytesMin = 256 << 10

    // MARK: Clocks

    /// A start whose wall clock is further ahead of the newest data is refused, unless the operator accepts it.
    public static let clockAheadSecondsMax: UInt64 = 366 * 86_400
    /// A start this far ahead says how old the data is; a step of the node's time by more is a jump.
    public static let clockStepSecondsMax: UInt64 = 86_400
    /// Where the wall clock and the data's time are further apart, the log and the status say so.
    public static let clockGapSecondsMax: UInt64 = 60
    /// After a start and after a jump nothing that has expired is removed for good for this long.
    public static let removalHoldSeconds: UInt64 = 600
    /// Removal stays this far behind the time that readers go by.
    public static let removalLagSeconds: UInt64 = 60

    // MARK: Start and end of the process

    /// From the first signal to end until the process ends, done or not. Its parts below leave room for the disk.
    public static let endSecondsMax: UInt64 = 25
    public static let endAnswersSecondsMax: UInt64 = 8
    public static let endPeersSecondsMax: UInt64 = 2
    public static let endClusterSecondsMax: UInt64 = 4
    public static let endShardsSecondsMax: UInt64 = 4
    public static let endAdminSecondsMax: UInt64 = 1
    /// Log lines that wait for whoever reads them; beyond it they are dropped and counted.
    public static let logPipeBytesMax = 1 << 20
    public static let logLineBytesMax = 64 << 10
    /// How long an end waits for the last log lines to be read.
    public static let logDrainMillisecondsMax: UInt64 = 1000
    /// Of a file that holds one secret, and of the configuration file.
    public static let secretFileBytesMax = 4 << 10
    public static let configurationFileBytesMax = 1 << 20
    /// Folders within folders of a data directory.
    public static let dataFolderDepthMax = 16

    // MARK: Peer protocol (PeerProtocol §1)

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
    /// A frame that asks: the largest entity with its key, its content type and its idempotency key.
    public static let peerRequestBytesMax = entityBytesCeiling + (64 << 10)
    /// A frame up to this size is charged when it is whole; a longer one as soon as its header is there.
    public static let peerSmallFrameBytesMax = 16 << 10
    /// Open requests of one connection, and the bytes of their frames.
    public static let peerInFlightMax = 4096
    public static let peerInFlightBytesMax = 64 << 20
    public static let peerConnectionsMax = 4096
    public static let peerConnectMillisecondsMax: Int64 = 1000
    public static let peerHandshakeMillisecondsMax: Int64 = 2000
    /// Between pings of a connection on which nobody waits for an answer.
    public static let peerPingMilliseconds: Int64 = 5000
    /// Somebody waits: after this much silence the peer is pinged, and after the longer one it counts as hanging. A
    /// process that runs answers a ping whatever it is busy with.
    public static let peerAwaitedPingMilliseconds: Int64 = 500
    public static let peerAwaitedSilenceMilliseconds: Int64 = 2000
    /// What a request waits for a connection to a peer that was out of reach a moment ago.
    public static let peerReconnectMilliseconds: Int64 = 500
    /// So long a peer that was out of reach counts as being so, where nobody tries to reach it.
    public static let peerUnreachableMilliseconds: Int64 = 5000
    /// Requests for a move that wait for this node to know of it.
    public static let peerOpensWaitingMax = 64
    /// One file of a checkpoint: more than a file system takes, and little enough that all of them can be added up.
    public static let peerFileBytesMax: UInt64 = 1 << 44
    /// Bytes, and bytes a second, in a report; higher ones are cut.
    public static let peerReportBytesMax: UInt64 = 1 << 48
    /// How far the time of a peer may be ahead of this node's: nothing that expires later is believed to have.
    public static let peerTimeAheadSecondsMax: UInt64 = 366 * 24 * 3600
    /// Between attempts to connect; doubles up to the maximum. Shorter than ``routeUnreachableMilliseconds``: what a
    /// request is told of a node that cannot be reached was tried anew for it, so a node that is back is used at once.
    public static let peerBackoffMillisecondsMin: Int64 = 25
    public static let peerBackoffMillisecondsMax: Int64 = 150
    public static let peerIdleSecondsMax: Int64 = 300
    /// Deadlines of requests to peers are looked at this often.
    public static let peerSweepMilliseconds: Int64 = 50

    // MARK: etcd and the founding of a cluster (Architecture §8)

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
    /// Keys of one cluster: every shard, and nodes, sessions and operations by the thousand.
    public static let etcdEntriesMax = 1 << 16
    /// etcd grants no session that is longer than this.
    public static let etcdSessionSecondsMax: UInt64 = 24 * 3600
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
