/// Compare, then change: if every condition holds, all changes happen at the next revision; otherwise none does.
public struct MetadataTransaction: Sendable, Hashable {
    public enum Condition: Sendable, Hashable {
        /// The key was last put at this revision; zero: it does not exist.
        case lastPut(MetadataKey, at: MetadataRevision)
        /// The key came into being at this revision; zero: it does not exist.
        case created(MetadataKey, at: MetadataRevision)
        /// The key came into being at any other revision, or does not exist where the revision is not zero: so a
        /// session that ended, or was followed by a newer one, is told from the one remembered (rule R10).
        case notCreated(MetadataKey, at: MetadataRevision)

        /// The key does not exist.
        public static func absent(_ key: MetadataKey) -> Condition { .created(key, at: .zero) }
    }

    public enum Operation: Sendable, Hashable {
        /// With a session the entry vanishes when that ends.
        case put(MetadataKey, [UInt8], session: SessionID? = nil)
        /// Deleting what is not there does nothing.
        case delete(MetadataKey)

        public var key: MetadataKey {
            switch self {
            case .put(let key, _, _), .delete(let key): key
            }
        }
    }

    public let conditions: [Condition]
    public let operations: [Operation]

    /// - Parameter operations: each key at most once; values at most `MetadataLimits.valueBytesMax`.
    public init(if conditions: [Condition] = [], then operations: [Operation]) {
        precondition(Set(operations.map(\.key)).count == operations.count, "a transaction changes a key once")
        for case .put(let key, let value, _) in operations {
            precondition(value.count <= MetadataLimits.valueBytesMax, "the value of \(key) is too large")
        }
        self.conditions = conditions
        self.operations = operations
    }
}

public enum TransactionOutcome: Sendable, Hashable {
    /// All conditions held and all changes are durable at this revision: the next one, or the one before where nothing
    /// changed.
    case committed(MetadataRevision)
    /// A condition did not hold at this revision; nothing changed. Read again.
    case conflict(MetadataRevision)
}

public enum MetadataLimits {
    public static let keyBytesMax = 512
    /// Below etcd's limit for a whole request, 1.5 MiB.
    public static let valueBytesMax = 1 << 20
    /// Revisions kept for watchers that fall behind or resume, and the bytes of their values.
    public static let historyRevisionsMax = 4096
    public static let historyBytesMax = 8 << 20
    /// Changes waiting in one watch; a watcher further behind is told `compacted`.
    public static let watchChangesMax = 1024
}
