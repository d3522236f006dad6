/// The version of an entity as HTTP shows it: a strong entity tag (RFC 9110 §8.8.3) around the log position of the
/// entity's last update, `"1234"`.
public struct EntityTag: Hashable, Sendable, CustomStringConvertible {
    /// The 64-bit number between the quotes. It only grows, through deletion and re-creation too.
    public let version: UInt64

    public init(version: UInt64) { self.version = version }

    /// Reads `12` or `"12"`; `nil` for anything else.
    public init?(_ text: String) {
        var digits = text.utf8[...]
        if digits.count >= 2, digits.first == UInt8(ascii: "\""), digits.last == UInt8(ascii: "\"") {
            digits = digits.dropFirst().dropLast()
        }
        guard digits.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) else { return nil }
        guard let version = UInt64(Substring(digits)) else { return nil }
        self.version = version
    }

    /// The quoted tag, as in `ETag` and `If-Match`.
    public var description: String { "\"\(version)\"" }
}

/// `Keystead-Position: SHARD:POSITION`. On a write that took effect it is the write's own place in its shard's log; on
/// any other answer a position at which the answer was true.
public struct ShardPosition: Hashable, Sendable, CustomStringConvertible {
    public let shard: UInt32
    public let position: UInt64

    public init(shard: UInt32, position: UInt64) {
        self.shard = shard
        self.position = position
    }

    /// Reads `SHARD:POSITION`.
    public init?(_ text: String) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, let shard = UInt32(parts[0]), let position = UInt64(parts[1]) else { return nil }
        self.init(shard: shard, position: position)
    }

    public var description: String { "\(shard):\(position)" }
}

/// What must be true of the entity for a write to happen (RFC 9110 §13). If it is not, the write throws
/// ``KeysteadError/Code/preconditionFailed`` with the entity's current tag and nothing has changed.
public enum Precondition: Hashable, Sendable {
    /// The entity is at one of these versions.
    case matches([EntityTag])
    /// The entity exists.
    case exists
    /// The entity does not exist: create only.
    case absent

    /// The entity is at this version.
    public static func matches(_ tag: EntityTag) -> Precondition { .matches([tag]) }

    /// Name and value of the header field.
    var field: (name: String, value: String) {
        switch self {
        case .matches(let tags): ("If-Match", tags.map(\.description).joined(separator: ", "))
        case .exists: ("If-Match", "*")
        case .absent: ("If-None-Match", "*")
        }
    }

    /// Whether a write under it cannot take effect twice: the first effect makes it false. `exists` stays true, so it
    /// guards nothing.
    var guardsAgainstRepetition: Bool { self != .exists }
}
