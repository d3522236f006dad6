import Primitives

/// What a file system says it has left for this process.
struct FreeSpace: Sendable, Equatable {
    var bytes: Int
    /// Files that can still be made; `nil` where the file system does not count them.
    var files: Int?
}

/// When writes stop, and when they go on. Pure.
enum SpaceDecision {
    /// What has been acknowledged must still be flushed and compacted, so writes stop while there is room for that: the
    /// memtables and a reserve. To go on takes twice the reserve, so that it does not flap at the edge.
    ///
    /// - Parameters:
    ///   - free: `nil` where the file system does not say: nothing changes then.
    ///   - unflushedBytes: in memory, and to be written whatever comes.
    ///   - storesWait: a store was stopped for lack of space, whatever the file system says: a quota, for one.
    static func isFull(wasFull: Bool, free: FreeSpace?, unflushedBytes: Int, storesWait: Bool) -> Bool {
        if storesWait { return true }
        guard let free else { return wasFull }
        let factor = wasFull ? 2 : 1
        if let files = free.files, files < Limits.spaceReserveFiles * factor { return true }
        return free.bytes < neededBytes(unflushedBytes) + (factor - 1) * Limits.spaceReserveBytes
    }

    static func neededBytes(_ unflushedBytes: Int) -> Int { Limits.spaceReserveBytes + unflushedBytes }

    /// What a first start takes and must leave free: the log's first segment and one more, the ballast, the empty
    /// stores, and the reserve.
    static func firstStartBytes(shards: Int) -> Int {
        2 * Limits.segmentBytes + ballastBytes(shards: shards) + shards * Limits.emptyStoreBytesMax
            + Limits.spaceReserveBytes
    }

    /// Files of an empty store, and those beside the stores.
    static func firstStartFiles(shards: Int) -> Int { shards * 8 + 32 + ballastFiles(shards: shards) }

    /// A store makes a file or two when it is opened, and most of them remove as many.
    static func ballastFiles(shards: Int) -> Int { Limits.ballastFiles + shards }

    static func ballastBytes(shards: Int) -> Int { Limits.ballastBytes + shards * Limits.ballastBytesPerShard }
}
