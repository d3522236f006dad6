private import CPosixShims
private import Glibc
import LogCore
import LogFormat

/// Carries out the log's steps. One thread uses one executor.
protocol StepExecutor: AnyObject {
    func perform(_ step: LogStep) -> StepResult
}

/// The steps on a real directory. Not thread-safe: the writer and the background thread have one each.
///
/// It decides nothing and retries nothing but an interrupted call (EINTR), the rest of a short write, and an open for
/// which there is no file descriptor: nothing has happened then, and the log can wait.
final class DirectoryExecutor: StepExecutor {
    private let path: String
    private let directory: CInt
    /// Steps come in runs about one file: its descriptor stays open between them.
    private var open: (name: LogFileName, descriptor: CInt)?
    private let syncDisabled: Bool
    /// One page: what one call wrote the kernel keeps in one folio, and charges the process with all of it whenever a
    /// part is written later. Filled by the MiB, a group of 8 KiB counted as a MiB in the process's own statistics,
    /// though the device wrote 16 KiB either way.
    private static let zeros = [UInt8](repeating: 0, count: 4096)

    /// `nil` and the errno where the directory cannot be opened.
    init(path: String, syncDisabled: Bool) throws(LogOpenError) {
        self.path = path
        self.syncDisabled = syncDisabled
        self.directory = ks_open(path, O_RDONLY | O_DIRECTORY, 0)
        guard directory >= 0 else { throw .readFailed(file: path, errno: -directory) }
    }

    deinit {
        closeFile()
        _ = ks_close(directory)
    }

    func perform(_ step: LogStep) -> StepResult {
        switch step {
        case .create(let name): create(name)
        case .allocate(let name, let byteCount): allocate(name, byteCount)
        case .fill(let name, let range): fill(name, range)
        case .write(let name, let offset, let bytes):
            withFile(name) { file in bytes.withUnsafeBytes { Self.writeAll(file, $0, at: offset) } }
        case .sync(let name):
            syncDisabled ? .done : withFile(name) { file in Self.uninterrupted { ks_fdatasync(file) } }
        case .rename(let old, let new): rename(old, new)
        case .delete(let name): delete(name)
        case .syncDirectory: syncDisabled ? .done : Self.uninterrupted { ks_fsync(directory) }
        }
    }

    // MARK: Steps

    private func create(_ name: LogFileName) -> StepResult {
        closeFile()
        return openFile(name, flags: O_RDWR | O_CREAT | O_TRUNC).0
    }

    private func allocate(_ name: LogFileName, _ byteCount: Int) -> StepResult {
        withFile(name) { file in
            let result = Self.uninterrupted { ks_fallocate(file, 0, Int64(byteCount)) }
            return result == .failed(EOPNOTSUPP) || result == .failed(ENOSYS) ? .done : result
        }
    }

    private func fill(_ name: LogFileName, _ range: Range<Int>) -> StepResult {
        withFile(name) { file in
            var offset = range.lowerBound
            while offset < range.upperBound {
                let count = min(Self.zeros.count, range.upperBound - offset)
                let result = Self.zeros.withUnsafeBytes {
                    Self.writeAll(file, UnsafeRawBufferPointer(rebasing: $0[..<count]), at: offset)
                }
                guard result == .done else { return result }
                offset += count
            }
            return .done
        }
    }

    private func rename(_ old: LogFileName, _ new: LogFileName) -> StepResult {
        let result = Self.uninterrupted { ks_rename(filePath(old), filePath(new)) }
        if result == .done, let open, open.name == old { self.open = (new, open.descriptor) }
        return result
    }

    private func delete(_ name: LogFileName) -> StepResult {
        if open?.name == name { closeFile() }
        let result = Self.uninterrupted { ks_unlink(filePath(name)) }
        return result == .failed(ENOENT) ? .done : result
    }

    // MARK: Files

    func filePath(_ name: LogFileName) -> String { path + "/" + name.description }

    private func withFile(_ name: LogFileName, _ body: (CInt) -> StepResult) -> StepResult {
        if let open, open.name == name { return body(open.descriptor) }
        closeFile()
        let (result, descriptor) = openFile(name, flags: O_RDWR)
        return result == .done ? body(descriptor) : result
    }

    private func openFile(_ name: LogFileName, flags: CInt) -> (StepResult, CInt) {
        let descriptor = Self.patiently { ks_open(filePath(name), flags, 0o600) }
        guard descriptor >= 0 else { return (Self.result(-descriptor), descriptor) }
        open = (name, descriptor)
        return (.done, descriptor)
    }

    /// What was written has been synced or is not promised, so the result of closing says nothing that matters.
    private func closeFile() {
        if let open { _ = ks_close(open.descriptor) }
        open = nil
    }

    // MARK: Calls

    private static let descriptorPauseMicroseconds: UInt32 = 20_000

    private static func patiently(_ open: () -> CInt) -> CInt {
        var isTold = false
        while true {
            let descriptor = open()
            guard descriptor == -EMFILE || descriptor == -ENFILE else { return descriptor }
            if !isTold { ProcessEnd.warn("keystead: the log waits for a file descriptor; raise their limit") }
            isTold = true
            usleep(descriptorPauseMicroseconds)
        }
    }

    private static func writeAll(_ file: CInt, _ bytes: UnsafeRawBufferPointer, at offset: Int) -> StepResult {
        var written = 0
        while written < bytes.count {
            let rest = UnsafeRawBufferPointer(rebasing: bytes[written...])
            let count = ks_pwrite(file, rest.baseAddress, rest.count, Int64(offset + written))
            if count == -Int64(EINTR) { continue }
            // A write of some bytes that takes none says that there is no space, in its own way.
            guard count != 0 else { return .noSpace }
            guard count > 0 else { return result(CInt(-count)) }
            written += Int(count)
        }
        return .done
    }

    private static func uninterrupted(_ call: () -> CInt) -> StepResult {
        while true {
            let code = call()
            if code == -EINTR { continue }
            return code < 0 ? result(-code) : .done
        }
    }

    private static func result(_ errno: CInt) -> StepResult {
        errno == ENOSPC || errno == EDQUOT ? .noSpace : .failed(errno)
    }
}
