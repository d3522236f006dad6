import Primitives

/// When a group begins. Callers that a group has answered come back one after the other; a group begun for the first of
/// them makes all others wait for a sync that they could have shared, and syncs follow each other half empty.
extension LogMachine {
    /// Whether the next group is to wait for more: it would be less than half as large as the one before, and has not
    /// waited for long. A caller alone never waits, and where callers become fewer only the first group does.
    mutating func isGathering(now: MonotonicTime) -> Bool {
        guard configuration.gatherNanoseconds > 0, !mustSeal, !isClosing, !isWriteBlocked else { return false }
        let waiting = Self.count(backlog[backlogHead...]) - payloadHead
        guard waiting * 2 < lastGroupRecords else { return false }
        let until = gatherUntil ?? now.adding(nanoseconds: configuration.gatherNanoseconds)
        gatherUntil = until
        return until > now
    }

    /// Static: a method would be called on a copy of the machine, for it is called within a change of it.
    private static func count(_ batches: ArraySlice<AppendBatch>) -> Int {
        batches.reduce(0) { $0 + $1.payloads.count }
    }

    /// A group has been built.
    mutating func gathered(_ records: Int) {
        lastGroupRecords = records
        gatherUntil = nil
    }
}
