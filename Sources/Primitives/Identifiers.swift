/// One arc of the hash ring, numbered from 0. A cluster has `S` of them, a power of two fixed at creation.
public struct ShardID: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let rawValue: UInt32

    @inlinable
    public init(_ rawValue: UInt32) { self.rawValue = rawValue }

    @inlinable
    public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }

    public var description: String { String(rawValue) }
}

/// The reign of one owner over one shard. It only grows; a node never acts on a lower one than it has seen.
public struct Epoch: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let rawValue: UInt64

    @inlinable
    public init(_ rawValue: UInt64) { self.rawValue = rawValue }

    @inlinable
    public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }

    @inlinable
    public var next: Epoch { Epoch(rawValue + 1) }

    public var description: String { String(rawValue) }
}

/// A shard's log sequence number: contiguous from 1; 0 means "before the first". The position of an entity's last
/// update is its version.
public struct Position: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let rawValue: UInt64

    public static let zero = Position(0)

    @inlinable
    public init(_ rawValue: UInt64) { self.rawValue = rawValue }

    @inlinable
    public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }

    @inlinable
    public var next: Position { Position(rawValue + 1) }

    public var description: String { String(rawValue) }
}

/// A place in one node's log: the record's ordinal, contiguous from 1; 0 means "before the first".
/// It means nothing on another node.
public struct LSN: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let rawValue: UInt64

    public static let zero = LSN(0)

    @inlinable
    public init(_ rawValue: UInt64) { self.rawValue = rawValue }

    @inlinable
    public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }

    @inlinable
    public var next: LSN { LSN(rawValue + 1) }

    public var description: String { String(rawValue) }
}
