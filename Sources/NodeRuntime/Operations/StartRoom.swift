import Entities
import Glibc
import LogCore
import LogFiles
import Primitives

/// Whether a first start finds the room that it needs. It is asked before anything is made.
enum StartRoom {
    /// - Throws: a refusal. A directory that has data in it is never refused: it can be read.
    static func check(_ configuration: NodeConfiguration) throws(NodeStartError) {
        let path = configuration.dataDirectory
        guard access(path + "/FORMAT", F_OK) != 0, let free = SpaceGuard.free(of: nearestDirectory(path))
        else { return }
        // A node that joins a cluster has no stores yet; where it founds one it has them all.
        let shards = configuration.metadata == .embedded ? configuration.shards : 0
        let needed = SpaceDecision.firstStartBytes(shards: shards)
        if free.bytes < needed {
            throw NodeStartError(
                "no room for a first start in \(path): \(mebibytes(free.bytes)) are free and \(mebibytes(needed)) "
                    + "are needed; free space or choose another --data-dir",
                isRefusal: true)
        }
        let files = SpaceDecision.firstStartFiles(shards: shards)
        if let left = free.files, left < files {
            throw NodeStartError(
                "no room for a first start in \(path): its file system takes \(left) more files and \(files) are "
                    + "needed; remove some or choose another --data-dir",
                isRefusal: true)
        }
    }

    /// - Throws: a refusal, where the memory cannot hold the copies of the largest entity that a few reads make at
    ///   once.
    static func checkMemory(_ configuration: NodeConfiguration) throws(NodeStartError) {
        let needed = configuration.entityLimits.entityBytesMax * Limits.memoryEntitiesMin
        guard configuration.memoryBytes < needed else { return }
        throw NodeStartError(
            "limits.entity-bytes of \(configuration.entityLimits.entityBytesMax) bytes takes a memory of at least "
                + "\(mebibytes(needed)), and it is \(mebibytes(configuration.memoryBytes)): raise memory, or lower "
                + "limits.entity-bytes",
            isRefusal: true)
    }

    /// Shards that a start makes for certain; 0 where it finds out only later how many it holds.
    static func shardsOfFirstStart(_ configuration: NodeConfiguration) -> Int {
        let isFirst = access(configuration.dataDirectory + "/FORMAT", F_OK) != 0
        return isFirst && configuration.metadata == .embedded ? configuration.shards : 0
    }

    /// Whether a cluster of several nodes in one process was begun in a directory.
    static func hasMetadata(_ directory: String) -> Bool { access(directory + "/metadata", F_OK) == 0 }

    /// What the file system does not tell of, such as a quota, shows when the log's first segment is made.
    static func check(_ log: NodeLog, _ directory: DataDirectory) throws(NodeStartError) {
        guard log.statistics.log.liveSegments == 0 else { return }
        throw NodeStartError(
            "no room for a first start in \(directory.path): the log's first segment, of "
                + "\(mebibytes(Limits.segmentBytes)), finds no space; free space or choose another --data-dir",
            isRefusal: true)
    }

    private static func mebibytes(_ bytes: Int) -> String { "\(bytes >> 20) MiB" }

    /// The directory itself, or the nearest above it that is there.
    private static func nearestDirectory(_ path: String) -> String {
        var path = path
        while access(path, F_OK) != 0 {
            guard let slash = path.lastIndex(of: "/") else { return "." }
            path = String(path[..<slash])
            if path.isEmpty { return "/" }
        }
        return path
    }
}
