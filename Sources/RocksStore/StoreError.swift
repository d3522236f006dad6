internal import CRocksDB

/// Why the store of a shard could not do what it was asked. A case stands apart where its caller acts on it.
public enum StoreError: Error, Equatable, Sendable {
    /// Bytes on disk are not what was written. `file` is the damaged file where RocksDB names one. Nothing of it was
    /// served.
    case corruption(file: String?, detail: String)
    /// The disk, or a quota on it, is full. What is in memory stays there, and in the log; ``ShardStore/flush()`` goes
    /// on when there is space again.
    case noSpace(detail: String)
    /// The process, or the system, has no file descriptor left. As with ``noSpace(detail:)``.
    case noDescriptors(detail: String)
    /// Any other I/O error.
    case io(detail: String)
    /// There is no store where one must be: the directory is missing or empty. It was not created.
    case missing(directory: String)
    /// Asked to create a store in a directory that has table files but no current manifest: creating would delete them.
    case remains(directory: String)
    /// Another process, or another open store of this one, holds the directory.
    case lockHeld(directory: String)
    /// A flush or compaction in the background has failed since the store was opened, so it can no longer make anything
    /// durable: step down, close, open again and replay the log (rule W9).
    case backgroundError(count: Int)
    /// Written by a version of Keystead that this one does not know.
    case unsupportedFormat(detail: String)
    /// The store was closed.
    case closed
    case other(detail: String)
}

extension StoreError {
    /// What is there must not be touched.
    public var isRemains: Bool {
        if case .remains = self { true } else { false }
    }

    /// It passes by itself: when there is space, or a file descriptor, again.
    public var passes: Bool {
        switch self {
        case .noSpace, .noDescriptors: true
        case .corruption, .io, .missing, .remains, .lockHeld, .backgroundError, .unsupportedFormat, .closed, .other:
            false
        }
    }
}

extension StoreError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .corruption(let file, let detail): "corrupt \(file ?? "store"): \(detail)"
        case .noSpace(let detail): "no space left: \(detail)"
        case .noDescriptors(let detail): "no file descriptor left: \(detail)"
        case .io(let detail): "input or output error: \(detail)"
        case .missing(let directory): "no store in \(directory)"
        case .remains(let directory): "\(directory) holds table files but no manifest; creating would delete them"
        case .lockHeld(let directory): "\(directory) is in use by another process"
        case .backgroundError(let count): "\(count) background errors since the store was opened"
        case .unsupportedFormat(let detail): "unsupported format: \(detail)"
        case .closed: "the store is closed"
        case .other(let detail): detail
        }
    }
}

extension StoreError {
    /// Maps the text of a `rocksdb::Status`. The C API carries nothing else; the prefixes are those of
    /// `Status::ToString` in RocksDB 7.8 and the sentences those of its POSIX environment.
    init(status text: String, directory: String) {
        if text.hasPrefix("Corruption:") {
            self = .corruption(file: Self.fileName(in: text), detail: text)
        } else if text.contains("Too many open files") {
            // Of the process, or in the system. RocksDB hands it on as lack of space, which it can recover from.
            self = .noDescriptors(detail: text)
        } else if text.hasPrefix("IO error: No space left on device") || text.contains("Disk quota exceeded") {
            self = .noSpace(detail: text)
        } else if text.hasPrefix("IO error:") {
            self = text.contains("lock") && text.contains("LOCK") ? .lockHeld(directory: directory) : .io(detail: text)
        } else if text.hasPrefix("Not impl") || text.contains("Unknown Footer version") {
            self = .unsupportedFormat(detail: text)
        } else {
            self = .other(detail: text)
        }
    }

    /// The last word of the text that names a table, blob, log or manifest file.
    private static func fileName(in text: String) -> String? {
        text.split(whereSeparator: { " ,;:()\n".contains($0) }).last { word in
            let name = word.split(separator: "/").last ?? word
            return name.hasSuffix(".sst") || name.hasSuffix(".log") || name.hasPrefix("MANIFEST-") || name == "CURRENT"
        }.map(String.init)
    }
}

/// Makes one call of the C API and turns the error text it may leave into a `StoreError`: the only place that frees
/// one.
@inline(__always)
func rocksCall<R>(
    in directory: @autoclosure () -> String,
    _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> R
) throws(StoreError) -> R {
    var message: UnsafeMutablePointer<CChar>?
    let result = body(&message)
    guard let message else { return result }
    defer { rocksdb_free(message) }
    throw StoreError(status: String(cString: message), directory: directory())
}
