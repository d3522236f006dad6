import Glibc
import KeysteadClient
import NIOPosix

/// A file, or standard input, read piece by piece. Reads run on a thread pool of their own, as they block.
final class InputFile: Sendable {
    static let pieceBytes = 256 << 10

    private let descriptor: CInt
    private let path: String
    /// Size of a regular file; `nil` for a pipe or a terminal.
    let byteCount: UInt64?
    /// When its content was last changed, in nanoseconds since 1970.
    let modified: UInt64

    /// Opens `path`, or standard input for `-`.
    init(path: String) throws {
        self.path = path
        descriptor = path == "-" ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw CommandFailure(.failed, "\(path): \(SystemError("open"))") }
        var status = stat()
        let isRegular = fstat(descriptor, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
        byteCount = isRegular ? UInt64(status.st_size) : nil
        let (seconds, nanoseconds) = (status.st_mtim.tv_sec, status.st_mtim.tv_nsec)
        modified = UInt64(clamping: seconds) &* 1_000_000_000 &+ UInt64(clamping: nanoseconds)
    }

    deinit {
        if descriptor != STDIN_FILENO { close(descriptor) }
    }

    /// The next bytes; empty at the end.
    func read() async throws -> [UInt8] {
        let descriptor = descriptor
        do {
            return try await NIOThreadPool.singleton.runIfActive { try readPiece(descriptor) }
        } catch let error as SystemError {
            throw CommandFailure(.failed, "\(path): \(error)")
        }
    }

    /// Goes on reading at `offset`. Only for a regular file.
    func seek(to offset: UInt64) throws {
        guard lseek(descriptor, off_t(offset), SEEK_SET) >= 0 else {
            throw CommandFailure(.failed, "\(path): \(SystemError("lseek"))")
        }
    }

    /// Up to `count` bytes that stand before `offset`, without moving. Only for a regular file.
    func bytes(before offset: UInt64, count: Int) throws -> [UInt8] {
        let length = Int(min(UInt64(count), offset))
        let from = off_t(offset) - off_t(length)
        let descriptor = descriptor
        let bytes = [UInt8](unsafeUninitializedCapacity: length) { buffer, filled in
            filled = max(0, pread(descriptor, buffer.baseAddress, length, from))
        }
        guard bytes.count == length else { throw CommandFailure(.failed, "\(path): it is shorter than it was") }
        return bytes
    }

    /// All of a file that should be at most `bytesMax` long.
    static func contents(of path: String, bytesMax: Int) async throws -> [UInt8] {
        let file = try InputFile(path: path)
        var all: [UInt8] = []
        while case let piece = try await file.read(), !piece.isEmpty {
            all += piece
            guard all.count <= bytesMax else {
                throw CommandFailure(
                    .refused, "\(path): more than \(Format.bytes(UInt64(bytesMax))), which is beyond any entity")
            }
        }
        return all
    }
}

private func readPiece(_ descriptor: CInt) throws -> [UInt8] {
    while true {
        var failure: SystemError?
        let bytes = [UInt8](unsafeUninitializedCapacity: InputFile.pieceBytes) { buffer, filled in
            let count = read(descriptor, buffer.baseAddress, buffer.count)
            if count < 0 { failure = SystemError("read") }
            filled = max(0, count)
        }
        guard let failure else { return bytes }
        if failure.number != EINTR { throw failure }
    }
}
