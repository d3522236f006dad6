import Glibc

/// A file that appears whole or not at all: written beside its place under another name, synced, and renamed.
final class AtomicFile {
    private let path: String
    private let temporaryPath: String
    private var descriptor: CInt
    private let isSpecial: Bool

    /// Begins to write `path`. A symbolic link is followed; a device or a pipe is written to as it is.
    init(_ path: String) throws {
        var status = stat()
        isSpecial = stat(path, &status) == 0 && status.st_mode & S_IFMT != S_IFREG
        self.path = resolved(path)
        temporaryPath = "\(self.path).\(getpid()).tmp"
        descriptor =
            isSpecial
            ? open(path, O_WRONLY | O_CLOEXEC) : open(temporaryPath, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o666)
        guard descriptor >= 0 else { throw CommandFailure(.failed, "\(path): \(SystemError("open"))") }
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
            throw CommandFailure(.failed, "\(path): \(error)")
        }
    }

    /// Puts the file in its place. It is on stable storage afterwards.
    func finish() throws {
        guard !isSpecial else { return }
        guard fsync(descriptor) == 0, rename(temporaryPath, path) == 0 else {
            throw CommandFailure(.failed, "\(path): \(SystemError("rename"))")
        }
        close(descriptor)
        descriptor = -1
        let directory = open(parent(of: path), O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        if directory >= 0 {
            fsync(directory)
            close(directory)
        }
    }

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
