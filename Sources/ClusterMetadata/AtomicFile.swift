internal import CPosixShims
internal import ClusterCore

/// A small file that is replaced whole: at any crash the name leads to the old bytes or to the new ones.
///
/// write to `PATH.new`, fsync it, rename it over `PATH`, fsync the directory (rule W6). One process holds
/// `PATH.lock` for as long as this lives.
struct AtomicFile: ~Copyable {
    let path: String
    private let lock: Int32
    private let directory: Int32

    enum ReplaceFailure: Error {
        /// The old bytes stand.
        case unchanged(String)
        /// The new name may or may not survive a crash.
        case unknown(String)
    }

    /// Opens the directory of `path`, which exists, and takes the lock.
    init(path: String) throws(MetadataError) {
        let directoryPath = Self.directory(of: path)
        let directory = ks_open(directoryPath, O_RDONLY | O_DIRECTORY, 0)
        guard directory >= 0 else { throw .io(detail: Self.describe("open", directoryPath, directory)) }
        let lockPath = path + ".lock"
        let lock = ks_open(lockPath, O_RDWR | O_CREAT, 0o600)
        guard lock >= 0 else {
            _ = ks_close(directory)
            throw .io(detail: Self.describe("open", lockPath, lock))
        }
        guard ks_flock_exclusive(lock) == 0 else {
            _ = ks_close(directory)
            _ = ks_close(lock)
            throw .lockHeld(file: path)
        }
        self.path = path
        self.lock = lock
        self.directory = directory
    }

    deinit {
        _ = ks_close(directory)
        _ = ks_close(lock)
    }

    /// The whole content; `nil` where the file does not exist.
    func read() throws(MetadataError) -> [UInt8]? {
        let file = ks_open(path, O_RDONLY, 0)
        if file == -ENOENT { return nil }
        guard file >= 0 else { throw .io(detail: Self.describe("open", path, file)) }
        defer { _ = ks_close(file) }
        var content: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = ks_pread(file, &chunk, chunk.count, Int64(content.count))
            if count == Int64(-EINTR) { continue }
            guard count >= 0 else { throw .io(detail: Self.describe("read", path, Int32(count))) }
            if count == 0 { return content }
            content += chunk[..<Int(count)]
        }
    }

    func replace(with content: [UInt8]) throws(ReplaceFailure) {
        let fresh = path + ".new"
        let written = Self.write(content, to: fresh)
        guard written == 0 else {
            _ = ks_unlink(fresh)
            throw .unchanged(Self.describe("write", fresh, written))
        }
        let renamed = ks_rename(fresh, path)
        // A directory without room for the name is as it was.
        if renamed == -ENOSPC || renamed == -EDQUOT {
            _ = ks_unlink(fresh)
            throw .unchanged(Self.describe("rename", fresh, renamed))
        }
        guard renamed == 0 else { throw .unknown(Self.describe("rename", fresh, renamed)) }
        let synced = ks_fsync(directory)
        guard synced == 0 else { throw .unknown(Self.describe("fsync the directory of", path, synced)) }
    }

    /// Zero, or the negative errno of the first call that failed.
    private static func write(_ content: [UInt8], to path: String) -> Int32 {
        let file = ks_open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        guard file >= 0 else { return file }
        var offset = 0
        while offset < content.count {
            let count = content.withUnsafeBytes { bytes in
                ks_pwrite(file, bytes.baseAddress.map { $0 + offset }, bytes.count - offset, Int64(offset))
            }
            if count == Int64(-EINTR) { continue }
            guard count > 0 else {
                _ = ks_close(file)
                return count == 0 ? -EIO : Int32(count)
            }
            offset += Int(count)
        }
        let synced = ks_fsync(file)
        let closed = ks_close(file)
        return synced < 0 ? synced : closed
    }

    private static func directory(of path: String) -> String {
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    private static func describe(_ action: String, _ path: String, _ result: Int32) -> String {
        "\(action) \(path): \(String(cString: strerror(-result)))"
    }
}
