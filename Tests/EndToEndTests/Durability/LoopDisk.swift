import CTestShims
import Foundation
import Glibc
import Synchronization

/// An ext4 filesystem in a file, mounted on a loop device: a disk that a test may cut off or fill. It needs root and
/// loop devices; where the machine has none of them the test fails and says so.
final class LoopDisk: Sendable {
    let mountPoint: String
    private let folder: TestFolder
    private let image: String
    private let isMounted = Mutex(false)

    /// - Parameter files: that it can hold; as many as usual where nothing is said.
    init(in folder: TestFolder, mebibytes: Int, files: Int? = nil) throws {
        guard getuid() == 0 else {
            throw HarnessError("this test mounts a disk of its own and must run as root; it must not be skipped")
        }
        self.folder = folder
        image = "\(folder.path)/disk.img"
        mountPoint = "\(folder.path)/disk"
        let descriptor = open(image, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0, ftruncate(descriptor, off_t(mebibytes) << 20) == 0 else {
            throw HarnessError("cannot make \(image): \(String(cString: strerror(errno)))")
        }
        close(descriptor)
        mkdir(mountPoint, 0o755)
        try run("mkfs.ext4", ["-q", "-F", "-m", "0"] + (files.map { ["-N", "\($0)"] } ?? []) + [image])
        try mount()
    }

    deinit {
        if isMounted.withLock({ $0 }) { try? unmount() }
    }

    private func run(_ program: String, _ arguments: [String]) throws {
        let result = try ChildProcess.run(try Programs.system(program), arguments, in: folder.path)
        guard result.ending == .exited(0) else {
            throw HarnessError(
                "\(program) \(arguments.joined(separator: " ")) failed; this test needs it: \(result.errors)"
            )
        }
    }

    func mount() throws {
        try run("mount", ["-o", "loop", image, mountPoint])
        isMounted.withLock { $0 = true }
    }

    /// Retries while a process that was just killed still holds files.
    func unmount() throws {
        let deadline = Deadline(seconds: 10)
        while true {
            do {
                try run("umount", [mountPoint])
                isMounted.withLock { $0 = false }
                return
            } catch {
                if deadline.hasPassed { throw error }
                usleep(100_000)
            }
        }
    }

    /// Everything that was not synced is gone; the filesystem answers errors until it is mounted again.
    func cutPower() throws {
        let descriptor = open(mountPoint, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw HarnessError("cannot open \(mountPoint)") }
        defer { close(descriptor) }
        let code = ks_test_cut_power(descriptor)
        guard code == 0 else {
            throw HarnessError(
                "this kernel cannot cut off a filesystem (FS_IOC_SHUTDOWN): \(String(cString: strerror(code)))")
        }
    }

    /// Bytes that anyone could still write.
    var freeBytes: Int {
        var facts = statvfs()
        guard statvfs(mountPoint, &facts) == 0 else { return 0 }
        return Int(facts.f_bavail) * Int(facts.f_frsize)
    }

    /// Takes space away with a file of real blocks, until `leaving` bytes are free.
    func fill(leaving: Int) throws {
        let bytes = freeBytes - leaving
        guard bytes > 0 else { return }
        let descriptor = open("\(mountPoint)/filler", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw HarnessError("cannot make the filler") }
        defer { close(descriptor) }
        var facts = stat()
        fstat(descriptor, &facts)
        let code = posix_fallocate(descriptor, facts.st_size, off_t(bytes))
        guard code == 0 || code == ENOSPC else {
            throw HarnessError("cannot fill the disk: \(String(cString: strerror(code)))")
        }
    }

    /// Takes all the space there is, to the last block, also what is given back meanwhile.
    func fillWhole() throws {
        let descriptor = open("\(mountPoint)/filler", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw HarnessError("cannot make the filler") }
        defer { close(descriptor) }
        for size in [1 << 20, 4096] {
            let zeros = [UInt8](repeating: 0, count: size)
            while write(descriptor, zeros, size) > 0 {}
        }
        // What was written is not certain to have its blocks before it is on the disk.
        fsync(descriptor)
    }

    /// Makes empty files until no more can be made.
    func takeFiles() throws {
        let folder = "\(mountPoint)/files"
        mkdir(folder, 0o700)
        var count = 0
        while true {
            let descriptor = open("\(folder)/\(count)", O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
            if descriptor < 0 { return }
            close(descriptor)
            count += 1
        }
    }

    func giveFilesBack() { try? FileManager.default.removeItem(atPath: "\(mountPoint)/files") }

    func giveSpaceBack() { unlink("\(mountPoint)/filler") }
}
