import Primitives

/// How far a move has come, as its target sees it.
public struct MoveProgress: Sendable, Equatable {
    /// Of the files of this round.
    public var bytesDone: UInt64 = 0
    public var bytesTotal: UInt64 = 0
    /// Of the fetching, smoothed.
    public var bytesPerSecond: UInt64 = 0
    /// Copies begun.
    public var rounds = 0
    /// Updates that the source has applied and this node has not on stable storage.
    public var lagPositions: UInt64 = 0
    /// Rounds have left no less to do than the ones before: the files change faster than they are fetched.
    public var isNotConverging = false
    /// How fast the source's files have changed in the last round: fetching must be faster. 0 where not known.
    public var neededBytesPerSecond: UInt64 = 0
    /// What went wrong last, and has not gone right since.
    public var trouble: String?
}

/// The rounds of copying, and whether they get anywhere.
struct Rounds {
    private(set) var count = 0
    /// Rounds in a row that had no less to fetch than the one before.
    private(set) var fruitless = 0
    private(set) var neededBytesPerSecond: UInt64 = 0
    private var bytes: UInt64?
    private var began: MonotonicTime?
    private var lasted: UInt64 = 0

    /// A round begins that has `bytes` to fetch: what has changed since the last one began, and what that left undone.
    mutating func begin(bytes: UInt64, now: MonotonicTime) {
        count += 1
        if let before = self.bytes {
            fruitless = bytes >= before ? fruitless + 1 : 0
            neededBytesPerSecond = bytes.perSecond(nanoseconds: lasted)
        }
        self.bytes = bytes
        began = now
    }

    mutating func end(now: MonotonicTime) {
        guard let start = began else { return }
        lasted = now.nanoseconds(since: start)
        began = nil
    }
}
