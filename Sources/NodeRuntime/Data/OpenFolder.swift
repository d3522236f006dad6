import CPosixShims
import Glibc
import Primitives

/// What could not be done with a file or folder, or may not be: one line.
struct FolderError: Error, CustomStringConvertible {
    let description: String

    init(verb: String, path: String, code: CInt) {
        description = "cannot \(verb) \(path): \(String(cString: strerror(code)))"
    }

    init(refusal: String) { description = refusal }
}

/// A name in a folder, byte for byte: it need not be text.
struct EntryName: Comparable {
    fileprivate let bytes: [CChar]

    init(_ text: String) { bytes = text.utf8.map { CChar(bitPattern: $0) } + [0] }

    fileprivate init(_ entry: UnsafeMutablePointer<dirent>) {
        bytes = withUnsafeBytes(of: &entry.pointee.d_name) { name in
            name.prefix { $0 != 0 }.map { CChar(bitPattern: $0) } + [0]
        }
    }

    /// As it is shown; what is no UTF-8 is replaced.
    var text: String { String(decoding: bytes.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self) }

    static func < (left: Self, right: Self) -> Bool { left.bytes.lexicographicallyPrecedes(right.bytes) }
}

/// What a name in a folder stands for. A link is a link, whatever it leads to.
struct EntryStatus {
    enum Kind {
        case file, folder, link
        /// A pipe, a socket or a device.
        case other
    }

    let kind: Kind
    /// The bits that chmod sets.
    let mode: mode_t
    let owner: uid_t

    fileprivate init(_ status: stat) {
        kind =
            if ks_is_directory(status.st_mode) != 0 {
                .folder
            } else if ks_is_file(status.st_mode) != 0 {
                .file
            } else if ks_is_link(status.st_mode) != 0 {
                .link
            } else {
                .other
            }
        mode = status.st_mode & 0o7777
        owner = status.st_uid
    }
}

/// A folder that is held open. What is done below it goes by its descriptor, so no link can lead it elsewhere. Blocks
/// on the disk; one thread at a time.
struct OpenFolder: ~Copyable {
    /// For messages.
    let path: String
    private let descriptor: CInt

    /// Opens a folder; one that is a link itself is refused with ELOOP or ENOTDIR.
    init(_ path: String) throws(FolderError) {
        try self.init(path: path, ks_open(path, O_RDONLY | O_DIRECTORY, 0))
    }

    private init(path: String, _ descriptor: CInt) throws(FolderError) {
        guard descriptor >= 0 else { throw FolderError(verb: "open", path: path, code: -descriptor) }
        self.path = path
        self.descriptor = descriptor
    }

    deinit { _ = ks_close(descriptor) }

    func path(of name: EntryName) -> String { path.hasSuffix("/") ? path + name.text : "\(path)/\(name.text)" }

    func folder(_ name: EntryName) throws(FolderError) -> OpenFolder {
        try OpenFolder(path: path(of: name), ks_openat(descriptor, name.bytes, O_RDONLY | O_DIRECTORY, 0))
    }

    var status: EntryStatus {
        get throws(FolderError) {
            var status = stat()
            try check(ks_fstat(descriptor, &status), "look at", path)
            return EntryStatus(status)
        }
    }

    /// `nil` where there is no such name.
    func status(of name: EntryName) throws(FolderError) -> EntryStatus? {
        var status = stat()
        let code = ks_statat(descriptor, name.bytes, &status)
        if code == -ENOENT { return nil }
        try check(code, "look at", path(of: name))
        return EntryStatus(status)
    }

    /// In order.
    func entries() throws(FolderError) -> [EntryName] {
        let copy = ks_openat(descriptor, ".", O_RDONLY | O_DIRECTORY, 0)
        guard copy >= 0, let stream = fdopendir(copy) else {
            let code = copy < 0 ? -copy : errno
            if copy >= 0 { _ = ks_close(copy) }
            throw FolderError(verb: "list", path: path, code: code)
        }
        defer { closedir(stream) }
        var names: [EntryName] = []
        while let entry = readdir(stream) {
            let name = EntryName(entry)
            if name.text != ".", name.text != ".." { names.append(name) }
        }
        return names.sorted()
    }

    func setMode(_ mode: mode_t) throws(FolderError) {
        try check(ks_fchmod(descriptor, mode), "change the mode of", path)
    }

    /// Of a file or folder that was looked at and is no link.
    func setMode(_ mode: mode_t, of name: EntryName) throws(FolderError) {
        try check(ks_chmodat(descriptor, name.bytes, mode), "change the mode of", path(of: name))
    }

    /// Removes a file, a link itself, or a folder with all that is in it. Nothing happens where there is none.
    ///
    /// - Parameter depth: of folders in it that are still emptied; deeper ones are nobody's store.
    func remove(_ name: EntryName, depth: Int) throws(FolderError) {
        let code = ks_unlinkat(descriptor, name.bytes, 0)
        if code == 0 || code == -ENOENT { return }
        guard code == -EISDIR || code == -EPERM, try status(of: name)?.kind == .folder else {
            return try check(code, "remove", path(of: name))
        }
        guard depth > 0 else { throw FolderError(verb: "remove", path: path(of: name), code: ELOOP) }
        do {
            let inner = try folder(name)
            for entry in try inner.entries() { try inner.remove(entry, depth: depth - 1) }
        }
        try check(ks_unlinkat(descriptor, name.bytes, AT_REMOVEDIR), "remove", path(of: name))
    }

    private func check(_ code: CInt, _ verb: String, _ path: String) throws(FolderError) {
        guard code == 0 else { throw FolderError(verb: verb, path: path, code: -code) }
    }
}

/// Files and folders by their paths.
enum FolderTree {
    /// Removes a file, a link itself, or a folder with all that is in it. Nothing happens where there is none. The
    /// folder that it is in may not be a link.
    static func remove(_ path: String) throws(FolderError) {
        guard let slash = path.lastIndex(of: "/") else {
            return try OpenFolder(".").remove(EntryName(path), depth: Limits.dataFolderDepthMax)
        }
        let parent = slash == path.startIndex ? "/" : String(path[..<slash])
        let name = EntryName(String(path[path.index(after: slash)...]))
        try OpenFolder(parent).remove(name, depth: Limits.dataFolderDepthMax)
    }
}
