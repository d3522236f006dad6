/// The port to the cluster's metadata: a small ordered map with revisions, transactions, watches and sessions, as etcd
/// v3 has them (DESIGN §8). Everything here is control plane: serving an entity never waits for it.
///
/// Whatever the implementation:
/// - Revisions: one counter for the whole store. A transaction that changes anything takes the next one, and all its
///   changes carry it. Reads are linearizable and say the revision they are of.
/// - A transaction happens whole or not at all. `outcomeUnknown` means that either may be the case: read again to find
///   out, never assume (reliability rule R9).
/// - Watches are hints. They miss nothing and keep order, but may be late: decide on a read or a compare.
public protocol MetadataStore: Sendable {
    func get(_ key: MetadataKey) async throws(MetadataError) -> MetadataRead<MetadataEntry?>

    /// Every entry whose key begins with `prefix`, in key order.
    func range(prefix: MetadataKey) async throws(MetadataError) -> MetadataRead<[MetadataEntry]>

    func transaction(_ transaction: MetadataTransaction) async throws(MetadataError) -> TransactionOutcome

    /// The changes under `prefix` with a revision above `revision`, one element a revision, in order, for ever. It ends
    /// by an error only, a `MetadataError`; after `compacted` read the range again and watch from its revision.
    func watch(prefix: MetadataKey, after revision: MetadataRevision) -> AsyncThrowingStream<MetadataChange, any Error>

    /// Begins a session: entries put under it vanish when it ends, by `end` or because its holder has been silent for
    /// longer than `timeToLiveSeconds`.
    func openSession(timeToLiveSeconds: UInt64) async throws(MetadataError) -> any MetadataSession
}

/// A lease held by this process and renewed by itself.
public protocol MetadataSession: Sendable {
    var id: SessionID { get }

    /// False once the session is known to have ended; then everything put under it is gone or about to go.
    var isAlive: Bool { get }

    /// Ends the session now; its entries are gone when this returns. Ending an ended session does nothing.
    func end() async throws(MetadataError)
}

public struct SessionID: Hashable, Sendable {
    public let rawValue: UInt64

    public init(_ rawValue: UInt64) { self.rawValue = rawValue }
}

/// A point in the store's history; 0 is before the first change.
public struct MetadataRevision: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let rawValue: UInt64

    public static let zero = MetadataRevision(0)

    public init(_ rawValue: UInt64) { self.rawValue = rawValue }

    public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }

    public var next: MetadataRevision { MetadataRevision(rawValue + 1) }

    public var description: String { String(rawValue) }
}

public struct MetadataEntry: Sendable, Hashable {
    public let key: MetadataKey
    public let value: [UInt8]
    /// When the key came into being; it changes only by deletion and a new put.
    public let createRevision: MetadataRevision
    /// When the key was last put.
    public let modRevision: MetadataRevision
    public let session: SessionID?

    public init(
        key: MetadataKey, value: [UInt8], createRevision: MetadataRevision, modRevision: MetadataRevision,
        session: SessionID?
    ) {
        self.key = key
        self.value = value
        self.createRevision = createRevision
        self.modRevision = modRevision
        self.session = session
    }
}

/// What was read, and the revision of the store that it is of.
public struct MetadataRead<Value: Sendable>: Sendable {
    public let value: Value
    public let revision: MetadataRevision

    public init(value: Value, revision: MetadataRevision) {
        self.value = value
        self.revision = revision
    }
}

/// What one revision did to the keys watched.
public struct MetadataChange: Sendable, Hashable {
    public enum Event: Sendable, Hashable {
        case put(MetadataEntry)
        case delete(MetadataKey)

        public var key: MetadataKey {
            switch self {
            case .put(let entry): entry.key
            case .delete(let key): key
            }
        }
    }

    public let revision: MetadataRevision
    /// In key order, each key once.
    public let events: [Event]

    public init(revision: MetadataRevision, events: [Event]) {
        self.revision = revision
        self.events = events
    }
}
