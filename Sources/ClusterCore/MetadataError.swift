/// Why the metadata store could not do what it was asked.
public enum MetadataError: Error, Sendable, Equatable {
    /// The store cannot be reached; nothing was changed. Running shards serve on.
    case unavailable(detail: String)
    /// A transaction may or may not have happened: read again (rule R9).
    case outcomeUnknown(detail: String)
    /// The same, but the store has answered, by an error: it is decided, and a read made now tells how.
    case decidedUnread(detail: String)
    /// The history asked for is gone: read the range again and watch from its revision.
    case compacted(oldest: MetadataRevision)
    /// The session named in a transaction has ended; nothing was changed.
    case sessionEnded
    /// More than the store takes in one transaction; nothing was changed, and trying again does not help.
    case tooLarge(detail: String)
    /// The embedded file does not exist, and was not to be made.
    case missing(file: String)
    /// The embedded file is not one, or is damaged. It was left as it is.
    case corrupt(file: String, detail: String)
    /// Written by a newer version of Keystead.
    case unsupportedFormat(file: String, found: UInt32, known: UInt32)
    /// Another process has the embedded file open.
    case lockHeld(file: String)
    /// The disk refused; nothing was changed.
    case io(detail: String)
    case closed

    /// Whether a transaction that ended so may have happened.
    public var leavesOutcomeOpen: Bool {
        switch self {
        case .outcomeUnknown, .decidedUnread: true
        case .unavailable, .compacted, .sessionEnded, .tooLarge, .missing, .corrupt, .unsupportedFormat, .lockHeld,
            .io, .closed:
            false
        }
    }
}

extension MetadataError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .unavailable(let detail): "the metadata store is unavailable: \(detail)"
        case .outcomeUnknown(let detail): "unknown whether the metadata changed: \(detail)"
        case .decidedUnread(let detail): "unknown whether the metadata changed: \(detail)"
        case .compacted(let oldest): "the metadata history before revision \(oldest) is gone"
        case .sessionEnded: "the session has ended"
        case .tooLarge(let detail): "too much for one transaction: \(detail)"
        case .missing(let file): "no metadata in \(file)"
        case .corrupt(let file, let detail): "\(file) is damaged: \(detail)"
        case .unsupportedFormat(let file, let found, let known):
            "\(file) has format \(found); this version reads formats up to \(known): use a newer keystead"
        case .lockHeld(let file): "\(file) is in use by another process"
        case .io(let detail): detail
        case .closed: "the metadata store is closed"
        }
    }
}
