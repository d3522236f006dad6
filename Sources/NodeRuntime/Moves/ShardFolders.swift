import ClusterCore
import HashRing
import Primitives

/// Where a node keeps its shards, and those that come and go. Everything here blocks on the disk.
struct ShardFolders: Sendable {
    private let shards: String
    private let incomingFolder: String
    private let outgoingFolder: String
    private let trash: String

    init(_ directory: DataDirectory) {
        shards = directory.shardsPath
        incomingFolder = directory.incomingPath
        outgoingFolder = directory.outgoingPath
        trash = directory.trashPath
    }

    /// The store of a shard.
    func store(_ shard: ShardID) -> String { "\(shards)/\(shard)" }

    /// Files of a shard that have arrived, as they were sent.
    func incoming(_ shard: ShardID) -> String { "\(incomingFolder)/\(shard)" }

    /// A checkpoint of a shard, for the session that asked for it.
    func outgoing(_ shard: ShardID, session: UInt64) -> String { "\(outgoingFolder)/\(shard)-\(session)" }

    /// Brings the folders to what the cluster's map says, before anything is served: checkpoints are of no use any
    /// more; a store that this node does not own is what a move left half made, or what was moved away.
    func tidy(after membership: Membership, now: Timestamp) throws(MoveFileError) {
        for folder in [shards, incomingFolder, trash] { try MoveFiles.makeDirectory(folder) }
        try MoveFiles.remove(outgoingFolder)
        try MoveFiles.makeDirectory(outgoingFolder)
        let records = membership.map.shards
        for name in MoveFiles.entries(of: shards) {
            guard let number = Int(name), records.indices.contains(number),
                records[number].primary != membership.node.id
            else { continue }
            let shard = ShardID(UInt32(number))
            // Half a copy of a move is of no use, but it cannot be told from the whole store of a cluster whose
            // metadata was put back to an older state, and that may be all there is of what was acknowledged since.
            try throwAway(shard, epoch: records[number].epoch, now: now)
        }
        for name in MoveFiles.entries(of: incomingFolder) {
            let isComing = Int(name).map { records.indices.contains($0) && records[$0].move?.to == membership.node.id }
            if isComing != true { try MoveFiles.remove("\(incomingFolder)/\(name)") }
        }
    }

    /// Puts the store of a shard that another node owns at `epoch` where it is kept for a while. Its store is closed.
    func throwAway(_ shard: ShardID, epoch: Epoch, now: Timestamp) throws(MoveFileError) {
        guard MoveFiles.exists(store(shard)) else { return }
        try MoveFiles.rename(durably: store(shard), to: "\(trash)/\(shard)-\(epoch)-\(now.milliseconds)")
    }

    /// Deletes what has been in the trash for longer than it is kept.
    ///
    /// - Parameter removalTime: what is older than that may be removed for good; zero, where nothing may.
    func emptyTrash(removalTime: Timestamp) throws(MoveFileError) {
        for name in MoveFiles.entries(of: trash) {
            guard let since = name.split(separator: "-").last.flatMap({ UInt64($0) }) else { continue }
            let age = removalTime.milliseconds > since ? removalTime.milliseconds - since : 0
            if age >= Limits.moveTrashSeconds * 1000 { try MoveFiles.remove("\(trash)/\(name)") }
        }
    }
}
