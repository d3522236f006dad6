private import CPosixShims
private import Glibc
import LogCore
import LogFormat

/// Listing and reading a log directory: what recovery and inspection see.
enum LogDirectory {
    /// Makes the directory, mode 0700, and its name durable, where it is not there.
    static func ensure(_ path: String) throws(LogOpenError) {
        let code = ks_mkdir(path, 0o700)
        if code == -EEXIST { return }
        guard code == 0 else { throw .writeFailed(step: "creating \(path)", errno: -code) }
        let parent = path.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
        let descriptor = ks_open(parent.isEmpty ? (path.hasPrefix("/") ? "/" : ".") : parent, O_RDONLY | O_DIRECTORY, 0)
        guard descriptor >= 0 else { throw .writeFailed(step: "syncing \(parent)", errno: -descriptor) }
        defer { _ = ks_close(descriptor) }
        let synced = ks_fsync(descriptor)
        guard synced == 0 else { throw .writeFailed(step: "syncing \(parent)", errno: -synced) }
    }

    /// The log's files, in order of their names. Other names are left alone.
    static func files(in path: String) throws(LogOpenError) -> [LogFileEntry] {
        guard let stream = opendir(path) else { throw .readFailed(file: path, errno: errno) }
        defer { closedir(stream) }
        var entries: [LogFileEntry] = []
        while let entry = readdir(stream) {
            // SAFETY: readdir's entry stays valid until the next call on this stream; d_name is NUL-terminated.
            let text = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            guard let name = LogFileName(text) else { continue }
            entries.append(LogFileEntry(name: name, byteCount: try size(of: path + "/" + text)))
        }
        return entries.sorted { $0.name.description < $1.name.description }
    }

    private static func size(of file: String) throws(LogOpenError) -> Int {
        let descriptor = ks_open(file, O_RDONLY, 0)
        guard descriptor >= 0 else { throw .readFailed(file: file, errno: -descriptor) }
        defer { _ = ks_close(descriptor) }
        let size = ks_file_size(descriptor)
        guard size >= 0 else { throw .readFailed(file: file, errno: CInt(-size)) }
        return Int(size)
    }

    /// Up to `count` bytes; fewer at the file's end. `fresh`: from the device, not from the page cache.
    static func read(_ file: String, offset: Int, count: Int, fresh: Bool) -> ReadResult {
        let descriptor = ks_open(file, O_RDONLY, 0)
        guard descriptor >= 0 else { return .failed(-descriptor) }
        defer { _ = ks_close(descriptor) }
        if fresh { _ = ks_drop_cache(descriptor) }
        var failure: CInt = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            while filled < count {
                guard let base = buffer.baseAddress else { return }
                let got = ks_pread(descriptor, base + filled, count - filled, Int64(offset + filled))
                if got == -Int64(EINTR) { continue }
                if got < 0 { failure = CInt(-got) }
                guard got > 0 else { return }
                filled += Int(got)
            }
        }
        return failure == 0 ? .bytes(bytes) : .failed(failure)
    }
}
