private import CPosixShims
import Glibc
import NIOConcurrencyHelpers
import Primitives

/// A file that holds blocks of a healthy disk, and gives them to a start on a full one: stores write a new manifest
/// when they are opened, and the node says who it is. Everything here blocks on the disk.
final class Ballast: Sendable {
    private let path: String
    private let byteCount: Int
    private let whole = NIOLockedValueBox(false)

    private static let stepBytes = 1 << 20

    /// - Parameter folder: the data directory.
    init(in folder: String, shards: Int) {
        path = folder + "/RESERVE"
        byteCount = SpaceDecision.ballastBytes(shards: shards)
    }

    /// Its file has all the blocks that it is to have.
    var isWhole: Bool { whole.withLockedValue { $0 } }

    /// Gives the blocks back, where the disk has not as many free anyway.
    func release(on free: FreeSpace?) {
        if let free, free.bytes > byteCount, free.files.map({ $0 > Limits.spaceReserveFiles }) ?? true { return }
        whole.withLockedValue { $0 = false }
        _ = withFile(O_WRONLY) { ks_truncate($0, 0) }
    }

    /// Takes as many blocks as there are, up to what it is to have. That there are fewer is no error: the next call
    /// tries again.
    func keep() {
        let isWhole = withFile(O_WRONLY | O_CREAT) { file -> CInt in
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
        whole.withLockedValue { $0 = isWhole == 0 || isWhole == -EOPNOTSUPP }
    }

    private func withFile(_ flags: CInt, _ body: (CInt) -> CInt) -> CInt {
        let file = ks_open(path, flags, 0o600)
        guard file >= 0 else { return file }
        defer { _ = ks_close(file) }
        return body(file)
    }
}
