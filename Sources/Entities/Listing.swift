public import Primitives

/// One page of a list.
public struct ListRequest: Sendable {
    /// Every key of the answer starts with these bytes: `kind/` and the prefix asked for.
    public let keyPrefix: [UInt8]
    /// 1 to `Limits.listItemsMax`.
    public let itemsMax: Int
    /// Where the page before ended: only entities after it in ring order are listed.
    public let after: ListCursor?
    public let withValues: Bool

    public init(keyPrefix: [UInt8], itemsMax: Int, after: ListCursor?, withValues: Bool) {
        self.keyPrefix = keyPrefix
        self.itemsMax = itemsMax
        self.after = after
        self.withValues = withValues
    }
}

/// A place between two entities in ring order (hash, then key bytes). It names no shard and no node, so it survives
/// restarts, moves and splits.
public struct ListCursor: Sendable, Equatable {
    public let ringHash: UInt64
    /// The last key listed, or empty: everything of that hash is still to come.
    public let keyBytes: [UInt8]

    public init(ringHash: UInt64, keyBytes: [UInt8]) {
        self.ringHash = ringHash
        self.keyBytes = keyBytes
    }
}

/// What a page came to: its entities in ring order, where the next page goes on, and what is missing (harvest).
public struct ListPage: Sendable {
    public struct Item: Sendable {
        public let keyBytes: [UInt8]
        /// With its state where the list is to show it, else possibly without.
        public let record: StoredRecord
        public let stateByteCount: Int

        /// - Parameter stateByteCount: where `record` is without its state.
        public init(keyBytes: [UInt8], record: StoredRecord, stateByteCount: Int? = nil) {
            self.keyBytes = keyBytes
            self.record = record
            self.stateByteCount = stateByteCount ?? record.state.count
        }

        /// What the item holds.
        public var byteCount: Int { keyBytes.count + record.encodedCount }
    }

    public var items: [Item]
    /// `nil` at the end of the scan.
    public var next: ListCursor?
    /// Shards of the cluster, and those that could not answer, ascending.
    public var shardCount: Int
    public var missing: [ShardID]
    /// The page as its caller reads it, where that has been made ahead; then `items` are empty.
    public var text: [UInt8]?

    public init(items: [Item], next: ListCursor?, shardCount: Int, missing: [ShardID]) {
        self.items = items
        self.next = next
        self.shardCount = shardCount
        self.missing = missing
    }
}
