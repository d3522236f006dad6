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

    /// The last one there is has none after it: stores count themselves, and one that counts so far is not believed.
    public var next: MetadataRevision { MetadataRevision(rawValue == .max ? .max : rawValue + 1) }

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
