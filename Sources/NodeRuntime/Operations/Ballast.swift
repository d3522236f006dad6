private import CPosixShims
import Glibc
import NIOConcurrencyHelpers
import Primitives

/// Files that hold blocks and inodes of a healthy disk, and give them to a start on a full one: stores write a new
/// manifest when they are opened, and the node says who it is. Everything here blocks on the disk.
final class Ballast: Sendable {
    private let path: String
    private let byteCount: Int
    private let fileCount: Int
    private let whole = NIOLockedValueBox(false)

    private static let stepBytes = 1 << 20

    /// - Parameter folder: the data directory.
    init(in folder: String, shards: Int) {
        path = folder + "/RESERVE"
        byteCount = SpaceDecision.ballastBytes(shards: shards)
        fileCount = SpaceDecision.ballastFiles(shards: shards)
    }

    private var filesFolder: String { path + ".files" }

    /// It has all the blocks and files that it is to have.
    var isWhole: Bool { whole.withLockedValue { $0 } }

    /// Gives the blocks and files back, where the disk has not as many free anyway.
    func release(on free: FreeSpace?) {
        let enough = max(Limits.spaceReserveFiles, fileCount)
        if let free, free.bytes > byteCount, free.files.map({ $0 > enough }) ?? true { return }
        whole.withLockedValue { $0 = false }
        _ = withFile(O_WRONLY) { ks_truncate($0, 0) }
        for number in 0..<fileCount { unlink("\(filesFolder)/\(number)") }
    }

    /// Takes as many blocks and files as there are, up to what it is to have. That there are fewer is no error: the
    /// next call tries again.
    func keep() {
        let hasBlocks = keepBlocks()
        let hasFiles = keepFiles()
        whole.withLockedValue { $0 = hasBlocks && hasFiles }
    }

    private func keepFiles() -> Bool {
        mkdir(filesFolder, 0o700)
        for number in 0..<fileCount {
            let file = ks_open("\(filesFolder)/\(number)", O_WRONLY | O_CREAT, 0o600)
            guard file >= 0 else { return false }
            _ = ks_close(file)
        }
        return true
    }

    private func keepBlocks() -> Bool {
        let code = withFile(O_WRONLY | O_CREAT) { file -> CInt in
            var size = Int(clamping: max(ks_file_size(file), 0))
            while size < byteCount {
                let step = min(Self.stepBytes, byteCount - size)
                let code = ks_fallocate(file, Int64(size), Int64(step))
                guard code == 0 else { return code }
                size += step
            }
            return 0
        }
        // A file system that cannot reserve has no ballast, and is not asked for one all the time.
        return code == 0 || code == -EOPNOTSUPP
    }

    private func withFile(_ flags: CInt, _ body: (CInt) -> CInt) -> CInt {
        let file = ks_open(path, flags, 0o600)
        guard file >= 0 else { return file }
        defer { _ = ks_close(file) }
        return body(file)
    }
}
