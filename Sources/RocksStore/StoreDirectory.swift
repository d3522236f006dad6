internal import Glibc

/// What must hold of a directory before RocksDB is let near it: RocksDB itself makes what is missing and deletes what
/// its manifest does not name.
enum StoreDirectory {
    /// Makes the directory (its parent exists) and its name durable, and refuses one with table files but no manifest.
    static func prepareCreation(_ directory: String) throws(StoreError) {
        if mkdir(directory, 0o700) == 0 {
            try synchronize(parent(of: directory))
        } else if errno != EEXIST {
            throw StoreError(errno: errno, "mkdir \(directory)")
        }
        guard !hasStore(directory) else { return }
        if try entries(of: directory).contains(where: { $0.hasSuffix(".sst") }) { throw .remains(directory: directory) }
    }

    /// Whether RocksDB would find a store here: its `CURRENT` names the manifest.
    static func hasStore(_ directory: String) -> Bool { access(directory + "/CURRENT", F_OK) == 0 }

    static func entries(of directory: String) throws(StoreError) -> [String] {
        guard let stream = opendir(directory) else { throw StoreError(errno: errno, "open \(directory)") }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { name in
                name.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }

    static func synchronize(_ directory: String) throws(StoreError) {
        let descriptor = Glibc.open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw StoreError(errno: errno, "open \(directory)") }
        defer { _ = Glibc.close(descriptor) }
        guard fsync(descriptor) == 0 else { throw StoreError(errno: errno, "fsync \(directory)") }
    }

    private static func parent(of path: String) -> String {
        var bytes = Array(path.utf8)
        while bytes.count > 1, bytes.last == UInt8(ascii: "/") { bytes.removeLast() }
        guard let slash = bytes.lastIndex(of: UInt8(ascii: "/")) else { return "." }
        return slash == 0 ? "/" : String(decoding: bytes[..<slash], as: UTF8.self)
    }
}

extension StoreError {
    init(errno code: Int32, _ action: String) {
        let detail = "\(action): \(String(cString: strerror(code)))"
        switch code {
        case ENOSPC, EDQUOT: self = .noSpace(detail: detail)
        case EMFILE, ENFILE: self = .noDescriptors(detail: detail)
        default: self = .io(detail: detail)
        }
    }
}
