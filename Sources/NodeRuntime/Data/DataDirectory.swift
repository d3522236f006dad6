private import CPosixShims
import Glibc
import Primitives

/// Why a data directory cannot be used: one line.
public struct DataDirectoryError: Error, CustomStringConvertible {
    public let description: String
}

extension DataDirectoryError {
    init(_ error: FolderError) { description = error.description }
}

/// The node's directory, held by this process alone until it ends.
///
/// | name | what |
/// | --- | --- |
/// | `FORMAT` | `keystead data 1\n`; a newer number is refused |
/// | `LOCK` | held by `flock` for as long as the process lives |
/// | `IDENTITY` | which node of which cluster this is, and how often it has started (``IdentityFile``) |
/// | `RESERVE`, `RESERVE.files/` | blocks and inodes for a start on a full disk (``Ballast``) |
/// | `CLEAN` | present only between a graceful stop and the next start |
/// | `metadata` | the embedded metadata store, where the cluster has no other |
/// | `log/` | the write-ahead log |
/// | `shards/N/` | the RocksDB of shard N |
/// | `incoming/N/` | files of shard N that have arrived, while it moves here |
/// | `outgoing/N/` | a checkpoint of shard N, while it moves away |
/// | `trash/N-EPOCH-MILLISECONDS/` | a shard that has moved away, until it is deleted |
final class DataDirectory: Sendable {
    static let formatVersion = 1
    private static let smallFileBytesMax = 4096
    private static let formatPrefix = "keystead data "

    let path: String
    /// The directory had no format mark: nothing of a node is in it.
    let isNew: Bool
    /// The last process ended gracefully.
    let wasClean: Bool
    /// What was wrong with its owner or modes and was mended, for the log.
    let remarks: [String]
    private let lock: HeldLock
    /// Directories that were made for it, outermost first.
    private let made: [String]

    var logPath: String { path + "/log" }
    var shardsPath: String { path + "/shards" }
    var metadataPath: String { path + "/metadata" }

    var incomingPath: String { path + "/incoming" }
    var outgoingPath: String { path + "/outgoing" }
    var trashPath: String { path + "/trash" }

    func shardPath(_ shard: ShardID) -> String { "\(shardsPath)/\(shard)" }

    /// Makes the directory where it is missing, takes its lock and checks it: its owner, its modes, that nothing in it
    /// is a link, its format.
    init(path: String) throws(DataDirectoryError) {
        let path = DataFolderCheck.resolved(path)
        let made = try Self.makeDirectory(path)
        var check = DataFolderCheck()
        let lock: HeldLock
        do throws(FolderError) {
            let folder = try OpenFolder(path)
            try check.checkOwner(of: folder)
            try check.check("LOCK", in: folder)
            lock = try HeldLock(path)
            try check.checkContent(of: folder)
        } catch {
            // A first start without room leaves nothing behind.
            for folder in made.reversed() { rmdir(folder) }
            throw DataDirectoryError(error)
        }
        self.path = path
        self.lock = lock
        self.made = made
        remarks = check.remarks
        isNew = try Self.checkFormat(path)
        wasClean = access(path + "/CLEAN", F_OK) == 0
    }

    /// True where there is no format mark and nothing else either.
    private static func checkFormat(_ path: String) throws(DataDirectoryError) -> Bool {
        guard let text = read(path + "/FORMAT") else {
            let strays = try entries(path).filter { $0 != "LOCK" && $0 != "lost+found" }
            guard strays.isEmpty || strays.contains("INITIALIZING") else {
                throw DataDirectoryError(
                    description:
                        "\(path) is not empty and no data directory of Keystead: it holds \(strays[0]); choose another"
                )
            }
            return true
        }
        let number = text.hasPrefix(formatPrefix) ? Int(text.dropFirst(formatPrefix.count).prefix { $0 != "\n" }) : nil
        guard let number else {
            throw DataDirectoryError(description: "\(path)/FORMAT is not the format mark of a Keystead data directory")
        }
        guard number <= formatVersion else {
            throw DataDirectoryError(
                description:
                    "\(path) has data format \(number), newer than this version's \(formatVersion); "
                    + "run the version that wrote it"
            )
        }
        return false
    }

    // MARK: First start

    /// Begins to fill a new directory. What an interrupted first start left is removed: nothing was acknowledged from
    /// it. The embedded metadata stays: it holds a cluster only once the directory is complete.
    func beginInitializing() throws(DataDirectoryError) {
        try write("INITIALIZING", "")
        let kept: Set<String> = ["LOCK", "INITIALIZING", "lost+found"]
        for name in try Self.entries(path) where !kept.contains(name) && !name.hasPrefix("metadata") {
            try Self.remove(path + "/" + name)
        }
        try Self.makeDirectory(shardsPath)
        try sync()
    }

    /// From here on the directory is a node's.
    func finishInitializing() throws(DataDirectoryError) {
        try sync()
        try write("FORMAT", "\(Self.formatPrefix)\(Self.formatVersion)\n")
        try Self.remove(path + "/INITIALIZING")
        try sync()
    }

    /// Removes what a first start that failed has made, so that nothing half made stays behind. Only where nobody else
    /// has heard of the node.
    func undo() {
        precondition(isNew, "a directory with data in it stays")
        for name in (try? Self.entries(path)) ?? [] where name != "lost+found" { try? Self.remove(path + "/" + name) }
        for folder in made.reversed() { rmdir(folder) }
    }

    // MARK: Clean close

    func markClean() throws(DataDirectoryError) {
        try write("CLEAN", "")
        try sync()
    }

    func clearClean() throws(DataDirectoryError) {
        guard access(path + "/CLEAN", F_OK) == 0 else { return }
        try Self.remove(path + "/CLEAN")
        try sync()
    }

    // MARK: Files

    /// Replaces a small file whole: after a crash it has the old text or the new one.
    func replace(_ name: String, with text: String) throws(DataDirectoryError) {
        try write(name + ".new", text)
        let renamed = ks_rename("\(path)/\(name).new", "\(path)/\(name)")
        guard renamed == 0 else { throw Self.failure("replace", "\(path)/\(name)", -renamed) }
        try sync()
    }

    /// A small file's text; `nil` where it is not there.
    func text(of name: String) -> String? { Self.read(path + "/" + name) }

    private func write(_ name: String, _ text: String) throws(DataDirectoryError) {
        let file = path + "/" + name
        let descriptor = ks_open(file, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        guard descriptor >= 0 else { throw Self.failure("create", file, -descriptor) }
        defer { _ = ks_close(descriptor) }
        let written = Array(text.utf8).withUnsafeBytes { ks_pwrite(descriptor, $0.baseAddress, $0.count, 0) }
        guard written == text.utf8.count else {
            throw Self.failure("write", file, written < 0 ? CInt(-written) : ENOSPC)
        }
        let synced = ks_fsync(descriptor)
        guard synced == 0 else { throw Self.failure("sync", file, -synced) }
    }

    private func sync() throws(DataDirectoryError) {
        let descriptor = ks_open(path, O_RDONLY | O_DIRECTORY, 0)
        guard descriptor >= 0 else { throw Self.failure("open", path, -descriptor) }
        defer { _ = ks_close(descriptor) }
        let synced = ks_fsync(descriptor)
        guard synced == 0 else { throw Self.failure("sync", path, -synced) }
    }

    /// Makes a folder that holds the directories of several nodes, with those above it, where it is missing, and checks
    /// it as one of them: its owner, its mode, and that the metadata store in it is no link.
    static func makeFolder(_ path: String) throws(DataDirectoryError) {
        _ = try makeDirectory(path)
        do throws(FolderError) {
            var check = DataFolderCheck()
            let folder = try OpenFolder(DataFolderCheck.resolved(path))
            try check.checkOwner(of: folder)
            for name in ["metadata", "metadata.lock", "metadata.new"] { try check.check(name, in: folder) }
        } catch {
            throw DataDirectoryError(error)
        }
    }

    /// - Returns: those that were missing, outermost first.
    @discardableResult
    private static func makeDirectory(_ path: String) throws(DataDirectoryError) -> [String] {
        var made: [String] = []
        var parent = ""
        for part in path.split(separator: "/", omittingEmptySubsequences: false) {
            parent += parent.isEmpty && !part.isEmpty ? String(part) : "/" + part
            if part.isEmpty { continue }
            let code = ks_mkdir(parent, 0o700)
            if code == 0 { made.append(parent) }
            guard code == 0 || code == -EEXIST else {
                for folder in made.reversed() { rmdir(folder) }
                throw failure("make the directory", parent, -code)
            }
        }
        return made
    }

    private static func remove(_ path: String) throws(DataDirectoryError) {
        do throws(FolderError) { try FolderTree.remove(path) } catch { throw DataDirectoryError(error) }
    }

    private static func entries(_ path: String) throws(DataDirectoryError) -> [String] {
        do throws(FolderError) {
            return try OpenFolder(path).entries().map(\.text)
        } catch {
            throw DataDirectoryError(error)
        }
    }

    private static func read(_ path: String) -> String? {
        let descriptor = ks_open(path, O_RDONLY, 0)
        guard descriptor >= 0 else { return nil }
        defer { _ = ks_close(descriptor) }
        let bytes = [UInt8](unsafeUninitializedCapacity: smallFileBytesMax) { buffer, count in
            count = max(0, Int(ks_pread(descriptor, buffer.baseAddress, smallFileBytesMax, 0)))
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func failure(_ verb: String, _ path: String, _ code: CInt) -> DataDirectoryError {
        DataDirectoryError(description: "cannot \(verb) \(path): \(String(cString: strerror(code)))")
    }
}

/// The lock of a data directory, until it is let go.
private final class HeldLock: Sendable {
    private let descriptor: CInt

    init(_ path: String) throws(FolderError) {
        let opened = ks_open(path + "/LOCK", O_RDWR | O_CREAT, 0o600)
        guard opened >= 0 else { throw FolderError(verb: "open", path: path + "/LOCK", code: -opened) }
        descriptor = opened
        guard ks_flock_exclusive(opened) == 0 else {
            throw FolderError(
                refusal: "\(path) is in use by another process; stop it first, or choose another data directory")
        }
    }

    deinit { _ = ks_close(descriptor) }
}
