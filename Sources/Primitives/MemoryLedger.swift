/// What memory is charged for. A label of metrics: few, and fixed.
public enum MemoryUse: Int, CaseIterable, Sendable {
    /// Open connections and what has come on them and is not decoded yet.
    case connections
    /// Requests and their bodies, from their head to their answer.
    case requests
    /// Effects on their way to the log and the store.
    case effects
    /// Answers that wait for their turn or for the socket.
    case answers
    /// Pages of lists being made.
    case pages
    /// Lines of batches.
    case batches
    /// Frames of peers, in both directions.
    case frames

    /// As it stands in metrics.
    public var name: StaticString {
        switch self {
        case .connections: "connections"
        case .requests: "requests"
        case .effects: "effects"
        case .answers: "answers"
        case .pages: "pages"
        case .batches: "batches"
        case .frames: "frames"
        }
    }
}

/// Who goes first when memory is scarce. Later ones may use what earlier ones must leave alone.
public enum MemoryRank: Int, CaseIterable, Sendable {
    /// Bodies, pages and frames that are more than small.
    case large
    /// Small writes, connections, and what has begun, whatever its size.
    case small
    /// Reads of small entities.
    case read

    /// The rank of a request that is charged `bytes`.
    public init(bytes: Int, isRead: Bool) {
        self = bytes > Limits.memorySmallBytesMax ? .large : isRead ? .read : .small
    }
}

/// The bounds of a budget of memory, rank by rank.
public struct MemoryBounds: Sendable, Equatable {
    public let capacityBytes: Int
    /// What its loops borrow at a time.
    public let lumpBytes: Int

    /// - Parameter loops: those that keep a lump each.
    public init(capacityBytes: Int, loops: Int) {
        precondition(capacityBytes > 0 && loops > 0, "a budget has room and somebody who uses it")
        self.capacityBytes = capacityBytes
        lumpBytes = max(1, min(Limits.memoryLumpBytesMax, capacityBytes / (32 * loops)))
    }

    /// What may be charged in sum where a charge of this rank is the last one: a quarter is kept from large charges, an
    /// eighth of that quarter from everything but small reads.
    public func bytesMax(for rank: MemoryRank) -> Int {
        switch rank {
        case .large: capacityBytes - capacityBytes / 4
        case .small: capacityBytes - capacityBytes / 32
        case .read: capacityBytes
        }
    }

    /// What a single charge counts at most: one that is larger than its whole bound is taken where nothing else is.
    public func clamped(_ bytes: Int) -> Int { min(bytes, bytesMax(for: .large) - lumpBytes) }
}

/// One loop's part of a budget: what it has borrowed and what of that is charged. Plain numbers without a lock.
///
/// Invariant: `0 <= charged <= borrowed`, and after a refund fewer than three lumps are borrowed and not charged.
public struct MemoryLedger: Sendable, Equatable {
    public private(set) var charged = 0
    public private(set) var borrowed = 0
    private let lumpBytes: Int

    public init(lumpBytes: Int) {
        precondition(lumpBytes > 0, "a lump is something")
        self.lumpBytes = lumpBytes
    }

    /// What must be borrowed before `bytes` more can be charged: at least the first number, better the second, which
    /// is whole lumps. Both are zero where there is room.
    @inline(__always)
    public func shortfall(of bytes: Int) -> (least: Int, better: Int) {
        precondition(bytes >= 0, "a charge is not negative")
        let least = charged + bytes - borrowed
        guard least > 0 else { return (0, 0) }
        return (least, (least + lumpBytes - 1) / lumpBytes * lumpBytes)
    }

    /// The budget has lent `bytes` more.
    public mutating func borrow(_ bytes: Int) {
        precondition(bytes >= 0, "what is lent is not negative")
        borrowed += bytes
    }

    @inline(__always)
    public mutating func charge(_ bytes: Int) {
        charged += bytes
        precondition(charged <= borrowed, "only what was borrowed is charged")
    }

    /// Takes a charge back.
    ///
    /// - Returns: what is to be given back to the budget; it counts as given back already.
    @inline(__always)
    public mutating func refund(_ bytes: Int) -> Int {
        precondition(bytes >= 0 && bytes <= charged, "a charge is given back once")
        charged -= bytes
        let idle = borrowed - charged
        guard idle >= 3 * lumpBytes else { return 0 }
        let back = idle - lumpBytes
        borrowed -= back
        return back
    }
}
