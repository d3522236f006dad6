public import LogFormat
import Primitives

/// One piece of I/O that a log machine wants done. The driver decides nothing: it does exactly this and reports back.
///
/// Steps of one lane come one at a time: the next is given after the last was reported.
public enum LogStep: Sendable, Equatable {
    /// Makes an empty file, mode 0600; replaces one that is there.
    case create(LogFileName)
    /// Reserves the blocks of a file of this length, so that a full disk shows at once and not after half the zeros.
    /// Where the file system cannot, it is done.
    case allocate(LogFileName, byteCount: Int)
    /// Writes zeros over the range, growing the file to its end.
    case fill(LogFileName, Range<Int>)
    /// Writes all the bytes; a short write is completed by the driver.
    case write(LogFileName, offset: Int, bytes: ArraySlice<UInt8>)
    /// fdatasync: what was written to this file, and its length, is on stable storage when it is done.
    case sync(LogFileName)
    /// Replaces what has the second name.
    case rename(LogFileName, to: LogFileName)
    /// A file that is not there is deleted already.
    case delete(LogFileName)
    /// fsync of the directory: creations, renames and deletions before it are on stable storage when it is done.
    case syncDirectory
}

/// How a step ended.
public enum StepResult: Sendable, Equatable {
    case done
    /// ENOSPC or EDQUOT.
    case noSpace
    /// Anything else, with its errno.
    case failed(Int32)
}

/// A file of the log directory as it was found.
public struct LogFileEntry: Sendable, Equatable {
    public let name: LogFileName
    public let byteCount: Int

    public init(name: LogFileName, byteCount: Int) {
        self.name = name
        self.byteCount = byteCount
    }
}

/// Why a running log stopped for good. The process ends; nothing is retried: after a failed sync the kernel may have
/// dropped the dirty pages and would report success for them (rule W4).
public struct LogFailure: Error, Sendable, Equatable {
    public let step: LogStep
    public let result: StepResult
}

extension LogStep {
    var isSync: Bool {
        switch self {
        case .sync, .syncDirectory: true
        case .create, .allocate, .fill, .write, .rename, .delete: false
        }
    }

    /// Zeros are written, not only allocated: overwriting written blocks lets fdatasync leave the inode alone.
    static func filling(_ file: LogFileName, byteCount: Int, pieceBytes: Int) -> [LogStep] {
        var steps: [LogStep] = [.create(file), .allocate(file, byteCount: byteCount)]
        var offset = 0
        while offset < byteCount {
            let end = min(offset + pieceBytes, byteCount)
            steps.append(.fill(file, offset..<end))
            steps.append(.sync(file))
            offset = end
        }
        return steps
    }

    /// The order that makes a segment safe to use: content, sync, name, sync of the name.
    static func starting(
        _ file: LogFileName, as number: UInt64, bytes: ArraySlice<UInt8>, mutants: Mutants
    ) -> [LogStep] {
        var steps: [LogStep] = [
            .write(file, offset: 0, bytes: bytes), .sync(file), .rename(file, to: .segment(number)),
        ]
        if !mutants.has(.directorySyncSkipped) { steps.append(.syncDirectory) }
        return steps
    }

    /// For a message: what was being done, without the bytes.
    public var summary: String {
        switch self {
        case .create(let file): "creating \(file)"
        case .allocate(let file, let byteCount): "allocating \(byteCount) bytes for \(file)"
        case .fill(let file, let range): "zero-filling \(file) at \(range.lowerBound)"
        case .write(let file, let offset, let bytes): "writing \(bytes.count) bytes to \(file) at \(offset)"
        case .sync(let file): "syncing \(file)"
        case .rename(let file, let name): "renaming \(file) to \(name)"
        case .delete(let file): "deleting \(file)"
        case .syncDirectory: "syncing the log directory"
        }
    }
}
