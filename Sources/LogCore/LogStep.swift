public import LogFormat

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
