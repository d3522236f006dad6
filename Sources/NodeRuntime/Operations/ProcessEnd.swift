import Glibc
import Primitives

/// Ends the process where going on could lose acknowledged writes. A restart replays the log.
enum ProcessEnd {
    /// The code of `EX_IOERR` in sysexits.h, as the log uses it too.
    private static let code: CInt = 74

    static func storeFailed(_ shard: ShardID, _ reason: String) -> Never {
        let line =
            "keystead: the store of shard \(shard) failed and cannot make writes durable: \(reason); "
            + "stopping, a restart replays the log\n"
        let bytes = Array(line.utf8)
        _ = bytes.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
        _exit(code)
    }
}
