import CPosixShims
import Glibc
import Primitives

/// What must hold of a data directory before anything in it is opened: it belongs to this user, nobody else can change
/// it or read it, and nothing in it leads elsewhere. RocksDB opens its files by name, so this is looked at before.
///
/// A folder that others may change is refused, since nobody knows what they did. What others may only read is closed to
/// them: the group keeps its reading.
struct DataFolderCheck {
    /// What the operator should hear of a directory that is used all the same.
    private(set) var remarks: [String] = []
    private var closedToOthers = 0

    /// Names of a node in its directory; the rest is not Keystead's, and is left alone.
    private static let names: Set<String> = [
        "LOCK", "FORMAT", "IDENTITY", "CLEAN", "INITIALIZING", "metadata", "log", "shards", "incoming", "outgoing",
        "trash", "RESERVE",
    ]
    /// Emptied by itself: a link in them is removed, and where it leads to is left alone.
    private static let passing: Set<String> = ["incoming", "outgoing", "trash"]
    private static let othersMayChange: mode_t = 0o022
    private static let othersMayRead: mode_t = 0o007

    /// The path, with a link at its end resolved: an operator may put the directory where they like.
    static func resolved(_ path: String) -> String {
        var status = stat()
        guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFLNK, let real = realpath(path, nil) else {
            return path
        }
        defer { free(real) }
        return String(cString: real)
    }

    /// The directory itself: its owner and its mode. Before anything is opened in it.
    mutating func checkOwner(of folder: borrowing OpenFolder) throws(FolderError) {
        let path = folder.path
        let status = try folder.status
        let user = geteuid()
        if status.owner != user {
            guard user == 0 else {
                throw FolderError(
                    refusal: "\(path) belongs to user \(status.owner), and this process is user \(user): run it as "
                        + "that user, or run `chown -R \(user) \(path)`")
            }
            remarks.append(
                "\(path) belongs to user \(status.owner), and this process is root: new files in it belong to root")
        }
        guard status.mode & Self.othersMayChange == 0 else {
            throw FolderError(
                refusal: "others may change \(path) (mode \(Self.octal(status.mode))): look at what is in it, and then "
                    + "run `chmod go-w,o-rwx \(path)`")
        }
        guard status.mode & Self.othersMayRead != 0 else { return }
        try folder.setMode(status.mode & ~Self.othersMayRead)
        remarks.append("others could enter \(path) (mode \(Self.octal(status.mode))): it is closed to them now")
    }

    /// One name of the directory, where it is there.
    mutating func check(_ name: String, in folder: borrowing OpenFolder) throws(FolderError) {
        try check(EntryName(name), in: folder, isPassing: false, depth: 0)
    }

    /// All that is a node's, down to the files of its stores.
    mutating func checkContent(of folder: borrowing OpenFolder) throws(FolderError) {
        for name in try folder.entries() where Self.isNode(name.text) {
            try check(name, in: folder, isPassing: Self.passing.contains(name.text), depth: 0)
        }
        if closedToOthers > 0 {
            remarks.append("others could read or change \(closedToOthers) files and folders in it: no more")
        }
    }

    private static func isNode(_ name: String) -> Bool {
        names.contains(name) || names.contains { name.hasPrefix($0 + ".") }
    }

    /// - Parameters:
    ///   - isPassing: a link below it is removed, not refused.
    ///   - depth: of folders between the directory and it.
    private mutating func check(
        _ name: EntryName, in folder: borrowing OpenFolder, isPassing: Bool, depth: Int
    ) throws(FolderError) {
        guard let status = try folder.status(of: name) else { return }
        let path = folder.path(of: name)
        switch status.kind {
        case .file:
            try close(name, status, in: folder)
        case .folder:
            try close(name, status, in: folder)
            guard depth < Limits.dataFolderDepthMax else {
                throw FolderError(refusal: "\(path) lies deeper than any folder of Keystead: remove it")
            }
            let inner = try folder.folder(name)
            for entry in try inner.entries() { try check(entry, in: inner, isPassing: isPassing, depth: depth + 1) }
        case .link, .other:
            guard isPassing, depth > 0 else { throw FolderError(refusal: Self.refusal(of: status.kind, path)) }
            try folder.remove(name, depth: 0)
            remarks.append("\(path) was no file or folder: it is removed, and where it led to is left alone")
        }
    }

    private static func refusal(of kind: EntryStatus.Kind, _ path: String) -> String {
        switch kind {
        case .link:
            "\(path) is a symbolic link, and nothing in a data directory may be one: put what it leads to in its place "
                + "(`mount --bind` where that is on another disk), or remove the link"
        case .other, .file, .folder:
            "\(path) is a pipe, a socket or a device, which is nothing of a data directory: remove it"
        }
    }

    private mutating func close(
        _ name: EntryName, _ status: EntryStatus, in folder: borrowing OpenFolder
    ) throws(FolderError) {
        let closed = status.mode & ~(Self.othersMayChange | Self.othersMayRead)
        guard closed != status.mode else { return }
        try folder.setMode(closed, of: name)
        closedToOthers += 1
    }

    private static func octal(_ mode: mode_t) -> String { "0" + String(mode, radix: 8) }
}
