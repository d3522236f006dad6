import Glibc

/// A file that appears whole or not at all: written beside its place under another name, synced, and renamed.
final class AtomicFile {
    private let path: String
    private let temporaryPath: String
    private var descriptor: CInt
    private let isSpecial: Bool
    /// Whether a regular file stands where this one will.
    let replaces: Bool

    /// Begins to write `path`. A symbolic link is followed; a device or a pipe is written to as it is. A file that is
    /// there keeps its permissions.
    init(_ path: String) throws {
        var status = stat()
        let exists = stat(path, &status) == 0
        isSpecial = exists && status.st_mode & S_IFMT != S_IFREG
        replaces = exists && !isSpecial
        self.path = resolved(path)
        // A name that nobody else can have laid out before, and no link is followed.
        temporaryPath = "\(self.path).\(String(UInt64.random(in: .min ... .max), radix: 36)).tmp"
        descriptor =
            isSpecial
            ? open(path, O_WRONLY | O_CLOEXEC)
            : open(temporaryPath, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, replaces ? 0o600 : 0o666)
        guard descriptor >= 0 else { throw CommandFailure(.failed, "\(path): \(SystemError("open"))") }
        guard !replaces || fchmod(descriptor, status.st_mode & 0o7777) == 0 else { throw failure("chmod") }
    }

    /// What was not finished leaves nothing behind.
    deinit {
        guard descriptor >= 0 else { return }
        close(descriptor)
        if !isSpecial { unlink(temporaryPath) }
    }

    func write(_ bytes: ArraySlice<UInt8>) throws {
        do {
            try writeAll(bytes, to: descriptor)
        } catch {
            throw CommandFailure(.failed, "\(path): \(error)\(unchanged)")
        }
    }

    /// Whether what has been written can be taken back.
    var canRestart: Bool { !isSpecial }

    /// Takes back what has been written. Only where ``canRestart``.
    func restart() throws {
        guard ftruncate(descriptor, 0) == 0, lseek(descriptor, 0, SEEK_SET) == 0 else { throw failure("truncate") }
    }

    /// Puts the file in its place. It is on stable storage afterwards.
    func finish() throws {
        guard !isSpecial else { return }
        guard fsync(descriptor) == 0 else { throw failure("fsync") }
        guard rename(temporaryPath, path) == 0 else { throw failure("rename") }
        close(descriptor)
        descriptor = -1
        let directory = open(parent(of: path), O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        if directory >= 0 {
            fsync(directory)
            close(directory)
        }
    }

    private func failure(_ call: String) -> CommandFailure {
        let error = SystemError(call)
        return CommandFailure(.failed, "\(path): \(error)\(unchanged)")
    }

    private var unchanged: String { replaces ? "; what was there stays" : "" }

    static func replace(_ path: String, with bytes: [UInt8]) throws {
        let file = try AtomicFile(path)
        try file.write(bytes[...])
        try file.finish()
    }
}

private func resolved(_ path: String) -> String {
    guard let found = realpath(path, nil) else { return path }
    defer { free(found) }
    return String(cString: found)
}

private func parent(of path: String) -> String {
    guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return "." }
    return slash == path.utf8.startIndex ? "/" : String(path[..<slash])
}
