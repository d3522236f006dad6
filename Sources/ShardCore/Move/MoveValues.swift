public import Primitives

/// One attempt of a target at copying a shard. The target numbers its attempts, across its restarts, upwards: the
/// source takes no lower number than it has seen, so what a network delivers late cannot bring an old attempt back.
public struct MoveSession: Hashable, Comparable, Sendable {
    public let rawValue: UInt64

    public init(_ rawValue: UInt64) { self.rawValue = rawValue }

    /// Below the first session of this start of a node.
    ///
    /// - Parameter bootCount: how often the node has started; it only grows.
    public static func before(bootCount: UInt64) -> MoveSession { MoveSession(bootCount << 32) }

    public var next: MoveSession { MoveSession(rawValue + 1) }

    public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// Where a move stands by the shard's record in the metadata store, as far as the machines act on it.
public enum MoveStage: Sendable, Equatable, CaseIterable {
    case learner
    case copy
    case catchUp
    case handover
}

/// One file of a checkpoint.
public struct MoveFile: Sendable, Hashable {
    public let name: String
    public let byteCount: UInt64
    /// CRC32C of the whole file.
    public let crc: UInt32

    public init(name: String, byteCount: UInt64, crc: UInt32) {
        self.name = name
        self.byteCount = byteCount
        self.crc = crc
    }
}

/// What the source says to a target that asks for a checkpoint.
public enum MoveOpenAnswer: Sendable, Equatable {
    /// The files to copy; at most ``Limits/moveFilesMax``.
    case manifest(epoch: Epoch, files: [MoveFile])
    /// No checkpoint could be made; ask again later, in a new session.
    case failed(String)
    /// The session is over, or never was: begin a new one.
    case restart
    /// Another request of the same session was asked for the same thing, and will be answered.
    case superseded
}

/// What the source says to a pull: committed updates from `first` on, without gaps, and where the source stands.
public struct MovePullAnswer: Sendable, Equatable {
    public enum Phase: Sendable, Equatable {
        case streaming
        /// The shard is frozen and will have no position after this one, unless the freeze is given up.
        case frozen(through: Position)
        /// The source has given the shard up at this epoch. A hint: the target must read that for itself.
        case handedOver(Epoch)
        /// What comes after the pull's position is not to be had any more, or the session is unknown: copy anew.
        case restart
    }

    public let epoch: Epoch
    public let first: Position
    /// Encoded effects.
    public let payloads: [[UInt8]]
    /// The source's applied position.
    public let applied: Position
    public let phase: Phase

    public init(epoch: Epoch, first: Position, payloads: [[UInt8]], applied: Position, phase: Phase) {
        self.epoch = epoch
        self.first = first
        self.payloads = payloads
        self.applied = applied
        self.phase = phase
    }
}

/// Waits between attempts: doubles from the first to the longest, and begins anew after a success.
struct BackOff: Sendable {
    private let first: UInt64
    private let longest: UInt64
    private var failures: UInt64 = 0

    init(firstMilliseconds: UInt64, longestMilliseconds: UInt64) {
        first = firstMilliseconds
        longest = longestMilliseconds
    }

    mutating func nextPause() -> UInt64 {
        defer { failures = min(failures + 1, 32) }
        return min(first << failures, longest) * 1_000_000
    }

    mutating func succeeded() { failures = 0 }
}

extension MonotonicTime {
    func adding(milliseconds: UInt64) -> MonotonicTime { adding(nanoseconds: milliseconds * 1_000_000) }
}
