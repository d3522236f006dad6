import Foundation
import Glibc
import Primitives
import Testing

@testable import NodeRuntime

/// A data directory is this user's alone, and nothing in it leads elsewhere.
@Suite struct DataDirectoryTests {
    private let folder: String
    private var path: String { folder + "/data" }

    init() throws { folder = try makeTestFolder("data") }

    /// A node's directory as a stop leaves it.
    private func made() throws {
        let directory = try DataDirectory(path: path)
        try directory.beginInitializing()
        for name in ["log", "incoming", "outgoing", "trash", "shards/0"] {
            try FileManager.default.createDirectory(atPath: "\(path)/\(name)", withIntermediateDirectories: true)
        }
        try Data("x".utf8).write(to: URL(fileURLWithPath: path + "/shards/0/CURRENT"))
        try directory.replace("IDENTITY", with: "x")
        try directory.finishInitializing()
    }

    private func mode(_ path: String) -> mode_t {
        var status = stat()
        return lstat(path, &status) == 0 ? status.st_mode & 0o7777 : 0
    }

    private func refusal() -> String {
        do {
            _ = try DataDirectory(path: path)
            return "accepted"
        } catch {
            return error.description
        }
    }

    @Test(arguments: [
        "LOCK", "FORMAT", "IDENTITY", "IDENTITY.new", "CLEAN", "INITIALIZING", "metadata", "metadata.lock", "log",
        "shards", "incoming", "outgoing", "trash", "shards/1", "shards/0/CURRENT", "shards/0/000001.sst", "log/1.wal",
    ])
    func aLinkIsRefusedAndNamed(name: String) throws {
        try made()
        try? FileManager.default.removeItem(atPath: "\(path)/\(name)")
        try Data("victim".utf8).write(to: URL(fileURLWithPath: folder + "/victim"))
        #expect(symlink(folder + "/victim", "\(path)/\(name)") == 0)
        #expect(refusal().contains("\(path)/\(name) is a symbolic link"), "\(refusal())")
        #expect(try String(contentsOfFile: folder + "/victim", encoding: .utf8) == "victim")
    }

    @Test func aPipeIsRefusedAndHoldsNobody() throws {
        try made()
        try FileManager.default.removeItem(atPath: path + "/FORMAT")
        #expect(mkfifo(path + "/FORMAT", 0o600) == 0)
        #expect(refusal().contains("is a pipe"))
    }

    @Test(arguments: ["incoming", "outgoing", "trash"])
    func aLinkAmongFilesOfMovesIsRemovedItself(name: String) throws {
        try made()
        let victim = folder + "/victim"
        try FileManager.default.createDirectory(atPath: victim, withIntermediateDirectories: true)
        try Data("kept".utf8).write(to: URL(fileURLWithPath: victim + "/file"))
        #expect(symlink(victim, "\(path)/\(name)/0-1-1") == 0)
        let directory = try DataDirectory(path: path)
        #expect(directory.remarks.contains { $0.contains("\(name)/0-1-1") })
        #expect(mode("\(path)/\(name)/0-1-1") == 0 && FileManager.default.fileExists(atPath: victim + "/file"))
    }

    @Test func removalStopsAtLinks() throws {
        let victim = folder + "/victim"
        try FileManager.default.createDirectory(atPath: victim, withIntermediateDirectories: true)
        try FileManager.default.createDirectory(atPath: folder + "/a/b", withIntermediateDirectories: true)
        try Data("kept".utf8).write(to: URL(fileURLWithPath: victim + "/file"))
        #expect(symlink(victim, folder + "/a/b/link") == 0 && symlink(victim, folder + "/direct") == 0)
        try FolderTree.remove(folder + "/a")
        try FolderTree.remove(folder + "/direct")
        try FolderTree.remove(folder + "/nothing")
        #expect(mode(folder + "/a") == 0 && mode(folder + "/direct") == 0)
        #expect(FileManager.default.fileExists(atPath: victim + "/file"))
        #expect(symlink(victim, folder + "/way") == 0)
        #expect(throws: FolderError.self, "a folder on the way is a link") {
            try FolderTree.remove(folder + "/way/file")
        }
        #expect(FileManager.default.fileExists(atPath: victim + "/file"))
    }

    /// Names need not be text.
    @Test func removalTakesNamesByteForByte() throws {
        #expect(mkdir(folder + "/bytes", 0o700) == 0)
        let name = (folder + "/bytes/").utf8.map { CChar(bitPattern: $0) } + [CChar(bitPattern: 0xFF), 0]
        let file = open(name, O_CREAT | O_WRONLY, 0o600)
        #expect(file >= 0)
        close(file)
        try FolderTree.remove(folder + "/bytes")
        #expect(mode(folder + "/bytes") == 0)
    }

    @Test(arguments: [0o777, 0o775, 0o757, 0o1777] as [mode_t])
    func whatOthersMayChangeIsRefused(mode: mode_t) throws {
        #expect(mkdir(path, 0o700) == 0 && chmod(path, mode) == 0)
        #expect(refusal().contains("chmod go-w,o-rwx \(path)"))
        #expect(try FileManager.default.contentsOfDirectory(atPath: path).isEmpty, "nothing was written")
    }

    @Test func whatOthersMayReadIsClosedToThem() throws {
        try made()
        #expect(chmod(path, 0o755) == 0 && chmod(path + "/IDENTITY", 0o644) == 0)
        #expect(chmod(path + "/shards", 0o777) == 0 && chmod(path + "/shards/0/CURRENT", 0o666) == 0)
        let directory = try DataDirectory(path: path)
        #expect(mode(path) == 0o750, "the group may go on reading")
        #expect(mode(path + "/IDENTITY") == 0o640 && mode(path + "/shards") == 0o750)
        #expect(mode(path + "/shards/0/CURRENT") == 0o640)
        #expect(directory.remarks.count == 2)
    }

    @Test func anOperatorMayPutTheDirectoryElsewhere() throws {
        #expect(mkdir(folder + "/disk", 0o700) == 0 && symlink(folder + "/disk", path) == 0)
        try made()
        #expect(FileManager.default.fileExists(atPath: folder + "/disk/FORMAT"))
    }

    @Test func aSecondProcessIsRefusedAndARefusalLetsGo() throws {
        let first = try DataDirectory(path: path)
        #expect(refusal().contains("in use by another process"))
        withExtendedLifetime(first) {}
        #expect(symlink("/dev/null", path + "/FORMAT") == 0)
    }
}
