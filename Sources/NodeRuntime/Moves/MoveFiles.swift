private import CPosixShims
import Glibc
import Primitives
import ShardCore

/// Why a file of a move could not be read or written: one line.
struct MoveFileError: Error, CustomStringConvertible {
    let description: String

    init(_ verb: String, _ path: String, _ code: CInt) {
        description = "cannot \(verb) \(path): \(String(cString: strerror(code)))"
    }

    init(_ error: FolderError) { description = error.description }
}

/// The files and directories of moves. Everything here blocks on the disk.
enum MoveFiles {
    private static let readBytes = 1 << 20

    /// Lists a checkpoint, reading every file through for its sum. By name.
    static func manifest(of directory: String) throws(MoveFileError) -> [MoveFile] {
        var files: [MoveFile] = []
        for name in entries(of: directory) { files.append(try describe(directory, name)) }
        return files
    }

    static func describe(_ directory: String, _ name: String) throws(MoveFileError) -> MoveFile {
        let path = "\(directory)/\(name)"
        let file = try open(path, O_RDONLY)
        defer { _ = ks_close(file) }
        var checksum: UInt32 = 0
        var offset: UInt64 = 0
        while true {
            let bytes = try read(file, path, offset, readBytes)
            if bytes.isEmpty { break }
            checksum = bytes.withUnsafeBytes { CRC32C.checksum(buffer: $0, continuing: checksum) }
            offset += UInt64(bytes.count)
        }
        return MoveFile(name: name, byteCount: offset, crc: checksum)
    }

    /// Up to `length` bytes; fewer only at the end of the file.
    static func chunk(
        _ directory: String, _ name: String, offset: UInt64, length: Int
    ) throws(MoveFileError) -> [UInt8] {
        let path = "\(directory)/\(name)"
        let file = try open(path, O_RDONLY)
        defer { _ = ks_close(file) }
        return try read(file, path, offset, length)
    }

    /// Puts a piece of a file that arrives; the file is made where it is not there. Not durable, but on its way.
    static func write(
        _ bytes: [UInt8], to name: String, in directory: String, offset: UInt64
    ) throws(MoveFileError) {
        let path = "\(directory)/\(name)"
        let file = try open(path, O_WRONLY | O_CREAT)
        defer { _ = ks_close(file) }
        var done = 0
        while done < bytes.count {
            let written = bytes.withUnsafeBytes { buffer in
                ks_pwrite(file, buffer.baseAddress! + done, buffer.count - done, Int64(offset) + Int64(done))
            }
            guard written > 0 else { throw MoveFileError("write", path, written < 0 ? CInt(-written) : ENOSPC) }
            done += Int(written)
        }
        ks_start_writeback(file, Int64(offset), Int64(bytes.count))
    }

    /// Gives a file that has arrived its size; an empty one is made here. Not durable: what a crash leaves of it shows
    /// when it is looked at again.
    static func finish(_ name: String, in directory: String, bytes: UInt64) throws(MoveFileError) {
        let path = "\(directory)/\(name)"
        let file = try open(path, O_WRONLY | O_CREAT)
        defer { _ = ks_close(file) }
        guard ftruncate(file, Int(bytes)) == 0 else { throw MoveFileError("cut", path, errno) }
    }

    /// Makes a store of the files that have arrived: tables are shared by hard links, what RocksDB may change is
    /// copied. Durable, with its name, when it returns, by one sync a file; what was in `target` before is gone.
    static func install(_ files: [MoveFile], from source: String, to target: String) throws(MoveFileError) {
        try remove(target)
        try makeDirectory(target)
        for file in files {
            let (from, to) = ("\(source)/\(file.name)", "\(target)/\(file.name)")
            if file.name.hasSuffix(".sst") {
                guard link(from, to) == 0 else { throw MoveFileError("link", to, errno) }
            } else {
                // In pieces: how large it is the source says.
                for offset in stride(from: 0, to: file.byteCount, by: readBytes) {
                    let bytes = try chunk(source, file.name, offset: offset, length: readBytes)
                    try write(bytes, to: file.name, in: target, offset: offset)
                }
                try finish(file.name, in: target, bytes: file.byteCount)
            }
        }
        for file in files { try sync("\(target)/\(file.name)") }
        try sync(target)
        try sync(parent(of: target))
    }

    // MARK: Directories

    static func makeDirectory(_ path: String) throws(MoveFileError) {
        let made = ks_mkdir(path, 0o700)
        guard made == 0 || made == -EEXIST else { throw MoveFileError("make the directory", path, -made) }
    }

    static func rename(_ from: String, to target: String) throws(MoveFileError) {
        let renamed = ks_rename(from, target)
        guard renamed == 0 else { throw MoveFileError("rename", from, -renamed) }
    }

    /// Renames, and makes that durable in both directories.
    static func rename(durably from: String, to target: String) throws(MoveFileError) {
        try rename(from, to: target)
        try sync(parent(of: from))
        try sync(parent(of: target))
    }

    static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    /// Removes a file, a link itself, or a directory with all that is in it. Nothing happens where there is none.
    static func remove(_ path: String) throws(MoveFileError) {
        guard exists(parent(of: path)) else { return }
        do throws(FolderError) { try FolderTree.remove(path) } catch { throw MoveFileError(error) }
    }

    /// Names in a directory, sorted; none where it is not there, or is a link.
    static func entries(of path: String) -> [String] {
        guard let names = try? OpenFolder(path).entries() else { return [] }
        return names.map(\.text)
    }

    /// Makes a file, or the names in a directory, durable.
    static func sync(_ path: String) throws(MoveFileError) {
        let file = try open(path, O_RDONLY)
        defer { _ = ks_close(file) }
        let synced = ks_fsync(file)
        guard synced == 0 else { throw MoveFileError("sync", path, -synced) }
    }

    private static func parent(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/"), slash > path.startIndex else { return "/" }
        return String(path[..<slash])
    }

    private static func open(_ path: String, _ flags: CInt) throws(MoveFileError) -> CInt {
        let file = ks_open(path, flags, 0o600)
        guard file >= 0 else { throw MoveFileError("open", path, -file) }
        return file
    }

    private static func read(
        _ file: CInt, _ path: String, _ offset: UInt64, _ length: Int
    ) throws(MoveFileError) -> [UInt8] {
        var failure: CInt = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: length) { buffer, count in
            var done = 0
            while done < length {
                let got = ks_pread(file, buffer.baseAddress! + done, length - done, Int64(offset) + Int64(done))
                if got < 0 { failure = CInt(-got) }
                if got <= 0 { break }
                done += Int(got)
            }
            count = done
        }
        guard failure == 0 else { throw MoveFileError("read", path, failure) }
        return bytes
    }
}
