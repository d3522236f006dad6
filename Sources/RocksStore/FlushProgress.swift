internal import Primitives

/// What a store has applied, what of it is durable, and what it therefore still needs of the log.
struct FlushProgress: Sendable {
    /// What a row costs in a memtable beside its bytes: skip list node, lengths, sequence number.
    static let rowOverheadBytes = 48

    private(set) var applied: AppliedState
    private(set) var durable: AppliedState
    /// Bytes applied since the last flush began.
    private var unflushedBytes = 0
    /// Bytes that the flush under way takes with it.
    private var flushingBytes = 0
    /// The first update applied since the last flush began.
    private var firstUnflushed: LSN?
    /// The first update that the flush under way takes with it.
    private var firstFlushing: LSN?

    init(at opened: AppliedState) {
        applied = opened
        durable = opened
    }

    var memoryBytes: Int { unflushedBytes + flushingBytes }

    /// The log from here on is needed to bring back what is only in memory; `nil` where nothing is.
    var pinnedLSN: LSN? { firstFlushing ?? firstUnflushed }

    mutating func noteApplied(_ mark: AppliedState, first: LSN, bytes: Int) {
        applied = mark
        unflushedBytes += bytes
        if firstUnflushed == nil { firstUnflushed = first }
    }

    /// A mark that is durable by itself, where nothing else is in memory.
    mutating func noteDurable(_ mark: AppliedState) {
        precondition(pinnedLSN == nil, "rows that are only in memory belong to an older mark")
        applied = mark
        durable = mark
    }

    /// Begins a flush and gives the mark that will be durable when it ends; `nil` where there is nothing to flush. An
    /// update that slips into the flush after this still counts as unflushed, which errs on the safe side.
    mutating func beginFlush() -> AppliedState? {
        guard firstUnflushed != nil else { return nil }
        firstFlushing = firstUnflushed
        firstUnflushed = nil
        flushingBytes = unflushedBytes
        unflushedBytes = 0
        return applied
    }

    /// - Returns: the bytes that have left memory.
    mutating func endFlush(durable mark: AppliedState) -> Int {
        defer { flushingBytes = 0 }
        durable = mark
        firstFlushing = nil
        return flushingBytes
    }

    mutating func failFlush() {
        unflushedBytes += flushingBytes
        flushingBytes = 0
        firstUnflushed = firstFlushing
        firstFlushing = nil
    }
}
